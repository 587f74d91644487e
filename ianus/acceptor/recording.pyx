"""Fakes for the neighbours of the acceptor's parts, and the compiled methods that tests call."""
import enum

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from ianus.acceptor.backlog_watch cimport BacklogWatch, look, watch_backlog
from ianus.acceptor.deadlines cimport DeadlineTimer
from ianus.acceptor.file_reserve cimport FileReserve
from ianus.acceptor.handshakes cimport HANDSHAKES_ID
from ianus.acceptor.lingering cimport Lingering
from ianus.acceptor.poll.base cimport (
    BATCH_EVENTS, BROKEN, HANGUP, PEER_FINISHED, READABLE, TIMER_ID, WAKER_ID, WRITABLE, Poll, PollEvent,
)
from ianus.acceptor.reactor cimport Reactor
from ianus.acceptor.transfers cimport Transfers
from ianus.exchange.base cimport Session, SessionFactory, Transport
from ianus.runtime.waker cimport Waker


Condition = enum.IntFlag("Condition", {
    "READABLE": READABLE, "WRITABLE": WRITABLE, "BROKEN": BROKEN, "HANGUP": HANGUP, "PEER_FINISHED": PEER_FINISHED,
})

TIMER_KEY = (<uint32_t>TIMER_ID, 0)
WAKER_KEY = (<uint32_t>WAKER_ID, 0)
HANDSHAKES_KEY = (<uint32_t>HANDSHAKES_ID, 0)


cdef class RecordingPoll(Poll):
    """A poll driver that asks no system: its events are those of put_event().

    watched: the flags, id and generation of each watched descriptor. timer_at: the last time that the timer was set
    to. acknowledged: the number of calls of acknowledge_timer(). state: "open", "closed", or "reset in child".
    inner: the last nested set.
    """
    cdef readonly dict watched
    cdef readonly double timer_at
    cdef readonly int acknowledged
    cdef readonly str state
    cdef readonly RecordingPoll inner
    cdef list events

    def __init__(self):
        # A true one: the reactor acknowledges it, and native threads may write to it.
        self.waker = Waker()
        self.watched = {}
        self.state = "open"
        self.events = []

    def put_event(self, key: tuple[int, int], flags: int) -> None:
        """Adds an event for the next wait()."""
        self.events.append((*key, flags))

    def key_of(self, int fd) -> tuple[int, int]:
        """The id and the generation that a descriptor is watched with."""
        return self.watched[fd][1:]

    cdef int watch(self, int fd, uint32_t flags, uint32_t id, uint32_t generation) except -1:
        if fd in self.watched:
            # As epoll does, so that a test fails if a descriptor is watched twice.
            raise FileExistsError(fd)
        self.watched[fd] = (Condition(flags), id, generation)
        return 0

    cdef int change(self, int fd, uint32_t flags, uint32_t id, uint32_t generation) except -1:
        if fd not in self.watched:
            # As epoll does for a descriptor that is not in its set.
            raise FileNotFoundError(fd)
        self.watched[fd] = (Condition(flags), id, generation)
        return 0

    cdef int unwatch(self, int fd) noexcept:
        # No error for one that is not watched, by the contract of Poll.
        self.watched.pop(fd, None)
        return 0

    cdef int set_timer(self, double when) except -1:
        self.timer_at = when
        return 0

    cdef int acknowledge_timer(self) noexcept:
        self.acknowledged += 1
        return 0

    cdef Poll nested(self, uint32_t id):
        self.inner = RecordingPoll()
        return self.inner

    cdef int wait(self, PollEvent* events, int max_events, int milliseconds) noexcept nogil:
        cdef int number = 0
        # The drivers of a system run without the GIL. This one has its events in a list.
        with gil:
            while self.events and number < max_events:
                events[number].id, events[number].generation, events[number].flags = self.events.pop(0)
                number += 1
        return number

    cdef int close(self) except -1:
        self.state = "closed"
        # Poll owns the waker, as in every driver.
        self.waker.close()
        return 0

    cdef int reset_in_child(self) except -1:
        self.state = "reset in child"
        self.waker.reset_in_child()
        return 0


