"""Fakes for the neighbours of the thread pool, and the compiled functions of its parts that tests call."""
import threading

from libc.stdint cimport uint64_t
from libc.string cimport memset

from ianus.codec.base cimport Request
from ianus.exchange.base cimport Poller
from ianus.gateway.threads.call_queue cimport CallQueue, has_ready_call, put_back, put_call, take_call
from ianus.gateway.threads.executor cimport Executor
from ianus.gateway.threads.idle_stack cimport (
    EXIT, LEAD, LEAD_IDLE, NOT_WOKEN, RUN_SIGNAL_HANDLERS, IdleStack, IdleThread, WakeReason, close_idle_stack, park,
    wake_for_signals, wake_thread, wake_top,
)
from ianus.gateway.threads.pool_call cimport PoolCall
from ianus.gateway.threads.pool_thread cimport PoolThread
from ianus.gateway.threads.predictor cimport Evidence, Predictor, learn, likely_blocks, should_measure
from ianus.gateway.threads.thread_api cimport (
    NOWAIT_LOCK, WAIT_LOCK, PyThread_acquire_lock, PyThread_release_lock, PyThread_type_lock, free_lock, new_lock,
    new_semaphore,
)
from ianus.gateway.threads.thread_spawner cimport ThreadSpawner
from ianus.gateway.threads.watchdog cimport (
    DEPOSED, IN_CALL, POLLING, WatchedCall, Watchdog, start_call, end_call, watch_call,
)


cdef dict REASONS = {
    NOT_WOKEN: "NOT_WOKEN", LEAD: "LEAD", LEAD_IDLE: "LEAD_IDLE", EXIT: "EXIT",
    RUN_SIGNAL_HANDLERS: "RUN_SIGNAL_HANDLERS",
}
cdef dict STATES = {POLLING: "POLLING", IN_CALL: "IN_CALL", DEPOSED: "DEPOSED"}


cdef WakeReason reason_named(str name) except? NOT_WOKEN:
    for reason, known in REASONS.items():
        if known == name:
            return <WakeReason><int>reason
    # A misspelt name in a test must not pass as NOT_WOKEN.
    raise ValueError(name)


cdef class RecordingCall(PoolCall):
    """A call that records its treatment by the pool.

    application: called by run(). on_event: called with each event, after it was added to `events`.
    """
    cdef readonly str name
    cdef readonly list events
    cdef object application, on_event
    cdef Evidence own_evidence

    def __init__(self, str name, application, on_event):
        self.name = name
        self.events = []
        self.application = application
        self.on_event = on_event
        # In place of the predictor's table: each call has evidence of its own.
        memset(&self.own_evidence, 0, sizeof(Evidence))
        self.evidence = &self.own_evidence

    def disconnect(self) -> None:
        """Marks the client as disconnected."""
        self.disconnected = True

    def expect_blocking(self) -> None:
        """Teaches the predictor that calls like this one block."""
        # By the true function, so that the test depends on no score.
        learn(self.evidence, 1.0, 1.0)

    cdef int note(self, str event) except -1:
        self.events.append(event)
        # In the pool's thread, with the lock that the pool has at this moment.
        self.on_event(self, event)
        return 0

    cdef int run(self) except -1:
        self.note("run")
        # Exceptions reach the pool, as a defect of the server would.
        self.application()
        return 0

    cdef int fail(self) except -1:
        return self.note("fail")

    cdef int finish(self) except -1:
        return self.note("finish")

    cdef int abandon(self) except -1:
        return self.note("abandon")

    cdef int collect(self) except -1:
        # As an outbox does when its content is taken; otherwise it would not be posted again.
        self.posted = False
        return self.note("collect")

    cdef int discard_output(self) except -1:
        return self.note("discard")

    cdef int abort(self) except -1:
        return self.note("abort")

    cdef str description(self):
        return self.name


cdef class RecordingPoller(Poller):
    """A reactor whose events are functions. woken: set by wake()."""
    cdef readonly object woken
    cdef list events
    # A real semaphore, since sleep() runs without the GIL.
    cdef PyThread_type_lock semaphore   # one release for each wake()

    def __cinit__(self):
        self.semaphore = new_semaphore()

    def __init__(self):
        self.events = []
        self.woken = threading.Event()

    def __dealloc__(self):
        free_lock(self.semaphore)

    def put_event(self, function) -> None:
        """Adds an event, which a leader dispatches by a call of function()."""
        self.events.append(function)
        # Ends sleep(), as a descriptor that becomes readable does.
        PyThread_release_lock(self.semaphore)

    cdef bint dispatch_next(self) except -1:
        if not self.events:
            return False
        # Removed before the call, which may lead to another dispatch.
        self.events.pop(0)()
        return True

    cdef int resume_waiting(self) except -1:
        return 0

    cdef int sleep(self) noexcept nogil:
        # Without a limit: a pool that does not wake its leader shows as a test that hangs.
        PyThread_acquire_lock(self.semaphore, WAIT_LOCK)
        return 1

    cdef int wake(self) noexcept nogil:
        # First the semaphore: the test may look at `woken` when the leader runs already.
        PyThread_release_lock(self.semaphore)
        with gil:
            self.woken.set()
        return 0


