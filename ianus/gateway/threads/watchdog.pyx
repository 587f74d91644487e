"""The watchdog.

Facts: most calls take microseconds, so each one that would have to be announced to somebody is dear. Strategy: the
leader writes one word; a native thread looks at it every millisecond while there are calls, and sleeps while not.
A leader that is blocked in a call is deposed when it is seen in the same one twice, one that computes a few
milliseconds later: whoever came next would have to share the GIL with it. Both are seen without the GIL.

Rule: it deposes only when there is a successor, whom it wakes in the same breath.

Compiled because it runs without the interpreter.
"""
from libc.stdint cimport uint64_t

from ianus.runtime.chaos cimport pause_nogil
from ianus.gateway.threads.thread_api cimport (
    PyThread_acquire_lock, PyThread_acquire_lock_timed, PyThread_release_lock, PyThread_start_new_thread,
    WAIT_LOCK, load, replace, seconds_of, store,
)
from ianus.gateway.threads.idle_stack cimport LEAD, Parking, Place, take_top
from ianus.runtime.clock cimport monotonic


cdef enum:
    TICK = 1000         # microseconds
    QUIET = 3           # ticks without a call behind which it sleeps

cdef double LONG_CALL = 0.005    # seconds that a leader may compute


cdef int start_watchdog(Watchdog* watchdog) except -1:
    store(&watchdog.stopping, 0)
    store(&watchdog.running, 1)
    if PyThread_start_new_thread(watch, watchdog) == <unsigned long>-1:
        store(&watchdog.running, 0)
        raise RuntimeError("the system gives no thread to watch the application's calls")
    return 0


cdef void stop_watchdog(Watchdog* watchdog) noexcept nogil:
    if load(&watchdog.running):
        store(&watchdog.stopping, 1)
        if replace(&watchdog.asleep, 1, 0):
            PyThread_release_lock(watchdog.alarm)
        PyThread_acquire_lock(watchdog.gone, WAIT_LOCK)
        store(&watchdog.running, 0)


cdef void watch(void* argument) noexcept nogil:
    cdef Watchdog* watchdog = <Watchdog*>argument
    cdef uint64_t word, last = 0
    cdef double since = 0, computed = 0, now, cpu
    cdef int quiet = 0
    while not load(&watchdog.stopping):
        word = load(&watchdog.word)
        if word & 3 != IN_CALL:
            quiet += 1
            if quiet > QUIET:
                quiet = 0
                store(&watchdog.asleep, 1)
                # A call that began before that was written would not have rung, nor the end.
                if (
                    (load(&watchdog.stopping) or load(&watchdog.word) & 3 == IN_CALL)
                    and replace(&watchdog.asleep, 1, 0)
                ):
                    continue
                PyThread_acquire_lock(watchdog.alarm, WAIT_LOCK)
                continue
        else:
            quiet = 0
            if word != last:
                last = word
                since = monotonic()
                computed = seconds_of(watchdog.clock)
            else:
                now = monotonic()
                cpu = seconds_of(watchdog.clock) - computed
                # It did not compute for most of the time, so it waits for something.
                if cpu < (now - since) / 2 or now - since >= LONG_CALL:
                    depose(watchdog, word)
        # The alarm rings only for who sleeps, so this is a plain sleep.
        PyThread_acquire_lock_timed(watchdog.alarm, TICK, 0)
    PyThread_release_lock(watchdog.gone)


cdef void depose(Watchdog* watchdog, uint64_t word) noexcept nogil:
    """Gives the lead to the thread on top, if there is one and the call still lasts."""
    cdef Parking* parking = watchdog.parking
    cdef Place* successor = NULL
    PyThread_acquire_lock(parking.lock, WAIT_LOCK)
    if parking.top != NULL and replace(&watchdog.word, word, word - IN_CALL + DEPOSED):
        pause_nogil()
        successor = take_top(parking, LEAD)
    PyThread_release_lock(parking.lock)
    if successor != NULL:
        PyThread_release_lock(successor.signal)
