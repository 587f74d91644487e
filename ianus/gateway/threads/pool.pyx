"""The pool of leader threads.

Facts: handing a request to another thread costs more than a typical request. But a call that blocks in the polling
thread stops all other clients. Strategy: one thread at a time is the leader. It polls, parses and calls the application
itself, so a request of a fast application never changes threads. Before a call that is likely to block (predictor.pxd)
the leader hands the lead over. A leader whose call lasts unexpectedly is deposed (watchdog.pxd).

With an event loop, which then owns the reactor, one thing differs: the leader waits for requests that the loop has put
into the queue, and the loop sends the output of the calls.

Rules:
- The thread that parked last is woken first, so that at concurrency k at most k+2 threads ever call applications.
  Threads that stay idle exit.
- There is always one thread more than calls: it polls, buffers bodies, keeps deadlines, drains.
- A deposed thread finishes its own exchange, then calls the application for queued requests, and parks.

Compiled because every WSGI request passes here: 488 instructions for WSGI hello.
"""
import threading

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint64_t

from ianus.exchange.base cimport Poller
from ianus.runtime.atomics cimport atomic_store
from ianus.runtime.chaos cimport pause
from ianus.gateway.threads.thread_api cimport (
    PY_LOCK_INTR, WAIT_LOCK, PyThread_acquire_lock, PyThread_acquire_lock_timed, PyThread_release_lock,
    free_lock, new_lock, new_semaphore, seconds_of, voluntary_switches,
)
from ianus.gateway.threads.call_queue cimport CallQueue, has_ready_call, put_back, put_call, take_call
from ianus.gateway.threads.executor cimport Executor
from ianus.gateway.threads.idle_stack cimport (
    EXIT, LEAD, LEAD_IDLE, NOT_WOKEN, RUN_SIGNAL_HANDLERS, WakeReason, close_idle_stack, park, wake_thread, wake_top,
)
from ianus.gateway.threads.pool_call cimport PoolCall
from ianus.gateway.threads.pool_thread cimport PoolThread
from ianus.gateway.threads.predictor cimport learn, likely_blocks, may_take_long, should_measure
from ianus.gateway.threads.thread_spawner cimport ThreadSpawner
from ianus.gateway.threads.watchdog cimport (
    CALL_INCREMENT, IN_CALL, start_call, end_call, start_watchdog, still_leads, stop_watchdog,
)
from ianus.runtime.clock cimport monotonic

from ianus.errors import ThreadLimitError
from ianus.telemetry.logger import logger


cdef double GATHER_SECONDS = 0.001          # maximum time that a finished response waits for others to be sent with
cdef int GATHER_MIN_EVENTS = 16             # number of events ready at once from which responses are gathered
cdef double MAX_IDLE_SECONDS = 10.0         # a thread that is parked for longer exits, unless it is the bottom one


cdef enum:
    BODY_THREADS_DIVISOR = 4                # a quarter of the threads may wait for the bodies of requests


