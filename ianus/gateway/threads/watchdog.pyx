"""The watchdog: a native thread that deposes a leader whose call lasts.

Facts: a typical call takes microseconds, so notifying another thread of each call would be expensive. Strategy: the
leader writes one word. The watchdog reads it every millisecond while there are calls, and sleeps otherwise. A leader
that is blocked is deposed when the watchdog finds it in the same call twice. One that computes is deposed a few
milliseconds later, since its successor would have to share the GIL with it. Both checks need no GIL. On a busy machine
a leader is often not blocked but waits for a processor. It has the GIL then, so a successor could only wait, too.

Rule: it deposes a leader only if there is a successor, and wakes that one at once.

Compiled because it runs without the interpreter.
"""
from libc.stdint cimport uint64_t

from ianus.runtime.atomics cimport atomic_load, atomic_store, compare_and_swap
from ianus.runtime.chaos cimport pause_nogil
from ianus.gateway.threads.thread_api cimport (
    PyThread_acquire_lock, PyThread_acquire_lock_timed, PyThread_release_lock, PyThread_start_new_thread,
    WAIT_LOCK, is_runnable, seconds_of,
)
from ianus.gateway.threads.idle_stack cimport LEAD, IdleStack, IdleThread, pop_top
from ianus.runtime.clock cimport monotonic

from ianus.errors import ThreadLimitError


cdef enum:
    TICK_MICROSECONDS = 1000
    MAX_IDLE_TICKS = 3      # consecutive ticks without a call, after which the watchdog sleeps

cdef double MAX_COMPUTING_SECONDS = 0.005    # time in one call after which a computing leader is deposed


cdef int start_watchdog(Watchdog* watchdog) except -1:
    atomic_store(&watchdog.stopping, 0)
    # Before the thread starts, so that stop_watchdog() waits for it in any case.
    atomic_store(&watchdog.running, 1)
    if PyThread_start_new_thread(run_watchdog, watchdog) == <unsigned long>-1:
        atomic_store(&watchdog.running, 0)
        raise ThreadLimitError("needed to watch the application's calls")
    return 0


cdef void stop_watchdog(Watchdog* watchdog) noexcept nogil:
    if atomic_load(&watchdog.running):
        atomic_store(&watchdog.stopping, 1)
        # Only one thread may release the alarm for one sleep.
        if compare_and_swap(&watchdog.sleeping, 1, 0):
            PyThread_release_lock(watchdog.alarm)
        # After this the thread does not touch the struct, which its owner may free.
        PyThread_acquire_lock(watchdog.ended, WAIT_LOCK)
        atomic_store(&watchdog.running, 0)


cdef void run_watchdog(void* argument) noexcept nogil:
    # Borrowed from the pool, which waits in stop_watchdog() before it is freed.
    cdef Watchdog* watchdog = <Watchdog*>argument
    cdef WatchedCall call = WatchedCall(word=0, since=0, cpu=0)
    cdef uint64_t word
    cdef int idle_ticks = 0
    while not atomic_load(&watchdog.stopping):
        # One read for all decisions of this tick: the leader may change the word at any time.
        word = atomic_load(&watchdog.word)
        if word & 3 != IN_CALL:
            idle_ticks += 1
            if idle_ticks > MAX_IDLE_TICKS:
                idle_ticks = 0
                atomic_store(&watchdog.sleeping, 1)
                # A call or a stop that started before `sleeping` was written has not released the alarm. Check again.
                if (
                    (atomic_load(&watchdog.stopping) or atomic_load(&watchdog.word) & 3 == IN_CALL)
                    and compare_and_swap(&watchdog.sleeping, 1, 0)
                ):
                    continue
                PyThread_acquire_lock(watchdog.alarm, WAIT_LOCK)
                continue
        else:
            idle_ticks = 0
            watch_call(watchdog, &call, word, monotonic(), seconds_of(watchdog.clock))
        # The alarm is only released while `sleeping` is set, so this is a plain sleep.
        PyThread_acquire_lock_timed(watchdog.alarm, TICK_MICROSECONDS, 0)
    PyThread_release_lock(watchdog.ended)


cdef void watch_call(Watchdog* watchdog, WatchedCall* call, uint64_t word, double now, double cpu) noexcept nogil:
    cdef double elapsed = now - call.since, computed = cpu - call.cpu
    # Another call, or the first look at this one: its time counts from here.
    if word != call.word:
        call.word = word
        call.since = now
        call.cpu = cpu
    elif computed < elapsed / 2 and computed < MAX_COMPUTING_SECONDS:
        # It is blocked, or waits for a processor. Only this case pays for the system calls that distinguish the two.
        if not is_runnable(watchdog.thread_id):
            depose(watchdog, word)
    elif elapsed >= MAX_COMPUTING_SECONDS:
        depose(watchdog, word)


cdef void depose(Watchdog* watchdog, uint64_t word) noexcept nogil:
    """Gives the lead to the top idle thread, if there is one and the call has not returned."""
    cdef IdleStack* idle_stack = watchdog.idle_stack
    cdef IdleThread* successor = NULL
    # With the lock, a successor cannot disappear between the check and the exchange of the word.
    PyThread_acquire_lock(idle_stack.lock, WAIT_LOCK)
    # The exchange fails if the call has returned meanwhile. Then the leader keeps the lead.
    if idle_stack.top != NULL and compare_and_swap(&watchdog.word, word, word - IN_CALL + DEPOSED):
        pause_nogil()
        successor = pop_top(idle_stack, LEAD)
    PyThread_release_lock(idle_stack.lock)
    if successor != NULL:
        # After the lock, which the woken thread takes at once. It cannot exit before: it has a reason.
        PyThread_release_lock(successor.wake_semaphore)
