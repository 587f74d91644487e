"""The pool of threads that call WSGI applications. One thread at a time leads: it serves the reactor.

Every lock and shared word is named here. `mutex` is the main lock: only its holder uses the reactor, its connections
and exchanges, the queue, the outboxes of calls and all counters. It is held while the reactor is served, and released
while an application runs or a thread sleeps. Its holder never waits for the GIL. If an event loop owns the reactor,
the mutex guards only the queue and the outboxes. Lock order: mutex, then IdleStack.lock, then the leader's word
(watchdog.pxd).
"""
from ianus.exchange.base cimport Poller
from ianus.gateway.threads.call_queue cimport CallQueue
from ianus.gateway.threads.executor cimport Executor
from ianus.gateway.threads.idle_stack cimport IdleStack, IdleThread
from ianus.gateway.threads.pool_call cimport PoolCall
from ianus.gateway.threads.pool_thread cimport PoolThread
from ianus.gateway.threads.thread_spawner cimport ThreadSpawner
from ianus.gateway.threads.thread_api cimport PyThread_type_lock
from ianus.gateway.threads.watchdog cimport Watchdog


cdef class ThreadPool(Executor):
    cdef Poller poller              # the reactor

    # Guarded by the mutex
    cdef CallQueue queue
    cdef ThreadSpawner spawner
    cdef list exiting               # threading.Thread objects to be joined: those that exited during the stop
    # The IdleThread that took the lead last and has not handed it over. It may have been deposed. Borrowed.
    cdef IdleThread* leader
    cdef double flushed_at          # when the output of the leader's calls was sent last
    cdef IdleThread* pinned_thread  # the one thread that makes all calls if only one may run, else NULL; borrowed
    cdef bint pinned_to_main        # pinned_thread is the thread that called run_pinned_thread()
    cdef bint signals_pending       # the main thread has to run Python's signal handlers
    cdef bint leader_sleeps         # the leader waits for work
    cdef bint stopping
    cdef bint closed                # the reactor has been closed
    cdef object on_all_exited       # called when the last thread has exited
    cdef list posted                # calls whose outbox the event loop has to empty
    cdef bint loop_notified         # the event loop was woken for them

    cdef IdleStack idle_stack
    cdef Watchdog watchdog
    cdef PyThread_type_lock work_semaphore  # binary semaphore: the leader sleeps on it if it does not poll

    # The caller holds the mutex, except of lead() and on_thread_exit(). lead() and run_queued_calls() release it.
    cdef int lead(self, PoolThread me) except -1
    cdef int flush_finished(self) except -1
    cdef int run_queued_calls(self, PoolThread me) except -1
    cdef int make_call(self, PoolThread me, PoolCall call) except -1
    cdef PoolCall dequeue(self)
    cdef bint poll_once(self) except -1
    cdef int wait_for_work(self) except -1
    cdef int block_until_work(self) noexcept nogil      # without the mutex
    cdef int run_signal_handlers(self, bint in_call) except -1
    cdef int wake_leader(self) except -1
    cdef bint hand_over_lead(self) except -1
    cdef int on_thread_exit(self, PoolThread me) except -1
