"""The access log: lines formatted in place, written by a thread of its own."""
from ianus.telemetry.line_format cimport LineFormat
from ianus.telemetry.observer cimport Observer


cdef class AccessLog(Observer):
    cdef int fd
    cdef double interval            # seconds between writes
    cdef Py_ssize_t capacity        # bytes that may wait
    # Lines not written yet; the thread takes a copy of all of them, and writes that. The buffer is used with the GIL.
    cdef char* buffer               # malloc'ed, owned by this object
    cdef Py_ssize_t size, allocated
    cdef long long dropped          # lines that found the buffer full, not reported yet
    cdef object has_lines           # threading.Event: something waits to be written
    cdef object write_early         # threading.Event: much waits, or close() was called
    cdef bytes unwritten            # lines that the thread is writing
    cdef long long lost             # lines that could not be written, not reported yet
    cdef object reason              # why
    cdef double reported_at         # CLOCK_MONOTONIC seconds; 0 for never
    cdef bint is_torn               # the last line in the file has no end
    cdef object sink                # or None
    cdef bint stopping
    cdef object thread

    cdef LineFormat format
    cdef frozenset excluded         # paths that are left out, or None when there are none
    cdef tuple excluded_prefixes

    cdef bytes take_lines(self)
    cdef bint grow(self) except -1
    cdef bint excludes(self, bytes target) except -1
