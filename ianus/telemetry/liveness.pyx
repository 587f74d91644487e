"""The liveness thread of a worker.

Facts: a process cannot report that its loop is blocked, or that C code holds the GIL. It is not notified either when
its parent is killed. Strategy: a thread that needs neither the loop nor the GIL.

Rules:
- The thread touches no Python object. Its data are in a struct, under a mutex that is held for moments.
- tick() is a function of the struct and the time, and returns when the next tick is due. Between two ticks the thread
  only sleeps, so an idle process is not woken without need.
- It handles no signals: those are the main thread's.
- Only time that it has watched counts. When the whole process was stopped or the machine slept, the thread did not run
  either, and the time of a ping is counted from zero again.

Compiled because it runs without the interpreter.
"""
import os
import weakref

from libc.errno cimport errno
from libc.stdint cimport uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from posix.time cimport timespec

from ianus.runtime.atomics cimport load_acquire
from ianus.runtime.clock cimport monotonic
from ianus.runtime.mapped_memory cimport MappedMemory
from ianus.runtime.waker cimport Waker
from ianus.telemetry.in_flight cimport scoreboard_in

from ianus.errors import ThreadLimitError


cdef extern from * nogil:
    struct pollfd:
        int fd
        short events
        short revents
    ctypedef struct sigset_t:
        pass
    int c_poll "poll"(pollfd* fds, unsigned long count, int milliseconds)
    int ppoll(pollfd* fds, unsigned long count, const timespec* time, const sigset_t* signals)
    ssize_t c_read "read"(int fd, void* data, size_t size)
    ssize_t c_write "write"(int fd, const void* data, size_t size)
    int c_close "close"(int fd)
    int eventfd(unsigned int value, int flags)
    int getpid()
    int kill(int pid, int number)
    int sigfillset(sigset_t* signals)
    int pthread_sigmask(int how, const sigset_t* signals, sigset_t* before)
    int pthread_create(pthread_t* thread, void* attributes, void* (*function)(void*) noexcept nogil, void* argument)
    int pthread_join(pthread_t thread, void** result)
    int pthread_kill(pthread_t thread, int number)
    int pthread_mutex_init(pthread_mutex_t* mutex, void* attributes)
    int pthread_mutex_destroy(pthread_mutex_t* mutex)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)
    enum:
        EFD_CLOEXEC, EFD_NONBLOCK
        POLLIN, POLLOUT, POLLHUP
        SIGTERM, SIGQUIT, SIGKILL
        SIG_SETMASK
    double INFINITY


cdef int HEARTBEATS_PER_TIMEOUT = 3  # heartbeats, and pings, in each `timeout` seconds
cdef double MIN_PING_SECONDS = 0.005  # seconds between two pings
cdef double MAX_LATE_SECONDS = 0.25  # a tick that is later than this restarts the count of a ping


