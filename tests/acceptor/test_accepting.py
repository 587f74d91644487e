"""Accepting and its pauses. The poll driver records, so each event is one that the test has chosen."""

import contextlib
import logging
import os
import resource
from collections.abc import Iterator

import pytest

from ianus.acceptor.recording import Condition, expire_deadlines
from tests.acceptor.driven import LISTENER_ID, DrivenReactor

MAX_ACCEPTS = 64


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def test_a_turn_accepts_a_limited_number(stack: contextlib.ExitStack) -> None:
    """So that a flood of new clients does not keep the others waiting."""
    driven = DrivenReactor(stack)
    driven.connect(MAX_ACCEPTS + 6)
    assert driven.accept() == MAX_ACCEPTS
    assert driven.accept() == MAX_ACCEPTS + 6
    assert driven.accept() == MAX_ACCEPTS + 6
    assert driven.is_watched()


def test_all_listeners_pause_at_the_limit_of_connections(stack: contextlib.ExitStack) -> None:
    driven = DrivenReactor(stack, limit_connections=3)
    other = driven.listen(driven.sessions())
    driven.connect(5)
    assert driven.accept() == 3
    assert not driven.is_watched()
    assert not driven.is_watched(other)


def test_accepting_resumes_after_a_connection_has_closed(stack: contextlib.ExitStack) -> None:
    driven = DrivenReactor(stack, limit_connections=3)
    other = driven.listen(driven.sessions())
    driven.connect(5)
    driven.accept()
    assert driven.reset(driven.connection_keys()[0]) == 2
    assert driven.is_watched()
    assert driven.is_watched(other)
    assert driven.accept() == 3
    assert not driven.is_watched()


def test_an_event_of_a_closed_connection_does_not_reach_the_next_one_with_its_id(stack: contextlib.ExitStack) -> None:
    driven = DrivenReactor(stack)
    driven.connect()
    driven.accept()
    (old,) = driven.connection_keys()
    driven.reset(old)
    driven.connect()
    driven.accept()
    (new,) = driven.connection_keys()
    assert new[0] == old[0]
    assert driven.reset(old) == 1
    assert driven.reset((new[0] + 1, new[1])) == 1
    assert driven.reset(new) == 0


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
    driven = DrivenReactor(stack)
    driven.connect(2)
    with no_descriptors(), caplog.at_level(logging.ERROR, "ianus"):
        assert driven.accept() == 0
        assert not driven.is_watched()
        paused_until = driven.poll.timer_at
        # Not before the second has passed, and without a second message about the same shortage.
        expire_deadlines(driven.reactor, paused_until - 0.01)
        assert not driven.is_watched()
        assert driven.poll.timer_at == paused_until
        expire_deadlines(driven.reactor, paused_until)
        assert driven.is_watched()
        assert driven.accept() == 0
        assert not driven.is_watched()
    (record,) = caplog.records
    assert record.message == (
        "cannot accept connections: Too many open files; trying again every second "
        "(raise the limit of open files, or set --limit-connections)"
    )
    expire_deadlines(driven.reactor, driven.poll.timer_at)
    assert driven.accept() == 2


def test_each_listener_has_its_own_sessions(stack: contextlib.ExitStack) -> None:
    driven = DrivenReactor(stack)
    first, second = driven.sessions(), driven.sessions()
    listeners = [driven.listen(sessions) for sessions in (first, second, first)]
    for number, listener in enumerate(listeners):
        driven.connect(number + 1, listener)
        driven.accept(listener)
    assert first.calls == ["create"] * 4
    assert second.calls == ["create"] * 2


def test_each_factory_is_drained_once(stack: contextlib.ExitStack) -> None:
    driven = DrivenReactor(stack)
    first, second = driven.sessions(), driven.sessions()
    for sessions in first, second, first:
        driven.listen(sessions)
    drained: list[int] = []
    driven.reactor.drain(lambda: drained.append(1), handover=True)
    driven.reactor.drain(lambda: drained.append(2))
    driven.reactor.draining.end_streams()
    assert first.calls == second.calls == ["drain for handover", "drain", "end_streams"]
    assert drained == [1, 2]
    assert driven.poll.watched == {}


def test_a_drain_accepts_the_backlog_of_each_listener(stack: contextlib.ExitStack) -> None:
    """Closing a listener that no other process has would reset the connections in its backlog."""
    driven = DrivenReactor(stack)
    other = driven.listen(driven.sessions())
    driven.connect(MAX_ACCEPTS + 1)
    driven.connect(2, other)
    drained: list[bool] = []
    driven.reactor.drain(lambda: drained.append(True))
    assert driven.reactor.connections == MAX_ACCEPTS + 3
    assert not driven.is_watched()
    assert not drained


def test_an_event_of_a_listener_from_before_the_drain_is_dropped(stack: contextlib.ExitStack) -> None:
    driven = DrivenReactor(stack)
    driven.reactor.drain(lambda: None, handover=True)
    driven.connect()
    driven.dispatch((LISTENER_ID, 0), Condition.READABLE)
    assert driven.reactor.connections == 0


def test_a_handover_accepts_nothing(stack: contextlib.ExitStack) -> None:
    driven = DrivenReactor(stack)
    driven.connect(2)
    drained: list[bool] = []
    driven.reactor.drain(lambda: drained.append(True), handover=True)
    assert driven.reactor.connections == 0
    assert drained


def test_a_forked_child_closes_its_copies_without_a_change_of_the_poll_set(stack: contextlib.ExitStack) -> None:
    driven = DrivenReactor(stack)
    first, second = driven.sessions(), driven.sessions()
    listeners = [driven.listen(sessions) for sessions in (first, second, first)]
    (client,) = driven.connect(1, listeners[0])
    driven.accept(listeners[0])
    watched = dict(driven.poll.watched)
    driven.reactor.reset_in_child()
    assert first.calls == ["create", "reset_in_child"]
    assert second.calls == ["reset_in_child"]
    assert [listener.fileno() for listener in listeners] == [-1] * 3
    assert driven.poll.watched == watched
    assert driven.poll.state == "reset in child"
    # In this process no other one has the connection, so its end is seen.
    assert client.recv(1) == b""
    driven.reactor.close()
    assert driven.poll.state == "reset in child"
