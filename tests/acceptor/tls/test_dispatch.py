"""The dispatch of handshakes beside other connections, with a poll driver that records."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from ianus.acceptor.recording import HANDSHAKES_KEY, Condition, dispatch_next, expire_deadlines, peek, pending, sleep
from ianus.acceptor.tls.openssl import find_openssl
from ianus.acceptor.tls.options import TlsOptions
from tests.acceptor.driven import DrivenReactor
from tests.acceptor.tls.serving import SECRET, Store

READABLE = Condition.READABLE
RESET = Condition.BROKEN | Condition.HANGUP
TURN_SECONDS = 0.001


class Driven(DrivenReactor):
    """A reactor with a second listener, for TLS."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        super().__init__(stack)
        self.factory = find_openssl().create_factory(Store(), TlsOptions(SECRET, timeout_handshake=0.001))
        self.tls_listener = self.listen(self.sessions(), self.factory)

    def accept_handshakes(self) -> int:
        """The number of connections after an event of the listener for TLS."""
        handshakes = self.poll.inner
        handshakes.put_event(handshakes.key_of(self.tls_listener.fileno()), READABLE)
        self.dispatch(HANDSHAKES_KEY, READABLE)
        return self.reactor.connections

    def handshake_keys(self) -> list[tuple[int, int]]:
        """The keys of connections in handshakes, by age."""
        listener = self.tls_listener.fileno()
        return [(id_, generation) for fd, (_, id_, generation) in self.poll.inner.watched.items() if fd != listener]


@pytest.fixture
def driven() -> Iterator[Driven]:
    with contextlib.ExitStack() as stack:
        yield Driven(stack)


def connect(driven: Driven, number: int) -> list[socket.socket]:
    return driven.connect(number, driven.tls_listener)


def test_handshakes_continue_after_the_other_events_of_a_batch(driven: Driven) -> None:
    driven.connect()
    connect(driven, 1)
    assert driven.accept() == 1
    assert driven.accept_handshakes() == 2
    driven.poll.put_event(HANDSHAKES_KEY, READABLE)
    driven.poll.inner.put_event(driven.handshake_keys()[0], RESET)
    driven.poll.put_event(driven.connection_keys()[0], RESET)
    assert sleep(driven.reactor) == 2
    assert dispatch_next(driven.reactor)
    assert driven.reactor.connections == 2
    assert dispatch_next(driven.reactor)
    assert driven.factory.handshakes == driven.reactor.connections == 1
    assert pending(driven.reactor) == 1, "the leader must not sleep"
    assert not dispatch_next(driven.reactor)
    assert driven.reactor.connections == 0
    assert pending(driven.reactor) == 0


def test_another_thread_leaves_handshakes_to_the_leader(driven: Driven) -> None:
    """It would find the same event again and again, while the leader waits for the lead."""
    connect(driven, 1)
    assert driven.accept_handshakes() == 1
    driven.poll.put_event(HANDSHAKES_KEY, READABLE)
    driven.poll.inner.put_event(driven.handshake_keys()[0], RESET)
    assert not peek(driven.reactor)
    assert driven.reactor.connections == 1


def test_few_connections_with_handshakes_are_accepted_at_once(driven: Driven) -> None:
    connect(driven, 20)
    counts = [driven.accept_handshakes() for _ in range(4)]
    assert counts == [8, 16, 20, 20]


def test_a_turn_ends_many_expired_handshakes_in_parts(driven: Driven) -> None:
    connect(driven, 8)
    assert driven.accept_handshakes() == 8
    end = time.monotonic() + 10
    while (before := driven.reactor.connections) and time.monotonic() < end:
        # A time at which the turn is over after the first one
        expire_deadlines(driven.reactor, time.monotonic() - 2 * TURN_SECONDS)
        assert before - driven.reactor.connections <= 1
    assert driven.reactor.connections == 0


def test_the_set_of_handshakes_is_closed_with_the_reactor(driven: Driven) -> None:
    connect(driven, 2)
    assert driven.accept_handshakes() == 2
    driven.reactor.close()
    assert driven.poll.inner.watched == {}
    assert driven.poll.inner.state == "closed"


def test_draining_accepts_the_backlog_of_handshakes(driven: Driven) -> None:
    connect(driven, 20)
    driven.reactor.drain(lambda: None)
    assert driven.reactor.connections == 20
    assert len(driven.handshake_keys()) == 20
