"""An eventfd with a count of the times it was read.

Compiled because the reactor serves it, and native threads look at the count.
"""
import os

from libc.errno cimport errno
from libc.stdint cimport uint64_t

from ianus.runtime.atomics cimport store_release


cdef extern from "<unistd.h>" nogil:
    ssize_t c_read "read"(int fd, void* data, size_t size)
    ssize_t c_write "write"(int fd, const void* data, size_t size)
    int c_close "close"(int fd)

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int value, int flags)
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK


cdef class Waker:
    """Raises OSError when the system gives no eventfd."""

    def __cinit__(self):
        # Non-blocking: a wake-up must never block, and neither must a second thread that reads it.
        self.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.fd < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self):
        self.close_fd()

    def close(self) -> None:
        """Closes the waker after its last reader has stopped."""
        # Before the descriptor is closed, and seen by the liveness thread before its next ping.
        store_release(&self.closed, 1)
        # The liveness thread may be about to write: then the descriptor is closed with this object.
        if not self.watched:
            self.close_fd()

    def reset_in_child(self) -> None:
        """Closes the descriptor in the child of a fork, which has no other threads."""
        self.close_fd()

    def acknowledge_wake(self) -> None:
        """Acknowledges a wake-up as a reactor does when the fd is readable; for tests."""
        self.acknowledge()

    cdef void close_fd(self) noexcept:
        if self.fd >= 0:
            c_close(self.fd)
            # The number may soon belong to another file.
            self.fd = -1

    cdef void wake(self) noexcept nogil:
        cdef uint64_t one = 1
        # Only an overflow of the counter could fail, and then the descriptor is readable anyway.
        c_write(self.fd, &one, sizeof(one))

    cdef void acknowledge(self) noexcept:
        cdef uint64_t number
        # Resets the count: several wake-ups are one event.
        c_read(self.fd, &number, sizeof(number))
        store_release(&self.served, self.served + 1)
