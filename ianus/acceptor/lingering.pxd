"""Bounds of lingering closes: how many connections linger at once, and how fast their input is discarded."""
from ianus.exchange.base cimport Transport


cdef class Lingering:
    """All lingering connections of one reactor."""
    cdef object connections         # OrderedDict of connection_id: Transport, the one that lingers longest first
    cdef Py_ssize_t limit           # maximum number of them
    cdef double window_start        # CLOCK_MONOTONIC seconds
    cdef Py_ssize_t window_left     # bytes that may still be discarded in this window

    cdef int add(self, int connection_id, Transport connection) except -1  # closes another one if there are too many
    cdef int remove(self, int connection_id) except -1
    cdef Py_ssize_t share(self, double now) except -1   # bytes that one connection may discard now; 0 = none for now
    cdef int clear(self) except -1
