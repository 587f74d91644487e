"""A part of an open file that is queued as output."""


cdef class FileRange:
    cdef int fd                     # owned by this object, closed in __dealloc__
    cdef long long offset           # of the first byte that was not sent
    cdef long long left             # bytes that were not sent

    cdef bytes read(self, Py_ssize_t max_bytes)
    cdef Py_ssize_t read_into(self, char* buffer, Py_ssize_t max_bytes) noexcept


# Creates a range of `count` bytes from `offset` on, and takes ownership of the descriptor.
cdef FileRange file_range(int fd, long long offset, long long count)
