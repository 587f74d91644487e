"""The bodies of the requests of many streams: their credit and their deadlines."""
cimport cython
from ianus.exchange.open_stream cimport OpenStream
from ianus.exchange.stream_events cimport StreamEvents


@cython.no_gc
cdef class StreamInput(StreamEvents):
    cdef int settle(self, OpenStream opened) except -1
    cdef int note_deadline(self, OpenStream opened) except -1
    cdef double deadline_of(self, OpenStream opened) except -1


cdef inline double earlier(double deadline, double other) noexcept:
    """The earlier one of two times, of which 0 is none."""
    if deadline == 0 or other == 0:
        return deadline + other
    return min(deadline, other)
