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
        # The descriptor is the server's own copy, so closing it here does not affect the application's file.
        if self.fd >= 0:
            c_close(self.fd)

    cdef bytes read(self, Py_ssize_t max_bytes):
        """Reads the next bytes, at most `max_bytes`. Returns b"" if the file has shrunk or cannot be read."""
        # Filled in place: no other code has a reference to the object yet.
        cdef bytes data = PyBytes_FromStringAndSize(NULL, min(<long long>max_bytes, self.left))
        cdef Py_ssize_t n = self.read_into(PyBytes_AS_STRING(data), len(data))
        # The response has fewer bytes then than its head declares. The connection resets it.
        return data[:n] if n > 0 else b""

    cdef Py_ssize_t read_into(self, char* buffer, Py_ssize_t max_bytes) noexcept:
        """The same into a buffer. Returns the number of bytes, 0 or less if the file has shrunk or cannot be read."""
        # By offset: the position of the open file is shared with the application's descriptor.
        cdef ssize_t n = pread(self.fd, buffer, min(<long long>max_bytes, self.left), self.offset)
        if n > 0:
            self.offset += n
            self.left -= n
        return n


cdef FileRange file_range(int fd, long long offset, long long count):
    cdef FileRange part = FileRange.__new__(FileRange)
    # Owned from here on
    part.fd = fd
    part.offset = offset
    part.left = count
    return part
