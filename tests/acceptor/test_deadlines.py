"""The timer of all deadlines, with a clock that is a number and a poll driver that records."""

import pytest

from ianus.acceptor.deadlines import DeadlineTimer
from ianus.acceptor.recording import RecordingPoll, cancel, expire, schedule

START = 1000.0
# Of a bucket of the timer wheel: deadlines are rounded up to it.
TICK = 0.1


@pytest.fixture
def poll() -> RecordingPoll:
    return RecordingPoll()


@pytest.fixture
def deadlines(poll: RecordingPoll) -> DeadlineTimer:
    return DeadlineTimer(poll, START)


def test_the_timer_is_set_to_the_earliest_deadline(deadlines: DeadlineTimer, poll: RecordingPoll) -> None:
    for connection_id, when in enumerate((30, 10, 20)):
        schedule(deadlines, connection_id, START + when, START)
    assert START + 10 <= poll.timer_at <= START + 10 + 2 * TICK


def test_each_deadline_expires_once_and_the_timer_is_set_to_the_next(
    deadlines: DeadlineTimer, poll: RecordingPoll
) -> None:
    schedule(deadlines, 0, START + 10, START)
    schedule(deadlines, 1, START + 20, START)
    assert expire(deadlines, poll.timer_at) == [0]
    assert START + 20 <= poll.timer_at <= START + 20 + 2 * TICK
    last = poll.timer_at
    assert expire(deadlines, last) == [1]
    assert poll.timer_at == last, "without a deadline the timer is not set again"


def test_the_timer_is_set_again_after_the_last_deadline(deadlines: DeadlineTimer, poll: RecordingPoll) -> None:
    schedule(deadlines, 0, START + 10, START)
    now = poll.timer_at
    assert expire(deadlines, now) == [0]
    schedule(deadlines, 0, now + 60, now)
    assert now + 60 <= poll.timer_at <= now + 60 + 2 * TICK


def test_a_cancelled_deadline_does_not_expire(deadlines: DeadlineTimer, poll: RecordingPoll) -> None:
    schedule(deadlines, 0, START + 10, START)
    cancel(deadlines, 0)
    assert expire(deadlines, poll.timer_at) == []


def test_a_timer_that_is_a_little_late_expires_deadlines(deadlines: DeadlineTimer, poll: RecordingPoll) -> None:
    schedule(deadlines, 0, START + 10, START)
    assert expire(deadlines, poll.timer_at + 0.2) == [0]


@pytest.mark.parametrize(("late", "extension"), [(0.3, 0.3), (1.0, 1.0), (50.0, 1.0)])
def test_a_late_timer_extends_deadlines_once(
    deadlines: DeadlineTimer, poll: RecordingPoll, late: float, extension: float
) -> None:
    """The loop was blocked, so input may wait unread."""
    schedule(deadlines, 0, START + 10, START)
    now = poll.timer_at + late
    assert expire(deadlines, now) is None
    assert poll.timer_at == now + extension
    # The loop is blocked again: a second extension would let a client stay as long as that happens.
    assert expire(deadlines, poll.timer_at + late) == [0]


def test_a_timer_that_was_late_once_may_be_late_again(deadlines: DeadlineTimer, poll: RecordingPoll) -> None:
    schedule(deadlines, 0, START + 10, START)
    assert expire(deadlines, poll.timer_at + 0.3) is None
    assert expire(deadlines, poll.timer_at) == [0]
    schedule(deadlines, 0, START + 20, START + 11)
    assert expire(deadlines, poll.timer_at + 0.3) is None


def test_a_busy_server_defers_deadlines_for_a_second(deadlines: DeadlineTimer, poll: RecordingPoll) -> None:
    """More events than one batch holds may be input of the clients whose deadlines have expired."""
    schedule(deadlines, 0, START + 10, START)
    due_at = poll.timer_at
    assert expire(deadlines, due_at, more=True) is None
    assert expire(deadlines, due_at + 0.9, more=True) is None
    assert poll.timer_at == due_at
    # After it they count as late.
    assert expire(deadlines, due_at + 1.1, more=True) is None
    assert poll.timer_at == pytest.approx(due_at + 2.1)
    assert expire(deadlines, poll.timer_at + 1.1, more=True) == [0]


@pytest.mark.parametrize("delay", [0, 60], ids=["ended", "scheduled again"])
def test_deadlines_that_take_several_turns_are_not_late(
    deadlines: DeadlineTimer, poll: RecordingPoll, delay: float
) -> None:
    """Such as those of thousands of connections: the loop is not blocked."""
    for connection_id in range(10):
        schedule(deadlines, connection_id, START + 10, START)
    now = poll.timer_at
    expired = []
    for _ in range(9):
        expired += expire(deadlines, now, max_count=1, delay=delay) or []
        assert poll.timer_at == now
        now += 0.05
    expired += expire(deadlines, now, max_count=1, delay=delay) or []
    assert sorted(expired) == list(range(10))
