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
- Handshakes are one event of a batch (acceptor/handshakes). They continue after the others of it, for a short time.
- Each connection has its own try/except: an internal error closes that one.

Compiled because every event passes here: 162 instructions for ASGI hello.
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
from ianus.acceptor.draining cimport Draining
from ianus.acceptor.handshakes cimport HANDSHAKES_ID, Handshakes
from ianus.acceptor.lingering cimport Lingering
from ianus.acceptor.passing_on cimport pass_on
from ianus.acceptor.poll.base cimport (
    BATCH_EVENTS, READABLE, TIMER_ID, WAKER_ID, Poll, PollEvent,
)
from ianus.acceptor.resume_queue cimport ResumeQueue
from ianus.acceptor.send_queue cimport SendQueue
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
        # The parts share the driver and the table. None refers to the reactor, which is an argument of their calls.
        self.poll = poll
        self.waker = poll.waker
        self.table = ConnectionTable()
        self.deadlines = DeadlineTimer(poll, monotonic())
        self.handshakes = Handshakes(self.deadlines)
        self.accepting = Accepting(poll, self.table, self.deadlines, limit_connections)
        self.draining = Draining(self.accepting, self.table)
        self.resume_queue = ResumeQueue(self.table)
        self.lingering = Lingering(limit_connections)
        self.send_queue = SendQueue(self.table)
        self.pool = OutputPool()
        self.receive_size = receive_size
        # One buffer for all connections: no view of it outlives a codec call.
        self.receive_buffer = <char*>malloc(receive_size)
        if self.receive_buffer == NULL:
            raise MemoryError
        self.is_open = True
        # fork() in an application is normal (multiprocessing); the child must not touch descriptors that it shares.
        # Handlers of register_at_fork() are never removed. A strong reference would keep each reactor for ever.
        reference = weakref.ref(self)

        def reset() -> None:
            reactor = reference()
            if reactor is not None:
                reactor.reset_in_child()

        os.register_at_fork(after_in_child=reset)

    def __dealloc__(self):
        # Owned since __init__(); NULL if that has failed before, which free() accepts.
        free(self.receive_buffer)

    # ---------------------------------------------------------------- the owner's side

    @property
    def connections(self) -> int:
        """The number of open connections of clients."""
        return self.table.clients()

    def fileno(self) -> int:
        """The fd that is readable while there is something to do."""
        return self.poll.fileno()

    def listen(self, sock, SessionFactory sessions not None, ByteFilterFactory filters=None) -> None:
        """Accepts connections from a listening socket, which stays its owner's and is made non-blocking.

        sessions: makes the sessions of its connections. filters: makes their filters, None for none.
        """
        if filters is not None:
            self.handshakes.open(self.poll)
        self.accepting.listen(sock, sessions, filters, self.handshakes.poll)

    def attach(self, loop) -> None:
        """Has an event loop drive the reactor."""
        self.loop = loop
        # A fixed context: otherwise a callback scheduled during a request would carry that request's context variables.
        self.call_soon = functools.partial(loop.call_soon, context=contextvars.copy_context())
        self.resume_queue.call_soon = self.call_soon
        loop.add_reader(self.poll.fileno(), self.on_ready)

    def dispatch(self, double timeout) -> int:
        """Dispatches one batch without an event loop, after at most `timeout` seconds; returns its size."""
        # Without a loop, connections that listed themselves are resumed here, before the next wait.
        cdef int served = self.run_turn(<int>(timeout * 1000))
        self.resume_waiting()
        return served

    def drain(self, on_drained, *, bint handover=False) -> None:
        """Stops accepting, closes connections as they become idle; then calls on_drained().

        handover: other reactors keep the same sockets and their backlogs. Otherwise the backlog is accepted first. A
        second call with handover=False is allowed: then the other reactors stop, too.
        """
        self.accepting.drain(self, handover)
        # Set before the connections are closed: the last one to close calls it.
        self.drained = on_drained
        self.table.drain_sessions()
        if self.table.count == 0:
            # Called once, here or in remove().
            self.drained = None
            on_drained()

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
        # Releases those of the turn before. The ones that are closed below are kept until the next turn.
        self.table.start_turn()
        for connection in self.table.open_connections():
            if not connection.is_busy() and (connection.lingering or not lingering):
                connection.close()

    def close(self) -> None:
        """Closes every connection at once and detaches from the loop. The listeners' owner closes them."""
        cdef Connection connection
        if not self.is_open:
            return
        # First: close() of a connection may lead back into the reactor.
        self.is_open = False
        if self.loop is not None:
            # Before the driver closes the descriptor: the loop would otherwise watch a number that is not its own.
            self.loop.remove_reader(self.poll.fileno())
        self.drained = None
        self.accepting.close()
        for connection in self.table.open_connections():
            # Unsent output is lost. An orderly stop has drained before.
            connection.close()
        self.resume_queue.clear()
        self.table.start_turn()
        self.poll.close()
        self.handshakes.close()
        if self.on_wake is not None:
            # The turn that it waits for will not happen any more.
            self.on_wake()
        # Ends the cycles with the loop, which holds on_ready() and the callbacks.
        self.loop = self.call_soon = self.resume_queue.call_soon = self.on_wake = None

    def reset_in_child(self) -> None:
        """Closes the reactor's descriptors in the child of a fork; the parent's connections are not affected."""
        cdef Connection connection
        if not self.is_open:
            return
        self.is_open = False
        # First the driver: the child must not change the set that it shares with its parent.
        self.poll.reset_in_child()
        self.handshakes.reset_in_child()
        self.accepting.reset_in_child()
        connections = self.table.open_connections()
        self.table.reset_in_child()
        # The child's copies; the parent's sockets, and their timers, are not affected.
        for connection in connections:
            connection.close_in_child()
        self.resume_queue.clear()
        self.lingering.clear()

    # ---------------------------------------------------------------- the loop's side

    def on_ready(self) -> None:
        """Dispatches the ready events; called by the event loop."""
        # A nested loop inside an application may call this. While a codec is on the stack the receive buffer is in use.
        if not self.parsing and self.is_open:
            self.run_turn(0)

    def on_handshakes(self) -> None:
        """Continues handshakes; called by the event loop after the tasks that a turn has started."""
        if self.parsing or not self.handshakes.is_due:
            return
        self.resume_queue.start_turn()
        try:
            self.handshakes.run(self, self.table, self.accepting)
        finally:
            self.resume_queue.end_turn()

    # ---------------------------------------------------------------- the leading threads' side

    cdef bint dispatch_next(self) except -1:
        if self.index >= self.ready:
            if self.deadlines.is_due:
                # All that was ready has been read.
                self.expire_deadlines(monotonic())
            if self.handshakes.is_due:
                self.on_handshakes()
            # Everything of the old batch has been dispatched.
            self.index = 0
            self.ready = max(self.poll.wait(self.batch, BATCH_EVENTS, 0), 0)
            if self.ready == 0:
                return False
        # Before the dispatch: an application in it may lead to a nested call, which must not find the same event.
        self.index += 1
        self.dispatch_event(&self.batch[self.index - 1])
        return True

    cdef bint peek(self) except -1:
        # The batch belongs to sleep(), which may find the same event: the second thread to receive gets EAGAIN.
        cdef PollEvent event
        if self.poll.wait(&event, 1, 0) <= 0:
            return False
        if event.id == TIMER_ID or event.id == WAKER_ID or event.id == HANDSHAKES_ID:
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
        # Read without the GIL, by the thread that has the pool's mutex.
        return self.ready - self.index + self.deadlines.is_due + self.handshakes.is_due

    cdef int resume_waiting(self) except -1:
        if self.accepting.queue_paused and not self.full:
            self.accepting.resume_queue()
        return self.resume_queue.resume_waiting()

    cdef int sleep(self) noexcept nogil:
        self.index = 0
        # No thread dispatches meanwhile, so the batch may be written without the GIL. An error counts as no event.
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
                # The call returns at once, so releasing the GIL would cost more than it gives.
                self.ready = self.poll.wait(self.batch, BATCH_EVENTS, 0)
            else:
                # The GIL is released only for this call, in which the thread may sleep.
                with nogil:
                    self.ready = self.poll.wait(self.batch, BATCH_EVENTS, milliseconds)
            if self.ready < 0:
                self.ready = 0
                raise OSError(errno, os.strerror(errno))
        # Perhaps the rest of a batch that an earlier turn has left.
        served = self.ready - self.index
        self.resume_queue.start_turn()
        try:
            self.dispatch_batch()
        finally:
            self.send_queue.close()
            self.resume_queue.end_turn()
        if self.handshakes.is_due and self.index >= self.ready:
            if served > 1 and self.call_soon is not None:
                # After the tasks of this turn, so that their responses are not delayed.
                self.call_soon(self.on_handshakes)
            else:
                self.on_handshakes()
        return served

    cdef int dispatch_batch(self) except -1:
        """Dispatches the batch, or as much of it as fits into a turn."""
        cdef double started = monotonic()
        if self.ready - self.index > 1:
            self.send_queue.open(started)
        while self.index < self.ready:
            # As in dispatch_next(): a nested turn continues with the event after this one.
            self.index += 1
            self.handle_event(&self.batch[self.index - 1])
            # The clock is read for every eighth event only.
            if (self.index & 7) == 0 and self.index < self.ready and monotonic() - started > TURN_SECONDS:
                if self.call_soon is not None:
                    # The rest stays in this batch. The loop returns to it after its other callbacks.
                    self.call_soon(self.on_ready)
                    return 0
        if self.deadlines.is_due:
            if self.deadlines.may_expire(self.ready == BATCH_EVENTS, monotonic()):
                self.expire_deadlines(monotonic())
            elif self.call_soon is not None:
                # Expiry waits for further input, which the next turn reads.
                self.call_soon(self.on_ready)
        return 0

    cdef int handle_event(self, PollEvent* event) except -1:
        cdef Connection connection
        # A dispatched event shows that the connections are served (telemetry/liveness).
        # The liveness thread reads the number without the GIL.
        store_release(&self.waker.served, self.waker.served + 1)
        if event.id == TIMER_ID:
            # Notes it; the deadlines are handled after the batch.
            self.deadlines.on_timer()
        elif event.id == WAKER_ID:
            # Before on_wake(): a wake-up that arrives during the callback makes the descriptor readable again.
            self.waker.acknowledge()
            if self.on_wake is not None:
                self.on_wake()
        elif event.id == HANDSHAKES_ID:
            # Noted as well: they continue after the batch.
            self.handshakes.is_due = True
        elif event.id == LISTENER_ID:
            # For a listener the generation is its index.
            self.accepting.on_readable(self, event.generation)
        else:
            connection = self.table.find(event.id, event.generation)
            if connection is not None:
                try:
                    # A request that would wait here is served by another worker, if that can read it.
                    if not self.full or event.flags != READABLE or not pass_on(connection, self.accepting.transfers):
                        connection.on_events(event.flags)
                except Exception:
                    # An error is the connection's alone; the others of the batch are served.
                    self.table.drop(connection)
        return 0

    cdef int expire_deadlines(self, double now) except -1:
        cdef Connection connection
        cdef int connection_id
        if not self.deadlines.start_expiry(now):
            return 0
        self.accepting.on_timer(now)
        self.handshakes.memory.on_timer(now)
        connection_id = self.deadlines.pop_expired(now)
        while connection_id >= 0:
            connection = self.table.find_by_id(connection_id)
            if connection is not None:
                try:
                    # The wheel only proposes: the connection compares its true deadline, and schedules itself again if
                    # it is later.
                    connection.on_timer(now)
                except Exception:
                    self.table.drop(connection)
                if monotonic() - now > TURN_SECONDS:
                    # Such as of a thousand handshakes. The rest follows after the events that are ready meanwhile.
                    return self.deadlines.arm_at(monotonic())
            connection_id = self.deadlines.pop_expired(now)
        return self.deadlines.arm()

    # ---------------------------------------------------------------- the connections' side

    cdef int watch(self, Connection connection, unsigned int events) except -1:
        cdef bint handshaking = connection.filter is not None and connection.filter.handshaking
        cdef Poll poll = self.handshakes.poll if handshaking else self.poll
        if handshaking != connection.handshaking:
            # A handshake has started or is complete.
            unwatch(self, connection, connection.fd)
        # One connection is registered once. Adding it again would be an error (EEXIST).
        if connection.watched:
            poll.change(connection.fd, events, connection.id, connection.generation)
        else:
            if handshaking:
                connection.handshaking = True
                self.handshakes.memory.add()
            poll.watch(connection.fd, events, connection.id, connection.generation)
            connection.watched = True
        connection.events = events
        return 0

    cdef int schedule(self, Connection connection, double when) except -1:
        # The coarse clock is late by a few milliseconds at most, and a tick of the wheel is longer.
        return self.deadlines.schedule(connection.id, when, monotonic_coarse())

    cdef int schedule_resume(self, Connection connection) except -1:
        return self.resume_queue.add(connection)

    cdef int remove(self, Connection connection, int fd) except -1:
        # In this order: nothing may refer to the id when the table gives it to the next connection.
        if connection.lingering:
            self.lingering.remove(connection.id)
        # Before the connection closes fd: if a child of a fork has a copy, closing alone would not end the
        # registration.
        unwatch(self, connection, fd)
        self.deadlines.cancel(connection.id)
        self.table.remove(connection)
        # After the table has counted the end.
        self.accepting.on_connection_closed()
        if self.table.count == 0 and self.drained is not None:
            # Cleared before the call, which may close the reactor.
            drained = self.drained
            self.drained = None
            if self.call_soon is not None:
                # A method of the connection is on the stack. Its turn ends before the callback continues the stop.
                self.call_soon(drained)
            else:
                drained()
        return 0


cdef int unwatch(Reactor reactor, Connection connection, int fd) except -1:
    connection.watched = False
    if connection.handshaking:
        connection.handshaking = False
        reactor.handshakes.poll.unwatch(fd)
        return reactor.handshakes.memory.remove()
    reactor.poll.unwatch(fd)
    return 0
