"""Accepting and its pauses. The poll driver records, so each event is one that the test has chosen."""

import asyncio
import contextlib
import logging
import os
import resource
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ianus.acceptor.reactor import Reactor
from ianus.acceptor.recording import Condition, RecordingPoll, RecordingSessions, expire_deadlines
from ianus.gateway.loading.loader import Application
from ianus.process.worker.stack import build_asgi_gateway, build_sessions
from tests.engine import service, unchecked_settings

MAX_ACCEPTS = 64
LISTENER_ID = 0xFFFFFFFD


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    raise AssertionError("no client sends a request")


class Accepts:
    """A reactor with listeners on Unix sockets, and their clients."""

    def __init__(self, stack: contextlib.ExitStack, *, limit_connections: int = 0) -> None:
        self.stack = stack
        self.loop = asyncio.new_event_loop()
        stack.callback(self.loop.close)
        self.poll = RecordingPoll()
        self.reactor = Reactor(self.poll, limit_connections=limit_connections, receive_size=65536)
        stack.callback(self.reactor.close)
        self.listener = self.listen(self.sessions())

    def sessions(self) -> RecordingSessions:
        settings = unchecked_settings()
        gateway = build_asgi_gateway(Application(app, "asgi3", "application"), settings, self.loop)
        return RecordingSessions(build_sessions(service(gateway), settings))

    def listen(self, sessions: RecordingSessions) -> socket.socket:
        listener = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind("")  # Linux chooses a name without a file
        listener.listen(128)
        self.reactor.listen(listener, sessions)
        return listener

    def connect(self, number: int = 1, listener: socket.socket | None = None) -> list[socket.socket]:
        clients = [self.stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(number)]
        for client in clients:
            client.connect((listener or self.listener).getsockname())
        return clients

    def is_watched(self, listener: socket.socket | None = None) -> bool:
        return (listener or self.listener).fileno() in self.poll.watched

    def accept(self, listener: socket.socket | None = None) -> int:
        """The number of connections after an event of a watched listener."""
        key = self.poll.key_of((listener or self.listener).fileno())
        self.poll.put_event(key, Condition.READABLE)
        self.reactor.dispatch(0)
        return self.reactor.connections

    def keys(self) -> list[tuple[int, int]]:
        """The keys of the connections, by age."""
        return [(id_, generation) for _, id_, generation in self.poll.watched.values() if id_ < LISTENER_ID]

    def reset(self, key: tuple[int, int]) -> int:
        """The number of connections after the one with `key` was reset."""
        self.poll.put_event(key, Condition.BROKEN | Condition.HANGUP)
        self.reactor.dispatch(0)
        return self.reactor.connections


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def test_a_turn_accepts_a_limited_number(stack: contextlib.ExitStack) -> None:
    """So that a flood of new clients does not keep the others waiting."""
    accepts = Accepts(stack)
    accepts.connect(MAX_ACCEPTS + 6)
    assert accepts.accept() == MAX_ACCEPTS
    assert accepts.accept() == MAX_ACCEPTS + 6
    assert accepts.accept() == MAX_ACCEPTS + 6
    assert accepts.is_watched()


def test_all_listeners_pause_at_the_limit_of_connections(stack: contextlib.ExitStack) -> None:
    accepts = Accepts(stack, limit_connections=3)
    other = accepts.listen(accepts.sessions())
    accepts.connect(5)
    assert accepts.accept() == 3
    assert not accepts.is_watched()
    assert not accepts.is_watched(other)


def test_accepting_resumes_after_a_connection_has_closed(stack: contextlib.ExitStack) -> None:
    accepts = Accepts(stack, limit_connections=3)
    other = accepts.listen(accepts.sessions())
    accepts.connect(5)
    accepts.accept()
    assert accepts.reset(accepts.keys()[0]) == 2
    assert accepts.is_watched()
    assert accepts.is_watched(other)
    assert accepts.accept() == 3
    assert not accepts.is_watched()


