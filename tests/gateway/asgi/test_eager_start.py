"""Whether a request's task makes its first step at once, or from the loop."""

import sys

import pytest

from ianus.exchange.recording import RecordingBatch
from ianus.gateway.asgi.eager_start import EagerStart
from tests.gateway.asgi.stepping import AsgiConversation


@pytest.fixture
def starts() -> EagerStart:
    """One that knows its unit."""
    starts = EagerStart()
    starts.note(0)
    return starts


def measured(starts: EagerStart) -> int:
    """Returns the number of starts until one is measured."""
    return next(number for number in range(1, 1000) if starts.measure_next())


def test_it_is_possible_since_3_12() -> None:
    assert EagerStart().is_possible == (sys.version_info >= (3, 12))


def test_every_32nd_start_is_measured(starts: EagerStart) -> None:
    assert [measured(starts) for _ in range(3)] == [32, 32, 32]


def test_long_starts_become_slow_and_short_ones_fast(starts: EagerStart) -> None:
    numbers = []
    for units in (15, 1):
        was_slow = starts.is_slow
        for number in range(1, 1000):
            starts.note(units * starts.unit)
            if starts.is_slow != was_slow:
                numbers.append(number)
                break
    assert numbers == [4, 2]


def test_one_start_that_was_interrupted_changes_nothing(starts: EagerStart) -> None:
    for seconds in (starts.unit, 3600, starts.unit, starts.unit):
        starts.note(seconds)
        assert not starts.is_slow


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start eagerly since CPython 3.12")
@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("events", [1, 2])
def test_slow_requests_of_a_batch_start_from_the_loop(*, is_slow: bool, events: int) -> None:
    conversation = AsgiConversation()
    starts = conversation.gateway.eager_start
    starts.poller = RecordingBatch(events)
    starts.note(0)
    for _ in range(10):
        starts.note(15 * starts.unit if is_slow else 0)
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    # Tasks start eagerly in a running loop only.
    conversation.loop.call_soon(conversation.connection.receive, request)
    conversation.loop.turn()
    assert conversation.app.calls == (0 if is_slow and events > 1 else 1)
    conversation.run()
    assert conversation.app.calls == 1
    conversation.close()
