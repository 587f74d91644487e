"""The calls that wait for a thread, and the number of calls that threads make. Guarded by the pool's mutex.

The functions are inline, since each WSGI request passes them.
"""
from ianus.gateway.threads.pool_call cimport PoolCall


cdef class CallQueue:
    cdef PoolCall first, last       # the queue: complete requests that wait for a thread
    cdef int running                # calls now
    cdef int max_calls              # maximum of `running`, at least 1: --threads, or with auto --max-threads
    cdef int arriving_bodies        # calls, queued or running, that read the body of their request while it arrives
    cdef int current_limit          # maximum now: lower than max_calls while the system cannot start threads


cdef inline bint has_ready_call(CallQueue queue) noexcept:
    """Returns whether a call is queued that may be made now."""
    return queue.first is not None and queue.running < queue.current_limit


cdef inline int put_call(CallQueue queue, PoolCall call) except -1:
    if queue.last is None:
        queue.first = call
    else:
        queue.last.next = call
    queue.last = call
    return 0


cdef inline PoolCall take_call(CallQueue queue):
    """Takes the first call, which exists. Unlinks it, since freeing a long chain at once would recurse as deeply."""
    cdef PoolCall call = queue.first
    queue.first = call.next
    call.next = None
    if queue.first is None:
        queue.last = None
    return call


cdef inline int put_back(CallQueue queue, PoolCall call) except -1:
    """Returns a call to the head of the queue, as if it had not been taken and counted."""
    call.dequeued = False
    call.next = queue.first
    queue.first = call
    if queue.last is None:
        queue.last = call
    queue.running -= 1
    return 0
