"""The queue of the thread pool, and its limit of concurrent calls; call_queue.pxd has its functions.

Compiled because the pool needs its type.
"""


cdef class CallQueue:
    def __cinit__(self, int max_calls):
        # Its fields are guarded by the pool's mutex, and used by the inline functions of call_queue.pxd.
        self.max_calls = self.current_limit = max_calls
