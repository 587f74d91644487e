"""Predicts whether the call for a request will block.

Facts: a typical application has fast requests, and others that wait for a database or another service. Method and path
distinguish the two, and this hardly changes over time. An average over all requests would be wrong for both.

Strategy: a small table, keyed by the method and the first segments of the path. All segments with a digit (usually an
id) count as the same segment. Only the absolute time that a call was blocked is evidence: a share of its duration would
also count waiting for the GIL. A wrong prediction costs a hand-over, or an action of the watchdog; both are cheap.

Compiled because every WSGI request passes here: 95 instructions for WSGI hello.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_GET_LENGTH
from libc.string cimport memset

from ianus.codec.base cimport Request


cdef enum:
    MAX_SEGMENTS = 4        # segments of a path that are part of the key
    MAX_PATH_BYTES = 96     # bytes of a path that are part of the key

# A call that was blocked for this long is better made by a thread that does not lead.
cdef double MIN_BLOCKED_SECONDS = 0.0005
# So is a call that computes for this long, although it then has to share the GIL.
cdef double MIN_COMPUTING_SECONDS = 0.010


cdef class Predictor:
    def __cinit__(self):
        # Tag 0 is never a key, since keys are odd.
        memset(self.table, 0, sizeof(self.table))

    cdef Evidence* evidence_of(self, Request request) noexcept:
        cdef const unsigned char* path = <const unsigned char*>PyBytes_AS_STRING(request.raw_path)
        cdef Py_ssize_t size = min(PyBytes_GET_SIZE(request.raw_path), <Py_ssize_t>MAX_PATH_BYTES), i
        # FNV-1a over the method's first letter and length, then the segments
        cdef unsigned int key = 2166136261, before = 2166136261
        cdef int segments = 0
        cdef bint numbered = False
        cdef Evidence* evidence
        # A token of ASCII, as the codec has checked, so one byte a character.
        key = (key ^ PyUnicode_1BYTE_DATA(request.method)[0]) * 16777619
        key = (key ^ <unsigned int>PyUnicode_GET_LENGTH(request.method)) * 16777619
        for i in range(size):
            if path[i] == c'/':
                segments += 1
                # Deeper segments are usually names or ids, which would fill the table.
                if segments > MAX_SEGMENTS:
                    break
                if numbered:
                    # The segment is replaced by "0", as if all ids were the same.
                    key = (before ^ c'0') * 16777619
                    numbered = False
                before = key
            elif c'0' <= path[i] <= c'9':
                numbered = True
            key = (key ^ path[i]) * 16777619
        if numbered:
            key = (before ^ c'0') * 16777619
        # Mixes the high bits into those that choose the entry.
        key = (key ^ (key >> 15)) | 1
        evidence = &self.table[(key >> 1) % TABLE_ENTRIES]
        # Another request had the entry. The newer one takes it: evidence is learned again in a few calls.
        if evidence.tag != key:
            evidence.tag = key
            evidence.score = 0
            evidence.is_suspect = False
            evidence.started = 0
        return evidence


cdef void learn(Evidence* evidence, double duration, double blocked) noexcept:
    # Slow calls count more than fast ones: a request that blocks now and then is expected to block.
    if duration < MIN_BLOCKED_SECONDS:
        if evidence.score:
            evidence.score -= 1
        evidence.is_suspect = False
    elif blocked < 0:
        # Slow, but not measured: the next call is measured, unless the evidence is sufficient.
        evidence.is_suspect = evidence.score < MAX_SCORE
    elif blocked >= MIN_BLOCKED_SECONDS or duration >= MIN_COMPUTING_SECONDS:
        evidence.score = min(evidence.score + LIKELY_SCORE, <int>MAX_SCORE)
        evidence.is_suspect = False
    else:
        # The call computed. Calls that compute for a few milliseconds are faster one after the other.
        evidence.is_suspect = True
        if evidence.score:
            evidence.score -= 1
