"""The abstract base of the poll drivers; base.pxd is its commented index."""
from libc.stdint cimport uint32_t


# A method without which a driver cannot work raises. One that a driver may not need has a default.
cdef class Poll:
    cdef int watch(self, int fd, uint32_t flags, uint32_t id, uint32_t generation) except -1:
        raise NotImplementedError

    cdef int change(self, int fd, uint32_t flags, uint32_t id, uint32_t generation) except -1:
        raise NotImplementedError

    cdef int unwatch(self, int fd) noexcept:
        # No errors: it is called while a connection closes, which has to complete.
        return 0

    cdef int set_timer(self, double when) except -1:
        raise NotImplementedError

    cdef int acknowledge_timer(self) noexcept:
        # For a driver whose timer event ends by itself.
        return 0

    cdef Poll nested(self, uint32_t id):
        raise NotImplementedError

    cdef int wait(self, PollEvent* events, int max_events, int milliseconds) noexcept nogil:
        # It cannot raise, since it runs without the GIL. A driver reports an error by -1 and errno.
        return 0

    cdef int fileno(self) except? -1:
        raise NotImplementedError

    cdef int close(self) except -1:
        raise NotImplementedError

    cdef int reset_in_child(self) except -1:
        raise NotImplementedError
