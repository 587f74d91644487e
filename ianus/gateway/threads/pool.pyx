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

Compiled because every WSGI request passes here.
"""
import threading

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint64_t

from ianus.exchange.base cimport Poller
from ianus.runtime.atomics cimport atomic_store
from ianus.runtime.chaos cimport pause
from ianus.gateway.threads.thread_api cimport (
    NOWAIT_LOCK, PY_LOCK_INTR, WAIT_LOCK, PyThread_acquire_lock, PyThread_acquire_lock_timed,
    PyThread_get_thread_ident, PyThread_release_lock, free_lock, new_lock, new_semaphore, seconds_of,
    thread_clock, voluntary_switches,
)
from ianus.gateway.threads.idle_stack cimport (
    EXIT, LEAD, LEAD_IDLE, NOT_WOKEN, RUN_SIGNAL_HANDLERS, WakeReason, close_idle_stack, park, wake_thread, wake_top,
)
from ianus.gateway.threads.predictor cimport learn, likely_blocks, should_measure
from ianus.gateway.threads.watchdog cimport (
    CALL_INCREMENT, IN_CALL, begin_call, end_call, start_watchdog, still_leads, stop_watchdog,
)
from ianus.gateway.wsgi.exchange cimport WsgiExchange, WsgiExecutor
from ianus.runtime.clock cimport monotonic

from ianus.errors import ThreadLimitError
from ianus.telemetry.logger import logger


cdef double GATHER_SECONDS = 0.001          # maximum time that a finished response waits for others to be sent with
cdef int GATHER_MIN_EVENTS = 16             # number of events ready at once from which responses are gathered
cdef double MAX_IDLE_SECONDS = 10.0         # a thread that is parked for longer exits, unless it is the bottom one
cdef double RETRY_SPAWN_SECONDS = 1.0       # time until threads are started again after the system refused one
cdef double SPAWN_FAILURE_LOG_SECONDS = 60.0    # minimum time between two log messages about that


cdef class PoolThread:
    def __cinit__(self):
        self.idle_thread.wake_semaphore = new_semaphore()
        self.idle_thread.writable_semaphore = new_semaphore()

    def __dealloc__(self):
        free_lock(self.idle_thread.wake_semaphore)
        free_lock(self.idle_thread.writable_semaphore)


cdef class ThreadPool(WsgiExecutor):
    """Threads for WSGI applications.

    max_calls: maximum number of concurrent application calls. With 1, the same thread makes all of them.
    """

    def __cinit__(self):
        self.mutex = new_lock()
        self.idle_stack.lock = new_lock()
        self.watchdog.alarm = new_semaphore()
        self.watchdog.ended = new_semaphore()
        self.watchdog.idle_stack = &self.idle_stack
        self.work_semaphore = new_semaphore()

    def __init__(self, *, int max_calls):
        self.max_calls = self.current_limit = max_calls
        self.thread_limit = max_calls + 1
        self.pool_threads = []
        self.exiting = []
        self.posted = []

    def __dealloc__(self):
        # Every thread holds a reference to the pool, so all have exited; and the last one has stopped the watchdog.
        free_lock(self.mutex)
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
        self.poller = reactor
        self.shared = shared
        if shared:
            reactor.on_wake = self.collect_posted
        start_watchdog(&self.watchdog)
        self.lock()
        try:
            if pinned:
                self.pinned_to_main = True
                self.pool_threads.append(PoolThread())
            elif not self.spawn_thread(LEAD):
                raise ThreadLimitError("needed to call the application")
            if self.max_calls == 1:
                self.pinned_thread = &(<PoolThread>self.pool_threads[0]).idle_thread
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
            result = function()
            self.poller.resume_waiting()
            return result
        finally:
            self.unlock()

    def stop(self, on_all_exited) -> None:
        """Has every thread exit as soon as it makes no call. The last one calls on_all_exited()."""
        cdef WsgiExchange exchange
        cdef bint gone
        self.lock()
        try:
            self.stopping = True
            self.on_all_exited = on_all_exited
            close_idle_stack(&self.idle_stack)
            # From now on the watchdog has no thread to give the lead to, so gathered output has to be sent here.
            self.flush_finished()
            self.wake_leader()
            gone = not self.pool_threads
            while self.first_queued is not None:
                # Requests that still wait for a thread are abandoned, as their connections are. Unlink them singly:
                # freeing a long chain at once would recurse as deeply. Exchanges refer to the pool through their
                # gateway, and no other code breaks that cycle.
                exchange = self.first_queued
                self.first_queued = exchange.next
                exchange.next = None
                exchange.remove_from_flight()
            self.last_queued = None
        finally:
            self.unlock()
        if gone:
            with nogil:
                stop_watchdog(&self.watchdog)
            on_all_exited()

    def close(self) -> None:
        """Detaches the pool from the closed reactor. Output of calls that still run is discarded."""
        cdef WsgiExchange exchange
        self.lock()
        self.closed = True
        for exchange in self.posted:
            exchange.discard_outbox()
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
        return len(self.pool_threads)

    def waiting(self):
        """Returns the first queued request if the maximum of calls is not reached, else None."""
        self.lock()
        try:
            return self.first_queued if self.calls < self.current_limit else None
        finally:
            self.unlock()

    def running_calls(self) -> list:
        """Returns (request line, age in seconds, thread ident) of each application call."""
        cdef PoolThread member
        cdef double now = monotonic()
        calls = []
        self.lock()
        try:
            for member in self.pool_threads:
                if member.exchange is not None:
                    calls.append((member.exchange.request_line(), now - member.call_started, member.ident))
        finally:
            self.unlock()
        return calls

    # ---------------------------------------------------------------- the exchanges' side

    cdef int submit(self, WsgiExchange exchange) except -1:
        self.lock_shared()
        if self.stopping:
            exchange.remove_from_flight()
        else:
            if self.last_queued is None:
                self.first_queued = exchange
            else:
                self.last_queued.next = exchange
            self.last_queued = exchange
            self.wake_leader()
        self.unlock_shared()
        return 0

    cdef int lock(self) except -1:
        cdef unsigned long me = PyThread_get_thread_ident()
        if not PyThread_acquire_lock(self.mutex, NOWAIT_LOCK):
            if self.mutex_owner == me:
                # Only a finalizer that runs while this thread holds the mutex gets here. It would wait for itself.
                raise RuntimeError("the server cannot be called from here")
            while True:
                with nogil:
                    # Wait for the mutex without the GIL, but do not keep it while waiting for the GIL: all threads that
                    # need the mutex would wait for the GIL, too.
                    PyThread_acquire_lock(self.mutex, WAIT_LOCK)
                    PyThread_release_lock(self.mutex)
                if PyThread_acquire_lock(self.mutex, NOWAIT_LOCK):
                    break
        self.mutex_owner = me
        return 0

    cdef int unlock(self) except -1:
        self.mutex_owner = 0
        PyThread_release_lock(self.mutex)
        return 0

    cdef int lock_shared(self) except -1:
        return self.lock() if self.shared else 0

    cdef int unlock_shared(self) except -1:
        return self.unlock() if self.shared else 0

    cdef int notify_outbox(self, WsgiExchange exchange) except -1:
        cdef bint gather
        if self.closed:
            exchange.discard_outbox()
        elif not self.shared:
            # Each send wakes a client. Under load, the finished responses of a leader wait for a few others. A thread
            # that takes the lead sends them first.
            gather = (
                self.leader != NULL and exchange.calling_thread == self.leader and not self.stopping
                and self.poller.batch_size() >= GATHER_MIN_EVENTS
                and (exchange.out_returned or exchange.out_end and not should_measure(exchange.evidence))
            )
            try:
                exchange.collect()
                if not gather:
                    self.poller.resume_waiting()
            except BaseException:
                abort_exchange(exchange)
        elif not exchange.posted:
            exchange.posted = True
            self.posted.append(exchange)
            if not self.loop_notified:
                self.loop_notified = True
                self.poller.wake()
        return 0

    def collect_posted(self) -> None:
        """Sends the output of the calls. Called by the event loop."""
        cdef WsgiExchange exchange
        self.lock()
        posted = self.posted
        self.posted = []
        self.loop_notified = False
        self.unlock()
        for exchange in posted:
            try:
                exchange.collect()
            except Exception:
                abort_exchange(exchange)

    cdef int resume_writer(self, WsgiExchange exchange) except -1:
        PyThread_release_lock(exchange.calling_thread.writable_semaphore)
        return 0

    cdef int wait_until_writable(self, WsgiExchange exchange) except -1:
        cdef PyThread_type_lock writable = exchange.calling_thread.writable_semaphore
        cdef bint interrupted, is_pinned = self.pinned_to_main and exchange.calling_thread == self.pinned_thread
        exchange.waits_for_client = True
        self.unlock()
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
        me.ident = PyThread_get_thread_ident()
        me.idle_thread.clock = thread_clock()
        try:
            while reason != EXIT:
                if reason == LEAD or reason == LEAD_IDLE:
                    try:
                        self.lead(me)
                    except BaseException:
                        # A defect of the server. The lead must not be lost with it.
                        log_exception("internal error in a thread")
                        if self.mutex_owner == me.ident:
                            self.unlock()
                        if self.leader == &me.idle_thread and still_leads(&self.watchdog, me.epoch):
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
        cdef WsgiExchange exchange
        cdef uint64_t call
        cdef bint served
        self.lock()
        self.leader = &me.idle_thread
        self.flush_finished()
        self.leader_sleeps = False
        self.watchdog.clock = me.idle_thread.clock
        me.epoch = (self.watchdog.word & ~<uint64_t>3) + CALL_INCREMENT
        atomic_store(&self.watchdog.word, me.epoch)
        while not self.stopping:
            if self.retry_spawn_at and monotonic() >= self.retry_spawn_at:
                self.retry_spawn_at = 0
                self.current_limit = self.max_calls
                self.thread_limit = self.max_calls + 1
            if self.pinned_thread != NULL and self.pinned_thread != &me.idle_thread and self.calls == 0:
                # The one thread that calls applications is idle: it takes the lead again.
                wake_thread(&self.idle_stack, self.pinned_thread, LEAD)
                break
            served = self.poll_once()
            exchange = self.dequeue()
            if exchange is None:
                if not served:
                    self.wait_for_work()
                elif monotonic() - self.flushed_at > GATHER_SECONDS:
                    self.flush_finished()
                continue
            if likely_blocks(exchange.evidence) and self.hand_over_lead():
                self.leader = NULL
                self.make_call(me, exchange)
                return self.run_queued_calls(me)
            if self.idle_stack.top == NULL:
                # The watchdog needs an idle thread that can take the lead.
                self.spawn_thread(NOT_WOKEN)
                if self.calls > self.current_limit:
                    # No thread could be started, so this one has to keep polling.
                    self.requeue(exchange)
                    continue
            call = begin_call(&self.watchdog)
            me.epoch = call - IN_CALL
            self.make_call(me, exchange)
            if not end_call(&self.watchdog, call):
                return self.run_queued_calls(me)
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
        cdef WsgiExchange exchange
        cdef bint blocked = True
        while not self.stopping:
            exchange = self.dequeue()
            if exchange is None:
                # The GIL is held, and was expensive to acquire. While calls block, further requests have often
                # arrived already. This thread takes them, and the leader need not wake.
                if (
                    blocked and self.leader_sleeps and not self.shared and self.calls < self.current_limit
                    and self.poller.peek()
                ):
                    continue
                break
            blocked = likely_blocks(exchange.evidence)
            if self.first_queued is not None and self.calls < self.current_limit:
                self.wake_leader()
            self.make_call(me, exchange)
        return self.unlock()

    cdef int make_call(self, PoolThread me, WsgiExchange exchange) except -1:
        """Calls the application for one exchange. The mutex is held before and after, and released during the call."""
        cdef bint measured = should_measure(exchange.evidence)
        cdef double computed = seconds_of(me.idle_thread.clock) if measured else 0, duration, blocked = -1
        cdef long switches = voluntary_switches() if measured else 0
        exchange.calling_thread = &me.idle_thread
        me.exchange = exchange
        me.call_started = monotonic()
        if self.leader == &me.idle_thread and (measured or me.call_started - self.flushed_at > GATHER_SECONDS):
            self.flush_finished()
        self.unlock()
        pause()
        try:
            exchange.call_application()
        except BaseException:
            log_exception("internal error in a call of the application")
            exchange.failed = not exchange.body_over
        pause()
        self.lock()
        duration = monotonic() - me.call_started
        if measured:
            # A thread without a voluntary context switch never waited: other processes kept it from computing, if any.
            blocked = 0
            if voluntary_switches() != switches:
                blocked = duration - (seconds_of(me.idle_thread.clock) - computed)
        learn(exchange.evidence, duration, blocked)
        me.exchange = None
        self.calls -= 1  # Before the rest, as a signal handler of the application can raise in any Python code.
        exchange.put_last_piece()
        exchange.out_returned = True
        self.notify_outbox(exchange)
        return 0

    cdef WsgiExchange dequeue(self):
        """Takes the next request from the queue and counts its call. None if it is empty or the limit is reached."""
        cdef WsgiExchange exchange
        while self.first_queued is not None and self.calls < self.current_limit:
            exchange = self.first_queued
            self.first_queued = exchange.next
            exchange.next = None
            if self.first_queued is None:
                self.last_queued = None
            if exchange.disconnected:
                # The client disconnected while its request was queued.
                exchange.out_returned = True
                self.notify_outbox(exchange)
                continue
            self.calls += 1
            exchange.dequeued = True
            return exchange
        return None

    cdef int requeue(self, WsgiExchange exchange) except -1:
        exchange.dequeued = False
        exchange.next = self.first_queued
        self.first_queued = exchange
        if self.last_queued is None:
            self.last_queued = exchange
        self.calls -= 1
        return 0

    cdef bint poll_once(self) except -1:
        """Serves one event, if there is one. Returns whether there was one. The mutex is held."""
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
        if self.first_queued is not None and self.calls < self.current_limit:
            return 0
        if self.signals_pending and self.leader == self.pinned_thread:
            return self.run_signal_handlers(False)
        self.leader_sleeps = True
        self.unlock()
        pause()
        with nogil:
            events = self.block_until_work()
        self.lock()
        self.leader_sleeps = False
        if events == 0:
            self.signals_pending = self.pinned_to_main
        return 0

    cdef int run_signal_handlers(self, bint in_call) except -1:
        """Runs Python's signal handlers in the main thread. The mutex is held before and after, and released meanwhile.

        in_call: the application is being called, and gets the exceptions of handlers.
        """
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
        self.leader_sleeps = self.first_queued is None and (self.shared or self.poller.pending() == 0)
        if wake_top(&self.idle_stack, LEAD_IDLE if self.leader_sleeps else LEAD):
            return True
        self.leader_sleeps = False
        return self.spawn_thread(LEAD)

    cdef bint spawn_thread(self, WakeReason reason) except -1:
        """Starts a thread, unless there are enough. Returns whether it was started. The mutex is held."""
        cdef PoolThread member
        # With calls + 2 threads, one that makes no call and does not lead is about to park, or to start.
        if len(self.pool_threads) >= min(self.thread_limit, self.calls + 2):
            return False
        member = PoolThread()
        member.thread = threading.Thread(
            target=self.run, args=(member, <int>reason), name=f"ianus-wsgi-{self.spawned}", daemon=True
        )
        try:
            member.thread.start()
        except RuntimeError as error:
            self.thread_limit = len(self.pool_threads)
            # One of the threads has to poll.
            self.current_limit = max(self.thread_limit - 1, 1)
            self.retry_spawn_at = monotonic() + RETRY_SPAWN_SECONDS
            # Without any thread the start of the worker fails, and that failure is logged.
            if self.pool_threads and (
                not self.spawn_failure_logged_at
                or monotonic() >= self.spawn_failure_logged_at + SPAWN_FAILURE_LOG_SECONDS
            ):
                self.spawn_failure_logged_at = monotonic()
                logger.error(
                    "cannot start another thread (%s); maximum concurrent WSGI calls: %d",
                    error, self.current_limit,
                )
            return False
        self.spawned += 1
        self.pool_threads.append(member)
        return True

    cdef int on_thread_exit(self, PoolThread me) except -1:
        cdef bint last
        self.lock()
        self.pool_threads.remove(me)
        if self.stopping and me.thread is not None:
            self.exiting.append(me.thread)
        last = self.stopping and not self.pool_threads
        self.unlock()
        if last:
            with nogil:
                stop_watchdog(&self.watchdog)
            self.on_all_exited()
        return 0


cdef int log_exception(str what) noexcept:
    """Logs the exception that is being handled."""
    logger.exception(what)
    return 0


cdef int abort_exchange(WsgiExchange exchange) noexcept:
    log_exception("internal error; connection closed")
    try:
        exchange.abort_response()
    except BaseException:
        log_exception("internal error while closing a connection")
    return 0
