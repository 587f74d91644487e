"""The interface between a reactor and the system: which descriptors are ready, and when the timer fires.

A driver for another system subclasses Poll. Nothing outside of this folder knows the calls and flags of a system.
"""
from libc.stdint cimport uint32_t

from ianus.runtime.waker cimport Waker


cdef enum:
    BATCH_EVENTS = 256      # maximum number of events that one wait() returns

# Conditions of a descriptor. The first three can be watched. The last two are reported for each watched descriptor,
# also if it is watched for none. A driver translates them; epoll has the same values, so that it masks them at most.
cdef enum:
    READABLE = 0x1
    WRITABLE = 0x4
    BROKEN = 0x8            # an error, such as a reset by the peer
    HANGUP = 0x10           # both directions are shut down
    PEER_FINISHED = 0x2000  # the peer has shut down its direction, perhaps after unread bytes

# Ids of the events of a Poll's own descriptors. All others are the caller's.
cdef enum:
    TIMER_ID = 0xFFFFFFFF
    WAKER_ID = 0xFFFFFFFE


cdef struct PollEvent:
    # The key that the descriptor is watched with. A descriptor's number may meanwhile belong to another file, so an
    # event has the caller's id, and a generation that distinguishes the users of one id.
    uint32_t id
    uint32_t generation
    uint32_t flags          # the conditions


cdef class Poll:
    """The descriptors that one reactor watches, a timer and a waker.

    Readiness is level-triggered: a condition is reported by each wait() until it has gone.
    """
    cdef readonly Waker waker       # its descriptor is watched with WAKER_ID; None in a nested set

    # Watches a descriptor for the conditions in `flags`. One that is watched already takes change().
    cdef int watch(self, int fd, uint32_t flags, uint32_t id, uint32_t generation) except -1
    cdef int change(self, int fd, uint32_t flags, uint32_t id, uint32_t generation) except -1
    # Stops watching, before the descriptor is closed. If it is not watched, nothing happens.
    cdef int unwatch(self, int fd) noexcept
    # Has the timer fire at `when`, in seconds of CLOCK_MONOTONIC, in place of an earlier call's time.
    cdef int set_timer(self, double when) except -1
    # The timer's event is repeated until this call, so that it also reaches the thread that handles it.
    cdef int acknowledge_timer(self) noexcept
    # Makes a set within this one, without a timer and a waker. This one reports it with `id` while one of its
    # descriptors is ready. The caller closes both.
    cdef Poll nested(self, uint32_t id)
    # Waits for at most `milliseconds` (-1: without limit), and writes up to max_events events to `events`. Returns
    # their number: 0 after the time or a signal, -1 with errno after an error. Several threads may wait at once.
    cdef int wait(self, PollEvent* events, int max_events, int milliseconds) noexcept nogil
    # A descriptor that is readable while wait() would return an event, so that an event loop can watch it; -1 after
    # close(). A driver without one raises OSError.
    cdef int fileno(self) except? -1
    cdef int close(self) except -1          # closes its own descriptors; those that it watches are their owners'
    # The same in the child of a fork, which shares the set of watched descriptors with its parent: that set stays.
    cdef int reset_in_child(self) except -1
