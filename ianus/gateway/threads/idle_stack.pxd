"""A stack of the pool's idle threads: the thread that parked last is woken first.

Reason for this order: at concurrency k the same few threads serve all requests, so applications open few thread-local
database connections. Threads that are not needed stay at the bottom and exit after a time.
"""
from ianus.gateway.threads.thread_api cimport PyThread_type_lock, clockid_t


cdef enum WakeReason:
    NOT_WOKEN
    LEAD                    # take the lead
    LEAD_IDLE               # take the lead, but work has yet to arrive: sleep as the leader
    EXIT                    # exit
    RUN_SIGNAL_HANDLERS     # run Python's signal handlers; only for the main thread


# One thread's entry in the stack. Owned by its PoolThread (pool.pxd).
cdef struct IdleThread:
    PyThread_type_lock wake_semaphore       # released once for each wake-up: a binary semaphore
    PyThread_type_lock writable_semaphore   # released when the client has read more of the thread's response
    WakeReason reason               # guarded by IdleStack.lock
    bint is_idle                    # it is in the stack; guarded by IdleStack.lock
    IdleThread* below               # the next one down, borrowed; guarded by IdleStack.lock
    clockid_t clock                 # the thread's CPU time
    unsigned long thread_id         # the kernel's


cdef struct IdleStack:
    PyThread_type_lock lock         # guards the stack and the reasons; its holder neither waits nor runs Python code
    IdleThread* top                 # borrowed from its PoolThread
    bint closed                     # no thread parks any more; guarded by `lock`


# Parks the calling thread until it is woken. After max_seconds it returns EXIT, unless it is the bottom one.
# interruptible: a signal wakes it, too (RUN_SIGNAL_HANDLERS).
cdef WakeReason park(IdleStack* idle_stack, IdleThread* thread, double max_seconds, bint interruptible) noexcept nogil
# Wakes all threads with EXIT. Threads that park later get EXIT at once.
cdef void close_idle_stack(IdleStack* idle_stack) noexcept nogil
# Wakes the thread that parked last. Returns whether there was one.
cdef bint wake_top(IdleStack* idle_stack, WakeReason reason) noexcept nogil
# Removes the top thread and gives it its reason. The caller holds the lock, has checked that the stack is not empty,
# and releases the thread's wake_semaphore.
cdef IdleThread* pop_top(IdleStack* idle_stack, WakeReason reason) noexcept nogil
# Wakes one certain thread; if it is not parked, its next park() returns at once. It must not have a reason already,
# except RUN_SIGNAL_HANDLERS.
cdef void wake_thread(IdleStack* idle_stack, IdleThread* thread, WakeReason reason) noexcept nogil
# Wakes one certain thread with RUN_SIGNAL_HANDLERS, unless it has another reason.
cdef void wake_for_signals(IdleStack* idle_stack, IdleThread* thread) noexcept nogil