cdef class LivenessThread:
    """Watches over this process, from run() to close().

    lifeline: the read end of a pipe whose write end the supervisor holds while it lives, -1 for none. When the pipe
    ends, this process gets SIGTERM, and SIGQUIT and SIGKILL the given seconds after it (infinite: never). The caller
    closes `lifeline` after close().

    Raises OSError if the kernel provides no eventfd.
    """

    def __cinit__(self):
        # Not a part of this object: in a forked child it is leaked, while the object is freed.
        self.state = <LivenessState*>calloc(1, sizeof(LivenessState))
        if self.state == NULL:
            raise MemoryError
        # Before __init__(), which may raise: __dealloc__() destroys it in any case.
        pthread_mutex_init(&self.state.lock, NULL)
        self.state.lifeline = self.state.control = -1
        self.state.next_tick_at = INFINITY

    def __init__(self, int lifeline=-1, *, double quit_after=0, double kill_after=0):
        self.state.control = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.state.control < 0:
            raise OSError(errno, os.strerror(errno))
        # Borrowed: the caller closes it after close().
        self.state.lifeline = lifeline
        self.state.quit_after = quit_after
        self.state.kill_after = kill_after
        # fork() in an application is normal (multiprocessing); the child has no such thread.
        # Handlers of register_at_fork() are never removed.
        reference = weakref.ref(self)

        def reset_in_child() -> None:
            thread = reference()
            if thread is not None:
                thread.discard_in_child()

        os.register_at_fork(after_in_child=reset_in_child)

    def __dealloc__(self):
        if self.state != NULL:
            # The thread uses the struct, so it must have ended before that is freed.
            self.stop_thread()
            if self.state.control >= 0:
                c_close(self.state.control)
            pthread_mutex_destroy(&self.state.lock)
            free(self.state)

    def start(self) -> None:
        """Starts the thread. Raises ThreadLimitError if the system gives none."""
        cdef sigset_t every, before
        cdef int failed
        # The thread inherits the mask of its creator. With all signals blocked, the kernel delivers none to it.
        sigfillset(&every)
        pthread_sigmask(SIG_SETMASK, &every, &before)
        failed = pthread_create(&self.thread, NULL, run_thread, self.state)
        # Restored also if no thread was started
        pthread_sigmask(SIG_SETMASK, &before, NULL)
        if failed:
            raise ThreadLimitError("needed to monitor this process")
        # From here on it must be joined.
        self.running = True

    def start_monitoring(
        self, Waker waker not None, *, double timeout, MappedMemory shared=None, int channel=-1, bytes report=b"",
        double limit=0, unsigned long thread=0, int signal=0, int alarm=-1,
    ) -> None:
        """Starts to ping the waker of the reactor, and to measure how soon the reactor takes notice. Called once.

        shared: memory that a heartbeat is written to, three times in `timeout` seconds.
        timeout: seconds after which an unanswered ping is reported to the supervisor: `report` and the number of
        seconds are written to the pipe `channel`; 0: never.
        limit: seconds after which `thread` (threading.get_ident()) gets the signal, and the eventfd `alarm` is
        written to; 0: never. Both are done at most once for each ping. Pings end when the waker is closed.
        """
        cdef double* heartbeat = NULL
        # First: the waker keeps its descriptor open from here on, even if it is closed.
        waker.watched = True
        # Both are owned, since the struct has pointers into them.
        self.waker = waker
        self.shared = shared
        if shared is not None:
            heartbeat = &scoreboard_in(shared).header.heartbeat
            # Not left to the thread: a process that stops before its first heartbeat would never be missed.
            heartbeat[0] = monotonic()
        pthread_mutex_lock(&self.state.lock)
        self.state.heartbeat = heartbeat
        self.state.waker = waker.fd
        self.state.served = &waker.served
        self.state.closed = &waker.closed
        # The shortest of the intervals that are needed
        self.state.ping_interval = INFINITY
        if timeout:
            self.state.ping_interval = timeout / HEARTBEATS_PER_TIMEOUT
        if limit:
            self.state.ping_interval = min(self.state.ping_interval, max(limit / 2, MIN_PING_SECONDS))
        self.state.timeout = timeout
        self.state.channel = channel
        # A copy: the thread must not use a Python object.
        snprintf(self.state.report, REPORT_BYTES, b"%s", <const char*>report)
        self.state.limit = limit
        self.state.thread = thread
        self.state.signal = signal
        self.state.alarm = alarm
        pthread_mutex_unlock(&self.state.lock)
        # The thread may be asleep without limit. It must learn of the new times.
        notify(self.state.control)

    def stop_monitoring(self) -> None:
        """Stops the pings. Heartbeats continue, and so does the check of the supervisor."""
        if self.state != NULL:
            pthread_mutex_lock(&self.state.lock)
            # check_reactor() does nothing without it. The other fields may stay.
            self.state.served = NULL
            pthread_mutex_unlock(&self.state.lock)

    def loop_blocked_since(self) -> float:
        """Returns when the ping was sent that the alarm was raised for, in CLOCK_MONOTONIC seconds."""
        cdef double since
        pthread_mutex_lock(&self.state.lock)
        since = self.state.loop_blocked_since
        pthread_mutex_unlock(&self.state.lock)
        return since

    def tick(self, double now) -> float:
        """Runs one tick of the thread at the time `now`, and returns when the next one is due; for tests."""
        cdef double due
        pthread_mutex_lock(&self.state.lock)
        due = tick(self.state, now)
        pthread_mutex_unlock(&self.state.lock)
        return due

    def close(self) -> None:
        """Stops the thread and waits for its end. It may be called twice."""
        if self.state != NULL:
            self.stop_thread()

    cdef void stop_thread(self) noexcept:
        if self.running:
            pthread_mutex_lock(&self.state.lock)
            self.state.stopping = True
            pthread_mutex_unlock(&self.state.lock)
            # After `stopping` is set, and without the mutex, which the thread needs to see it.
            notify(self.state.control)
            # It never waits for the GIL, so this may be called with it.
            pthread_join(self.thread, NULL)
            self.running = False

    def discard_in_child(self) -> None:
        """Drops the state after fork(), in the child, which has no such thread."""
        if self.state != NULL:
            # The thread may have held the mutex at the fork, so it can be neither locked nor destroyed here.
            # Only the child's copy of the descriptor is closed, and the struct is leaked.
            c_close(self.state.control)
            self.state = NULL
            self.running = False


cdef void* run_thread(void* argument) noexcept nogil:
    cdef LivenessState* state = <LivenessState*>argument
    cdef pollfd[2] fds
    cdef bint stopping
    cdef double due, now
    cdef timespec left
    cdef uint64_t number
    fds[0].events = fds[1].events = POLLIN
    while True:
        # Held during the checks, which only make calls that do not block.
        pthread_mutex_lock(&state.lock)
        stopping = state.stopping
        now = monotonic()
        due = tick(state, now)
        # Read with the mutex; poll() below works with these copies.
        fds[0].fd = state.control
        # -1 once it has ended: poll() ignores such an entry, and would otherwise return at once for ever.
        fds[1].fd = state.lifeline
        pthread_mutex_unlock(&state.lock)
        if stopping:
            return NULL
        if due < INFINITY:
            # A time that has passed is a wait of 0, not a negative one.
            due = max(due - now, 0)
            left.tv_sec = <long>due
            left.tv_nsec = <long>((due - left.tv_sec) * 1e9)
        # Without the mutex: other threads may change the state while this one sleeps.
        ppoll(fds, 2, &left if due < INFINITY else NULL, NULL)
        # Non-blocking: it may not have been written to.
        c_read(state.control, &number, sizeof(number))


