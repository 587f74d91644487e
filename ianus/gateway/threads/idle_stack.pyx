"""The stack of idle threads; idle_stack.pxd describes it.

Compiled because threads without the GIL wake others here.
"""
from ianus.gateway.threads.thread_api cimport (
    PY_LOCK_ACQUIRED, PY_LOCK_INTR, WAIT_LOCK, PyThread_acquire_lock, PyThread_acquire_lock_timed,
    PyThread_release_lock,
)


cdef WakeReason park(IdleStack* idle_stack, IdleThread* thread, double max_seconds, bint interruptible) noexcept nogil:
    """Parks the calling thread. The bottom one waits without a limit: an idle server must not wake."""
    cdef WakeReason reason
    cdef int outcome
    cdef long long microseconds = <long long>(max_seconds * 1e6)
    # Short: all that is done with it are a few assignments. The caller has neither the GIL nor the mutex.
    PyThread_acquire_lock(idle_stack.lock, WAIT_LOCK)
    if idle_stack.closed:
        PyThread_release_lock(idle_stack.lock)
        return EXIT
    # Otherwise wake_thread() was called before this thread parked. The semaphore is released already.
    if thread.reason == NOT_WOKEN:
        thread.is_idle = True
        thread.below = idle_stack.top
        idle_stack.top = thread
        if thread.below == NULL:
            microseconds = -1
    PyThread_release_lock(idle_stack.lock)
    while True:
        outcome = PyThread_acquire_lock_timed(thread.wake_semaphore, microseconds, interruptible)
        PyThread_acquire_lock(idle_stack.lock, WAIT_LOCK)
        # Read with the lock: it may have been set between the end of the wait and here.
        reason = thread.reason
        if outcome == PY_LOCK_ACQUIRED:
            # The wake-up is consumed, by its semaphore and by its reason together.
            thread.reason = NOT_WOKEN
        elif outcome == PY_LOCK_INTR and reason == NOT_WOKEN:
            remove(idle_stack, thread)
            reason = RUN_SIGNAL_HANDLERS
        elif reason != NOT_WOKEN or thread.below == NULL:
            # Either another thread has just set the reason and is about to release the semaphore, or all threads
            # below have exited and this one is now the bottom.
            PyThread_release_lock(idle_stack.lock)
            microseconds = -1
            continue
        else:
            remove(idle_stack, thread)
            reason = EXIT
        PyThread_release_lock(idle_stack.lock)
        return reason


cdef void remove(IdleStack* idle_stack, IdleThread* thread) noexcept nogil:
    # The stack has few threads, and the one to remove is nearly always the top.
    cdef IdleThread** link = &idle_stack.top
    while link[0] != thread:
        link = &link[0].below
    link[0] = thread.below
    thread.below = NULL
    thread.is_idle = False


cdef void close_idle_stack(IdleStack* idle_stack) noexcept nogil:
    PyThread_acquire_lock(idle_stack.lock, WAIT_LOCK)
    # With the lock: no thread can park after the loop below.
    idle_stack.closed = True
    while idle_stack.top != NULL:
        PyThread_release_lock(pop_top(idle_stack, EXIT).wake_semaphore)
    PyThread_release_lock(idle_stack.lock)


cdef bint wake_top(IdleStack* idle_stack, WakeReason reason) noexcept nogil:
    cdef IdleThread* thread = NULL
    PyThread_acquire_lock(idle_stack.lock, WAIT_LOCK)
    if idle_stack.top != NULL:
        thread = pop_top(idle_stack, reason)
    PyThread_release_lock(idle_stack.lock)
    # The lead stays with the caller.
    if thread == NULL:
        return False
    PyThread_release_lock(thread.wake_semaphore)
    return True


cdef IdleThread* pop_top(IdleStack* idle_stack, WakeReason reason) noexcept nogil:
    """Removes the top thread. The caller then releases its semaphore, preferably after the lock: the woken thread
    takes the lock at once. A thread with a reason does not exit before that, so the pointer stays valid until then.
    """
    cdef IdleThread* thread = idle_stack.top
    remove(idle_stack, thread)
    thread.reason = reason
    return thread


cdef void wake_thread(IdleStack* idle_stack, IdleThread* thread, WakeReason reason) noexcept nogil:
    cdef bint is_signalled
    PyThread_acquire_lock(idle_stack.lock, WAIT_LOCK)
    if thread.is_idle:
        remove(idle_stack, thread)
    # Its semaphore is binary: a second release before the thread has taken it would be an error.
    is_signalled = thread.reason != NOT_WOKEN
    thread.reason = reason
    PyThread_release_lock(idle_stack.lock)
    if not is_signalled:
        PyThread_release_lock(thread.wake_semaphore)


cdef void wake_for_signals(IdleStack* idle_stack, IdleThread* thread) noexcept nogil:
    cdef bint has_reason
    PyThread_acquire_lock(idle_stack.lock, WAIT_LOCK)
    has_reason = thread.reason != NOT_WOKEN
    PyThread_release_lock(idle_stack.lock)
    # Reasons for one certain thread are only set with the pool's mutex, which the caller holds. So none can be set
    # between this check and the call.
    if not has_reason:
        wake_thread(idle_stack, thread, RUN_SIGNAL_HANDLERS)
