"""Wakes the thread that polls a reactor, and lets other threads see that it reacts."""
from libc.stdint cimport uint64_t


cdef class Waker:
    cdef readonly int fd        # eventfd, owned; -1 once closed
    cdef bint watched           # a native thread writes to it, so that it stays open as long as this object lives
    # Wake-ups and events dispatched so far; written by the thread that uses the reactor, read by the liveness thread.
    cdef uint64_t served
    cdef uint64_t closed        # 1 after close(): no thread polls any more

    cdef void close_fd(self) noexcept
    cdef void wake(self) noexcept nogil     # from any thread
    cdef void acknowledge(self) noexcept    # resets the readable fd, and counts the wake-up
