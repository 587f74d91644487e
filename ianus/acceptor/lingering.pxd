"""Bounds of lingering closes: how many connections linger at once, and how fast their input is discarded."""
from ianus.exchange.base cimport Session, Transport


cdef class LingeringConnection:
    cdef Transport transport
    # For the session, which limits its time. In CLOCK_MONOTONIC seconds:
    cdef double since               # its start
    cdef double last                # its last byte received
    cdef long long received         # all bytes of it


cdef class Lingering:
    """All lingering connections of one reactor. Others have no space for these facts."""
    # OrderedDict of connection_id: LingeringConnection, the one that lingers longest first
    cdef object connections
    cdef Py_ssize_t limit           # maximum number of them
    cdef double window_start        # CLOCK_MONOTONIC seconds
    cdef Py_ssize_t window_left     # bytes that may still be discarded in this window

    cdef int add(self, int connection_id, Transport connection) except -1  # closes another one if there are too many
    cdef int note_input(self, int connection_id, Py_ssize_t size, double now) except -1     # it was discarded
    cdef double deadline(self, int connection_id, Session session) except? -1
    cdef int remove(self, int connection_id) except -1
    cdef Py_ssize_t share(self, double now) except -1   # bytes that one connection may discard now; 0 = none for now
    cdef int clear(self) except -1
