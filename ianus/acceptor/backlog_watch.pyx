"""The thread that watches the backlog of a worker.

Facts: a worker that is blocked in a call of its application cannot accept connections, and the kernel still gives it
its share of them. Strategy: a thread that needs neither the event loop nor the GIL accepts them and puts them into the
transfer queue. So other workers, or this one after its call, serve them.

Rules:
- The thread touches no Python object. It uses the struct, and system calls that do not block.
- It sleeps until a connection arrives. Then it looks at the backlog in intervals, until no connection arrives for two
  of them. So an idle worker is not woken, and many connections cause no more looks than a few.
- The worker is blocked if a connection is in the backlog at two looks, and the reactor has dispatched no event
  between them. While it remains blocked, the interval is shorter.
- At a limit of connections or files, a worker accepts none although it dispatches events. Then they do not count.
- It passes on none while the queue is not empty, as other workers do not take them.

Compiled because it runs without the interpreter.
"""
import os

from libc.errno cimport errno
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free

from ianus.acceptor.socket_api cimport SOCK_CLOEXEC, SOCK_NONBLOCK, accept4
from ianus.acceptor.transfers cimport POLLIN, POLLOUT, Transfers, has_peers, is_ready, send_descriptor
from ianus.runtime.atomics cimport atomic_load, atomic_store, load_acquire
from ianus.runtime.waker cimport Waker

from ianus.errors import ThreadLimitError


cdef extern from * nogil:
    ctypedef struct sigset_t:
        pass
    int c_poll "poll"(pollfd* fds, unsigned long count, int milliseconds)
    ssize_t c_write "write"(int fd, const void* data, size_t size)
    int c_close "close"(int fd)
    int eventfd(unsigned int value, int flags)
    int sigfillset(sigset_t* signals)
    int pthread_sigmask(int how, const sigset_t* signals, sigset_t* before)
    int pthread_create(pthread_t* thread, void* attributes, void* (*function)(void*) noexcept nogil, void* argument)
    int pthread_join(pthread_t thread, void** result)
    enum:
        EFD_CLOEXEC, EFD_NONBLOCK
        SIG_SETMASK


cdef enum:
    LOOK_MILLISECONDS = 10          # between two looks
    BLOCKED_MILLISECONDS = 1        # ... once the worker has shown to be blocked
    ALONE_MILLISECONDS = 100        # ... while no other worker serves
    MAX_QUIET_LOOKS = 2
    MAX_PASSED = 64                 # connections in one look


cdef BacklogWatch watch_backlog(
    Transfers transfers, Waker waker, object accepting, const uint64_t* accepted, const uint64_t* paused, list fds
):
    """Returns a watch of these listeners, whose thread is not started. Raises OSError.

    accepted, paused: numbers in the object `accepting`.
    """
    cdef BacklogWatch watch = BacklogWatch.__new__(BacklogWatch)
    cdef BacklogState* state = watch.state
    state.control = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
    if state.control < 0:
        raise OSError(errno, os.strerror(errno))
    # Owned, since the struct has pointers into them.
    watch.transfers = transfers
    watch.waker = waker
    watch.accepting = accepting
    state.writer = transfers.writer
    state.reader = transfers.reader
    state.serving = transfers.serving
    state.served = &waker.served
    state.accepted = accepted
    state.paused = paused
    state.fds[0].fd = state.control
    state.fds[0].events = POLLIN
    for fd in fds[:MAX_WATCHED]:
        state.count += 1
        state.fds[state.count].fd = fd
        state.fds[state.count].events = POLLIN
    return watch


