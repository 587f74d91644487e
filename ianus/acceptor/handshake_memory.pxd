"""Memory of handshakes: returned to the system after a flood of them."""
from ianus.acceptor.deadlines cimport DeadlineTimer


cdef class HandshakeMemory:
    """The number of handshakes of one reactor, and the time to return their memory."""
    cdef DeadlineTimer deadlines
    cdef int count                  # under way
    cdef int peak                   # maximum of it since memory was last returned
    cdef double due_at              # CLOCK_MONOTONIC seconds, 0 = nothing is to be returned

    cdef int add(self) noexcept
    cdef int remove(self) except -1
    cdef bint has_passed(self) noexcept
    cdef int on_timer(self, double now) except -1   # has the timer fire again if it was too early
