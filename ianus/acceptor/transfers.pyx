"""Connections that a worker passes to others, or takes from them.

Compiled because connections are passed on without the interpreter, too (backlog_watch.pyx).
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint64_t


cdef class Transfers:
    """A transfer queue, whose descriptors the reactor uses.

    memory: the shared memory, mapped. Raises ValueError if it has no space for the number of workers that serve.
    """

    def __cinit__(self, queue, memory):
        # The view keeps the memory mapped until __dealloc__() releases it.
        PyObject_GetBuffer(memory, &self.buffer, PyBUF_SIMPLE)
        if self.buffer.len < <Py_ssize_t>sizeof(uint64_t):
            PyBuffer_Release(&self.buffer)
            raise ValueError("the shared memory is too small")
        # Borrowed from the view
        self.serving = <const uint64_t*>self.buffer.buf
        self.queue = queue
        self.writer = queue.writer.fileno()
        self.reader = queue.reader.fileno()

    def __dealloc__(self):
        if self.serving != NULL:
            PyBuffer_Release(&self.buffer)

    cdef bint put(self, int fd) noexcept nogil:
        return send_descriptor(self.writer, fd) == 0

    cdef int take(self) noexcept nogil:
        return receive_descriptor(self.reader)
