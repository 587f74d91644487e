"""Output buffers and their pool.

Facts: a response head and a small body are a few hundred bytes, a big body is one object that the
application made, or a file. Strategy: copy small pieces into one block, keep references to big ones, and pass
both to one sendmsg; the kernel copies files itself. Rule: bytes are sent in the order in which they were written.

Compiled because every response passes here: 370 instructions for ASGI hello.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from ianus.codec.file_range cimport FileRange
from ianus.runtime.live_objects cimport BUFFERS, count


cdef enum:
    TRIM_ENTRIES = 64  # sent entries that a queue keeps before they are deleted
    MAX_POOLED_OUTPUTS = 256  # free outputs kept; more are given back to the allocator
    FILE_READ_BYTES = 65536  # bytes of a file read at once if the kernel does not send them


cdef class OutputPool:
    """A free list of outputs; one per worker thread, so no lock."""

    def __cinit__(self):
        self.free = [None] * MAX_POOLED_OUTPUTS

    cdef Output acquire(self):
        cdef Output output
        if not self.count:
            return Output.__new__(Output)
        self.count -= 1
        output = <Output>self.free[self.count]
        self.free[self.count] = None
        return output

    cdef int release(self, Output output) except -1:
        output.start = output.end = output.size = 0
        if output.queue:
            output.queue = []
            output.first = output.offset = output.files = 0
        if self.count < MAX_POOLED_OUTPUTS:
            self.free[self.count] = output
            self.count += 1
        return 0


# No garbage collector: a connection takes its codec's reference away when it closes.
@cython.no_gc
cdef class OutputOwner:
    cdef Output output(self):
        if self.out is None:
            self.out = self.pool.acquire()
        return self.out

    cdef int release_output(self) except -1:
        cdef Output out = self.out
        if out is not None:
            self.out = None
            self.pool.release(out)
        return 0


cdef class Output:
    """Holds the output that one connection has not sent yet."""

    def __cinit__(self):
        self.queue = []
        self.block = <char*>malloc(BLOCK_BYTES)
        if self.block == NULL:
            raise MemoryError
        count(BUFFERS, 1)

    def __dealloc__(self):
        if self.block != NULL:
            free(self.block)
            count(BUFFERS, -1)

    cdef int write(self, const char* data, Py_ssize_t size) except -1:
        """Copies data."""
        if not self.queue and size <= BLOCK_BYTES - self.end:
            memcpy(self.block + self.end, data, size)
            self.end += size
        elif size:
            self.queue.append(PyBytes_FromStringAndSize(data, size))
        self.size += size
        return 0

    cdef int write_bytes(self, bytes data) except -1:
        """Copies data if it is small, else keeps a reference until it is sent."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if size < COPY_LIMIT_BYTES:
            return self.write(PyBytes_AS_STRING(data), size)
        self.queue.append(data)
        self.size += size
        return 0

    cdef int write_file(self, FileRange file) except -1:
        self.queue.append(file)
        self.files += 1
        self.size += file.left
        return 0

    cdef int pieces(self, iovec* vector, int max_pieces) noexcept:
        """Fills up to `max_pieces` entries with unsent bytes, in order, as far as the next file; they stay valid until
        sent() or a write.
        """
        cdef int n = 0
        cdef Py_ssize_t i = self.first, skip = self.offset
        cdef PyObject* data
        if self.end > self.start:
            vector[0].iov_base = self.block + self.start
            vector[0].iov_len = self.end - self.start
            n = 1
        while n < max_pieces and i < len(self.queue):
            data = <PyObject*>self.queue[i]
            if self.files and type(<object>data) is FileRange:
                break
            vector[n].iov_base = PyBytes_AS_STRING(<object>data) + skip
            vector[n].iov_len = PyBytes_GET_SIZE(<object>data) - skip
            skip = 0
            n += 1
            i += 1
        return n

    cdef int sent(self, Py_ssize_t size) except -1:
        """Drops the first `size` bytes, and the objects that are wholly sent with them."""
        cdef Py_ssize_t part
        self.size -= size
        part = min(size, self.end - self.start)
        self.start += part
        size -= part
        if self.start == self.end:
            self.start = self.end = 0
        while size:
            part = PyBytes_GET_SIZE(self.queue[self.first]) - self.offset
            if size < part:
                self.offset += size
                return 0
            size -= part
            self.offset = 0
            self.queue[self.first] = None
            self.first += 1
        return self.drop_sent() if self.first else 0

    cdef FileRange file(self):
        """Returns the next file, if pieces() has returned 0."""
        return <FileRange>self.queue[self.first]

    cdef int file_sent(self, Py_ssize_t size) except -1:
        """Records that `size` bytes of the next file were sent; its offset and rest are already updated."""
        self.size -= size
        if self.file().left == 0:
            self.files -= 1
            self.queue[self.first] = None
            self.first += 1
            return self.drop_sent()
        return 0

    cdef bint load_file(self) except -1:
        """Reads bytes of the next file into memory, in front of the rest of it. Returns whether there were any."""
        cdef FileRange file = self.file()
        cdef bytes data = file.read(FILE_READ_BYTES)
        if not data:
            return False
        if file.left:
            self.queue.insert(self.first, data)
        else:
            self.queue[self.first] = data
            self.files -= 1
        return True

    cdef int drop_sent(self) except -1:
        if self.first == len(self.queue):
            self.queue.clear()
            self.first = 0
        elif self.first >= TRIM_ENTRIES:
            del self.queue[:self.first]
            self.first = 0
        return 0
