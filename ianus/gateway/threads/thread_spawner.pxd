"""Starts the threads of a pool, and lowers the limit of calls while the system refuses. Guarded by the pool's mutex."""
from ianus.gateway.threads.call_queue cimport CallQueue
from ianus.gateway.threads.idle_stack cimport WakeReason
from ianus.gateway.threads.pool_thread cimport PoolThread


cdef class ThreadSpawner:
    cdef CallQueue queue            # the pool's
    cdef list threads               # all PoolThreads that have not exited
    cdef int thread_limit           # maximum number of threads: one more than calls, it polls
    cdef int spawned                # threads started so far, for their names
    cdef double retry_at            # time of the next attempt to start threads after a failure, 0 = no failure
    cdef double failure_logged_at   # 0 = never

    # Starts a thread in pool.run(), unless there are enough. Returns whether it was started.
    cdef bint spawn(self, object pool, WakeReason reason) except -1
    # now: CLOCK_MONOTONIC seconds
    cdef int lower_limit(self, object error, double now) except -1
    cdef int restore_limit(self, double now) except -1      # does nothing before the time of the next attempt
