"""A call of an application, as the thread pool sees it: a thread makes it, and the connection's side takes its output.

The connection's side is the thread that serves the reactor. If a pool thread leads, that thread is on both sides, one
after the other. Under an event loop, these are two threads.
"""
cimport cython
from ianus.gateway.threads.idle_stack cimport IdleThread
from ianus.gateway.threads.predictor cimport Evidence


@cython.no_gc
cdef class PoolCall:
    cdef PoolCall next              # in the queue
    cdef Evidence* evidence         # owned by the predictor of the gateway
    cdef IdleThread* calling_thread     # the thread that makes the call, during it; owned by its PoolThread
    cdef bint is_conversation       # it lasts as long as its client stays; written on the connection's side
    cdef bint disconnected          # the client has disconnected; written on the connection's side

    # Guarded by the pool's mutex
    cdef bint dequeued              # a thread has taken it from the queue to make it
    cdef bint returned              # it has returned, or is not made any more
    cdef bint output_ends           # the output that was not collected yet has its end
    cdef bint posted                # the connection's side was notified of the output
    cdef bint waits_for_client      # its thread is in Executor.wait_until_writable()

    cdef int run(self) except -1            # makes the call; without the mutex
    cdef int fail(self) except -1           # run() has raised; without the mutex
    cdef int finish(self) except -1         # puts the rest of the output, after run(); with the mutex
    cdef int abandon(self) except -1        # instead of run(), since the pool stops
    cdef int collect(self) except -1        # takes the output and sends it; on the connection's side
    cdef int discard_output(self) except -1     # instead of collect(), after the server has closed; with the mutex
    cdef int abort(self) except -1          # closes the connection after collect() has raised; on the connection's side
    cdef str description(self)              # for messages