cdef class ThreadPool(Executor):
    """Threads for WSGI applications.

    max_calls: maximum number of concurrent application calls. With 1, the same thread makes all of them.
    """

    def __cinit__(self):
        # Owned by the pool, as the semaphores are; the structs are parts of it.
        self.idle_stack.lock = new_lock()
        self.watchdog.alarm = new_semaphore()
        self.watchdog.ended = new_semaphore()
        self.watchdog.idle_stack = &self.idle_stack
        self.work_semaphore = new_semaphore()

    def __init__(self, *, int max_calls):
        self.queue = CallQueue(max_calls)
        self.spawner = ThreadSpawner(self.queue)
        self.call_limit = max_calls
        self.exiting, self.posted = [], []

    def __dealloc__(self):
        # Every thread holds a reference to the pool, so all have exited; and the last one has stopped the watchdog.
        free_lock(self.idle_stack.lock)
        free_lock(self.watchdog.alarm)
        free_lock(self.watchdog.ended)
        free_lock(self.work_semaphore)

    # ---------------------------------------------------------------- the owner's side

    def start(self, Poller reactor not None, *, bint shared, bint pinned=False) -> None:
        """Starts the first thread and the watchdog.

        shared: an event loop serves the reactor, not the pool. pinned: all calls of the application are made in the
        thread that calls run_pinned_thread() (pinned.pyx).

        Must be called after any fork of the server's own. Raises ThreadLimitError if the system cannot start a thread.
        """
        # The reactor does not refer to the pool, except by on_wake with an event loop.
        self.poller = reactor
        self.shared = shared
        if shared:
            reactor.on_wake = self.collect_posted
        # Before the first thread: its calls are watched from the start.
        start_watchdog(&self.watchdog)
        self.lock()
        try:
            if pinned:
                self.pinned_to_main = True
                # The main thread is not started: it calls run_pinned_thread().
                self.spawner.threads.append(PoolThread())
            elif not self.spawner.spawn(self, LEAD):
                raise ThreadLimitError("needed to call the application")
            if self.queue.max_calls == 1:
                # Borrowed from the PoolThread, which `threads` owns until it has exited.
                self.pinned_thread = &(<PoolThread>self.spawner.threads[0]).idle_thread
        except BaseException:
            stop_watchdog(&self.watchdog)
            raise
        finally:
            self.unlock()

    def exclusively(self, function):
        """Calls function() while no other thread uses the reactor. Returns its result."""
        if self.shared:
            return function()
        self.lock()
        try:
            # The mutex keeps all pool threads from the reactor meanwhile.
            result = function()
            self.poller.resume_waiting()
            return result
        finally:
            self.unlock()

    def stop(self, on_all_exited) -> None:
        """Has every thread exit as soon as it makes no call. The last one calls on_all_exited()."""
        cdef PoolCall call
        cdef bint gone
        self.lock()
        try:
            # Threads that lead or take calls read it with the mutex.
            self.stopping = True
            self.on_all_exited = on_all_exited
            close_idle_stack(&self.idle_stack)
            # From now on the watchdog has no thread to give the lead to, so gathered output has to be sent here.
            self.flush_finished()
            self.wake_leader()
            gone = not self.spawner.threads
            # Calls that still wait for a thread are abandoned, as their connections are. They refer to the pool, and
            # no other code breaks that cycle.
            while self.queue.first is not None:
                call = take_call(self.queue)
                call.abandon()
        finally:
            self.unlock()
        if gone:
            with nogil:
                stop_watchdog(&self.watchdog)
            # No thread is left that could do it.
            on_all_exited()

    def close(self) -> None:
        """Detaches the pool from the closed reactor. Output of calls that still run is discarded."""
        cdef PoolCall call
        self.lock()
        self.closed = True
        for call in self.posted:
            # Its connection is gone. The thread of a call that runs must not wait for a client.
            call.discard_output()
        self.posted = []
        self.unlock()

    def join(self, double limit) -> None:
        """Waits up to `limit` seconds for exiting threads to end: Python then frees their thread-local data."""
        cdef double until = monotonic() + limit
        for thread in self.exiting:
            thread.join(max(until - monotonic(), 0))

    @property
    def threads(self) -> int:
        """Number of threads that have not exited."""
        return len(self.spawner.threads)

    def waiting(self):
        """Returns the first queued call if the maximum of calls is not reached, else None."""
        self.lock()
        try:
            return self.queue.first if has_ready_call(self.queue) else None
        finally:
            self.unlock()

    def running_calls(self, *, bint conversations=True) -> list:
        """Returns (request line, age in seconds, thread ident) of each application call.

        conversations: also of those that last as long as their clients stay.
        """
        cdef PoolThread member
        cdef double now = monotonic()
        calls = []
        self.lock()
        try:
            for member in self.spawner.threads:
                # `call` is changed with the mutex alone.
                if member.call is not None and (conversations or not member.call.is_conversation):
                    calls.append((member.call.description(), now - member.call_started, member.ident))
        finally:
            self.unlock()
        return calls

    # ---------------------------------------------------------------- the calls' side

    cdef bint reserve_body_thread(self) except -1:
        cdef CallQueue queue = self.queue
        cdef bint free
        self.lock_shared()
        # Clients that stop sending hold at most these threads. A call that had to wait for a thread is better made when
        # its body is complete.
        free = (
            not self.stopping and queue.running < queue.current_limit
            and queue.arriving_bodies < queue.max_calls // BODY_THREADS_DIVISOR
        )
        if free:
            queue.arriving_bodies += 1
        self.unlock_shared()
        return free

    cdef int release_body_thread(self) except -1:
        self.lock_shared()
        self.queue.arriving_bodies -= 1
        self.unlock_shared()
        return 0

    cdef int submit(self, PoolCall call) except -1:
        self.lock_shared()
        if self.stopping:
            # The server stops: the request is not answered, as its connection is closing.
            call.abandon()
        else:
            put_call(self.queue, call)
            self.wake_leader()
        self.unlock_shared()
        return 0

    cdef int notify_outbox(self, PoolCall call) except -1:
        cdef bint gather
        # The reactor does not exist any more, but a call may still be running.
        if self.closed:
            call.discard_output()
        elif not self.shared:
            # Each send wakes a client. Under load, or if calls are queued as those of the streams of HTTP/2, a finished
            # response of a leader waits for a few others. A thread that takes the lead sends them first.
            gather = (
                self.leader != NULL and call.calling_thread == self.leader and not self.stopping
                and (self.poller.batch_size() >= GATHER_MIN_EVENTS or has_ready_call(self.queue))
                and (call.returned or call.output_ends and not may_take_long(call.evidence))
            )
            try:
                # In this thread, which has the mutex and so the connection.
                call.collect()
                if not gather:
                    self.poller.resume_waiting()
            except BaseException:
                # A defect of the server while it sends. The application's call continues, and its output is dropped.
                abort(call)
        elif not call.posted:
            call.posted = True
            self.posted.append(call)
            if not self.loop_notified:
                self.loop_notified = True
                # Once for all calls that are posted before the loop reacts.
                self.poller.wake()
        return 0

    def collect_posted(self) -> None:
        """Sends the output of the calls. Called by the event loop."""
        cdef PoolCall call
        self.lock()
        # Taken with the mutex, and sent without it: only the loop's thread uses connections.
        posted = self.posted
        self.posted = []
        self.loop_notified = False
        self.unlock()
        for call in posted:
            try:
                call.collect()
            except Exception:
                abort(call)

    cdef int wait_until_writable(self, PoolCall call) except -1:
        cdef PyThread_type_lock writable = call.calling_thread.writable_semaphore
        cdef bint interrupted, is_pinned = self.pinned_to_main and call.calling_thread == self.pinned_thread
        # With the mutex: the connection's side clears it before it releases the semaphore.
        call.waits_for_client = True
        self.unlock()
        # In debug builds with CHAOS_SEED a delay (runtime/chaos), to find races. Nothing in others.
        pause()
        with nogil:
            interrupted = PyThread_acquire_lock_timed(writable, -1, is_pinned) == PY_LOCK_INTR
        self.lock()
        if is_pinned and (interrupted or self.signals_pending):
            self.run_signal_handlers(True)
        return 0

    # ---------------------------------------------------------------- the threads

    def run(self, PoolThread me not None, int reason_value) -> None:
        """Runs one thread: it leads and parks in turn, until it is woken with EXIT."""
        cdef WakeReason reason = <WakeReason>reason_value
        cdef bint is_pinned = self.pinned_to_main and &me.idle_thread == self.pinned_thread
        # The thread was started as a daemon, so Python does not wait for it at its end. Threads inherit the property
        # from the thread that starts them. Python has to wait for the application's own threads, so it is reset here.
        threading.current_thread()._daemonic = False
        # From here on `mutex_owner` can be compared with its ident.
        me.note_thread()
        try:
            while reason != EXIT:
                if reason == LEAD or reason == LEAD_IDLE:
                    try:
                        self.lead(me)
                    except BaseException:
                        # A defect of the server. The lead must not be lost with it.
                        log_exception("internal error in a thread")
                        if self.mutex_owner == me.ident:
                            # The exception may have been raised with the mutex.
                            self.unlock()
                        if self.leader == &me.idle_thread and still_leads(&self.watchdog, me.epoch):
                            # It leads still, so no other thread would.
                            continue
                if self.stopping:
                    break
                pause()
                with nogil:
                    reason = park(&self.idle_stack, &me.idle_thread, MAX_IDLE_SECONDS, is_pinned)
                    if reason == LEAD_IDLE:
                        # The thread that handed the lead over has the GIL and runs the application. This one waits
                        # for it only when there is an event.
                        self.block_until_work()
                if reason == RUN_SIGNAL_HANDLERS:
                    self.lock()
                    self.run_signal_handlers(False)
                    self.unlock()
        finally:
            self.on_thread_exit(me)

    cdef int lead(self, PoolThread me) except -1:
        """Leads: polls and calls the application until the lead is handed over, or taken, or the pool stops."""
        cdef PoolCall call
        cdef uint64_t call_word
        cdef bint served
        # Released by each way out of this function.
        self.lock()
        self.leader = &me.idle_thread
        # The leader before may have gathered output and been deposed.
        self.flush_finished()
        self.leader_sleeps = False
        self.watchdog.clock = me.idle_thread.clock
        self.watchdog.thread_id = me.idle_thread.thread_id
        # Another number than all before, so that a deposed leader finds the word changed.
        me.epoch = (self.watchdog.word & ~<uint64_t>3) + CALL_INCREMENT
        atomic_store(&self.watchdog.word, me.epoch)
        while not self.stopping:
            if self.spawner.retry_at:
                self.spawner.restore_limit(monotonic())
            if self.pinned_thread != NULL and self.pinned_thread != &me.idle_thread and self.queue.running == 0:
                # The one thread that calls applications is idle: it takes the lead again.
                wake_thread(&self.idle_stack, self.pinned_thread, LEAD)
                break
            served = self.poll_once()
            # After each event: a request is called as soon as it is complete.
            call = self.dequeue()
            if call is None:
                if not served:
                    self.wait_for_work()
                elif monotonic() - self.flushed_at > GATHER_SECONDS:
                    self.flush_finished()
                continue
            if likely_blocks(call.evidence) and self.hand_over_lead():
                # The lead is another thread's now, which sets it to itself.
                self.leader = NULL
                self.make_call(me, call)
                return self.run_queued_calls(me)
            if self.idle_stack.top == NULL:
                # The watchdog needs an idle thread that can take the lead.
                self.spawner.spawn(self, NOT_WOKEN)
                if self.queue.running > self.queue.current_limit:
                    # No thread could be started, so this one has to keep polling.
                    put_back(self.queue, call)
                    self.poller.full = False
                    continue
            # From here to end_call() the watchdog may give the lead away.
            call_word = start_call(&self.watchdog)
            me.epoch = call_word - IN_CALL
            self.make_call(me, call)
            # Deposed: no state of the leader may be touched any more.
            if not end_call(&self.watchdog, call_word):
                return self.run_queued_calls(me)
        # The stop: nothing gathered may stay unsent.
        self.flush_finished()
        self.leader = NULL
        return self.unlock()

    cdef int flush_finished(self) except -1:
        """Sends the gathered output of the leader's calls. The mutex is held."""
        if not self.shared:
            self.flushed_at = monotonic()
            self.poller.resume_waiting()
        return 0

    cdef int run_queued_calls(self, PoolThread me) except -1:
        """Calls the application for queued requests, after a call made without the lead. Releases the mutex."""
        cdef PoolCall call
        cdef bint blocked = True
        while not self.stopping:
            call = self.dequeue()
            if call is None:
                # The GIL is held, and was expensive to acquire. While calls block, further requests have often
                # arrived already. This thread takes them, and the leader need not wake.
                if (
                    blocked and self.leader_sleeps and not self.shared and self.queue.running < self.queue.current_limit
                    and self.poller.peek()
                ):
                    continue
                break
            # Before the call, which may change the evidence.
            blocked = likely_blocks(call.evidence)
            if has_ready_call(self.queue):
                self.wake_leader()
            # The leader is another thread, which polls meanwhile.
            self.make_call(me, call)
        return self.unlock()

    cdef int make_call(self, PoolThread me, PoolCall call) except -1:
        """Makes one call. The mutex is held before and after, and released during the call."""
        cdef bint measured = should_measure(call.evidence)
        cdef double computed = seconds_of(me.idle_thread.clock) if measured else 0, duration, blocked = -1
        cdef long switches = voluntary_switches() if measured else 0
        # Borrowed from `me`, which outlives the call.
        call.calling_thread = &me.idle_thread
        me.call = call
        me.call_started = monotonic()
        if self.leader == &me.idle_thread and (
            may_take_long(call.evidence) or me.call_started - self.flushed_at > GATHER_SECONDS
        ):
            # Before a call that may take long, or clients would wait for it.
            self.flush_finished()
        self.unlock()
        pause()
        try:
            call.run()
        except BaseException:
            log_exception("internal error in a call of the application")
            # The call ends in any case: its connection must not wait for ever.
            call.fail()
        pause()
        self.lock()
        duration = monotonic() - me.call_started
        if measured:
            # A thread without a voluntary context switch never waited: other processes kept it from computing, if any.
            blocked = 0
            if voluntary_switches() != switches:
                blocked = duration - (seconds_of(me.idle_thread.clock) - computed)
        learn(call.evidence, duration, blocked)
        me.call = None
        self.poller.full = False  # notify_outbox() has it look for connections of other workers.
        self.queue.running -= 1  # Before the rest, as a signal handler of the application can raise in any Python code.
        # Puts the last piece, if run() has kept it.
        call.finish()
        call.returned = True
        # After `returned`: the connection's side unties the call then.
        self.notify_outbox(call)
        return 0

    cdef PoolCall dequeue(self):
        """Takes the next call from the queue and counts it. None if it is empty or the limit is reached."""
        cdef CallQueue queue = self.queue
        cdef PoolCall call
        while has_ready_call(queue):
            call = take_call(queue)
            if call.disconnected:
                # Its client disconnected while it was queued. Not made, it is untied in the same way.
                call.returned = True
                self.notify_outbox(call)
                continue
            # Counted when it is taken, so that two threads cannot pass the limit.
            queue.running += 1
            call.dequeued = True
            if queue.running >= queue.current_limit:
                # With an event loop, applications beside this pool may be called.
                self.poller.full = not self.shared
            return call
        return None

    cdef bint poll_once(self) except -1:
        """Serves one event, if there is one. Returns whether there was one. The mutex is held."""
        # The event loop owns the reactor; the leader waits for the queue alone.
        if self.shared:
            return False
        try:
            return self.poller.dispatch_next()
        except BaseException:
            # The lead must not be lost with a defect of the server.
            log_exception("internal error while polling")
            return True

    cdef int wait_for_work(self) except -1:
        """Waits until there is an event or a request. The mutex is held before and after, and released meanwhile."""
        cdef int events
        self.flush_finished()
        # Flushing has answered clients, whose next requests may be queued now.
        if has_ready_call(self.queue):
            return 0
        # The main thread leads, and must not sleep with a signal that is not handled.
        if self.signals_pending and self.leader == self.pinned_thread:
            return self.run_signal_handlers(False)
        # With the mutex, before it is released: a thread that queues a call then wakes this one.
        self.leader_sleeps = True
        self.unlock()
        pause()
        with nogil:
            events = self.block_until_work()
        self.lock()
        # Perhaps cleared already, by the thread that has woken this one.
        self.leader_sleeps = False
        if events == 0:
            self.signals_pending = self.pinned_to_main
        return 0

    cdef int run_signal_handlers(self, bint in_call) except -1:
        """Runs Python's signal handlers in the main thread. The mutex is held before and after, and released meanwhile.

        in_call: the application is being called, and gets the exceptions of handlers.
        """
        # Before the handlers run: a signal that arrives in them sets it again.
        self.signals_pending = False
        self.unlock()
        try:
            PyErr_CheckSignals()
        except BaseException:
            if in_call:
                raise
            log_exception("exception in a signal handler of the application")
            self.signals_pending = True  # Python has not run the others yet.
        finally:
            self.lock()
        return 0

    cdef int block_until_work(self) noexcept nogil:
        """Blocks the leader; leader_sleeps is set. Returns 0 if a signal has ended the sleep."""
        return PyThread_acquire_lock(self.work_semaphore, WAIT_LOCK) if self.shared else self.poller.sleep()

    cdef int wake_leader(self) except -1:
        """Wakes the leader, if it sleeps. The mutex is held."""
        if self.leader_sleeps:
            # Before the wake-up, so that it is done once for each sleep.
            self.leader_sleeps = False
            if self.shared:
                PyThread_release_lock(self.work_semaphore)
            else:
                self.poller.wake()
        return 0

    cdef bint hand_over_lead(self) except -1:
        """Gives the lead to another thread. Returns whether there was one. The mutex is held."""
        pause()
        self.flush_finished()
        # The caller has dequeued its own request. If another one is queued, or an event is pending, the new leader has
        # work; otherwise it sleeps.
        self.leader_sleeps = self.queue.first is None and (self.shared or self.poller.pending() == 0)
        if wake_top(&self.idle_stack, LEAD_IDLE if self.leader_sleeps else LEAD):
            return True
        self.leader_sleeps = False
        return self.spawner.spawn(self, LEAD)

    cdef int on_thread_exit(self, PoolThread me) except -1:
        cdef bint last
        self.lock()
        # The last owner besides this frame, which holds `me` to its end.
        self.spawner.threads.remove(me)
        if self.stopping and me.thread is not None:
            self.exiting.append(me.thread)
        last = self.stopping and not self.spawner.threads
        self.unlock()
        if last:
            with nogil:
                stop_watchdog(&self.watchdog)
            # Without the mutex: it is code of the worker.
            self.on_all_exited()
        return 0


cdef int log_exception(str what) noexcept:
    """Logs the exception that is being handled."""
    logger.exception(what)
    return 0


cdef int abort(PoolCall call) noexcept:
    log_exception("internal error; connection closed")
    try:
        call.abort()
    except BaseException:
        log_exception("internal error while closing a connection")
    return 0
