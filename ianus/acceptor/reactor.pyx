"""The nested reactor.

Facts: an event loop pays a callback, a transport and a protocol object for each readable socket; an epoll fd is
itself pollable, and stays readable while it has ready events. Strategy: all sockets are in an epoll instance of our
own; the loop watches the one fd of it and calls on_ready(), which dispatches a whole batch. Without a loop, poll()
blocks in the same epoll instance.

Rules:
- Events carry a connection's id and generation, never an fd or a pointer; a stale event is dropped.
- The batch and its index belong to the reactor: a nested call, from an event loop inside an application, continues
  with the rest of it. While a codec is on the stack, a nested call returns at once.
- A batch ends after about a millisecond; the rest follows after the loop's other callbacks.
- One timerfd drives all deadlines. With nothing due, an idle server never wakes.
- Each connection has its own try/except: an internal error closes that one.

Compiled because every event passes here.
"""
import contextvars
import functools
import os
import socket
import weakref

from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, EMFILE, EPROTO, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, itimerspec

from ianus.acceptor.addresses cimport Addresses, server_address
from ianus.acceptor.connection cimport Connection, ConnectionHost, open_connection
from ianus.acceptor.file_reserve cimport FileReserve
from ianus.acceptor.lingering cimport Lingering
from ianus.acceptor.socket_api cimport (
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLIN, SOCK_CLOEXEC, SOCK_NONBLOCK, TFD_CLOEXEC,
    TFD_NONBLOCK, TFD_TIMER_ABSTIME, accept4, c_close, c_read, epoll_create1, epoll_ctl, epoll_event, epoll_wait,
    sockaddr, sockaddr_storage, socklen_t, timerfd_create, timerfd_settime,
)
from ianus.acceptor.timer cimport TimerWheel
from ianus.codec.output cimport OutputPool
from ianus.exchange.base cimport SessionFactory
from ianus.exchange.connection_info cimport HTTP, connection_info
from ianus.runtime.atomics cimport store_release
from ianus.runtime.clock cimport monotonic, monotonic_coarse
from ianus.runtime.waker cimport Waker

from ianus.telemetry.logger import logger


cdef enum:
    MAX_ACCEPTS = 64        # connections accepted in one turn
    TIMER_ID = 0xFFFFFFFF           # in the place of a connection's id: the timer ...
    WAKER_ID = 0xFFFFFFFD           # ... or the waker
    LISTENER_ID = 0xFFFFFFFE        # ... or a listener, whose index is in the place of the generation

cdef double TURN_SECONDS = 0.001
cdef double ACCEPT_PAUSE_SECONDS = 1.0  # seconds, when the process has no fd left
cdef double LATE_TIMER_SECONDS = 0.25  # seconds: the loop was blocked
cdef double MAX_DEFERRAL_SECONDS = 1.0  # seconds that a full batch may put deadlines off


