"""The nested reactor.

Facts: an event loop pays a callback, a transport and a protocol object for each readable socket; a poll driver's
descriptor is itself pollable, and stays readable while it has ready events. Strategy: all sockets are watched by a
driver of our own (acceptor/poll); the loop watches the one fd of it and calls on_ready(), which dispatches a whole
batch. Without a loop, dispatch() blocks in the same driver.

Rules:
- Events carry a connection's id and generation, never an fd or a pointer; a stale event is dropped.
- The batch and its index belong to the reactor: a nested call, from an event loop inside an application, continues
  with the rest of it. While a codec is on the stack, a nested call returns at once.
- A batch ends after about a millisecond; the rest follows after the loop's other callbacks.
- Each connection has its own try/except: an internal error closes that one.

Compiled because every event passes here: 146 instructions for ASGI hello.
"""
import contextvars
import functools
import os
import weakref

from libc.errno cimport errno
from libc.stdlib cimport free, malloc

from ianus.acceptor.accepting cimport LISTENER_ID, Accepting
from ianus.acceptor.byte_filter cimport ByteFilterFactory
from ianus.acceptor.connection cimport Connection, ConnectionHost
from ianus.acceptor.connection_table cimport ConnectionTable
from ianus.acceptor.deadlines cimport DeadlineTimer
from ianus.acceptor.lingering cimport Lingering
from ianus.acceptor.poll.base cimport BATCH_EVENTS, TIMER_ID, WAKER_ID, Poll, PollEvent
from ianus.acceptor.resume_queue cimport ResumeQueue
from ianus.codec.output cimport OutputPool
from ianus.exchange.base cimport SessionFactory
from ianus.runtime.atomics cimport store_release
from ianus.runtime.clock cimport monotonic, monotonic_coarse


cdef double TURN_SECONDS = 0.001


