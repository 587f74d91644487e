"""An HTTP conversation of many streams, each with an exchange: the part that is independent of the version."""
cimport cython
from ianus.codec.base cimport ErrorCode
from ianus.exchange.open_stream cimport OpenStream
from ianus.exchange.stream_output cimport StreamOutput


@cython.no_gc
cdef class StreamSession(StreamOutput):
    cdef int run_noted(self) except -1
    cdef int run_stream(self, OpenStream opened) except -1
    cdef int start_stream(self, OpenStream opened) except -1
    cdef int expire(self, OpenStream opened) except -1
    cdef int end_stalled(self, double before) except -1
    cdef int check_deadlines(self, double now) except -1
    cdef int answer_invalid(self, OpenStream opened) except -1
    cdef int start_waiting(self) except -1
    cdef int fail(self, ErrorCode code, str reason) except -1
    cdef int close_failed(self) except -1
    cdef bint output_is_full(self) noexcept
