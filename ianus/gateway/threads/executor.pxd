"""The threads that make calls, as gateways and calls see them; and the mutex between the sides of a call."""
from ianus.gateway.threads.pool_call cimport PoolCall
from ianus.gateway.threads.thread_api cimport pthread_mutex_t


cdef class Executor:
    cdef int call_limit             # maximum number of calls at once
    cdef bint shared                # an event loop serves the reactor, not a thread of the pool
    cdef pthread_mutex_t mutex      # pool.pxd lists the data that it guards
    cdef unsigned long mutex_owner  # ident of the thread that holds the mutex, 0 = none

    # A thread for a call that reads the body of its request while it arrives: whether there is one. The connection's
    # side gives it back after the call.
    cdef bint reserve_body_thread(self) except -1
    cdef int release_body_thread(self) except -1
    cdef int submit(self, PoolCall call) except -1  # queues a call; from the connection's side
    cdef int lock(self) except -1                   # takes the mutex; from the application's side
    cdef int unlock(self) except -1
    # Take and release the mutex from the connection's side. No-ops if a pool thread leads: it holds the mutex already.
    cdef int lock_shared(self) except -1
    cdef int unlock_shared(self) except -1
    # The call has put output into its outbox; the mutex is held.
    cdef int notify_outbox(self, PoolCall call) except -1
    # Waits until the client has read more of the response. The mutex is held, and released while waiting.
    cdef int wait_until_writable(self, PoolCall call) except -1
    cdef int resume_writer(self, PoolCall call) except -1   # ends that wait
