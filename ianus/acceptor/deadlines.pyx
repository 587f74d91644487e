"""One timer for all deadlines, and the rules for a timer that is handled late.

Rules:
- With nothing due, an idle server never wakes: the timer is set only to the earliest deadline.
- Deadlines are checked after all ready input has been read. A busy server defers that for at most a second.
- If the timer itself is handled late, the loop was blocked, and input may wait unread. Then deadlines are extended by
  that time, once, by at most a second.

The time is an argument. Compiled because connections schedule their deadlines here.
"""
cimport cython

from ianus.acceptor.poll.base cimport Poll
from ianus.acceptor.timer cimport TimerWheel


cdef double LATE_TIMER_SECONDS = 0.25
cdef double MAX_EXTENSION_SECONDS = 1.0     # for a late timer
cdef double MAX_DEFERRAL_SECONDS = 1.0      # by full batches


@cython.final
cdef class DeadlineTimer:
    """now: the time in seconds of CLOCK_MONOTONIC."""

    def __cinit__(self, Poll poll not None, double now):
        self.poll = poll
        self.wheel = TimerWheel(now)

    cdef int schedule(self, int connection_id, double when, double now) except -1:
        self.wheel.schedule(connection_id, when, now)
        # Only an earlier deadline costs a system call. A later one is found when the timer has fired.
        if self.timer_at == 0 or when < self.timer_at:
            # Not before `now`: if deadlines expire in several turns, the bucket of the others is the next one, and the
            # timer must not count as late because of them.
            return self.arm_at(max(self.wheel.next_time(), now))
        return 0

    cdef int cancel(self, int connection_id) noexcept:
        # The timer stays set: setting it again would cost each closed connection a system call.
        return self.wheel.cancel(connection_id)

    cdef int on_timer(self) except -1:
        # Not handled here: the batch may have input that arrived before the deadline.
        self.poll.acknowledge_timer()
        self.is_due = True
        return 0

    cdef bint may_expire(self, bint more, double now) noexcept:
        # After a full batch further input may be ready, of a client that has met its deadline by it.
        return not more or now - self.timer_at > MAX_DEFERRAL_SECONDS

    cdef bint start_expiry(self, double now) except -1:
        cdef double late = now - self.timer_at
        self.is_due = False
        # Once: a loop that is always late would otherwise never close a connection.
        if late > LATE_TIMER_SECONDS and not self.is_deferred:
            self.is_deferred = True
            self.set_timer(now + min(late, MAX_EXTENSION_SECONDS))
            return False
        self.is_deferred = False
        # The timer has fired and is not set. arm() after the expiry sets it for the next deadline.
        self.timer_at = 0
        return True

    cdef int pop_expired(self, double now) noexcept:
        return self.wheel.pop(now)

    cdef int arm(self) except -1:
        return self.arm_at(self.wheel.next_time())

    cdef int arm_at(self, double when) except -1:
        if when and (self.timer_at == 0 or when < self.timer_at):
            return self.set_timer(when)
        return 0

    cdef int set_timer(self, double when) except -1:
        self.timer_at = when
        return self.poll.set_timer(when)
