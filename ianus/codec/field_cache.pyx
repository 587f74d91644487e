"""Field lines that clients repeat, with the tuples that were made of them.

Facts: the clients of a server send few different lines of User-Agent, Accept and the like, and each client sends the
same ones with all of its requests. Strategy: a table of the lines that were parsed last. A line that is in it is
compared once, in place of being checked byte by byte and copied into two new objects.

Rules:
- A line is kept only after it was found valid, and is found only by all of its bytes.
- Names whose values may be secrets are never kept: neither may they stay in memory, nor may the time of a request show
  whether another client has sent the same value.
- Each line has one entry, so a client that sends many different lines costs a comparison, and no memory.

Compiled because every field passes here on its way to the table: 0 instructions for ASGI hello, whose lines are in it.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from ianus.codec.fields cimport FieldId


cdef class FieldCache:
    """The field lines that the connections of one listener have in common."""

    def __cinit__(self):
        self.entries = <KnownField*>calloc(FIELD_ENTRIES, sizeof(KnownField))
        if self.entries == NULL:
            raise MemoryError
        self.repeated_names = frozenset((
            b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"connection",
            b"content-type", b"dnt", b"host", b"origin", b"pragma", b"priority", b"save-data", b"sec-ch-ua",
            b"sec-ch-ua-arch", b"sec-ch-ua-mobile", b"sec-ch-ua-model", b"sec-ch-ua-platform",
            b"sec-ch-ua-platform-version", b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site", b"sec-fetch-user",
            b"sec-gpc", b"te", b"upgrade", b"upgrade-insecure-requests", b"user-agent", b"via", b"x-forwarded-host",
            b"x-forwarded-port", b"x-forwarded-proto", b"x-requested-with",
        ))

    def __dealloc__(self):
        cdef int i
        # NULL if __cinit__() had no memory
        if self.entries == NULL:
            return
        for i in range(FIELD_ENTRIES):
            if self.entries[i].field != NULL:
                Py_DECREF(<object>self.entries[i].field)
        free(self.entries)

    cdef int keep(self, const char* line, Py_ssize_t size, FieldId field_id, tuple field) except -1:
        cdef KnownField* entry
        cdef PyObject* before
        if not MIN_LINE_BYTES <= size <= MAX_LINE_BYTES or field[0] not in self.repeated_names:
            return 0
        entry = entry_of(self, line, size)
        before = entry.field
        memcpy(entry.line, line, size)
        entry.size = <unsigned int>size
        entry.id = field_id
        # The reference of this table, until another line takes the entry.
        Py_INCREF(field)
        entry.field = <PyObject*>field
        if before != NULL:
            Py_DECREF(<object>before)
        return 0
