"""One thread of the pool; pool_thread.pxd describes it.

Compiled because it owns the semaphores on which its thread waits.
"""
from ianus.gateway.threads.thread_api cimport free_lock, new_semaphore


cdef class PoolThread:
    def __cinit__(self):
        # Both are owned by this object, to which other structs have borrowed pointers.
        self.idle_thread.wake_semaphore = new_semaphore()
        self.idle_thread.writable_semaphore = new_semaphore()

    def __dealloc__(self):
        # The thread has exited: while it runs, the pool and its own frame keep this object.
        free_lock(self.idle_thread.wake_semaphore)
        free_lock(self.idle_thread.writable_semaphore)
