"""A native thread that passes on the connections in the backlog of a worker that does not accept them."""
from libc.stdint cimport uint64_t

from ianus.acceptor.transfers cimport Transfers
from ianus.runtime.waker cimport Waker


cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <poll.h>
    #include <pthread.h>
    #include <signal.h>
    #include <sys/eventfd.h>
    #include <sys/socket.h>
    #include <unistd.h>
    """
    ctypedef unsigned long pthread_t
    struct pollfd:
        int fd
        short events
        short revents


cdef enum:
    MAX_WATCHED = 32        # listeners that are watched; those after them are not


# The data of the thread. Owned by the BacklogWatch. The thread alone writes it while it runs, except for `stopping`.
cdef struct BacklogState:
    uint64_t stopping
    int control             # eventfd, owned; ends the sleep of the thread
    int writer, reader      # of the transfer queue, borrowed
    const uint64_t* serving     # in the Transfers
    const uint64_t* served      # in the Waker: events that the reactor has dispatched
    const uint64_t* accepted    # in the Accepting: connections that it has accepted
    const uint64_t* paused      # in the Accepting: 1 while it accepts none, at one of its limits
    pollfd[MAX_WATCHED + 1] fds     # control, and then the listeners, all borrowed
    int count               # number of listeners in it
    int held                # a connection that the full queue did not take, owned; -1 = none

    bint asleep             # it waits for a connection, and otherwise for a time
    bint blocked            # the last connection was passed on
    bint was_readable       # a connection was in the backlog at the last look, ...
    uint64_t served_before  # ... when the reactor had dispatched as many events,
    uint64_t accepted_before    # ... and accepted as many connections
    int quiet_looks         # looks without a new connection


cdef class BacklogWatch:
    cdef BacklogState* state    # owned; NULL in a forked child
    cdef Transfers transfers    # the struct has pointers into these three
    cdef Waker waker
    cdef object accepting
    cdef pthread_t thread
    cdef bint running           # there is a thread, which has to be joined

    cdef int start_thread(self) except -1
    cdef int stop_thread(self) noexcept     # returns the held connection, which the caller then owns; or -1
    cdef int reset_in_child(self) noexcept


cdef BacklogWatch watch_backlog(
    Transfers transfers, Waker waker, object accepting, const uint64_t* accepted, const uint64_t* paused, list fds
)
# Looks at the backlog, and passes its connections on if the reactor does not react. Returns the milliseconds until the
# next look, -1 for the next connection.
cdef int look(BacklogState* state) noexcept nogil
