"""One thread of the pool; pool_thread.pxd describes it.

Compiled because it owns the semaphores on which its thread waits.
"""
from ianus.gateway.threads.thread_api cimport (
    PyThread_get_thread_ident, PyThread_get_thread_native_id, free_lock, new_semaphore, thread_clock,
)


cdef class PoolThread:
    def __cinit__(self):
        # Both are owned by this object, to which other structs have borrowed pointers.
        self.idle_thread.wake_semaphore = new_semaphore()
        self.idle_thread.writable_semaphore = new_semaphore()

    def __dealloc__(self):
        # The thread has exited: while it runs, the pool and its own frame keep this object.
        free_lock(self.idle_thread.wake_semaphore)
        free_lock(self.idle_thread.writable_semaphore)

    cdef int note_thread(self) except -1:
        self.ident = PyThread_get_thread_ident()
        # For the watchdog, while this thread leads.
        self.idle_thread.clock = thread_clock()
        self.idle_thread.thread_id = PyThread_get_thread_native_id()
        return 0
