"""Accepts connections from the listening sockets of a reactor.

Facts: a process has a limited number of files, and the operator may limit the connections. Clients beyond that wait in
the kernel's backlog at no cost. Strategy: at a limit no listener is watched. Accepting resumes after a connection has
been closed; for lack of files it is also tried every second, since the application may have closed one.

With a transfer queue, the reactor also takes connections that other workers have passed on. It takes one in a turn, so
that several idle workers share them, and none while this worker can make no further call.

Compiled because it makes connections, whose type is compiled.
"""
import os
import socket

cimport cython
from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, EMFILE, EPROTO, errno
from libc.string cimport memset

from ianus.acceptor.addresses cimport EXACT, NO_MATCH, Addresses, match_addresses, server_address
from ianus.acceptor.backlog_watch cimport watch_backlog
from ianus.acceptor.byte_filter cimport ByteFilter, ByteFilterFactory
from ianus.acceptor.connection cimport Connection, ConnectionHost, open_connection
from ianus.acceptor.connection_table cimport ConnectionTable
from ianus.acceptor.deadlines cimport DeadlineTimer
from ianus.acceptor.file_reserve cimport FileReserve
from ianus.acceptor.poll.base cimport READABLE, Poll
from ianus.acceptor.socket_api cimport (
    SOCK_CLOEXEC, SOCK_NONBLOCK, accept4, c_close, getpeername, getsockname, sockaddr, sockaddr_storage, socklen_t,
)
from ianus.acceptor.proxied_session cimport ProxiedSessionFactory
from ianus.acceptor.transfers cimport Transfers, has_peers
from ianus.exchange.base cimport Session, SessionFactory
from ianus.exchange.connection_info cimport connection_info
from ianus.runtime.clock cimport monotonic
from ianus.runtime.waker cimport Waker

from ianus.acceptor.listener import set_connection_options
from ianus.telemetry.logger import logger


cdef enum:
    MAX_ACCEPTS = 64        # connections accepted in one turn
    MAX_FILTERED_ACCEPTS = 8    # ... that take a handshake: in the backlog, the others take no memory of this process

cdef double ACCEPT_PAUSE_SECONDS = 1.0      # when the process has no fd left


