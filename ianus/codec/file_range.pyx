"""Bytes of a file that are sent without passing through Python.

The kernel copies them (sendfile). If it cannot, or if they must be encrypted first, they are read here piece by piece.

Compiled because output queues hold it.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from posix.types cimport off_t


cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int fd)
    ssize_t pread(int fd, void* buffer, size_t size, off_t offset)


cdef class FileRange:
    """A part of an open file that was not sent yet."""

    def __cinit__(self):
        self.fd = -1

    def __dealloc__(self):
        if self.fd >= 0:
            c_close(self.fd)

    cdef bytes read(self, Py_ssize_t max_bytes):
        """Reads the next bytes, at most `max_bytes`. Returns b"" if the file has shrunk or cannot be read."""
        cdef bytes data = PyBytes_FromStringAndSize(NULL, min(<long long>max_bytes, self.left))
        cdef ssize_t n = pread(self.fd, PyBytes_AS_STRING(data), len(data), self.offset)
        if n <= 0:
            return b""
        self.offset += n
        self.left -= n
        return data[:n]


cdef FileRange file_range(int fd, long long offset, long long count):
    cdef FileRange part = FileRange.__new__(FileRange)
    part.fd = fd
    part.offset = offset
    part.left = count
    return part