cdef class RecordingSessions(SessionFactory):
    """Makes the sessions of another factory, and records the calls."""
    # Owned; the sessions are the other factory's, so a test sees the true behaviour.
    cdef SessionFactory sessions
    cdef readonly list calls

    def __init__(self, SessionFactory sessions not None):
        self.sessions = sessions
        self.calls = []

    # Recorded before the call, so that a test sees the order even if it raises.
    cdef Session create(self, Transport transport):
        self.calls.append("create")
        return self.sessions.create(transport)

    cdef int drain(self, bint handover) except -1:
        self.calls.append("drain for handover" if handover else "drain")
        return self.sessions.drain(handover)

    cdef int end_streams(self) except -1:
        self.calls.append("end_streams")
        return self.sessions.end_streams()

    cdef int reset_in_child(self) except -1:
        self.calls.append("reset_in_child")
        return self.sessions.reset_in_child()


cdef class GreetedSessions(SessionFactory):
    """Makes sessions that consume a greeting, and are then replaced by the session of another factory.

    greetings: the factory by the greeting, a line with its end. A connection with another first line is closed.
    """
    cdef dict greetings

    def __init__(self, dict greetings not None):
        self.greetings = greetings

    cdef Session create(self, Transport transport):
        cdef GreetedSession session = GreetedSession.__new__(GreetedSession)
        session.transport = transport
        session.greetings = self.greetings
        return session


@cython.no_gc
cdef class GreetedSession(Session):
    cdef dict greetings
    cdef SessionFactory chosen
    cdef bint ended

    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1:
        cdef bytes line = data[:size].partition(b"\n")[0] + b"\n"
        if len(line) > size:
            return 0
        self.chosen = self.greetings.get(line)
        self.ended = self.chosen is None
        return len(line)

    cdef int run(self) except -1:
        if self.chosen is not None:
            self.transport.switch_session(self.chosen.create(self.transport))
        elif self.ended:
            self.transport.finish()
        return 0

    cdef bint wants_input(self) noexcept:
        return not self.ended

    cdef bint wants_read(self) noexcept:
        return not self.ended

    cdef int on_peer_finished(self, bint behind_unread) except -1:
        return self.transport.finish()

    cdef int on_connection_lost(self) except -1:
        self.transport = None
        return 0

    cdef int drain(self) except -1:
        return self.transport.finish()


@cython.no_gc
cdef class RecordingTransport(Transport):
    """A connection that lingers until it is closed; then it removes itself, as a reactor does."""
    cdef Lingering lingering    # the cycle ends with close()
    cdef int id
    cdef readonly bint is_closed

    def __init__(self, Lingering lingering not None, int connection_id):
        self.lingering = lingering
        self.id = connection_id
        # It may close the connection that lingers longest, which is another one.
        lingering.add(connection_id, self)

    cdef int close(self) except -1:
        self.is_closed = True
        # In a server the reactor calls this from remove().
        self.lingering.remove(self.id)
        return 0


# ---------------------------------------------------------------- poll drivers


def watch(Poll poll not None, int fd, uint32_t flags, key) -> None:
    """Watches a descriptor."""
    # As a reactor does for a connection: the key returns with each event.
    poll.watch(fd, flags, key[0], key[1])


def change(Poll poll not None, int fd, uint32_t flags, key) -> None:
    """Watches a watched descriptor for other conditions."""
    poll.change(fd, flags, key[0], key[1])


def unwatch(Poll poll not None, int fd) -> None:
    """Stops watching a descriptor."""
    poll.unwatch(fd)


def wait(Poll poll not None, *, int max_events=BATCH_EVENTS, int milliseconds=0) -> list:
    """The key and the conditions of each ready event."""
    cdef PollEvent[BATCH_EVENTS] events
    cdef int number
    # As a reactor calls it: a driver that needs the GIL would fail here.
    with nogil:
        number = poll.wait(events, max_events, milliseconds)
    return [((events[i].id, events[i].generation), Condition(events[i].flags)) for i in range(number)]


def set_timer(Poll poll not None, double when) -> None:
    """Has the timer fire."""
    poll.set_timer(when)


def acknowledge_timer(Poll poll not None) -> None:
    """Ends the timer's event."""
    poll.acknowledge_timer()


def fileno(Poll poll not None) -> int:
    """The descriptor that an event loop would watch."""
    return poll.fileno()


def nested(Poll poll not None, uint32_t key) -> Poll:
    """Makes a set within that of the driver, which reports it with this id."""
    return poll.nested(key)


def close(Poll poll not None) -> None:
    """Closes the driver."""
    poll.close()


# ---------------------------------------------------------------- deadlines