@cython.final
cdef class Accepting:
    """The listeners of one reactor, whose connections are in `table`."""

    def __cinit__(
        self, Poll poll not None, ConnectionTable table not None, DeadlineTimer deadlines not None,
        int limit_connections,
    ):
        self.poll = poll
        self.table = table
        self.deadlines = deadlines
        self.limit_connections = limit_connections
        self.reserve = FileReserve()
        self.addresses = Addresses()
        self.listeners = []
        self.factories = []

    cdef int listen(self, object sock, SessionFactory sessions, ByteFilterFactory filters, Poll handshakes) except -1:
        cdef WatchedListener listener = WatchedListener()
        cdef socklen_t size = sizeof(listener.name)
        sock.setblocking(False)
        set_connection_options(sock)
        # The object keeps the descriptor open as long as the listener is here. Its owner outside of the reactor closes
        # it.
        listener.sock = sock
        listener.fd = sock.fileno()
        listener.sessions = sessions
        listener.filters = filters
        self.handshakes = handshakes
        listener.server = server_address(sock)
        memset(&listener.name, 0, sizeof(listener.name))
        getsockname(listener.fd, <sockaddr*>&listener.name, &size)
        self.listeners.append(listener)
        # Listeners may share a factory, whose drain() must be called once.
        if sessions not in self.factories:
            self.factories.append(sessions)
        return self.watch(listener, True)

    def add_connection(self, ConnectionHost host not None, sock, SessionFactory sessions not None) -> None:
        """Serves a connection that was made by this process, and not accepted.

        sock: one end of a socket pair, whose descriptor becomes the connection's. Neither end has an address.
        """
        cdef WatchedListener listener = WatchedListener()
        cdef sockaddr_storage address
        listener.internal = True
        address.ss_family = socket.AF_UNIX
        listener.sessions = sessions
        sock.setblocking(False)
        self.open_accepted(host, listener, sock.detach(), &address)

    def join_transfers(self, Transfers transfers not None, Waker waker not None) -> None:
        """Takes connections from a transfer queue, and passes on those of the listeners while this worker is blocked.

        waker: of the reactor. To be called after the last listen(). Raises ThreadLimitError if the system gives no
        thread, and OSError if it gives no eventfd.
        """
        cdef WatchedListener listener
        cdef list own = []
        self.transfers = transfers
        self.watch_queue()
        for listener in self.listeners:
            # Other sockets are those of all workers, which accept from them.
            if listener.sock.family != socket.AF_UNIX and listener.sock.getsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEPORT
            ):
                own.append(listener.fd)
        if own:
            self.backlog_watch = watch_backlog(transfers, waker, self, &self.accepted, &self.paused, own)
            self.backlog_watch.start_thread()

    cdef int on_readable(self, ConnectionHost host, unsigned int index) except -1:
        if index == QUEUE_INDEX:
            return self.take_transferred(host)
        # After drain() the list is empty, but the batch may still have events of its listeners.
        if index < <unsigned int>len(self.listeners):
            self.accept(host, <WatchedListener>self.listeners[index])
        return 0

    cdef int on_connection_closed(self) except -1:
        if self.resume_at:
            if self.reserve.is_short:  # No longer, perhaps. Its descriptor is closed before the next event.
                self.resume_at = 0
                self.resume()
        # Just below the limit: at any lower count accepting has resumed already.
        elif self.limit_connections and self.table.clients() == self.limit_connections - 1:
            self.resume()
        return 0

    cdef int on_timer(self, double now) except -1:
        """Resumes accepting after a pause for lack of files, or has the timer fire at its end."""
        if self.resume_at and now >= self.resume_at:
            self.resume_at = 0
            self.resume()
        # The one timer may have fired for a connection's deadline, before the end of the pause.
        return self.deadlines.arm_at(self.resume_at)

    cdef int drain(self, ConnectionHost host, bint handover) except -1:
        cdef WatchedListener listener
        cdef SessionFactory sessions
        cdef bint last = not handover or self.transfers is not None and not has_peers(self.transfers.serving)
        for sessions in self.factories:
            # Before the backlog is accepted: its sessions must know that each response is the last one.
            sessions.drain(handover)
        self.reserve.first = 0  # The connections in the backlog would be reset.
        self.reserve.is_short = False
        self.stop_backlog_watch(host)
        if last and self.transfers is not None:
            # Perhaps no other worker takes them any more.
            self.empty_queue(host)
        for listener in self.listeners:
            # Closing a listener that no other process has would reset the connections in its backlog.
            while not handover and self.accept(host, listener):
                pass
        return self.close()

    cdef int end_streams(self) except -1:
        cdef SessionFactory sessions
        for sessions in self.factories:
            sessions.end_streams()
        return 0

    cdef int close(self) except -1:
        self.stop_backlog_watch(None)
        self.pause()
        # Not closed: other processes may serve the same sockets, and their owner here decides that.
        self.listeners = []
        self.transfers = None
        return 0

    cdef int reset_in_child(self) except -1:
        cdef WatchedListener listener
        cdef SessionFactory sessions
        for sessions in self.factories:
            sessions.reset_in_child()
        for listener in self.listeners:
            # Only the child's copy: the parent's listener still accepts.
            listener.sock.close()
            if listener.filters is not None:
                listener.filters.reset_in_child()
        self.listeners = []
        if self.backlog_watch is not None:
            self.backlog_watch.reset_in_child()
        # Its sockets are closed by their owner.
        self.transfers = None
        return 0

    # ---------------------------------------------------------------- one turn

    cdef int accept(self, ConnectionHost host, WatchedListener listener) except -1:
        """Accepts connections, up to a bound; returns their number."""
        cdef sockaddr_storage address
        cdef socklen_t size
        cdef int fd
        # The bound keeps a flood of new clients from delaying those that are connected. The rest of the backlog makes
        # the listener readable again in the next turn.
        cdef unsigned int accepted = 0, bound = MAX_ACCEPTS if listener.filters is None else MAX_FILTERED_ACCEPTS
        while accepted < bound:
            if not self.may_accept(listener.fd):
                break
            if listener.filters is not None and not listener.filters.may_accept():
                # Its clients wait in the kernel's backlog until a handshake ends.
                listener.filters.on_capacity = self.resume_listeners
                self.watch(listener, False)
                break
            size = sizeof(address)
            fd = accept4(listener.fd, <sockaddr*>&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
            if fd >= 0:
                accepted += 1
                self.accepted += 1
                self.failure_logged = False
                self.open_accepted(host, listener, fd, &address)
                continue
            if errno == EAGAIN:
                break
            # The client of that connection has gone (accept(2)); the backlog may have further ones.
            if errno in (EINTR, ECONNABORTED, EPROTO):
                continue
            self.on_accept_failure(errno)
            break
        return accepted

    cdef int on_accept_failure(self, int error) except -1:
        # Usually EMFILE. Open connections are not affected.
        if not self.failure_logged:
            self.failure_logged = True
            logger.error(
                "cannot accept connections: %s; trying again every second%s", os.strerror(error),
                " (raise the limit of open files, or set --limit-connections)" if error == EMFILE else "",
            )
        return self.pause_for_files()

    cdef bint may_accept(self, int any_fd) except -1:
        if self.limit_connections and self.table.clients() >= self.limit_connections:
            # Further clients wait in the kernel's backlog, or in the transfer queue.
            self.pause()
            return False
        # Asked before accept4(), which would take the descriptor that the application may need.
        if not self.reserve.admits(any_fd, self.table.count):
            self.reserve.report_shortage(self.table.count, monotonic())
            self.pause_for_files()
            return False
        return True

    cdef int take_transferred(self, ConnectionHost host) except -1:
        """Takes a connection from the transfer queue, and reads it."""
        cdef Connection connection
        cdef int fd
        if self.transfers is None:
            return 0
        if host.full:
            # Only now: usually no connection arrives during a call, and both changes of the watch cost a system call.
            self.queue_paused = True
            return self.watch_queue()
        if not self.may_accept(self.transfers.reader):
            return 0
        # Asked before, since the kernel closes a connection that it cannot give a number. It remains in the queue then.
        if not self.reserve.has_free(self.transfers.reader):
            return self.on_accept_failure(errno)
        fd = self.transfers.take()
        # Another worker may have taken it.
        if fd != -1:
            self.failure_logged = False
            connection = self.open_transferred(host, fd)
            # A handshake is continued in its turn.
            if connection is not None and connection.fd >= 0 and not connection.handshaking:
                try:
                    # At once, so that its request is called before a further connection is taken.
                    connection.on_events(READABLE)
                except Exception:
                    self.table.drop(connection)
        return 0

    cdef int empty_queue(self, ConnectionHost host) except -1:
        """Takes all connections from the transfer queue. They are read in the next turn."""
        cdef int fd
        # In a restart, the next worker takes those that remain.
        while self.reserve.has_free(self.transfers.reader):
            fd = self.transfers.take()
            if fd == -1:
                return 0
            self.open_transferred(host, fd)
        logger.error("connections from other workers remain in the transfer queue: %s", os.strerror(errno))
        return 0

    cdef Connection open_transferred(self, ConnectionHost host, int fd):
        """Makes a connection of fd, taken from the transfer queue; None if that fails."""
        cdef sockaddr_storage address
        cdef socklen_t size = sizeof(address)
        if fd < 0:
            # Another thread has taken the last number since it was asked for.
            logger.error(
                "a connection from another worker was lost, since too many files are open; raise the limit of open "
                "files, or set --limit-connections"
            )
            return None
        if getpeername(fd, <sockaddr*>&address, &size) < 0:
            # Its client has reset it meanwhile.
            c_close(fd)
            return None
        return self.open_accepted(host, self.find_listener(fd), fd, &address)

    cdef WatchedListener find_listener(self, int fd):
        """Returns the listener that an accepted socket belongs to, by its local address."""
        cdef WatchedListener listener, found = None
        cdef sockaddr_storage address
        cdef socklen_t size = sizeof(address)
        cdef int match
        memset(&address, 0, sizeof(address))
        getsockname(fd, <sockaddr*>&address, &size)
        for listener in self.listeners:
            match = match_addresses(&listener.name, &address)
            if match == EXACT:
                return listener
            if match != NO_MATCH:
                found = listener
        # Without one, the worker that has accepted it had another configuration. All listeners serve the same.
        return found if found is not None else <WatchedListener>self.listeners[0]

    cdef Connection open_accepted(
        self, ConnectionHost host, WatchedListener listener, int fd, sockaddr_storage* address
    ):
        """Makes a connection of fd, or closes it and returns None."""
        # Its fd is -1 until open_connection(), which makes it the owner of `fd`.
        cdef Connection connection = Connection.__new__(Connection)
        try:
            self.set_up_connection(connection, host, listener, fd, address)
        except Exception:
            logger.exception("internal error while accepting a connection")
            # Exactly one owner closes the descriptor: the connection once it has it, before that this function.
            if connection.fd >= 0:
                connection.close()
            else:
                c_close(fd)
            return None
        return connection

    cdef int set_up_connection(
        self, Connection connection, ConnectionHost host, WatchedListener listener, int fd, sockaddr_storage* address
    ) except -1:
        # In this order: update() watches the descriptor under the id that the table gives, and an event needs a
        # session.
        connection.info = connection_info(
            self.addresses.of_client(address),
            listener.server if listener.server is not None else self.addresses.of_server(fd),
            listener.sessions.scheme,
        )
        connection.internal = listener.internal
        if listener.filters is None:
            connection.session = listener.sessions.create(connection)
        else:
            connection.session = open_filtered(connection, listener.filters, listener.sessions)
        self.table.add(connection)
        open_connection(connection, host, fd)
        # After add(), so that this connection is counted.
        self.reserve.note(fd, self.table.count)
        return connection.update()

    # ---------------------------------------------------------------- pauses

    cdef int pause_for_files(self) except -1:
        """Pauses accepting for lack of files. on_connection_closed() may end the pause before its time."""
        self.pause()
        self.resume_at = monotonic() + ACCEPT_PAUSE_SECONDS
        return self.deadlines.arm_at(self.resume_at)

    def resume_listeners(self) -> None:
        """Accepts from all listeners again, unless another limit has paused them."""
        if not self.paused:
            self.resume()

    cdef int pause(self) except -1:
        cdef WatchedListener listener
        for listener in self.listeners:
            self.watch(listener, False)
        self.paused = 1
        return self.watch_queue()

    cdef int resume(self) except -1:
        cdef WatchedListener listener
        for listener in self.listeners:
            self.watch(listener, True)
        self.paused = 0
        return self.watch_queue()

    cdef int watch_queue(self) except -1:
        """Watches the transfer queue while connections may be taken from it."""
        cdef bint watched = self.transfers is not None and not self.queue_paused and not self.paused
        if watched != self.queue_watched:
            if watched:
                self.poll.watch(self.transfers.reader, READABLE, LISTENER_ID, QUEUE_INDEX)
            else:
                self.poll.unwatch(self.transfers.reader)
            self.queue_watched = watched
        return 0

    cdef int resume_queue(self) except -1:
        """Takes connections from the transfer queue again, after a call of the application."""
        self.queue_paused = False
        return self.watch_queue()

    cdef int stop_backlog_watch(self, ConnectionHost host) except -1:
        """host: serves a connection that the thread could not pass on; None closes it."""
        cdef int held = -1
        if self.backlog_watch is not None:
            held = self.backlog_watch.stop_thread()
            self.backlog_watch = None
        if held >= 0:
            if host is None:
                c_close(held)
            else:
                self.open_transferred(host, held)
        return 0

    cdef int watch(self, WatchedListener listener, bint watched) except -1:
        if listener.watched == watched:
            return 0
        if watched:
            # The index may be used as a key: the list only grows, until close() empties it.
            self.poll_of(listener).watch(listener.fd, READABLE, LISTENER_ID, self.listeners.index(listener))
        else:
            self.poll_of(listener).unwatch(listener.fd)
        listener.watched = watched
        return 0

    cdef Poll poll_of(self, WatchedListener listener):
        return self.poll if listener.filters is None else self.handshakes


cdef Session open_filtered(Connection connection, ByteFilterFactory filters, SessionFactory sessions):
    """Gives a connection its filter. Returns its first session."""
    cdef ByteFilter created = filters.create()
    if isinstance(sessions, ProxiedSessionFactory):
        # The header of the proxy precedes the bytes of the filter.
        return (<ProxiedSessionFactory>sessions).create_filtered(connection, filters, created)
    connection.filter = created
    return filters.create_session(connection, created, sessions)
