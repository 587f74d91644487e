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


@cython.no_gc
@cython.final
@cython.freelist(32)
cdef class BytesRange:
    pass


cdef class OutputPool:
    """A free list of outputs; one per worker thread, so no lock."""

    def __cinit__(self):
        self.free = [None] * MAX_POOLED_OUTPUTS

    cdef Output acquire(self):
        cdef Output output
        # Empty at the start, and while more connections than before have output.
        if not self.count:
            return Output.__new__(Output)
        self.count -= 1
        output = <Output>self.free[self.count]
        # The reference moves to the caller: an output has one owner at a time.
        self.free[self.count] = None
        return output

    cdef int release(self, Output output) except -1:
        # The block is kept, which is the purpose of the pool. Its old bytes are overwritten, and never sent.
        output.start = output.end = output.size = 0
        output.deadline = 0
        if output.queue:
            # Not clear(): that would keep the memory of a long queue for ever.
            output.queue = []
            output.first = output.offset = output.files = 0
        # Otherwise the last reference ends here, and __dealloc__() frees the block.
        if self.count < MAX_POOLED_OUTPUTS:
            self.free[self.count] = output
            self.count += 1
        return 0


# No garbage collector: a connection takes its codec's reference away when it closes.
@cython.no_gc
cdef class OutputOwner:
    cdef Output output(self):
        raise NotImplementedError


cdef Output take_output(OutputOwner owner, OutputPool pool):
    # Taken at the first byte of output, so idle connections have none.
    if owner.out is None:
        owner.out = pool.acquire()
    return owner.out


cdef int release_output(OutputOwner owner, OutputPool pool) except -1:
    cdef Output out = owner.out
    if out is not None:
        # First, so that the output never has two owners.
        owner.out = None
        pool.release(out)
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
        # NULL if __cinit__() had no memory; then it was not counted either.
        if self.block != NULL:
            free(self.block)
            count(BUFFERS, -1)

    cdef int write(self, const char* data, Py_ssize_t size) except -1:
        """Copies data."""
        # Only while the queue is empty: bytes in the block are sent before those in the queue.
        if not self.queue and size <= BLOCK_BYTES - self.end:
            memcpy(self.block + self.end, data, size)
            self.end += size
        elif size:
            # Copied: the caller's memory is valid during this call only.
            self.queue.append(PyBytes_FromStringAndSize(data, size))
        self.size += size
        return 0

    cdef int write_bytes(self, bytes data) except -1:
        """Copies data if it is small, else keeps a reference until it is sent."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if size < COPY_LIMIT_BYTES:
            return self.write(PyBytes_AS_STRING(data), size)
        # A reference keeps the object, and so its bytes, which cannot change, until they are sent.
        self.queue.append(data)
        self.size += size
        return 0

    cdef int write_range(self, bytes data, Py_ssize_t start, Py_ssize_t size) except -1:
        """Keeps a reference to data until `size` bytes of it, from `start` on, are sent."""
        cdef BytesRange part
        if size == PyBytes_GET_SIZE(data):
            self.queue.append(data)
        else:
            part = BytesRange.__new__(BytesRange)
            part.data = data
            part.start = start
            part.size = size
            self.queue.append(part)
        self.size += size
        return 0

    cdef int write_file(self, FileRange file) except -1:
        # The queue owns the range, and by it the descriptor.
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
        # Borrowed from the queue, which holds each object until sent()
        cdef PyObject* data
        if self.end > self.start:
            # The block never moves.
            vector[0].iov_base = self.block + self.start
            vector[0].iov_len = self.end - self.start
            n = 1
        while n < max_pieces and i < len(self.queue):
            data = <PyObject*>self.queue[i]
            if type(<object>data) is FileRange:
                # Its bytes are sent by sendfile(), after all pieces before it.
                break
            # Only the first object can be sent partly, so `skip` is used once.
            vector[n].iov_base = bytes_of(<object>data) + skip
            vector[n].iov_len = size_of(<object>data) - skip
            skip = 0
            n += 1
            i += 1
        return n

    cdef int sent(self, Py_ssize_t size) except -1:
        """Drops the first `size` bytes, and the objects that are wholly sent with them."""
        cdef Py_ssize_t part
        self.size -= size
        # In the order of pieces(): first the block, then the queue.
        part = min(size, self.end - self.start)
        self.start += part
        size -= part
        if self.start == self.end:
            # The whole block is free again for small writes.
            self.start = self.end = 0
        while size:
            part = size_of(self.queue[self.first]) - self.offset
            # The kernel took a part of this object, which stays referenced.
            if size < part:
                self.offset += size
                return 0
            size -= part
            self.offset = 0
            # Ends the reference now. The list itself is trimmed later, since deleting its first item moves all others.
            self.queue[self.first] = None
            self.first += 1
        return self.drop_sent() if self.first else 0

    cdef FileRange file(self):
        """Returns the next file, if pieces() has returned 0."""
        # pieces() stops only at a file or at the end of the queue.
        return <FileRange>self.queue[self.first]

    cdef int file_sent(self, Py_ssize_t size) except -1:
        """Records that `size` bytes of the next file were sent; its offset and rest are already updated."""
        self.size -= size
        if self.file().left == 0:
            # The descriptor is closed with the last reference to the range.
            self.files -= 1
            self.queue[self.first] = None
            self.first += 1
            return self.drop_sent()
        return 0

    cdef bint load_file(self) except -1:
        """Reads bytes of the next file into memory, in front of the rest of it. Returns whether there were any."""
        cdef FileRange file = self.file()
        cdef bytes data = file.read(FILE_READ_BYTES)
        # Shorter than declared: the caller resets the connection.
        if not data:
            return False
        if file.left:
            # `size` does not change: it counts the bytes of files too.
            self.queue.insert(self.first, data)
        else:
            self.queue[self.first] = data
            self.files -= 1
        return True

    cdef int drop_sent(self) except -1:
        # From here on small writes go to the block again.
        if self.first == len(self.queue):
            self.queue.clear()
            self.first = 0
        elif self.first >= TRIM_ENTRIES:
            del self.queue[:self.first]
            self.first = 0
        return 0


cdef inline char* bytes_of(object piece) noexcept:
    """The first byte of an object in the queue that is not a file. The object keeps it."""
    if type(piece) is BytesRange:
        return PyBytes_AS_STRING((<BytesRange>piece).data) + (<BytesRange>piece).start
    return PyBytes_AS_STRING(piece)


cdef inline Py_ssize_t size_of(object piece) noexcept:
    return (<BytesRange>piece).size if type(piece) is BytesRange else PyBytes_GET_SIZE(piece)
