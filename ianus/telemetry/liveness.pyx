"""The pulse.

Facts: a process whose loop is blocked, or whose Python's lock is held by C code, cannot tell of it; nor does a
process whose parent was killed hear of that. Strategy: a thread that needs neither the loop nor the lock.

Rules:
- The thread touches no Python object. What it is to know is in a struct, under a mutex that is held for moments.
- One look is a function of the struct and the time (look), which says when the next one is due; the thread does
  nothing but sleep between two. So an idle process is not woken for what cannot have happened.
- It handles no signals: those are the main thread's.
- Only time counts that it has watched. When it was not run itself, because the whole process was stopped or the machine
  slept, judging begins anew.

Compiled because it runs without the interpreter.
"""
import os
import weakref

from libc.errno cimport errno
from libc.stdint cimport uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from posix.time cimport timespec

from ianus.runtime.clock cimport monotonic
from ianus.telemetry.in_flight cimport Shared
from ianus.runtime.atomics cimport load_acquire
from ianus.runtime.waker cimport Waker


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


cdef double QUICK = 10.0        # seconds that a process has to obey QUIT
cdef int BEATS = 3              # heartbeats, and looks, within the time behind which a process counts as dead
cdef double BRIEFEST = 0.005    # seconds between two pings
cdef double LATE = 0.25         # seconds that this thread may be late at most for what it sees to count


cdef class Pulse:
    """Watches over this process, from run() to close().

    lifeline: the read end of a pipe that the supervisor holds as long as it lives, -1 for none. At its end this process
    gets TERM, `grace` seconds later QUIT (0: never), and soon after that KILL. The caller closes it behind close().

    Raises OSError when the system gives no eventfd.
    """

    def __cinit__(self):
        self.watch = <Watch*>calloc(1, sizeof(Watch))
        if self.watch == NULL:
            raise MemoryError
        pthread_mutex_init(&self.watch.lock, NULL)
        self.watch.lifeline = self.watch.control = -1
        self.watch.planned = INFINITY

    def __init__(self, int lifeline=-1, *, double grace=0):
        self.watch.control = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.watch.control < 0:
            raise OSError(errno, os.strerror(errno))
        self.watch.lifeline = lifeline
        self.watch.grace = grace
        # fork() in an application is normal (multiprocessing); the child has no such thread.
        reference = weakref.ref(self)

        def forget() -> None:
            pulse = reference()
            if pulse is not None:
                pulse.forget_in_child()

        os.register_at_fork(after_in_child=forget)

    def __dealloc__(self):
        if self.watch != NULL:
            self.end()
            if self.watch.control >= 0:
                c_close(self.watch.control)
            pthread_mutex_destroy(&self.watch.lock)
            free(self.watch)

    def run(self) -> None:
        """Starts the thread. Raises RuntimeError when the system gives none."""
        cdef sigset_t every, before
        cdef int failed
        sigfillset(&every)
        pthread_sigmask(SIG_SETMASK, &every, &before)
        failed = pthread_create(&self.thread, NULL, run_thread, self.watch)
        pthread_sigmask(SIG_SETMASK, &before, NULL)
        if failed:
            raise RuntimeError("the system gives no thread to watch over the process")
        self.running = True

    def judge(
        self, Waker waker not None, *, Shared shared=None, double timeout=0, int channel=-1, bytes complaint=b"",
        double limit=0, unsigned long thread=0, int signal=0, int alarm=-1,
    ) -> None:
        """Pings the waker, until that is closed, and judges by how soon notice is taken. Once in a life.

        shared: where to let a heart beat, three times in `timeout` seconds.
        timeout: seconds behind which `complaint` and their number are written to the pipe `channel`; 0: never.
        limit: seconds behind which the thread (threading.get_ident()) gets the signal, and the eventfd `alarm` is
        written to; 0: never. Either is done once for each ping.
        """
        waker.watched = True
        self.waker = waker
        self.shared = shared
        pthread_mutex_lock(&self.watch.lock)
        self.watch.heartbeat = NULL if shared is None else &shared.memory.header.heartbeat
        self.watch.waker = waker.fd
        self.watch.served = &waker.served
        self.watch.closed = &waker.closed
        self.watch.interval = INFINITY
        if timeout:
            self.watch.interval = timeout / BEATS
        if limit:
            self.watch.interval = min(self.watch.interval, max(limit / 2, BRIEFEST))
        self.watch.timeout = timeout
        self.watch.channel = channel
        snprintf(self.watch.complaint, COMPLAINT, b"%s", <const char*>complaint)
        self.watch.limit = limit
        self.watch.thread = thread
        self.watch.signal = signal
        self.watch.alarm = alarm
        pthread_mutex_unlock(&self.watch.lock)
        notify(self.watch.control)

    def rest(self) -> None:
        """Nothing is judged any more. The heart beats on."""
        if self.watch != NULL:
            pthread_mutex_lock(&self.watch.lock)
            self.watch.served = NULL
            pthread_mutex_unlock(&self.watch.lock)

    def caught_since(self) -> float:
        """When the ping was sent that the alarm was about, in CLOCK_MONOTONIC seconds."""
        cdef double since
        pthread_mutex_lock(&self.watch.lock)
        since = self.watch.caught_since
        pthread_mutex_unlock(&self.watch.lock)
        return since

    def look(self, double now) -> float:
        """What the thread does each time: looks, acts, and says when to look again at the latest; for tests."""
        cdef double due
        pthread_mutex_lock(&self.watch.lock)
        due = look(self.watch, now)
        pthread_mutex_unlock(&self.watch.lock)
        return due

    def close(self) -> None:
        """Ends the thread, which takes a moment. It may be called twice."""
        if self.watch != NULL:
            self.end()

    cdef void end(self) noexcept:
        if self.running:
            pthread_mutex_lock(&self.watch.lock)
            self.watch.stopping = True
            pthread_mutex_unlock(&self.watch.lock)
            notify(self.watch.control)
            pthread_join(self.thread, NULL)
            self.running = False

    def forget_in_child(self) -> None:
        """After fork(), in the child."""
        if self.watch != NULL:
            # The thread may have held the mutex: nobody can ever use or free it here.
            c_close(self.watch.control)
            self.watch = NULL
            self.running = False


