"""The start of threads, with a clock that is a number."""

import pytest

from ianus.gateway.threads.recording import RecordingSpawner

REFUSED = RuntimeError("can't start new thread")


def test_two_more_threads_than_running_calls_are_enough() -> None:
    spawner = RecordingSpawner(8)
    assert spawner.spawn("LEAD", running=0)
    assert spawner.spawn("NOT_WOKEN", running=0)
    assert not spawner.spawn("LEAD", running=0)
    assert spawner.spawn("LEAD", running=1)
    assert spawner.started == ["LEAD", "NOT_WOKEN", "LEAD"]


def test_one_more_thread_than_the_maximum_of_calls_polls() -> None:
    spawner = RecordingSpawner(1)
    assert [spawner.spawn("LEAD", running=1) for _ in range(3)] == [True, True, False]


def test_a_refusal_lowers_the_limit_for_a_second(caplog: pytest.LogCaptureFixture) -> None:
    spawner = RecordingSpawner(8)
    for _ in range(4):
        assert spawner.spawn("LEAD", running=4)
    spawner.refuse(REFUSED, now=100.0)
    assert spawner.limit == 3
    assert not spawner.spawn("LEAD", running=3)
    spawner.restore(now=100.9)
    assert spawner.limit == 3
    spawner.restore(now=101.0)
    assert spawner.limit == 8
    assert spawner.spawn("LEAD", running=3)


def test_refusals_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    spawner = RecordingSpawner(8)
    spawner.spawn("LEAD", running=0)
    logged = []
    for now in (100.0, 101.0, 159.9, 160.0, 161.0):
        spawner.refuse(REFUSED, now=now)
        logged.append(len(caplog.records))
    assert logged == [1, 1, 1, 2, 2]
    assert caplog.records[0].getMessage() == (
        "cannot start another thread (can't start new thread); maximum concurrent WSGI calls: 1"
    )


def test_a_refusal_of_the_first_thread_is_not_logged_here(caplog: pytest.LogCaptureFixture) -> None:
    """The start of the worker fails with it."""
    spawner = RecordingSpawner(8)
    spawner.refuse(REFUSED, now=100.0)
    assert spawner.limit == 1
    assert caplog.records == []
