"""Starts the threads of a pool.

Fact: the system may refuse another thread, by a limit of processes or memory, and allow it later. Rule: the pool then
continues with the threads that it has, of which one polls, and tries again after a second.

Compiled because the pool calls it with its mutex, and it makes PoolThreads.
"""
import threading

from ianus.gateway.threads.call_queue cimport CallQueue
from ianus.gateway.threads.idle_stack cimport WakeReason
from ianus.gateway.threads.pool_thread cimport PoolThread
from ianus.runtime.clock cimport monotonic

from ianus.telemetry.logger import logger


cdef double RETRY_SECONDS = 1.0         # time until threads are started again after the system refused one
cdef double LOG_SECONDS = 60.0          # minimum time between two log messages about that


cdef class ThreadSpawner:
    def __cinit__(self, CallQueue queue not None):
        self.queue = queue
        # One more than calls: it polls while all others are in the application.
        self.thread_limit = queue.max_calls + 1
        self.threads = []

    cdef bint spawn(self, object pool, WakeReason reason) except -1:
        cdef PoolThread member
        # With calls + 2 threads, one that makes no call and does not lead is about to park, or to start.
        if len(self.threads) >= min(self.thread_limit, self.queue.running + 2):
            return False
        # Owned by `threads` and by its own frame, until it has exited.
        member = PoolThread()
        member.thread = threading.Thread(
            target=pool.run, args=(member, <int>reason), name=f"ianus-wsgi-{self.spawned}", daemon=True
        )
        try:
            member.thread.start()
        except RuntimeError as error:
            self.lower_limit(error, monotonic())
            return False
        # For names alone; it never decreases.
        self.spawned += 1
        self.threads.append(member)
        return True

    cdef int lower_limit(self, object error, double now) except -1:
        """Lowers the limit of calls to the threads that exist, after the system has refused another one."""
        # No further attempt before `retry_at`: each one would cost time with the mutex held.
        self.thread_limit = len(self.threads)
        # One of the threads has to poll.
        self.queue.current_limit = max(self.thread_limit - 1, 1)
        self.retry_at = now + RETRY_SECONDS
        # Without any thread the start of the worker fails, and that failure is logged.
        if self.threads and (not self.failure_logged_at or now >= self.failure_logged_at + LOG_SECONDS):
            self.failure_logged_at = now
            logger.error(
                "cannot start another thread (%s); maximum concurrent WSGI calls: %d", error, self.queue.current_limit
            )
        return 0

    cdef int restore_limit(self, double now) except -1:
        if now >= self.retry_at:
            self.retry_at = 0
            self.queue.current_limit = self.queue.max_calls
            self.thread_limit = self.queue.max_calls + 1
        return 0