cdef void* run_thread(void* argument) noexcept nogil:
    cdef Watch* watch = <Watch*>argument
    cdef pollfd[2] fds
    cdef bint stopping
    cdef double due, now
    cdef timespec left
    cdef uint64_t number
    fds[0].events = fds[1].events = POLLIN
    while True:
        pthread_mutex_lock(&watch.lock)
        stopping = watch.stopping
        now = monotonic()
        due = look(watch, now)
        fds[0].fd = watch.control
        fds[1].fd = watch.lifeline
        pthread_mutex_unlock(&watch.lock)
        if stopping:
            return NULL
        if due < INFINITY:
            due = max(due - now, 0)
            left.tv_sec = <long>due
            left.tv_nsec = <long>((due - left.tv_sec) * 1e9)
        ppoll(fds, 2, &left if due < INFINITY else NULL, NULL)
        c_read(watch.control, &number, sizeof(number))


cdef double look(Watch* watch, double now) noexcept nogil:
    """Acts on what there is to see now; returns when to look again at the latest. The lock is held."""
    return min(min(look_after_supervisor(watch, now), beat(watch, now)), judge(watch, now))


cdef double look_after_supervisor(Watch* watch, double now) noexcept nogil:
    if watch.lifeline >= 0 and has_hung_up(watch.lifeline):
        watch.lifeline = -1
        watch.urgent = SIGTERM
        watch.urgent_at = now
    if watch.urgent == 0:
        return INFINITY
    if now >= watch.urgent_at:
        kill(getpid(), watch.urgent)
        if watch.urgent == SIGTERM and watch.grace:
            watch.urgent = SIGQUIT
            watch.urgent_at = now + watch.grace
        elif watch.urgent == SIGQUIT:
            watch.urgent = SIGKILL
            watch.urgent_at = now + QUICK
        else:
            watch.urgent = 0
            return INFINITY
    return watch.urgent_at


cdef double beat(Watch* watch, double now) noexcept nogil:
    if watch.heartbeat == NULL:
        return INFINITY
    if now >= watch.beats_at:
        watch.heartbeat[0] = now
        watch.beats_at = now + watch.timeout / BEATS if watch.timeout else INFINITY
    return watch.beats_at


cdef double judge(Watch* watch, double now) noexcept nogil:
    """A ping is out nearly always. Who answers it is asked again an interval later."""
    cdef double due
    if watch.served == NULL or load_acquire(watch.closed):
        return INFINITY
    if now > watch.planned + min(watch.interval / 4, LATE):
        watch.pinged_at = now
    if watch.unanswered and load_acquire(watch.served) != watch.served_before:
        watch.unanswered = False
    if not watch.unanswered and now >= watch.pinged_at + watch.interval:
        watch.unanswered = True
        watch.told = watch.caught = False
        watch.served_before = load_acquire(watch.served)
        watch.pinged_at = now
        notify(watch.waker)
    due = watch.pinged_at + watch.interval
    if due <= now:
        due = now + watch.interval
    if watch.unanswered:
        due = min(due, catch(watch, now))
        due = min(due, tell(watch, now))
    watch.planned = due
    return due


cdef double catch(Watch* watch, double now) noexcept nogil:
    """Asks for the stack of a thread that has been at something for too long."""
    if not watch.limit or watch.caught:
        return INFINITY
    if now >= watch.pinged_at + watch.limit:
        watch.caught = True
        watch.caught_since = watch.pinged_at
        # In this order: the thread has written its stack before it can hear of the alarm.
        pthread_kill(watch.thread, watch.signal)
        notify(watch.alarm)
        return INFINITY
    return watch.pinged_at + watch.limit


cdef double tell(Watch* watch, double now) noexcept nogil:
    """Tells the supervisor that nothing will ever answer."""
    cdef char[COMPLAINT + 32] line
    cdef int size
    if not watch.timeout or watch.told:
        return INFINITY
    if now >= watch.pinged_at + watch.timeout:
        watch.told = True
        size = snprintf(line, sizeof(line), b"%s for %.0f s\n", watch.complaint, now - watch.pinged_at)
        if is_ready(watch.channel, POLLOUT):
            c_write(watch.channel, line, size)
        return INFINITY
    return watch.pinged_at + watch.timeout


cdef bint has_hung_up(int fd) noexcept nogil:
    """Whether nobody holds the other end of a pipe."""
    return is_ready(fd, POLLHUP)


cdef bint is_ready(int fd, short event) noexcept nogil:
    cdef pollfd one
    one.fd = fd
    one.events = event
    return c_poll(&one, 1, 0) > 0 and (one.revents & event) != 0


cdef void notify(int fd) noexcept nogil:
    cdef uint64_t one = 1
    c_write(fd, &one, sizeof(one))
