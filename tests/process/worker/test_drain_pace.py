"""The moments at which WebSockets and event streams are ended."""

import pytest

from ianus.process.worker.drain_pace import DrainPace


def run(count: int, seconds: float, *, joins_at: float = -1.0) -> list[tuple[float, int]]:
    """Returns (time, number) of each step that ends some. joins_at: when as many are opened again."""
    now, ended = 0.0, []
    pace = DrainPace(seconds, now)
    while not pace.is_over():
        if 0 <= joins_at <= now:
            count, joins_at = 2 * count, -1.0
        taken = pace.take(count, now)
        count -= taken
        if taken:
            ended.append((round(now, 3), taken))
        now += pace.pause(count)
    assert count == 0
    assert now == pytest.approx(seconds)
    return ended


def test_each_has_a_moment_of_its_own() -> None:
    assert run(4, 20.0) == [(5.0, 1), (10.0, 1), (15.0, 1), (20.0, 1)]


def test_a_single_one_ends_last() -> None:
    assert run(1, 3.0) == [(3.0, 1)]


def test_thousands_share_steps_of_equal_size() -> None:
    steps = run(20_000, 20.0)
    assert len(steps) <= 20.0 / DrainPace.STEP_SECONDS + 1
    assert {number for _, number in steps} <= {49, 50, 51}


def test_those_that_are_opened_meanwhile_are_ended_in_time() -> None:
    assert sum(number for _, number in run(8, 10.0, joins_at=5.0)) > 8


def test_none() -> None:
    assert run(0, 5.0) == []


def test_a_step_that_is_late_ends_the_missed_ones() -> None:
    pace = DrainPace(10.0, 100.0)
    assert pace.take(10, 100.0) == 0
    assert pace.take(10, 104.0) == 4
    assert pace.take(6, 109.0) == 5
    assert pace.take(1, 200.0) == 1
    assert pace.is_over()
