"""The access log: lines formatted in place, written by a thread of its own."""


cdef class AccessLog:
    cdef int fd
    cdef double interval            # seconds between writes
    cdef Py_ssize_t capacity        # bytes that may wait
    # Lines not written yet; the thread takes the whole buffer and leaves an empty one. Both hold the GIL.
    cdef char* buffer               # malloc'ed, owned by this object
    cdef Py_ssize_t size, room
    cdef long long dropped          # lines that found the buffer full, not reported yet
    cdef object wake                # threading.Event: something waits to be written
    cdef object hurry               # threading.Event: much waits, or close() was called
    cdef bint stopping
    cdef object thread
    # "[22/Nov/2026:12:00:00 +0000]", remade when the second changes
    cdef bytes stamp
    cdef long stamp_second

    cdef int forget(self) except -1
    cdef bytes take(self)
    cdef bint grow(self) except -1
    cdef bytes time_stamp(self)
    cdef int record(
        self, object client, str method, bytes target, str http_version, int status, long long size,
        list headers, double duration,
    ) except -1