cdef class BacklogWatch:
    def __cinit__(self):
        self.state = <BacklogState*>calloc(1, sizeof(BacklogState))
        if self.state == NULL:
            raise MemoryError
        self.state.control = self.state.held = -1
        self.state.asleep = True

    def __dealloc__(self):
        cdef int held
        if self.state != NULL:
            held = self.stop_thread()
            if held >= 0:
                c_close(held)
            if self.state.control >= 0:
                c_close(self.state.control)
            free(self.state)

    cdef int start_thread(self) except -1:
        cdef sigset_t every, before
        cdef int failed
        # The thread inherits the mask of its creator. With all signals blocked, the kernel delivers none to it.
        sigfillset(&every)
        pthread_sigmask(SIG_SETMASK, &every, &before)
        failed = pthread_create(&self.thread, NULL, run_thread, self.state)
        # Restored also if no thread was started
        pthread_sigmask(SIG_SETMASK, &before, NULL)
        if failed:
            raise ThreadLimitError("needed to pass on connections while this process is blocked")
        self.running = True
        return 0

    cdef int stop_thread(self) noexcept:
        cdef uint64_t one = 1
        cdef int held
        if self.running:
            atomic_store(&self.state.stopping, 1)
            # After `stopping` is set. The thread makes no call that blocks, and needs no GIL.
            c_write(self.state.control, &one, sizeof(one))
            pthread_join(self.thread, NULL)
            self.running = False
        if self.state == NULL:
            return -1
        held = self.state.held
        self.state.held = -1
        return held

    cdef int reset_in_child(self) noexcept:
        # The child has no such thread, and its copy of the struct may be in any state: it is leaked.
        if self.state != NULL:
            c_close(self.state.control)
        self.state = NULL
        self.running = False
        return 0


cdef void* run_thread(void* argument) noexcept nogil:
    # Borrowed from the BacklogWatch, which joins this thread before it frees it.
    cdef BacklogState* state = <BacklogState*>argument
    cdef int milliseconds
    while not atomic_load(&state.stopping):
        milliseconds = look(state)
        # Without the listeners while the time of the next look is fixed: they may be readable.
        c_poll(state.fds, 1 + state.count if milliseconds < 0 else 1, milliseconds)
    return NULL


cdef int look(BacklogState* state) noexcept nogil:
    cdef uint64_t served = load_acquire(state.served), accepted = load_acquire(state.accepted)
    cdef bint readable = has_backlog(state)
    # At a limit it dispatches the events of its connections, but does not read the backlog.
    cdef bint reacts = not state.was_readable or served != state.served_before and not load_acquire(state.paused)
    cdef bint passed = False
    if state.asleep:
        if not readable:
            return -1
        # A connection has just arrived. The reactor was woken by it, too.
        state.asleep = False
        state.quiet_looks = 0
    else:
        if served != state.served_before:
            state.blocked = False
        if state.held >= 0 and send_descriptor(state.writer, state.held) == 0:
            c_close(state.held)
            state.held = -1
        if readable and not reacts:
            passed = pass_on(state)
            if passed:
                state.blocked = True
        # `accepted` changes also if the backlog is empty at each look.
        if readable or accepted != state.accepted_before:
            state.quiet_looks = 0
        else:
            state.quiet_looks += 1
        if state.held < 0 and (state.quiet_looks >= MAX_QUIET_LOOKS or passed and not has_backlog(state)):
            state.asleep = True
    state.was_readable = readable and not state.asleep
    state.served_before = served
    state.accepted_before = accepted
    if state.asleep:
        return -1
    if not has_peers(state.serving):
        return ALONE_MILLISECONDS
    return BLOCKED_MILLISECONDS if state.blocked else LOOK_MILLISECONDS


cdef bint has_backlog(BacklogState* state) noexcept nogil:
    return c_poll(state.fds + 1, state.count, 0) > 0


cdef bint pass_on(BacklogState* state) noexcept nogil:
    """Passes on the connections of the backlog, as far as other workers take them. Returns whether it was any."""
    cdef int index, fd, passed = 0
    # If the queue is not empty, the connections before these are not taken yet.
    if state.held >= 0 or not has_peers(state.serving) or is_ready(state.reader, POLLIN):
        return False
    for index in range(1, state.count + 1):
        # Asked before accept4(): a connection that was accepted cannot go back.
        while passed < MAX_PASSED and is_ready(state.writer, POLLOUT):
            fd = accept4(state.fds[index].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
            if fd < 0:
                break
            if send_descriptor(state.writer, fd) < 0:
                # Another process has filled the queue meanwhile. look() tries it again.
                state.held = fd
                return passed > 0
            passed += 1
            c_close(fd)
    return passed > 0