cdef class RecordingExecutor(Executor):
    """An executor without threads.

    on_notify: called with a call whose outbox has output. on_wait: called while the application's side would wait for
    the client.
    """
    cdef readonly list submitted
    cdef object on_notify, on_wait
    cdef readonly int resumed       # number of waits that were ended

    def __init__(self, *, on_notify, on_wait):
        self.submitted = []
        self.on_notify = on_notify
        self.on_wait = on_wait

    @property
    def is_locked(self) -> bool:
        """Whether the mutex is held."""
        return self.mutex_owner != 0

    cdef int submit(self, PoolCall call) except -1:
        # Owned here, as the queue would own it.
        self.submitted.append(call)
        return 0

    cdef int notify_outbox(self, PoolCall call) except -1:
        # With the mutex, as the pool calls the outbox.
        self.on_notify(call)
        return 0

    cdef int wait_until_writable(self, PoolCall call) except -1:
        # The same order as the pool's: the mark, then the mutex, then the wait.
        call.waits_for_client = True
        self.unlock()
        try:
            self.on_wait()
        finally:
            self.lock()
        return 0

    cdef int resume_writer(self, PoolCall call) except -1:
        # No thread waits on the semaphore here, so it is only counted.
        self.resumed += 1
        return 0


cdef class RecordingIdleStack:
    """A stack of idle threads, whose threads are PoolThreads."""
    cdef IdleStack idle_stack

    def __cinit__(self):
        # Owned; the struct is a part of this object, and threads have pointers to it while they park.
        self.idle_stack.lock = new_lock()

    def __dealloc__(self):
        free_lock(self.idle_stack.lock)

    def park(self, PoolThread thread not None, *, double max_seconds, bint interruptible=False) -> str:
        """Parks the calling thread. Returns the reason of its end."""
        cdef WakeReason reason
        with nogil:
            # Without the GIL, as in the pool: another thread of the test wakes this one.
            reason = park(&self.idle_stack, &thread.idle_thread, max_seconds, interruptible)
        return REASONS[reason]

    def wake_top(self, str reason) -> bool:
        return wake_top(&self.idle_stack, reason_named(reason))

    def wake(self, PoolThread thread not None, str reason) -> None:
        wake_thread(&self.idle_stack, &thread.idle_thread, reason_named(reason))

    def wake_for_signals(self, PoolThread thread not None) -> None:
        wake_for_signals(&self.idle_stack, &thread.idle_thread)

    def close(self) -> None:
        close_idle_stack(&self.idle_stack)

    @property
    def parked(self) -> int:
        """Number of threads in the stack."""
        cdef IdleThread* thread
        cdef int number = 0
        # Threads park and are woken meanwhile.
        PyThread_acquire_lock(self.idle_stack.lock, WAIT_LOCK)
        thread = self.idle_stack.top
        while thread != NULL:
            number += 1
            thread = thread.below
        PyThread_release_lock(self.idle_stack.lock)
        return number


