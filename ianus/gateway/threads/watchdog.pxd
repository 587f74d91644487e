"""Leadership, and the native thread that takes it from a leader whose call lasts.

Leadership is one atomic word: a number that grows with every call, and a state. A thread leads from its LEAD order
until it hands the lead over or finds that it was deposed; between the two it alone writes the word, but for the
watchdog's one exchange of IN_CALL for DEPOSED.
"""
from libc.stdint cimport uint64_t

from ianus.gateway.threads.thread_api cimport (
    PyThread_release_lock, PyThread_type_lock, clockid_t, load, replace, store,
)
from ianus.gateway.threads.idle_stack cimport Parking


cdef enum:
    POLLING = 0     # the leader serves the reactor, or sleeps in it
    IN_CALL = 1     # it calls an application
    DEPOSED = 2     # that lasts, and another thread was given the lead
    CALL = 4        # what is added to the word for each call


cdef struct Watchdog:
    uint64_t word
    uint64_t asleep                 # it waits for the alarm
    uint64_t stopping
    uint64_t running                # the native thread exists
    clockid_t clock                 # the leader's CPU time; written before the word says IN_CALL
    Parking* parking                # where successors are; the crew's
    PyThread_type_lock alarm        # a binary semaphore: a call began while it slept
    PyThread_type_lock gone         # likewise: the thread has ended


# Starts and ends the native thread. stop_watchdog() waits for its end, at most a few milliseconds.
cdef int start_watchdog(Watchdog* watchdog) except -1
cdef void stop_watchdog(Watchdog* watchdog) noexcept nogil


cdef inline uint64_t begin_call(Watchdog* watchdog) noexcept nogil:
    """Returns the word as it is now: a moment later it may have been taken away."""
    cdef uint64_t call = (watchdog.word & ~<uint64_t>3) + CALL + IN_CALL
    store(&watchdog.word, call)
    if load(&watchdog.asleep) and replace(&watchdog.asleep, 1, 0):
        PyThread_release_lock(watchdog.alarm)
    return call


cdef inline bint still_leads(Watchdog* watchdog, uint64_t epoch) noexcept nogil:
    """Whether who last wrote this epoch was not deposed; a call of his is over."""
    return load(&watchdog.word) == epoch or end_call(watchdog, epoch + IN_CALL)


cdef inline bint end_call(Watchdog* watchdog, uint64_t call) noexcept nogil:
    """Whether the caller, whose begin_call() returned `call`, still leads."""
    return replace(&watchdog.word, call, call - IN_CALL + POLLING)