cdef class Reactor(ConnectionHost):
    """Serves the connections of its listeners.

    sessions: makes the session of each connection. limit_connections: open connections above which accepting
    pauses, 0 for no limit. receive_size: bytes of the shared receive buffer; at least twice the longest line.
    Raises OSError when the system gives no epoll instance or timer.
    """

    def __cinit__(self):
        self.epoll = self.timer = -1

    def __init__(self, SessionFactory sessions not None, *, int limit_connections, Py_ssize_t receive_size):
        self.sessions = sessions
        self.limit_connections = limit_connections
        self.reserve = FileReserve()
        self.lingering = Lingering(limit_connections)
        self.pool = OutputPool()
        self.connections_by_id = []
        self.free_ids = []
        self.closed = []
        self.listeners = []
        self.addresses = Addresses()
        self.waiting = []
        self.after_tasks = []
        self.wheel = TimerWheel(monotonic())
        self.receive_size = receive_size
        self.receive_buffer = <char*>malloc(receive_size)
        if self.receive_buffer == NULL:
            raise MemoryError
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        self.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)
        self.waker = Waker()
        if self.epoll < 0 or self.timer < 0:
            raise OSError(errno, os.strerror(errno))
        control(self.epoll, EPOLL_CTL_ADD, self.timer, EPOLLIN, TIMER_ID, 0)
        control(self.epoll, EPOLL_CTL_ADD, self.waker.fd, EPOLLIN, WAKER_ID, 0)
        # fork() in an application is normal (multiprocessing); the child must not touch descriptors that it shares.
        reference = weakref.ref(self)

        def reset() -> None:
            reactor = reference()
            if reactor is not None:
                reactor.reset_in_child()

        os.register_at_fork(after_in_child=reset)

    def __dealloc__(self):
        self.close_fds()
        free(self.receive_buffer)

    cdef int close_fds(self) noexcept:
        if self.epoll >= 0:
            c_close(self.epoll)
        if self.timer >= 0:
            c_close(self.timer)
        self.epoll = self.timer = -1
        return 0

    # ---------------------------------------------------------------- the owner's side

    def fileno(self) -> int:
        """The fd that is readable while there is something to do."""
        return self.epoll

    def listen(self, sock) -> None:
        """Accepts connections from a listening socket, which stays its owner's and is made non-blocking."""
        cdef WatchedListener listener = WatchedListener()
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Accepted sockets inherit these: small responses do not wait for the acknowledgement of earlier ones, and
            # dead peers are detected eventually (TCP keepalive).
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.sock = sock
        listener.fd = sock.fileno()
        listener.sessions = self.sessions
        listener.server = server_address(sock)
        self.listeners.append(listener)
        self.watch_listener(listener, True)

    def attach(self, loop) -> None:
        """Has an event loop drive the reactor."""
        self.loop = loop
        self.call_soon = functools.partial(loop.call_soon, context=contextvars.copy_context())
        loop.add_reader(self.epoll, self.on_ready)

    def poll(self, double timeout) -> int:
        """Dispatches one batch without an event loop, after at most `timeout` seconds; returns its size."""
        cdef int served = self.run_turn(<int>(timeout * 1000))
        self.resume_waiting()
        return served

    def drain(self, on_drained, *, bint handover=False) -> None:
        """Stops accepting, closes connections as they become idle; then calls on_drained().

        handover: other reactors keep the same sockets and their backlogs. Otherwise the backlog is accepted first. A
        second call with handover=False is allowed: then the other reactors stop, too.
        """
        cdef WatchedListener listener
        cdef Connection connection
        self.sessions.drain(handover)
        self.reserve.first = 0  # The connections in the backlog would be reset.
        self.reserve.is_short = False
        for listener in self.listeners:
            # Closing a listener that no other process has would reset the connections in its backlog.
            while not handover and self.accept(listener) == MAX_ACCEPTS:
                pass
            self.watch_listener(listener, False)
        self.listeners = []
        self.drained = on_drained
        for connection in list(self.connections_by_id):
            if connection is not None and connection.fd >= 0:
                connection.session.drain()
        if self.connections == 0:
            self.drained = None
            on_drained()

    def end_streams(self) -> None:
        """Ends event streams and requests that only wait, after drain()."""
        cdef Connection connection
        self.sessions.end_streams()
        for connection in list(self.connections_by_id):
            if connection is not None and connection.fd >= 0:
                connection.session.drain()

    def busy(self) -> bool:
        """Whether a stop has to wait for a connection. All others wait only for their clients to close."""
        cdef Connection connection
        for connection in self.connections_by_id:
            if connection is not None and connection.is_busy():
                return True
        return False

    def close_rest(self, bint lingering) -> None:
        """Closes the connections that are not busy. lingering: only those whose client has the whole response."""
        cdef Connection connection
        self.closed.clear()
        for connection in list(self.connections_by_id):
            if connection is not None and not connection.is_busy() and (connection.lingering or not lingering):
                connection.close()

    def close(self) -> None:
        """Closes every connection at once and detaches from the loop. The listeners' owner closes them."""
        cdef Connection connection
        cdef WatchedListener listener
        if self.epoll < 0:
            return
        if self.loop is not None:
            self.loop.remove_reader(self.epoll)
        self.drained = None
        for listener in self.listeners:
            self.watch_listener(listener, False)
        self.listeners = []
        for connection in list(self.connections_by_id):
            if connection is not None:
                connection.close()
        self.waiting = []
        self.after_tasks = []
        self.closed = []
        self.close_fds()
        self.waker.close()
        if self.on_wake is not None:
            # The turn that it waits for will not happen any more.
            self.on_wake()
        self.loop = self.call_soon = self.on_wake = None

    def reset_in_child(self) -> None:
        """Closes the reactor's descriptors in the child of a fork; the parent's connections are not affected."""
        cdef Connection connection
        cdef WatchedListener listener
        if self.epoll < 0:
            return
        self.close_fds()
        self.waker.reset_in_child()
        self.sessions.reset_in_child()
        for connection in list(self.connections_by_id):
            if connection is not None:
                connection.close_in_child()
        self.connections_by_id = []
        self.waiting = []
        self.lingering.clear()
        for listener in self.listeners:
            listener.sock.close()
        self.listeners = []

    # ---------------------------------------------------------------- the loop's side

    def on_ready(self) -> None:
        """Dispatches the ready events; called by the event loop."""
        if not self.parsing and self.epoll >= 0:
            self.run_turn(0)

    def resume_all(self) -> None:
        """Resumes the connections for which schedule_resume() was called outside of a turn."""
        cdef list waiting = self.waiting
        self.waiting = []
        self.resuming = False
        self.resume(waiting)

    def resume_these(self, list connections not None) -> None:
        """Resumes the connections of one turn, after the first steps of the tasks that it has started."""
        self.resume(connections)

    cdef int resume(self, list connections) except -1:
        cdef Connection connection
        self.closed.clear()
        self.dispatching = True
        try:
            for connection in connections:
                try:
                    connection.resume()
                except Exception:
                    self.drop(connection)
        finally:
            self.dispatching = False
        return self.schedule_after_tasks()

    cdef int schedule_after_tasks(self) except -1:
        """Schedules `after_tasks` to be resumed after the first steps of the tasks that this turn has started."""
        cdef list after_tasks = self.after_tasks
        if not after_tasks:
            return 0
        self.after_tasks = []
        if self.call_soon is not None:
            self.call_soon(self.resume_these, after_tasks)
        else:
            self.waiting += after_tasks
        return 0

    # ---------------------------------------------------------------- the leading threads' side

    cdef bint dispatch_next(self) except -1:
        if self.index >= self.ready:
            if self.timer_due:
                # All that was ready has been read.
                self.expire_deadlines()
            self.index = 0
            self.ready = max(epoll_wait(self.epoll, self.batch, BATCH_EVENTS, 0), 0)
            if self.ready == 0:
                return False
        self.index += 1
        self.dispatch_event(&self.batch[self.index - 1])
        return True

    cdef bint peek(self) except -1:
        # The batch belongs to sleep(), which may find the same event: the second thread to receive gets EAGAIN.
        cdef epoll_event event
        if epoll_wait(self.epoll, &event, 1, 0) <= 0:
            return False
        if <uint32_t>(event.data.u64 >> 32) in (TIMER_ID, WAKER_ID):
            # They are for the one that sleeps; read here, they would not wake it.
            return False
        self.dispatch_event(&event)
        self.resume_waiting()
        return True

    cdef int dispatch_event(self, epoll_event* event) except -1:
        self.closed.clear()
        self.dispatching = True
        try:
            self.handle_event(event)
        finally:
            self.dispatching = False
        return self.schedule_after_tasks()

    cdef int batch_size(self) noexcept nogil:
        return self.ready

    cdef int pending(self) noexcept nogil:
        return self.ready - self.index + self.timer_due

    cdef int resume_waiting(self) except -1:
        while self.waiting:
            self.resume_all()
        return 0

    cdef int sleep(self) noexcept nogil:
        self.index = 0
        # An interruption by a signal counts as zero events.
        self.ready = max(epoll_wait(self.epoll, self.batch, BATCH_EVENTS, -1), 0)
        return self.ready

    cdef int wake(self) noexcept nogil:
        self.waker.wake()
        return 0

    # ---------------------------------------------------------------- one turn

    cdef int run_turn(self, int milliseconds) except -1:
        self.closed.clear()
        if self.index >= self.ready:
            self.index = self.ready = 0
            if milliseconds == 0:
                self.ready = epoll_wait(self.epoll, self.batch, BATCH_EVENTS, 0)
            else:
                # The GIL is released only for this call, in which the thread may sleep.
                with nogil:
                    self.ready = epoll_wait(self.epoll, self.batch, BATCH_EVENTS, milliseconds)
            if self.ready < 0:
                self.ready = 0
                if errno != EINTR:
                    raise OSError(errno, os.strerror(errno))
        cdef int served = self.ready - self.index
        self.dispatching = True
        try:
            self.dispatch_batch()
        finally:
            self.dispatching = False
        self.schedule_after_tasks()
        return served

    cdef int dispatch_batch(self) except -1:
        """Dispatches the batch, or as much of it as fits into a turn."""
        cdef double started = monotonic()
        while self.index < self.ready:
            self.index += 1
            self.handle_event(&self.batch[self.index - 1])
            if (self.index & 7) == 0 and self.index < self.ready and monotonic() - started > TURN_SECONDS:
                if self.call_soon is not None:
                    self.call_soon(self.on_ready)
                    return 0
        if self.timer_due:
            # Deadlines are judged when all that was ready has been read, but not put off for ever by a busy server.
            if self.ready < BATCH_EVENTS or monotonic() - self.timer_at > MAX_DEFERRAL_SECONDS:
                self.expire_deadlines()
            elif self.call_soon is not None:
                self.call_soon(self.on_ready)
        return 0

    cdef int handle_event(self, epoll_event* event) except -1:
        cdef uint32_t connection_id = <uint32_t>(event.data.u64 >> 32)
        cdef uint32_t generation = <uint32_t>event.data.u64
        cdef Connection connection
        cdef uint64_t expirations
        # A dispatched event shows that the connections are served (telemetry/liveness).
        store_release(&self.waker.served, self.waker.served + 1)
        if connection_id == TIMER_ID:
            c_read(self.timer, &expirations, sizeof(expirations))
            self.timer_due = True
        elif connection_id == WAKER_ID:
            self.waker.acknowledge()
            if self.on_wake is not None:
                self.on_wake()
        elif connection_id == LISTENER_ID:
            if generation < <uint32_t>len(self.listeners):
                self.accept(<WatchedListener>self.listeners[generation])
        elif connection_id < <uint32_t>len(self.connections_by_id):
            connection = <Connection>self.connections_by_id[connection_id]
            if connection is not None and connection.generation == generation and connection.fd >= 0:
                try:
                    connection.on_events(event.events)
                except Exception:
                    self.drop(connection)
        return 0

    def drop(self, Connection connection not None) -> None:
        """Logs an internal error and closes the connection on which it happened; the others continue."""
        logger.exception("internal error; connection closed")
        try:
            connection.close()
        except Exception:
            logger.exception("internal error while closing a connection")

    # ---------------------------------------------------------------- deadlines

    cdef int expire_deadlines(self) except -1:
        cdef double now = monotonic()
        cdef double late = now - self.timer_at
        cdef Connection connection
        cdef int connection_id
        self.timer_due = False
        if late > LATE_TIMER_SECONDS and not self.expiry_deferred:
            # The loop was blocked, so input may wait unread: deadlines are extended by that time, at most a second.
            self.expiry_deferred = True
            return self.set_timer(now + min(late, 1.0))
        self.expiry_deferred = False
        self.timer_at = 0
        if self.resume_accept_at and now >= self.resume_accept_at:
            self.resume_accept_at = 0
            self.resume_accepting()
        connection_id = self.wheel.pop(now)
        while connection_id >= 0:
            connection = None
            if connection_id < len(self.connections_by_id):
                connection = <Connection>self.connections_by_id[connection_id]
            if connection is not None:
                try:
                    connection.on_timer(now)
                except Exception:
                    self.drop(connection)
            connection_id = self.wheel.pop(now)
        return self.arm()

    cdef int arm(self) except -1:
        """Sets the timer to the earliest deadline."""
        cdef double next_time = self.wheel.next_time()
        if self.resume_accept_at and (next_time == 0 or self.resume_accept_at < next_time):
            next_time = self.resume_accept_at
        if next_time and (self.timer_at == 0 or next_time < self.timer_at):
            return self.set_timer(next_time)
        return 0

    cdef int set_timer(self, double when) except -1:
        cdef itimerspec time
        self.timer_at = when
        memset(&time, 0, sizeof(time))
        time.it_value.tv_sec = <long>when
        time.it_value.tv_nsec = <long>((when - <long>when) * 1e9)
        if timerfd_settime(self.timer, TFD_TIMER_ABSTIME, &time, NULL) < 0:
            raise OSError(errno, os.strerror(errno))
        return 0

    # ---------------------------------------------------------------- the connections' side

    cdef int watch(self, Connection connection, unsigned int events) except -1:
        control(
            self.epoll, EPOLL_CTL_MOD if connection.watched else EPOLL_CTL_ADD, connection.fd, events,
            connection.id, connection.generation,
        )
        connection.watched = True
        connection.events = events
        return 0

    cdef int schedule(self, Connection connection, double when) except -1:
        self.wheel.schedule(connection.id, when, monotonic_coarse())
        if self.timer_at == 0 or when < self.timer_at:
            self.arm()
        return 0

    cdef int schedule_resume(self, Connection connection) except -1:
        if self.dispatching:
            # Also when it is in the other list, which may be resumed before the task's first step.
            connection.resume_scheduled = True
            self.after_tasks.append(connection)
        elif not connection.resume_scheduled:
            connection.resume_scheduled = True
            self.waiting.append(connection)
            if not self.resuming and self.call_soon is not None:
                self.resuming = True
                self.call_soon(self.resume_all)
        return 0

    cdef int remove(self, Connection connection, int fd) except -1:
        cdef epoll_event event
        if connection.lingering:
            self.lingering.remove(connection.id)
        # An error means that epoll does not have the fd any more, as intended.
        epoll_ctl(self.epoll, EPOLL_CTL_DEL, fd, &event)
        self.wheel.cancel(connection.id)
        self.connections_by_id[connection.id] = None
        # Calls through attributes hold no reference: a close() from inside a session must not free the connection that
        # is on the stack. The next turn clears the list.
        self.closed.append(connection)
        self.free_ids.append(connection.id)
        self.connections -= 1
        if self.resume_accept_at:
            if self.reserve.is_short:  # No longer, perhaps. Its descriptor is closed before the next event.
                self.resume_accept_at = 0
                self.resume_accepting()
        elif self.limit_connections and self.connections == self.limit_connections - 1:
            self.resume_accepting()
        if self.connections == 0 and self.drained is not None:
            drained = self.drained
            self.drained = None
            if self.call_soon is not None:
                self.call_soon(drained)
            else:
                drained()
        return 0

    # ---------------------------------------------------------------- accepting

    cdef int accept(self, WatchedListener listener) except -1:
        """Accepts up to MAX_ACCEPTS connections; returns their number."""
        cdef sockaddr_storage address
        cdef socklen_t size
        cdef int fd
        cdef unsigned int accepted = 0
        while accepted < MAX_ACCEPTS:
            if self.limit_connections and self.connections >= self.limit_connections:
                # Further clients wait in the kernel's backlog.
                self.pause_accepting()
                break
            if not self.reserve.admits(self.epoll, self.connections):
                self.pause_for_files()
                break
            size = sizeof(address)
            fd = accept4(listener.fd, <sockaddr*>&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
            if fd >= 0:
                accepted += 1
                self.accept_failure_logged = False
                self.open_accepted(listener, fd, &address)
                continue
            if errno == EAGAIN:
                break
            if errno in (EINTR, ECONNABORTED, EPROTO):
                continue
            # Usually EMFILE. Open connections are not affected.
            if not self.accept_failure_logged:
                self.accept_failure_logged = True
                logger.error(
                    "cannot accept connections: %s; trying again every second%s", os.strerror(errno),
                    " (raise the limit of open files, or set --limit-connections)" if errno == EMFILE else "",
                )
            self.pause_for_files()
            break
        return accepted

    cdef int open_accepted(self, WatchedListener listener, int fd, sockaddr_storage* address) except -1:
        """Makes a connection of fd, or closes it."""
        cdef Connection connection = Connection.__new__(Connection)
        try:
            self.set_up_connection(connection, listener, fd, address)
        except Exception:
            logger.exception("internal error while accepting a connection")
            if connection.fd >= 0:
                connection.close()
            else:
                c_close(fd)
        return 0

    cdef int set_up_connection(
        self, Connection connection, WatchedListener listener, int fd, sockaddr_storage* address
    ) except -1:
        cdef int connection_id
        connection.info = connection_info(
            self.addresses.of_client(address),
            listener.server if listener.server is not None else self.addresses.of_server(fd),
            HTTP,
        )
        if self.free_ids:
            connection_id = self.free_ids.pop()
        else:
            connection_id = <int>len(self.connections_by_id)
            self.connections_by_id.append(None)
        self.generation += 1
        connection.session = listener.sessions.create(connection)
        open_connection(connection, self, fd, connection_id, self.generation)
        self.connections_by_id[connection_id] = connection
        self.connections += 1
        self.reserve.note(fd, self.connections)
        return connection.update()

    cdef int pause_for_files(self) except -1:
        """Pauses accepting until the application, or a connection, has closed a file."""
        self.pause_accepting()
        self.resume_accept_at = monotonic() + ACCEPT_PAUSE_SECONDS
        return self.arm()

    cdef int pause_accepting(self) except -1:
        cdef WatchedListener listener
        for listener in self.listeners:
            self.watch_listener(listener, False)
        return 0

    cdef int resume_accepting(self) except -1:
        cdef WatchedListener listener
        for listener in self.listeners:
            self.watch_listener(listener, True)
        return 0

    cdef int watch_listener(self, WatchedListener listener, bint watched) except -1:
        cdef epoll_event event
        if listener.watched == watched:
            return 0
        if watched:
            control(self.epoll, EPOLL_CTL_ADD, listener.fd, EPOLLIN, LISTENER_ID, self.listeners.index(listener))
        else:
            epoll_ctl(self.epoll, EPOLL_CTL_DEL, listener.fd, &event)
        listener.watched = watched
        return 0


cdef int control(
    int epoll, int operation, int fd, uint32_t events, uint32_t connection_id, uint32_t generation
) except -1:
    cdef epoll_event event
    event.events = events
    event.data.u64 = <uint64_t>connection_id << 32 | generation
    if epoll_ctl(epoll, operation, fd, &event) < 0:
        raise OSError(errno, os.strerror(errno))
    return 0
