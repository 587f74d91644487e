"""A thread pool whose application is called in the main thread (ThreadPool.start(pinned=True)).

The main thread is a PoolThread like others, but the pool does not start it. Python runs signal handlers only in the
main thread, so a signal has to end its sleep. Another thread reads from the wake-up descriptor and wakes it.

Compiled because it uses the locks of the pool.
"""
from ianus.gateway.threads.idle_stack cimport LEAD, wake_for_signals
from ianus.gateway.threads.pool cimport ThreadPool
from ianus.gateway.threads.pool_thread cimport PoolThread


cdef PoolThread pinned_pool_thread(ThreadPool pool):
    cdef PoolThread member
    for member in pool.spawner.threads:
        # With --threads 1 alone; otherwise pinned_thread is a thread of the pool's own, or NULL.
        if pool.pinned_to_main and &member.idle_thread == pool.pinned_thread:
            return member
    return None


def run_pinned_thread(ThreadPool pool not None) -> None:
    """Calls the application in this thread, the main one, until the pool stops. The pool has to be started before."""
    cdef PoolThread member = pinned_pool_thread(pool)
    # `ident` is set by run(): the thread must not be run a second time.
    if member is not None and not member.ident:
        # Python's signal handlers run in it, between its waits.
        pool.run(member, <int>LEAD)


def is_in_call(ThreadPool pool not None) -> bool:
    """Returns whether the main thread is in a call of the application."""
    cdef PoolThread member = pinned_pool_thread(pool)
    # Read without the mutex: the caller only chooses a message by it.
    return member is not None and member.call is not None


def on_signal(ThreadPool pool not None) -> None:
    """Wakes the main thread to run signal handlers, if it sleeps. Called by other threads."""
    cdef PoolThread member
    # Reasons to wake one certain thread are set with the mutex (idle_stack.pyx).
    pool.lock()
    try:
        member = pinned_pool_thread(pool)
        if member is None:
            return
        # Before any wake-up, so that the thread finds it, in whichever of the three sleeps below it is.
        pool.signals_pending = True
        if member.call is not None and member.call.waits_for_client:
            # As note_unsent() does: the semaphore is released once.
            member.call.waits_for_client = False
            pool.resume_writer(member.call)
        if pool.leader == pool.pinned_thread:
            pool.wake_leader()
        wake_for_signals(&pool.idle_stack, pool.pinned_thread)
    finally:
        pool.unlock()