cdef class RecordingWatchdog:
    """A watchdog without its native thread, whose clocks are arguments. successor: an idle thread exists."""
    cdef Watchdog watchdog
    cdef IdleStack idle_stack
    cdef WatchedCall call
    cdef PoolThread idle    # the successor, or None

    def __cinit__(self, *, bint successor):
        self.idle_stack.lock = new_lock()
        # start_call() releases it if the watchdog sleeps.
        self.watchdog.alarm = new_semaphore()
        # Both are parts of this object, so the pointer stays valid.
        self.watchdog.idle_stack = &self.idle_stack
        if successor:
            self.idle = PoolThread()
            self.idle.idle_thread.is_idle = True
            # Borrowed from `idle`, which this object owns. No thread parks: the entry alone counts for the watchdog.
            self.idle_stack.top = &self.idle.idle_thread

    def __dealloc__(self):
        # No native thread was started that could use them.
        free_lock(self.idle_stack.lock)
        free_lock(self.watchdog.alarm)

    def fall_asleep(self) -> None:
        """Marks the watchdog as waiting for its alarm."""
        # Without an atomic store: the test has one thread.
        self.watchdog.sleeping = 1

    def hears_alarm(self) -> bool:
        """Returns whether the alarm was released, and takes it."""
        return PyThread_acquire_lock(self.watchdog.alarm, NOWAIT_LOCK)

    def start_call(self) -> int:
        return start_call(&self.watchdog)

    def end_call(self, uint64_t call) -> bool:
        return end_call(&self.watchdog, call)

    def look(self, *, double now, double cpu) -> None:
        """Looks at the leader, which is in a call, at the time `now` and with `cpu` seconds of CPU time."""
        # The decision of the native thread, by the clocks of the test.
        watch_call(&self.watchdog, &self.call, self.watchdog.word, now, cpu)

    def set_leader(self, unsigned long thread_id) -> None:
        """Sets the kernel's id of the leader. Without it the leader counts as one that is not runnable."""
        self.watchdog.thread_id = thread_id

    @property
    def state(self) -> str:
        """The state in the leader's word."""
        return STATES[self.watchdog.word & 3]

    @property
    def successor_reason(self) -> str:
        """The reason for which the successor was woken."""
        return REASONS[self.idle.idle_thread.reason]


cdef class RecordingSpawner:
    """A spawner of threads that end at once. started: the reason of each."""
    cdef CallQueue queue
    cdef ThreadSpawner spawner
    cdef readonly list started

    def __init__(self, int max_calls):
        self.queue = CallQueue(max_calls)
        self.spawner = ThreadSpawner(self.queue)
        self.started = []

    def run(self, PoolThread thread not None, int reason) -> None:
        # In the new thread, which ends after it.
        self.started.append(REASONS[reason])

    def spawn(self, str reason, *, int running) -> bool:
        """Starts a thread, unless there are enough for this number of running calls."""
        cdef bint is_started
        self.queue.running = running
        # A real thread is started, so that a limit of the system would be seen.
        is_started = self.spawner.spawn(self, reason_named(reason))
        if is_started:
            (<PoolThread>self.spawner.threads[len(self.spawner.threads) - 1]).thread.join()
        return is_started

    def refuse(self, error, *, double now) -> None:
        """Acts as after a refusal of the system."""
        self.spawner.lower_limit(error, now)

    def restore(self, *, double now) -> None:
        """Restores the limit, if it is time."""
        self.spawner.restore_limit(now)

    @property
    def limit(self) -> int:
        """The current limit of calls."""
        return self.queue.current_limit


def make_call(RecordingExecutor executor not None, PoolCall call not None) -> None:
    """Makes a call, as a thread of the pool does."""
    try:
        call.run()
    except BaseException:
        call.fail()
        raise
    finally:
        executor.lock()
        call.finish()
        call.returned = True
        executor.notify_outbox(call)
        executor.unlock()


def collect(PoolCall call not None) -> None:
    """Takes the output of a call, on the connection's side."""
    call.collect()


def submit(Executor executor not None, PoolCall call not None) -> None:
    """Queues a call, from the connection's side."""
    executor.submit(call)


def queue_operations(CallQueue queue not None, operations) -> list:
    """Runs operations on a queue: a call is put, "take" takes one and counts it, and "back" puts the last one back.

    Returns the names of the calls that were taken, None if none was ready.
    """
    cdef PoolCall call = None
    cdef list taken = []
    for operation in operations:
        if isinstance(operation, PoolCall):
            put_call(queue, operation)
        elif operation == "take":
            call = None
            if has_ready_call(queue):
                call = take_call(queue)
                queue.running += 1
            taken.append(None if call is None else call.description())
        elif operation == "back":
            put_back(queue, call)
        else:
            queue.running -= 1
    return taken


cdef Evidence* evidence_of(Predictor predictor, str method, bytes path) except NULL:
    cdef Request request = Request.__new__(Request)
    request.method = method
    request.raw_path = path
    return predictor.evidence_of(request)


def learn_call(
    Predictor predictor not None, str method, bytes path, *, double duration, double blocked=-1.0
) -> None:
    """Records a call of `duration` seconds, of which it was blocked for `blocked`, -1 if that was not measured."""
    learn(evidence_of(predictor, method, path), duration, blocked)


def is_likely_to_block(Predictor predictor not None, str method, bytes path) -> bool:
    return likely_blocks(evidence_of(predictor, method, path))


def is_to_be_measured(Predictor predictor not None, str method, bytes path) -> bool:
    return should_measure(evidence_of(predictor, method, path))
