"""One thread of the pool."""
from libc.stdint cimport uint64_t

from ianus.gateway.threads.idle_stack cimport IdleThread
from ianus.gateway.threads.pool_call cimport PoolCall


cdef class PoolThread:
    cdef IdleThread idle_thread     # others point to it while this object is in ThreadSpawner.threads
    cdef object thread              # threading.Thread; None for the main thread
    cdef unsigned long ident        # 0 until the thread runs
    cdef uint64_t epoch             # of the leader's word, when this thread last wrote it
    cdef PoolCall call              # the one that it makes, or None; guarded by the mutex
    cdef double call_started        # CLOCK_MONOTONIC seconds

    # Notes the calling thread as the one that this object is about.
    cdef int note_thread(self) except -1