def schedule(DeadlineTimer deadlines not None, int connection_id, double when, double now) -> None:
    """Schedules the deadline of a connection."""
    deadlines.schedule(connection_id, when, now)


def cancel(DeadlineTimer deadlines not None, int connection_id) -> None:
    """Removes the deadline of a connection."""
    deadlines.cancel(connection_id)


def expire(
    DeadlineTimer deadlines not None, double now, *, bint more=False, Py_ssize_t max_count=-1, double delay=0
) -> list | None:
    """Handles the timer as a reactor does: the ids of expired deadlines, or None if expiry is deferred.

    more: the batch was full, so more events may be ready. max_count: of deadlines in this turn, -1 for all. delay: the
    expired ones are scheduled again after these seconds, 0 for not at all.
    """
    cdef list expired = []
    cdef int connection_id
    # In the order of Reactor: the event, the decision, the expired ids, and the timer for the rest.
    deadlines.on_timer()
    if not deadlines.may_expire(more, now) or not deadlines.start_expiry(now):
        return None
    connection_id = deadlines.pop_expired(now)
    while connection_id >= 0:
        expired.append(connection_id)
        if delay:
            deadlines.schedule(connection_id, now + delay, now)
        if len(expired) == max_count:
            deadlines.arm_at(now)
            return expired
        connection_id = deadlines.pop_expired(now)
    # The timer has fired once; without this no later deadline would expire.
    deadlines.arm()
    return expired


# ---------------------------------------------------------------- reactor, lingering, file reserve


def expire_deadlines(Reactor reactor not None, double now) -> None:
    """Has a reactor handle the deadlines that have expired at `now`."""
    # Not by the timer: the test's time has no relation to the clock.
    reactor.expire_deadlines(now)


def dispatch_next(Reactor reactor not None) -> bool:
    """Has a reactor dispatch one event, as a leader does."""
    return reactor.dispatch_next()


def peek(Reactor reactor not None) -> bool:
    """Has a reactor dispatch one event, as another thread does while the leader sleeps."""
    return reactor.peek()


def sleep(Reactor reactor not None) -> int:
    """Has a reactor wait for the next batch, as a leader does without the GIL."""
    cdef int number
    # Reactor.sleep() is called so by the pool.
    with nogil:
        number = reactor.sleep()
    return number


def pending(Reactor reactor not None) -> int:
    """The number of events of the batch that are not dispatched yet."""
    return reactor.pending()


def share(Lingering lingering not None, double now) -> int:
    """The bytes that a lingering connection may discard at `now`."""
    return lingering.share(now)


def note(FileReserve reserve not None, int fd, int connections) -> None:
    """Records the descriptor of a new connection."""
    reserve.note(fd, connections)


def admits(FileReserve reserve not None, int any_fd, int connections) -> bool:
    """Whether another connection may be accepted."""
    return reserve.admits(any_fd, connections)


def report_shortage(FileReserve reserve not None, int connections, double now) -> None:
    """Reports that connections have all descriptors below the reserve."""
    reserve.report_shortage(connections, now)


cdef class DrivenBacklogWatch:
    """The watch of a backlog, without its thread: each look is one that the test has chosen."""
    cdef BacklogWatch watch
    cdef uint64_t accepted, paused

    def __init__(self, Transfers transfers not None, Waker waker not None, list fds not None):
        self.watch = watch_backlog(transfers, waker, None, &self.accepted, &self.paused, fds)

    def look(self) -> int:
        """Returns the milliseconds until the next look, -1 for the next connection."""
        return look(self.watch.state)

    def note_accept(self) -> None:
        """Counts a connection as accepted by the reactor."""
        self.accepted += 1

    def set_paused(self, bint paused) -> None:
        """Notes whether the reactor accepts no connection, at one of its limits."""
        self.paused = paused

    def replace_writer(self, int fd) -> None:
        """Has the watch write into another descriptor than that of the queue."""
        self.watch.state.writer = fd

    def stop(self) -> int:
        """Stops the watch; returns the held connection, which is the caller's then, or -1."""
        return self.watch.stop_thread()


def set_max_wait(Reactor reactor not None, double seconds) -> None:
    """Sets for how long a response may wait for the end of its batch."""
    reactor.send_queue.max_wait = seconds


def set_full(Reactor reactor not None, bint full) -> None:
    """Notes whether a further call of the application can be made."""
    reactor.full = full


def take(Transfers transfers not None) -> int:
    """Takes a connection from the queue; -1 if it is empty."""
    return transfers.take()
