"""Accepting connections: the listeners of a reactor, and the limits that pause them."""
cimport cython
from libc.stdint cimport uint64_t

from ianus.acceptor.addresses cimport Addresses
from ianus.acceptor.backlog_watch cimport BacklogWatch
from ianus.acceptor.byte_filter cimport ByteFilterFactory
from ianus.acceptor.connection cimport Connection, ConnectionHost
from ianus.acceptor.connection_table cimport ConnectionTable
from ianus.acceptor.deadlines cimport DeadlineTimer
from ianus.acceptor.file_reserve cimport FileReserve
from ianus.acceptor.poll.base cimport Poll
from ianus.acceptor.socket_api cimport sockaddr_storage
from ianus.acceptor.transfers cimport Transfers
from ianus.exchange.base cimport SessionFactory


cdef enum:
    # In the place of a connection's id; the index of the listener is in the place of the generation.
    LISTENER_ID = 0xFFFFFFFD
    # The index of the transfer queue, which is watched as a listener is.
    QUEUE_INDEX = 0xFFFFFFFF


cdef class WatchedListener:
    """A listening socket in the reactor."""
    cdef object sock                # keeps the fd open; its owner closes it
    cdef int fd
    cdef SessionFactory sessions    # makes the sessions of its connections
    cdef ByteFilterFactory filters  # makes the filters of its connections, or None
    cdef object server              # its address, or None when it must be asked of each connection
    cdef bint watched
    cdef bint internal              # of no listening socket: its connections are made by this process
    cdef sockaddr_storage name      # the address that it is bound to


@cython.final
cdef class Accepting:
    cdef Poll poll
    cdef Poll handshakes            # for the listeners whose connections have filters; None without one
    cdef ConnectionTable table
    cdef DeadlineTimer deadlines
    cdef int limit_connections      # open connections at which accepting pauses, 0 = no limit
    cdef FileReserve reserve
    cdef Addresses addresses
    cdef list listeners             # WatchedListener; empty after drain()
    cdef list factories             # the SessionFactory of each listener, each of them once
    cdef double resume_at           # accepting is paused until then for lack of files, 0 = it is not
    cdef bint failure_logged        # once for each shortage
    cdef uint64_t accepted          # connections so far; read by the thread of `backlog_watch`

    cdef Transfers transfers        # connections of other workers, or None
    cdef BacklogWatch backlog_watch     # passes on those of this worker while it is blocked, or None
    cdef uint64_t paused            # 1: by one of the limits, or closed; read by the same thread
    cdef bint queue_watched         # for connections in `transfers`
    cdef bint queue_paused          # ... not while the application cannot be called

    # handshakes: as above, if there are filters
    cdef int listen(self, object sock, SessionFactory sessions, ByteFilterFactory filters, Poll handshakes) except -1
    cdef int on_readable(self, ConnectionHost host, unsigned int index) except -1   # a listener has a backlog
    cdef int on_connection_closed(self) except -1
    cdef int on_timer(self, double now) except -1
    # Stops accepting. handover: without accepting the backlog before.
    cdef int drain(self, ConnectionHost host, bint handover) except -1
    cdef int end_streams(self) except -1
    cdef int close(self) except -1
    cdef int reset_in_child(self) except -1

    cdef int accept(self, ConnectionHost host, WatchedListener listener) except -1
    cdef int on_accept_failure(self, int error) except -1   # logs it once, and pauses
    cdef bint may_accept(self, int any_fd) except -1    # asks the limits, which pause it
    cdef int take_transferred(self, ConnectionHost host) except -1
    cdef int empty_queue(self, ConnectionHost host) except -1
    cdef Connection open_transferred(self, ConnectionHost host, int fd)
    cdef WatchedListener find_listener(self, int fd)
    cdef Connection open_accepted(
        self, ConnectionHost host, WatchedListener listener, int fd, sockaddr_storage* address
    )
    cdef int set_up_connection(
        self, Connection connection, ConnectionHost host, WatchedListener listener, int fd, sockaddr_storage* address
    ) except -1
    cdef int pause_for_files(self) except -1
    cdef int pause(self) except -1
    cdef int resume(self) except -1
    cdef int watch(self, WatchedListener listener, bint watched) except -1
    cdef Poll poll_of(self, WatchedListener listener)
    cdef int watch_queue(self) except -1
    cdef int resume_queue(self) except -1
    cdef int stop_backlog_watch(self, ConnectionHost host) except -1
