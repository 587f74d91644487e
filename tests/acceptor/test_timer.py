"""The timer wheel, with a clock that is a number."""

import random

import pytest

from ianus.acceptor.timer import TimerWheel, cancel, expire, next_time, schedule

START = 1000.0


@pytest.fixture
def wheel() -> TimerWheel:
    return TimerWheel(START, 0.1)


def test_empty_wheel_wants_nothing(wheel: TimerWheel) -> None:
    assert next_time(wheel) == 0
    assert expire(wheel, START + 1e6) == []


def test_entry_expires_once_and_not_early(wheel: TimerWheel) -> None:
    schedule(wheel, 0, START + 5, START)
    assert START + 5 <= next_time(wheel) <= START + 5.2
    assert expire(wheel, START + 4.9) == []
    assert expire(wheel, START + 5.2) == [0]
    assert expire(wheel, START + 100) == []
    assert next_time(wheel) == 0


def test_entry_that_is_put_off_stays_where_it_is(wheel: TimerWheel) -> None:
    """Its owner checks the true deadline when the entry expires."""
    schedule(wheel, 3, START + 1, START)
    schedule(wheel, 3, START + 50, START)
    assert expire(wheel, START + 2) == [3]
    schedule(wheel, 3, START + 50, START + 2)
    assert expire(wheel, START + 49) == []
    assert expire(wheel, START + 51) == [3]


def test_entry_that_is_moved_forward_expires_earlier(wheel: TimerWheel) -> None:
    schedule(wheel, 3, START + 50, START)
    schedule(wheel, 3, START + 1, START)
    assert expire(wheel, START + 2) == [3]
    assert expire(wheel, START + 60) == []


def test_entry_beyond_the_wheel_expires_early(wheel: TimerWheel) -> None:
    """The wheel has 1,024 buckets of 0.1 s: the owner schedules a later time again."""
    schedule(wheel, 0, START + 500, START)
    assert START + 100 < next_time(wheel) < START + 103
    assert expire(wheel, START + 103) == [0]


def test_entry_that_is_due_already_expires_with_the_next_tick(wheel: TimerWheel) -> None:
    # The wheel was not advanced for ten seconds.
    schedule(wheel, 0, START + 1, START + 10)
    assert START + 10 <= next_time(wheel) <= START + 10.2
    assert expire(wheel, START + 10.2) == [0]


def test_cancelled_entry_does_not_expire(wheel: TimerWheel) -> None:
    for entry in range(3):
        schedule(wheel, entry, START + 1, START)
    cancel(wheel, 1)
    cancel(wheel, 1)
    cancel(wheel, 1000)
    assert sorted(expire(wheel, START + 2)) == [0, 2]


def test_wheel_that_slept_for_long(wheel: TimerWheel) -> None:
    expire(wheel, START + 1)
    now = START + 100_000.0
    schedule(wheel, 7, now + 5, now)
    # It may expire early, because the wheel was not advanced meanwhile; then it is scheduled again.
    for entry in expire(wheel, now):
        schedule(wheel, entry, now + 5, now)
    assert now + 5 <= next_time(wheel) <= now + 5.2
    assert expire(wheel, now + 5.2) == [7]


def test_any_order_of_things() -> None:
    """Against a dictionary: no entry expires before its time, none is lost, none expires twice."""
    chance = random.Random(7)
    wheel = TimerWheel(0.0, 0.1)
    due: dict[int, float] = {}
    now = 0.0
    for _ in range(20_000):
        entry = chance.randrange(200)
        action = chance.random()
        if action < 0.6:
            when = now + chance.random() * 90
            schedule(wheel, entry, when, now)
            due[entry] = min(when, due.get(entry, when))
        elif action < 0.8:
            cancel(wheel, entry)
            due.pop(entry, None)
        else:
            now += chance.random()
            for expired in expire(wheel, now):
                assert due.pop(expired) <= now
            assert all(when > now - 0.21 for when in due.values())
    assert sorted(expire(wheel, now + 91)) == sorted(due)
