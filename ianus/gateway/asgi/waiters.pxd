"""The receive() or send() calls of an application that wait for the same event."""
cimport cython
from ianus.gateway.asgi.gateway cimport AsgiGateway


@cython.no_gc
@cython.final
cdef class Waiters:
    cdef object future              # of the first call; kept for the next wait. None before the first one
    cdef bint is_first_waiting
    cdef list others                # futures of further calls, or None
    # The callback of the exchange's task, and the context in which it is called
    cdef object wakeup, context

    # Returns a future for one more call, which suspends with it.
    cdef object add(self, AsgiGateway gateway)
    cdef bint are_waiting(self) noexcept        # perhaps only cancelled ones
    cdef bint has(self, object future)
    # Ends the wait of all; they check their condition again. task: the exchange's, or None. at_once: a call that is
    # alone continues before this returns. Returns whether one continues in a later callback of the loop.
    cdef bint wake(self, AsgiGateway gateway, object task, bint at_once) except -1
    # Ends the cycle with the exchange's task, once that has ended.
    cdef int forget_task(self) except -1
    # Inside
    cdef object add_other(self, AsgiGateway gateway)
    cdef bint continue_task(self, AsgiGateway gateway, object task) except -1
