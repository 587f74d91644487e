"""The pulse.

Facts: a process whose loop is blocked, or whose Python's lock is held by C code, cannot tell of it; nor does a
process whose parent was killed hear of that. Strategy: a thread that needs neither the loop nor the lock.

Rules:
- The thread touches no Python object. What it is to know is in a struct, under a mutex that is held for moments.
- One look is a function of the struct and the time (look), which says when the next one is due; the thread does
  nothing but sleep between two. So an idle process is not woken for what cannot have happened.
- It handles no signals: those are the main thread's.

Compiled because it runs without the interpreter.
"""
import os
import weakref

from libc.errno cimport errno
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free

from ianus.telemetry.clock cimport monotonic


cdef extern from * nogil:
    struct pollfd:
        int fd
        short events
        short revents
    ctypedef struct sigset_t:
        pass
    int c_poll "poll"(pollfd* fds, unsigned long count, int milliseconds)
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
    int pthread_mutex_init(pthread_mutex_t* mutex, void* attributes)
    int pthread_mutex_destroy(pthread_mutex_t* mutex)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)
    enum:
        EFD_CLOEXEC, EFD_NONBLOCK
        POLLIN, POLLHUP
        SIGTERM, SIGQUIT, SIGKILL
        SIG_SETMASK
    double INFINITY


cdef double QUICK = 10.0        # seconds that a process has to obey QUIT
cdef double LONGEST = 3600.0    # seconds between two looks; poll() counts milliseconds in an int


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
        # Rounded up: who looks too early looks twice.
        c_poll(fds, 2, <int>(min(due - now, LONGEST) * 1000 + 1) if due < INFINITY else -1)
        c_read(watch.control, &number, sizeof(number))


cdef double look(Watch* watch, double now) noexcept nogil:
    """Acts on what there is to see now; returns when to look again at the latest. The lock is held."""
    return look_after_supervisor(watch, now)


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


cdef bint has_hung_up(int fd) noexcept nogil:
    """Whether nobody holds the other end of a pipe."""
    cdef pollfd one
    one.fd = fd
    one.events = 0
    return c_poll(&one, 1, 0) > 0 and (one.revents & POLLHUP) != 0


cdef void notify(int control) noexcept nogil:
    cdef uint64_t one = 1
    c_write(control, &one, sizeof(one))