cdef double tick(LivenessState* state, double now) noexcept nogil:
    """Runs all checks at the time `now`, and returns when the next tick is due. The lock is held."""
    return min(min(check_supervisor(state, now), write_heartbeat(state, now)), check_reactor(state, now))


cdef double check_supervisor(LivenessState* state, double now) noexcept nogil:
    if state.lifeline >= 0 and has_hung_up(state.lifeline):
        # Handled once. The descriptor is the caller's to close.
        state.lifeline = -1
        state.next_signal = SIGTERM
        state.next_signal_at = now
    if state.next_signal == 0:
        return INFINITY
    if now >= state.next_signal_at:
        # To the process: signals are blocked in this thread, and the main thread handles them.
        kill(getpid(), state.next_signal)
        # As a supervisor would escalate, which is not there to do it.
        if state.next_signal == SIGTERM:
            state.next_signal = SIGQUIT
            state.next_signal_at = now + state.quit_after
        elif state.next_signal == SIGQUIT:
            state.next_signal = SIGKILL
            state.next_signal_at = now + max(state.kill_after - state.quit_after, 0)
        else:
            state.next_signal = 0
            return INFINITY
    return state.next_signal_at


cdef double write_heartbeat(LivenessState* state, double now) noexcept nogil:
    if state.heartbeat == NULL:
        return INFINITY
    if now >= state.next_heartbeat_at:
        # An aligned double, which the supervisor reads in another process.
        state.heartbeat[0] = now
        state.next_heartbeat_at = now + state.timeout / HEARTBEATS_PER_TIMEOUT if state.timeout else INFINITY
    return state.next_heartbeat_at


cdef double check_reactor(LivenessState* state, double now) noexcept nogil:
    """Sends and checks pings. An answered ping is followed by the next one an interval later."""
    cdef double due
    # closed: no thread polls any more, so no answer can be expected.
    if state.served == NULL or load_acquire(state.closed):
        return INFINITY
    if now > state.next_tick_at + min(state.ping_interval / 4, MAX_LATE_SECONDS):
        # This thread did not run, so the time since the ping is not the reactor's fault.
        state.pinged_at = now
    # Any event that was dispatched counts as an answer: a busy reactor need not reach the ping.
    if state.unanswered and load_acquire(state.served) != state.served_before:
        state.unanswered = False
    if not state.unanswered and now >= state.pinged_at + state.ping_interval:
        state.unanswered = True
        state.reported = state.loop_blocked = False
        # Before the ping is sent, or its answer could be missed.
        state.served_before = load_acquire(state.served)
        state.pinged_at = now
        notify(state.waker)
    due = state.pinged_at + state.ping_interval
    # A ping that is not answered yet
    if due <= now:
        due = now + state.ping_interval
    if state.unanswered:
        due = min(due, report_block(state, now))
        due = min(due, report_unresponsive(state, now))
    state.next_tick_at = due
    return due


cdef double report_block(LivenessState* state, double now) noexcept nogil:
    """Asks for the stack of a thread that has blocked the loop for longer than the limit."""
    if not state.limit or state.loop_blocked:
        return INFINITY
    if now >= state.pinged_at + state.limit:
        state.loop_blocked = True
        state.loop_blocked_since = state.pinged_at
        # In this order: the thread has written its stack before it can hear of the alarm.
        pthread_kill(state.thread, state.signal)
        notify(state.alarm)
        return INFINITY
    return state.pinged_at + state.limit


cdef double report_unresponsive(LivenessState* state, double now) noexcept nogil:
    """Reports an unanswered ping to the supervisor, as the worker is stuck."""
    cdef char[REPORT_BYTES + 32] line
    cdef int size
    if not state.timeout or state.reported:
        return INFINITY
    if now >= state.pinged_at + state.timeout:
        state.reported = True
        size = snprintf(line, sizeof(line), b"%s for %.0f s\n", state.report, now - state.pinged_at)
        if is_ready(state.channel, POLLOUT):
            # One short write to a pipe is atomic, and it does not block after the check above.
            c_write(state.channel, line, size)
        return INFINITY
    return state.pinged_at + state.timeout


cdef bint has_hung_up(int fd) noexcept nogil:
    """Whether the other end of a pipe is closed in all processes."""
    return is_ready(fd, POLLHUP)


cdef bint is_ready(int fd, short event) noexcept nogil:
    cdef pollfd one
    one.fd = fd
    one.events = event
    return c_poll(&one, 1, 0) > 0 and (one.revents & event) != 0


cdef void notify(int fd) noexcept nogil:
    cdef uint64_t one = 1
    c_write(fd, &one, sizeof(one))
