"""The leader's word, and the native thread that takes the lead from a leader whose call lasts.

Leadership is one atomic word: a number that grows with every call, and a state. A thread leads from the moment it is
woken with LEAD until it hands the lead over or finds that it was deposed. Meanwhile only the leader writes the word.
The one exception is the watchdog, which exchanges IN_CALL for DEPOSED.
"""
from libc.stdint cimport uint64_t

from ianus.gateway.threads.thread_api cimport PyThread_release_lock, PyThread_type_lock, clockid_t
from ianus.gateway.threads.idle_stack cimport IdleStack
from ianus.runtime.atomics cimport atomic_load, atomic_store, compare_and_swap


cdef enum:
    POLLING = 0         # the leader serves the reactor, or sleeps in it
    IN_CALL = 1         # the leader calls an application
    DEPOSED = 2         # that call lasts, and another thread was given the lead
    CALL_INCREMENT = 4  # added to the word for each call


cdef struct Watchdog:
    uint64_t word                   # see above
    uint64_t sleeping               # it waits for the alarm
    uint64_t stopping
    uint64_t running                # the native thread exists
    clockid_t clock                 # the leader's CPU time; written before the word becomes IN_CALL
    unsigned long thread_id         # the kernel's id of the leader; likewise
    IdleStack* idle_stack           # the threads that can take the lead; owned by the ThreadPool
    PyThread_type_lock alarm        # a binary semaphore, released when a call starts while the watchdog sleeps
    PyThread_type_lock ended        # a binary semaphore, released when the native thread has ended


# The call in which the watchdog last found the leader.
cdef struct WatchedCall:
    uint64_t word                   # the leader's word during the call, 0 = none
    double since                    # CLOCK_MONOTONIC seconds of the first look
    double cpu                      # the leader's CPU seconds at that time


# Looks at a leader that is in a call, and deposes it if the call lasts. now: CLOCK_MONOTONIC seconds. cpu: CPU seconds
# of the leader.
cdef void watch_call(Watchdog* watchdog, WatchedCall* call, uint64_t word, double now, double cpu) noexcept nogil

# Starts and stops the native thread. stop_watchdog() waits for its end, at most a few milliseconds.
cdef int start_watchdog(Watchdog* watchdog) except -1
cdef void stop_watchdog(Watchdog* watchdog) noexcept nogil


cdef inline uint64_t start_call(Watchdog* watchdog) noexcept nogil:
    """Marks the start of a call. Returns the word as written; the watchdog may change it at any time from now on."""
    cdef uint64_t call = (watchdog.word & ~<uint64_t>3) + CALL_INCREMENT + IN_CALL
    atomic_store(&watchdog.word, call)
    if atomic_load(&watchdog.sleeping) and compare_and_swap(&watchdog.sleeping, 1, 0):
        PyThread_release_lock(watchdog.alarm)
    return call


cdef inline bint still_leads(Watchdog* watchdog, uint64_t epoch) noexcept nogil:
    """Returns whether the thread that last wrote this epoch was not deposed. Its call has returned."""
    return atomic_load(&watchdog.word) == epoch or end_call(watchdog, epoch + IN_CALL)


cdef inline bint end_call(Watchdog* watchdog, uint64_t call) noexcept nogil:
    """Marks the end of a call. call: the result of start_call(). Returns whether the caller still leads."""
    return compare_and_swap(&watchdog.word, call, call - IN_CALL + POLLING)
