"""The output of many streams, and the ends of streams and of their connection."""
cimport cython
from ianus.exchange.open_stream cimport OpenStream
from ianus.exchange.stream_input cimport StreamInput


@cython.no_gc
cdef class StreamOutput(StreamInput):
    cdef bint starts_streams(self) noexcept
    cdef int fill(self) except -1
    cdef int fill_if_possible(self) except -1
    cdef int note_sent_files(self) except -1
    cdef int run_output_events(self) except -1
    cdef int lose_stream(self, OpenStream opened) except -1
    cdef int end_stream(self, OpenStream opened) except -1
    cdef int release_stream(self, OpenStream opened) except -1
    cdef int start_drain(self) except -1
    cdef int end_if_drained(self) except -1
