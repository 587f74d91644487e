"""The pool of threads that call WSGI applications. One thread at a time leads: it serves the reactor.

Every lock and shared word is named here. `mutex` is the main lock: only its holder uses the reactor, its connections
and exchanges, the queue and all counters. It is held while the reactor is served, and released while an application
runs or a thread sleeps. Its holder never waits for the GIL. If an event loop owns the reactor, the mutex guards only
the queue and the outboxes. Lock order: mutex, then IdleStack.lock, then the leader's word (watchdog.pxd).
"""
from libc.stdint cimport uint64_t

from ianus.exchange.base cimport Poller
from ianus.gateway.threads.thread_api cimport PyThread_type_lock
from ianus.gateway.threads.idle_stack cimport IdleStack, IdleThread, WakeReason
from ianus.gateway.threads.watchdog cimport Watchdog
from ianus.gateway.wsgi.exchange cimport WsgiExchange, WsgiExecutor


cdef class PoolThread:
    """One thread of the pool."""
    cdef IdleThread idle_thread     # others point to it while this object is in ThreadPool.pool_threads
    cdef object thread              # threading.Thread; None for the main thread
    cdef unsigned long ident        # 0 until the thread runs
    cdef uint64_t epoch             # of the leader's word, when this thread last wrote it
    cdef WsgiExchange exchange      # the one whose application it calls, or None; guarded by the mutex
    cdef double call_started        # CLOCK_MONOTONIC seconds


cdef class ThreadPool(WsgiExecutor):
    cdef Poller poller              # the reactor
    cdef bint shared                # an event loop serves the reactor, not the leader
    cdef PyThread_type_lock mutex   # see above
    cdef unsigned long mutex_owner  # ident of the thread that holds the mutex, 0 = none

    # Guarded by the mutex
    cdef WsgiExchange first_queued, last_queued     # the queue: complete requests that wait for a thread
    cdef int calls                  # application calls now
    cdef int max_calls              # maximum, at least 1: --threads, or with auto --max-threads
    cdef int current_limit          # maximum now: lower than max_calls while the system cannot start threads
    cdef double retry_spawn_at      # time of the next attempt to start threads after a failure, 0 = no failure
    cdef double spawn_failure_logged_at     # 0 = never
    cdef int thread_limit           # maximum number of threads: one more than calls, it polls
    cdef list pool_threads          # all PoolThreads that have not exited
    cdef list exiting               # threading.Thread objects to be joined: those that exited during the stop
    cdef int spawned                # threads started so far, for their names
    # The IdleThread that took the lead last and has not handed it over. It may have been deposed. Borrowed.
    cdef IdleThread* leader
    cdef double flushed_at          # when the output of the leader's calls was sent last
    cdef IdleThread* pinned_thread  # the one thread that makes all calls if max_calls is 1, else NULL; borrowed
    cdef bint pinned_to_main        # pinned_thread is the thread that called run_pinned_thread()
    cdef bint signals_pending       # the main thread has to run Python's signal handlers
    cdef bint leader_sleeps         # the leader waits for work
    cdef bint stopping
    cdef bint closed                # the reactor has been closed
    cdef object on_all_exited       # called when the last thread has exited
    cdef list posted                # exchanges whose outbox the event loop has to empty
    cdef bint loop_notified         # the event loop was woken for them

    cdef IdleStack idle_stack
    cdef Watchdog watchdog
    cdef PyThread_type_lock work_semaphore  # binary semaphore: the leader sleeps on it if it does not poll

    # The caller holds the mutex, except of lead() and on_thread_exit(). lead() and run_queued_calls() release it.
    cdef int lead(self, PoolThread me) except -1
    cdef int flush_finished(self) except -1
    cdef int run_queued_calls(self, PoolThread me) except -1
    cdef int make_call(self, PoolThread me, WsgiExchange exchange) except -1
    cdef WsgiExchange dequeue(self)
    cdef int requeue(self, WsgiExchange exchange) except -1
    cdef bint poll_once(self) except -1
    cdef int wait_for_work(self) except -1
    cdef int block_until_work(self) noexcept nogil      # without the mutex
    cdef int run_signal_handlers(self, bint in_call) except -1
    cdef int wake_leader(self) except -1
    cdef bint hand_over_lead(self) except -1
    cdef bint spawn_thread(self, WakeReason reason) except -1
    cdef int on_thread_exit(self, PoolThread me) except -1
