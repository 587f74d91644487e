"""The limits of workers that accept connections: heartbeat, age, memory."""

import os

import pytest

from ianus.process.supervisor import serving_limits
from ianus.process.supervisor.serving_limits import HEARTBEAT_TIMEOUT_FACTOR, MEMORY_CHECK_SECONDS, resident_bytes
from ianus.process.supervisor.worker_process import ABORT_SECONDS
from tests.process.supervisor.harness import ABRT, KILL, REPLACED, FakeProcess, Harness, served


def test_a_worker_is_replaced_at_the_end_of_its_lifetime(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    harness = served(1, workers_lifetime=60.0)
    harness.step(59)
    assert harness.starting() == []
    harness.step(1)
    assert harness.starting() == [(0, 1)]
    assert "worker will be replaced: worker 1 (pid 100): it has lived for 60 s" in caplog.text
    harness.replacements()


def test_lifetimes_differ_by_the_jitter() -> None:
    harness = served(20, workers_lifetime=60.0, workers_lifetime_jitter=30.0)
    ends = {each.retire_at - harness.now for each in harness.spawned}
    assert len(ends) == 20
    assert all(60 <= end <= 90 for end in ends)


def test_a_worker_over_its_memory_limit_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sizes = {100: 63 << 20, 101: 64 << 20}
    monkeypatch.setattr(serving_limits, "resident_bytes", lambda pid: sizes.get(pid, 0))
    harness = served(2, workers_max_rss=64)
    harness.step(2 * MEMORY_CHECK_SECONDS)
    assert harness.starting() == []
    sizes[101] += 1 << 20
    harness.step(MEMORY_CHECK_SECONDS)
    assert harness.starting() == [(1, 1)]
    assert "worker will be replaced: worker 2 (pid 101): it takes 65 MiB of memory" in caplog.text
    harness.replacements()


def test_the_memory_of_a_process_is_read() -> None:
    assert resident_bytes(os.getpid()) > 1 << 20
    assert resident_bytes(0) == 0


def beating(harness: Harness, process: FakeProcess, seconds: int) -> None:
    for _ in range(seconds):
        process.memory.heartbeat = harness.now
        harness.step(1)


def test_a_worker_without_a_heartbeat_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1, timeout=30.0)
    process = harness.last()
    beating(harness, process, 100)
    assert process.noted_signals == []
    harness.step(30 * HEARTBEAT_TIMEOUT_FACTOR - 1.5)
    assert process.noted_signals == []
    harness.step(0.5)
    assert process.take_signals() == [ABRT]
    assert (
        "worker is stuck and will be killed: worker 1 (pid 100): it has given no sign of life for 40 s" in caplog.text
    )
    assert [(name, info.pid) for name, info in harness.calls] == [("worker_abort", 100)]
    harness.step(ABORT_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.take_signals() == [KILL]
    harness.end(process, code=-9)
    assert harness.starting() == [(0, 1)], "without a pause, though it has not served for long"


def test_a_worker_whose_first_heartbeat_follows_its_readiness_is_watched() -> None:
    harness = served(1, timeout=30.0)
    process = harness.last()
    harness.step()  # The supervisor looks before the first heartbeat. No event wakes it after that.
    process.memory.heartbeat = harness.now
    harness.step(2 * 30 * HEARTBEAT_TIMEOUT_FACTOR)
    assert process.take_signals()[0] == ABRT


def test_the_time_of_a_suspended_machine_does_not_count_as_a_missing_heartbeat() -> None:
    """The machine has slept: the heartbeat of the worker and the supervisor are late."""
    harness = served(1, timeout=30.0)
    process = harness.last()
    beating(harness, process, 10)
    assert harness.workers.due(harness.now)
    harness.now += 3600
    harness.workers.step(harness.now)
    assert process.noted_signals == []
    harness.step(30 * HEARTBEAT_TIMEOUT_FACTOR)
    assert process.take_signals() == [ABRT]


@pytest.mark.parametrize("timeout", [0.0, 30.0])
def test_a_worker_that_has_never_sent_a_heartbeat_is_not_killed(timeout: float) -> None:
    harness = served(1, timeout=timeout)
    if not timeout:
        harness.last().memory.heartbeat = harness.now
    harness.step(1000)
    assert harness.last().noted_signals == []


def test_a_worker_that_reports_itself_stuck_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1)
    harness.report(harness.last(), "stuck\tthe loop has been blocked for 30 s")
    harness.report(harness.last(), "stuck\tthe loop has been blocked for 31 s")
    assert harness.last().take_signals() == [ABRT]
    assert caplog.text.count("worker is stuck and will be killed: worker 1 (pid 100): the loop has been blocked") == 1


def test_a_stopping_worker_that_reports_itself_stuck_is_killed() -> None:
    harness = served(1)
    harness.change()
    harness.ready(harness.last())
    harness.report(harness.spawned[0], "stuck\tit is")
    assert harness.spawned[0].take_signals() == [REPLACED, ABRT]
    harness.step(ABORT_SECONDS)
    assert harness.spawned[0].take_signals() == [KILL]
