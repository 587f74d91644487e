"""The base of the thread pool: its mutex, and the operations that gateways and calls use.

Compiled because every WSGI request passes here: 64 instructions for WSGI hello.
"""
from ianus.gateway.threads.pool_call cimport PoolCall
from ianus.gateway.threads.thread_api cimport (
    PyThread_get_thread_ident, PyThread_release_lock, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_trylock, pthread_mutex_unlock,
)


cdef class Executor:
    """Threads that make calls."""

    def __cinit__(self):
        # Part of this object. Python's locks read the clock each time, also to find out that one is free.
        if pthread_mutex_init(&self.mutex, NULL) != 0:
            raise MemoryError

    def __dealloc__(self):
        pthread_mutex_destroy(&self.mutex)

    # The safe answer: bodies are complete before their calls.
    cdef bint reserve_body_thread(self) except -1:
        return False

    cdef int release_body_thread(self) except -1:
        raise NotImplementedError

    cdef int submit(self, PoolCall call) except -1:
        raise NotImplementedError

    cdef int lock(self) except -1:
        cdef unsigned long me = PyThread_get_thread_ident()
        # The usual case needs no release of the GIL.
        if pthread_mutex_trylock(&self.mutex) != 0:
            if self.mutex_owner == me:
                # Only a finalizer that runs while this thread holds the mutex gets here. It would wait for itself.
                raise RuntimeError("the server cannot be called from here")
            while True:
                with nogil:
                    # Wait for the mutex without the GIL, but do not keep it while waiting for the GIL: all threads that
                    # need the mutex would wait for the GIL, too.
                    pthread_mutex_lock(&self.mutex)
                    pthread_mutex_unlock(&self.mutex)
                if pthread_mutex_trylock(&self.mutex) == 0:
                    break
        # Other threads read it at any time. Each finds its own number only while it has the mutex.
        self.mutex_owner = me
        return 0

    cdef int unlock(self) except -1:
        # Before the release: after it the word belongs to the next owner.
        self.mutex_owner = 0
        pthread_mutex_unlock(&self.mutex)
        return 0

    cdef int lock_shared(self) except -1:
        # Without an event loop, the thread that serves the reactor has the mutex anyway.
        return self.lock() if self.shared else 0

    cdef int unlock_shared(self) except -1:
        return self.unlock() if self.shared else 0

    cdef int notify_outbox(self, PoolCall call) except -1:
        raise NotImplementedError

    cdef int wait_until_writable(self, PoolCall call) except -1:
        raise NotImplementedError

    cdef int resume_writer(self, PoolCall call) except -1:
        # The caller has cleared waits_for_client, so this is done once for each wait.
        PyThread_release_lock(call.calling_thread.writable_semaphore)
        return 0
