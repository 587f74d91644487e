"""Readiness by epoll, the timer by a timerfd, and wake-ups by an eventfd. All other modules know only the base.

An epoll descriptor is itself pollable, and stays readable while it has ready events: so an event loop can watch it.

Compiled because every event passes here: 13 instructions for ASGI hello.
"""
import os

from libc.errno cimport EINTR, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, itimerspec

from ianus.acceptor.poll.base cimport (
    BATCH_EVENTS, BROKEN, HANGUP, PEER_FINISHED, READABLE, TIMER_ID, WAKER_ID, WRITABLE, Poll, PollEvent,
)
from ianus.runtime.waker cimport Waker


cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event* event)
    int epoll_wait(int epoll, epoll_event* events, int max_events, int milliseconds)
    enum:
        EPOLL_CLOEXEC
        EPOLLIN
        EPOLLOUT
        EPOLLRDHUP
        EPOLLERR
        EPOLLHUP
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD
        EPOLL_CTL_DEL

cdef extern from "<sys/timerfd.h>" nogil:
    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec* time, itimerspec* old)
    enum:
        TFD_CLOEXEC
        TFD_NONBLOCK
        TFD_TIMER_ABSTIME

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int fd)
    ssize_t c_read "read"(int fd, void* buffer, size_t size)


cdef class Epoll(Poll):
    """Raises OSError when the system gives no epoll instance, timer or eventfd."""

    def __cinit__(self):
        self.epoll = self.timer = -1

    def __init__(self):
        self.open()
        # Non-blocking: two threads may find the same event, and the second one must not sleep in the read.
        self.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)
        # __dealloc__() closes the epoll instance if only the timer failed.
        if self.timer < 0:
            raise OSError(errno, os.strerror(errno))
        self.waker = Waker()
        # Both are watched for the driver's life, under ids that no connection has.
        self.watch(self.timer, READABLE, TIMER_ID, 0)
        self.watch(self.waker.fd, READABLE, WAKER_ID, 0)

    def __dealloc__(self):
        self.close_fds()

    cdef int open(self) except -1:
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    cdef int close_fds(self) noexcept:
        if self.epoll >= 0:
            # With its last descriptor the set disappears, and all registrations in it. In a fork's child the parent
            # keeps both.
            c_close(self.epoll)
        if self.timer >= 0:
            c_close(self.timer)
        # A number that was closed may belong to another file soon, so it is forgotten here.
        self.epoll = self.timer = -1
        return 0

    cdef int control(self, int operation, int fd, uint32_t flags, uint32_t id, uint32_t generation) except -1:
        cdef epoll_event event
        event.events = to_epoll(flags)
        # The kernel stores it and never looks at it. It must not be a pointer: an event may outlive its connection.
        event.data.u64 = <uint64_t>id << 32 | generation
        if epoll_ctl(self.epoll, operation, fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    cdef int watch(self, int fd, uint32_t flags, uint32_t id, uint32_t generation) except -1:
        return self.control(EPOLL_CTL_ADD, fd, flags, id, generation)

    cdef int change(self, int fd, uint32_t flags, uint32_t id, uint32_t generation) except -1:
        return self.control(EPOLL_CTL_MOD, fd, flags, id, generation)

    cdef int unwatch(self, int fd) noexcept:
        # Kernels before 2.6.9 wanted a pointer here too.
        cdef epoll_event event
        # An error means that epoll does not have the fd any more, as intended.
        epoll_ctl(self.epoll, EPOLL_CTL_DEL, fd, &event)
        return 0

    cdef int set_timer(self, double when) except -1:
        cdef itimerspec time
        memset(&time, 0, sizeof(time))
        # An absolute time, so a delay between the computation and the call does not postpone the deadline. A time of 0
        # would disarm the timer, but CLOCK_MONOTONIC is above it.
        time.it_value.tv_sec = <long>when
        time.it_value.tv_nsec = <long>((when - <long>when) * 1e9)
        if timerfd_settime(self.timer, TFD_TIMER_ABSTIME, &time, NULL) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    cdef int acknowledge_timer(self) noexcept:
        cdef uint64_t expirations
        # The number of expirations does not matter. Without the read the descriptor would stay readable.
        c_read(self.timer, &expirations, sizeof(expirations))
        return 0

    cdef Poll nested(self, uint32_t id):
        cdef Epoll inner = Epoll.__new__(Epoll)
        inner.open()
        self.watch(inner.epoll, READABLE, id, 0)
        return inner

    cdef int wait(self, PollEvent* events, int max_events, int milliseconds) noexcept nogil:
        # On the stack, since another thread may look for an event while one sleeps here.
        cdef epoll_event[BATCH_EVENTS] found
        cdef int number = epoll_wait(self.epoll, found, min(max_events, <int>BATCH_EVENTS), milliseconds)
        cdef int i
        if number < 0:
            # A signal is not an error: Python runs its handlers after the call.
            return 0 if errno == EINTR else -1
        for i in range(number):
            events[i].id = <uint32_t>(found[i].data.u64 >> 32)
            events[i].generation = <uint32_t>found[i].data.u64
            events[i].flags = from_epoll(found[i].events)
        return number

    cdef int fileno(self) except? -1:
        # Borrowed: the caller may watch it, and must not close it.
        return self.epoll

    cdef int close(self) except -1:
        # Before the waker: a descriptor is closed only when the set that watches it is gone.
        self.close_fds()
        if self.waker is not None:
            self.waker.close()
        return 0

    cdef int reset_in_child(self) except -1:
        # Without EPOLL_CTL_DEL: the set is shared with the parent, which would lose its registrations.
        self.close_fds()
        if self.waker is not None:
            self.waker.reset_in_child()
        return 0


# The values are equal on both sides, of which the compiler makes one mask.

cdef inline uint32_t to_epoll(uint32_t flags) noexcept nogil:
    return (
        (EPOLLIN if flags & READABLE else 0) | (EPOLLOUT if flags & WRITABLE else 0)
        | (EPOLLRDHUP if flags & PEER_FINISHED else 0)
    )


cdef inline uint32_t from_epoll(uint32_t events) noexcept nogil:
    return (
        (READABLE if events & EPOLLIN else 0) | (WRITABLE if events & EPOLLOUT else 0)
        | (PEER_FINISHED if events & EPOLLRDHUP else 0) | (BROKEN if events & EPOLLERR else 0)
        | (HANGUP if events & EPOLLHUP else 0)
    )