cdef class Reactor(ConnectionHost):
    """Serves the connections of its listeners.

    poll: the driver, which belongs to the reactor from now on. limit_connections: open connections above which
    accepting pauses, 0 for no limit. receive_size: bytes of the shared receive buffer; at least twice the longest line.
    """

    def __init__(self, Poll poll not None, *, int limit_connections, Py_ssize_t receive_size):
        self.poll = poll
        self.waker = poll.waker
        self.table = ConnectionTable()
        self.deadlines = DeadlineTimer(poll, monotonic())
        self.accepting = Accepting(poll, self.table, self.deadlines, limit_connections)
        self.resume_queue = ResumeQueue(self.table)
        self.lingering = Lingering(limit_connections)
        self.pool = OutputPool()
        self.receive_size = receive_size
        self.receive_buffer = <char*>malloc(receive_size)
        if self.receive_buffer == NULL:
            raise MemoryError
        self.is_open = True
        # fork() in an application is normal (multiprocessing); the child must not touch descriptors that it shares.
        reference = weakref.ref(self)

        def reset() -> None:
            reactor = reference()
            if reactor is not None:
                reactor.reset_in_child()

        os.register_at_fork(after_in_child=reset)

    def __dealloc__(self):
        free(self.receive_buffer)

    # ---------------------------------------------------------------- the owner's side

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return self.table.count

    def fileno(self) -> int:
        """The fd that is readable while there is something to do."""
        return self.poll.fileno()

    def listen(self, sock, SessionFactory sessions not None, ByteFilterFactory filters=None) -> None:
        """Accepts connections from a listening socket, which stays its owner's and is made non-blocking.

        sessions: makes the sessions of its connections. filters: makes their filters, None for none.
        """
        self.accepting.listen(sock, sessions, filters)

    def attach(self, loop) -> None:
        """Has an event loop drive the reactor."""
        self.loop = loop
        self.call_soon = functools.partial(loop.call_soon, context=contextvars.copy_context())
        self.resume_queue.call_soon = self.call_soon
        loop.add_reader(self.poll.fileno(), self.on_ready)

    def dispatch(self, double timeout) -> int:
        """Dispatches one batch without an event loop, after at most `timeout` seconds; returns its size."""
        cdef int served = self.run_turn(<int>(timeout * 1000))
        self.resume_waiting()
        return served

    def drain(self, on_drained, *, bint handover=False) -> None:
        """Stops accepting, closes connections as they become idle; then calls on_drained().

        handover: other reactors keep the same sockets and their backlogs. Otherwise the backlog is accepted first. A
        second call with handover=False is allowed: then the other reactors stop, too.
        """
        cdef Connection connection
        self.accepting.drain(self, handover)
        self.drained = on_drained
        for connection in self.table.open_connections():
            if connection.fd >= 0:
                connection.session.drain()
        if self.table.count == 0:
            self.drained = None
            on_drained()

    def end_streams(self) -> None:
        """Ends event streams and requests that only wait, after drain()."""
        cdef Connection connection
        self.accepting.end_streams()
        for connection in self.table.open_connections():
            if connection.fd >= 0:
                connection.session.drain()

    def busy(self) -> bool:
        """Whether a stop has to wait for a connection. All others wait only for their clients to close."""
        cdef Connection connection
        for connection in self.table.open_connections():
            if connection.is_busy():
                return True
        return False

    def close_rest(self, bint lingering) -> None:
        """Closes the connections that are not busy. lingering: only those whose client has the whole response."""
        cdef Connection connection
        self.table.start_turn()
        for connection in self.table.open_connections():
            if not connection.is_busy() and (connection.lingering or not lingering):
                connection.close()

    def close(self) -> None:
        """Closes every connection at once and detaches from the loop. The listeners' owner closes them."""
        cdef Connection connection
        if not self.is_open:
            return
        self.is_open = False
        if self.loop is not None:
            self.loop.remove_reader(self.poll.fileno())
        self.drained = None
        self.accepting.close()
        for connection in self.table.open_connections():
            connection.close()
        self.resume_queue.clear()
        self.table.start_turn()
        self.poll.close()
        if self.on_wake is not None:
            # The turn that it waits for will not happen any more.
            self.on_wake()
        self.loop = self.call_soon = self.resume_queue.call_soon = self.on_wake = None

    def reset_in_child(self) -> None:
        """Closes the reactor's descriptors in the child of a fork; the parent's connections are not affected."""
        cdef Connection connection
        if not self.is_open:
            return
        self.is_open = False
        self.poll.reset_in_child()
        self.accepting.reset_in_child()
        for connection in self.table.open_connections():
            connection.close_in_child()
        self.table.by_id = []
        self.resume_queue.clear()
        self.lingering.clear()

    # ---------------------------------------------------------------- the loop's side

    def on_ready(self) -> None:
        """Dispatches the ready events; called by the event loop."""
        if not self.parsing and self.is_open:
            self.run_turn(0)

    # ---------------------------------------------------------------- the leading threads' side

    cdef bint dispatch_next(self) except -1:
        if self.index >= self.ready:
            if self.deadlines.is_due:
                # All that was ready has been read.
                self.expire_deadlines(monotonic())
            self.index = 0
            self.ready = max(self.poll.wait(self.batch, BATCH_EVENTS, 0), 0)
            if self.ready == 0:
                return False
        self.index += 1
        self.dispatch_event(&self.batch[self.index - 1])
        return True

    cdef bint peek(self) except -1:
        # The batch belongs to sleep(), which may find the same event: the second thread to receive gets EAGAIN.
        cdef PollEvent event
        if self.poll.wait(&event, 1, 0) <= 0:
            return False
        if event.id == TIMER_ID or event.id == WAKER_ID:
            # They are for the one that sleeps; acknowledged here, they would not wake it.
            return False
        self.dispatch_event(&event)
        self.resume_waiting()
        return True

    cdef int dispatch_event(self, PollEvent* event) except -1:
        self.resume_queue.start_turn()
        try:
            self.handle_event(event)
        finally:
            self.resume_queue.end_turn()
        return 0

    cdef int batch_size(self) noexcept nogil:
        return self.ready

    cdef int pending(self) noexcept nogil:
        return self.ready - self.index + self.deadlines.is_due

    cdef int resume_waiting(self) except -1:
        return self.resume_queue.resume_waiting()

    cdef int sleep(self) noexcept nogil:
        self.index = 0
        self.ready = max(self.poll.wait(self.batch, BATCH_EVENTS, -1), 0)
        return self.ready

    cdef int wake(self) noexcept nogil:
        self.waker.wake()
        return 0

    # ---------------------------------------------------------------- one turn

    cdef int run_turn(self, int milliseconds) except -1:
        cdef int served
        if self.index >= self.ready:
            self.index = self.ready = 0
            if milliseconds == 0:
                self.ready = self.poll.wait(self.batch, BATCH_EVENTS, 0)
            else:
                # The GIL is released only for this call, in which the thread may sleep.
                with nogil:
                    self.ready = self.poll.wait(self.batch, BATCH_EVENTS, milliseconds)
            if self.ready < 0:
                self.ready = 0
                raise OSError(errno, os.strerror(errno))
        served = self.ready - self.index
        self.resume_queue.start_turn()
        try:
            self.dispatch_batch()
        finally:
            self.resume_queue.end_turn()
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
        if self.deadlines.is_due:
            if self.deadlines.may_expire(self.ready == BATCH_EVENTS, monotonic()):
                self.expire_deadlines(monotonic())
            elif self.call_soon is not None:
                self.call_soon(self.on_ready)
        return 0

    cdef int handle_event(self, PollEvent* event) except -1:
        cdef Connection connection
        # A dispatched event shows that the connections are served (telemetry/liveness).
        store_release(&self.waker.served, self.waker.served + 1)
        if event.id == TIMER_ID:
            self.deadlines.on_timer()
        elif event.id == WAKER_ID:
            self.waker.acknowledge()
            if self.on_wake is not None:
                self.on_wake()
        elif event.id == LISTENER_ID:
            self.accepting.on_readable(self, event.generation)
        else:
            connection = self.table.find(event.id, event.generation)
            if connection is not None:
                try:
                    connection.on_events(event.flags)
                except Exception:
                    self.table.drop(connection)
        return 0

    cdef int expire_deadlines(self, double now) except -1:
        cdef Connection connection
        cdef int connection_id
        if not self.deadlines.start_expiry(now):
            return 0
        self.accepting.on_timer(now)
        connection_id = self.deadlines.pop_expired(now)
        while connection_id >= 0:
            connection = self.table.find_by_id(connection_id)
            if connection is not None:
                try:
                    connection.on_timer(now)
                except Exception:
                    self.table.drop(connection)
            connection_id = self.deadlines.pop_expired(now)
        return self.deadlines.arm()

    # ---------------------------------------------------------------- the connections' side

    cdef int watch(self, Connection connection, unsigned int events) except -1:
        if connection.watched:
            self.poll.change(connection.fd, events, connection.id, connection.generation)
        else:
            self.poll.watch(connection.fd, events, connection.id, connection.generation)
            connection.watched = True
        connection.events = events
        return 0

    cdef int schedule(self, Connection connection, double when) except -1:
        return self.deadlines.schedule(connection.id, when, monotonic_coarse())

    cdef int schedule_resume(self, Connection connection) except -1:
        return self.resume_queue.add(connection)

    cdef int remove(self, Connection connection, int fd) except -1:
        if connection.lingering:
            self.lingering.remove(connection.id)
        self.poll.unwatch(fd)
        self.deadlines.cancel(connection.id)
        self.table.remove(connection)
        self.accepting.on_connection_closed()
        if self.table.count == 0 and self.drained is not None:
            drained = self.drained
            self.drained = None
            if self.call_soon is not None:
                self.call_soon(drained)
            else:
                drained()
        return 0
