"""The order in which the streams of a connection are served (RFC 9218 section 10)."""
from cpython.object cimport PyObject

from ianus.codec.http2.priority cimport URGENCIES
from ianus.codec.http2.stream cimport Http2Stream


cdef class Scheduler:
    """The streams that have output which their own windows admit.

    It does not own them: a stream is removed before its table lets it go.
    """
    # Two circular lists an urgency: streams in the order of their numbers, and those that share. Borrowed, or NULL.
    cdef PyObject* first[URGENCIES * 2]
    # Bits by urgency
    cdef unsigned int occupied      # there are streams
    cdef unsigned int turn_of_shared    # the next one to be served is one that shares

    cdef int add(self, Http2Stream stream) noexcept
    cdef int remove(self, Http2Stream stream) noexcept
    # The stream to serve next; borrowed, NULL if there is none.
    cdef PyObject* next(self) noexcept
    # It has been served and has more.
    cdef int rotate(self, Http2Stream stream) noexcept
