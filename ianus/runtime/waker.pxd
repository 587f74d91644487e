"""How whoever serves a reactor is woken by other threads, and how those learn that it takes notice."""
from libc.stdint cimport uint64_t


cdef class Waker:
    cdef readonly int fd        # eventfd, owned; -1 once closed
    cdef bint watched           # a native thread writes to it, so that it stays open as long as this object lives
    cdef uint64_t served        # what was taken notice of: wake-ups, and whatever else comes where they do
    cdef uint64_t closed        # nobody will take notice any more

    cdef void close_fd(self) noexcept
    cdef void wake(self) noexcept nogil     # from any thread
    cdef void acknowledge(self) noexcept    # takes notice, when the fd was readable
