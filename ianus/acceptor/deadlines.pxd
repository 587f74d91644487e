"""The deadlines of a reactor's connections, and the one timer that drives them."""
cimport cython

from ianus.acceptor.poll.base cimport Poll
from ianus.acceptor.timer cimport TimerWheel


@cython.final
cdef class DeadlineTimer:
    cdef Poll poll                  # has the timer
    cdef TimerWheel wheel
    cdef double timer_at            # when the timer is set to fire, 0 = not set
    cdef bint is_due                # it has fired, and the expired deadlines are not handled yet
    cdef bint is_deferred           # expiry was deferred once, because the loop had been blocked

    cdef int schedule(self, int connection_id, double when, double now) except -1
    cdef int cancel(self, int connection_id) noexcept
    cdef int on_timer(self) except -1       # the timer has fired
    # While is_due: whether deadlines are handled now. more: events may be ready that have not been read.
    cdef bint may_expire(self, bint more, double now) noexcept
    # Starts to handle expired deadlines, unless that is deferred; pop_expired() then returns one connection's id after
    # the other, -1 at the end, and arm() sets the timer again.
    cdef bint start_expiry(self, double now) except -1
    cdef int pop_expired(self, double now) noexcept
    cdef int arm(self) except -1
    cdef int arm_at(self, double when) except -1    # sets the timer to `when`, if that is earlier
    cdef int set_timer(self, double when) except -1