def test_an_event_of_a_closed_connection_does_not_reach_the_next_one_with_its_id(stack: contextlib.ExitStack) -> None:
    accepts = Accepts(stack)
    accepts.connect()
    accepts.accept()
    (old,) = accepts.keys()
    accepts.reset(old)
    accepts.connect()
    accepts.accept()
    (new,) = accepts.keys()
    assert new[0] == old[0]
    assert accepts.reset(old) == 1
    assert accepts.reset((new[0] + 1, new[1])) == 1
    assert accepts.reset(new) == 0


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """No file can be opened, as if others had taken all descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_accepting_pauses_for_a_second_without_descriptors(
    stack: contextlib.ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    accepts = Accepts(stack)
    accepts.connect(2)
    with no_descriptors(), caplog.at_level(logging.ERROR, "ianus"):
        assert accepts.accept() == 0
        assert not accepts.is_watched()
        paused_until = accepts.poll.timer_at
        # Not before the second has passed, and without a second message about the same shortage.
        expire_deadlines(accepts.reactor, paused_until - 0.01)
        assert not accepts.is_watched()
        assert accepts.poll.timer_at == paused_until
        expire_deadlines(accepts.reactor, paused_until)
        assert accepts.is_watched()
        assert accepts.accept() == 0
        assert not accepts.is_watched()
    (record,) = caplog.records
    assert record.message == (
        "cannot accept connections: Too many open files; trying again every second "
        "(raise the limit of open files, or set --limit-connections)"
    )
    expire_deadlines(accepts.reactor, accepts.poll.timer_at)
    assert accepts.accept() == 2


def test_each_listener_has_its_own_sessions(stack: contextlib.ExitStack) -> None:
    accepts = Accepts(stack)
    first, second = accepts.sessions(), accepts.sessions()
    listeners = [accepts.listen(sessions) for sessions in (first, second, first)]
    for number, listener in enumerate(listeners):
        accepts.connect(number + 1, listener)
        accepts.accept(listener)
    assert first.calls == ["create"] * 4
    assert second.calls == ["create"] * 2


def test_each_factory_is_drained_once(stack: contextlib.ExitStack) -> None:
    accepts = Accepts(stack)
    first, second = accepts.sessions(), accepts.sessions()
    for sessions in first, second, first:
        accepts.listen(sessions)
    drained: list[int] = []
    accepts.reactor.drain(lambda: drained.append(1), handover=True)
    accepts.reactor.drain(lambda: drained.append(2))
    accepts.reactor.end_streams()
    assert first.calls == second.calls == ["drain for handover", "drain", "end_streams"]
    assert drained == [1, 2]
    assert accepts.poll.watched == {}


def test_a_drain_accepts_the_backlog_of_each_listener(stack: contextlib.ExitStack) -> None:
    """Closing a listener that no other process has would reset the connections in its backlog."""
    accepts = Accepts(stack)
    other = accepts.listen(accepts.sessions())
    accepts.connect(MAX_ACCEPTS + 1)
    accepts.connect(2, other)
    drained: list[bool] = []
    accepts.reactor.drain(lambda: drained.append(True))
    assert accepts.reactor.connections == MAX_ACCEPTS + 3
    assert not accepts.is_watched()
    assert not drained


def test_a_handover_accepts_nothing(stack: contextlib.ExitStack) -> None:
    accepts = Accepts(stack)
    accepts.connect(2)
    drained: list[bool] = []
    accepts.reactor.drain(lambda: drained.append(True), handover=True)
    assert accepts.reactor.connections == 0
    assert drained


def test_a_forked_child_closes_its_copies_without_a_change_of_the_poll_set(stack: contextlib.ExitStack) -> None:
    accepts = Accepts(stack)
    first, second = accepts.sessions(), accepts.sessions()
    listeners = [accepts.listen(sessions) for sessions in (first, second, first)]
    (client,) = accepts.connect(1, listeners[0])
    accepts.accept(listeners[0])
    watched = dict(accepts.poll.watched)
    accepts.reactor.reset_in_child()
    assert first.calls == ["create", "reset_in_child"]
    assert second.calls == ["reset_in_child"]
    assert [listener.fileno() for listener in listeners] == [-1] * 3
    assert accepts.poll.watched == watched
    assert accepts.poll.state == "reset in child"
    # In this process no other one has the connection, so its end is seen.
    assert client.recv(1) == b""
    accepts.reactor.close()
    assert accepts.poll.state == "reset in child"
