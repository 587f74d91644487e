"""One thread of the pool; pool_thread.pxd describes it.

Compiled because it owns the semaphores on which its thread waits.
"""
from ianus.gateway.threads.thread_api cimport free_lock, new_semaphore


cdef class PoolThread:
    def __cinit__(self):
        self.idle_thread.wake_semaphore = new_semaphore()
        self.idle_thread.writable_semaphore = new_semaphore()

    def __dealloc__(self):
        free_lock(self.idle_thread.wake_semaphore)
        free_lock(self.idle_thread.writable_semaphore)
