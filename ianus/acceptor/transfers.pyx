"""Connections that a worker passes to others, or takes from them.

Compiled because connections are passed on without the interpreter, too (backlog_watch.pyx).
"""
from libc.stdint cimport uint64_t

from ianus.runtime.mapped_memory cimport MappedMemory


cdef class Transfers:
    """A transfer queue, whose descriptors the reactor uses.

    memory: the shared memory. Raises ValueError if it has no space for the number of workers that serve.
    """

    def __cinit__(self, queue, MappedMemory memory not None):
        self.memory = memory
        self.serving = <const uint64_t*>memory.readable(sizeof(uint64_t))
        self.queue = queue
        self.writer = queue.writer.fileno()
        self.reader = queue.reader.fileno()

    cdef bint put(self, int fd) noexcept nogil:
        return send_descriptor(self.writer, fd) == 0

    cdef int take(self) noexcept nogil:
        return receive_descriptor(self.reader)
