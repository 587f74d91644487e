"""The dispatch of events by threads that drive a reactor in turns, with a poll driver that records."""

import contextlib
import os
from collections.abc import Iterator

import pytest

from ianus.acceptor.recording import (
    TIMER_KEY,
    WAKER_KEY,
    Condition,
    dispatch_next,
    peek,
    pending,
    sleep,
)
from tests.acceptor.driven import DrivenReactor

READABLE = Condition.READABLE
RESET = Condition.BROKEN | Condition.HANGUP
BATCH_EVENTS = 256


@pytest.fixture
def driven() -> Iterator[DrivenReactor]:
    """Three connections."""
    with contextlib.ExitStack() as stack:
        driven = DrivenReactor(stack)
        driven.connect(3)
        assert driven.accept() == 3
        yield driven


def test_a_leader_dispatches_one_event_at_a_time(driven: DrivenReactor) -> None:
    for key in driven.connection_keys():
        driven.poll.put_event(key, RESET)
    assert sleep(driven.reactor) == 3
    for left in 2, 1, 0:
        assert dispatch_next(driven.reactor)
        assert pending(driven.reactor) == driven.reactor.connections == left
    assert not dispatch_next(driven.reactor)


def test_a_leader_asks_the_system_after_the_last_event_of_the_batch(driven: DrivenReactor) -> None:
    first, second, _ = driven.connection_keys()
    driven.poll.put_event(first, RESET)
    assert sleep(driven.reactor) == 1
    driven.poll.put_event(second, RESET)
    assert dispatch_next(driven.reactor)
    assert dispatch_next(driven.reactor)
    assert driven.reactor.connections == 1


def test_another_thread_dispatches_an_event_while_the_leader_sleeps(driven: DrivenReactor) -> None:
    driven.poll.put_event(driven.connection_keys()[0], RESET)
    assert peek(driven.reactor)
    assert driven.reactor.connections == 2
    assert pending(driven.reactor) == 0, "the batch belongs to the leader"
    assert not peek(driven.reactor)


def test_the_timer_and_the_waker_are_left_to_the_leader(driven: DrivenReactor) -> None:
    """The other thread would acknowledge them, and the leader would continue to sleep."""
    waker_fd = driven.reactor.waker.fd
    os.eventfd_write(waker_fd, 1)
    for key in TIMER_KEY, WAKER_KEY:
        driven.poll.put_event(key, READABLE)
        assert not peek(driven.reactor)
    assert driven.poll.acknowledged == 0
    assert os.eventfd_read(waker_fd) == 1
    os.eventfd_write(waker_fd, 1)
    for key in TIMER_KEY, WAKER_KEY:
        driven.poll.put_event(key, READABLE)
        assert dispatch_next(driven.reactor)
    assert driven.poll.acknowledged == 1
    with pytest.raises(BlockingIOError):
        os.eventfd_read(waker_fd)


def test_deadlines_are_handled_after_the_batch(driven: DrivenReactor) -> None:
    """Input of a client whose deadline has passed may be in it."""
    driven.poll.put_event(TIMER_KEY, READABLE)
    driven.poll.put_event(driven.connection_keys()[0], RESET)
    assert sleep(driven.reactor) == 2
    assert dispatch_next(driven.reactor)
    assert pending(driven.reactor) == 2, "an event, and the deadlines"
    assert dispatch_next(driven.reactor)
    assert pending(driven.reactor) == 1
    assert not dispatch_next(driven.reactor)
    assert pending(driven.reactor) == 0


def test_a_batch_is_limited(driven: DrivenReactor) -> None:
    for _ in range(BATCH_EVENTS + 10):
        driven.poll.put_event(WAKER_KEY, READABLE)
    assert driven.reactor.dispatch(0) == BATCH_EVENTS
    assert driven.reactor.dispatch(0) == 10


def test_a_connection_that_fails_is_closed_alone(driven: DrivenReactor, caplog: pytest.LogCaptureFixture) -> None:
    """The poll driver does not know its descriptor any more, which the reactor logs as an internal error."""
    first, second, _ = driven.connection_keys()
    (fd,) = (fd for fd, (_, *key) in driven.poll.watched.items() if tuple(key) == first)
    del driven.poll.watched[fd]
    # After FIN the connection is to be watched for fewer conditions.
    driven.poll.put_event(first, Condition.PEER_FINISHED)
    driven.poll.put_event(second, RESET)
    assert driven.reactor.dispatch(0) == 2
    assert driven.reactor.connections == 1
    assert [record.message for record in caplog.records] == ["internal error; connection closed"]
