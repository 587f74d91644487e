"""The poll driver for Linux."""
from libc.stdint cimport uint32_t

from ianus.acceptor.poll.base cimport Poll


cdef class Epoll(Poll):
    cdef int epoll, timer           # descriptors, owned; -1 once closed

    cdef int open(self) except -1
    cdef int close_fds(self) noexcept
    cdef int control(self, int operation, int fd, uint32_t flags, uint32_t id, uint32_t generation) except -1
