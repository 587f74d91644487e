"""The stop of a worker: its signals and their times."""

import pytest

from ianus.process.stop_limits import ATEXIT_SECONDS, MARGIN_SECONDS
from ianus.process.supervisor.worker_process import (
    ABORT_SECONDS,
    QUIT_AFTER_TERM_SECONDS,
    QUIT_SECONDS,
    TERM_WHILE_STARTING_SECONDS,
)
from ianus.settings.values import Mount
from tests.process.supervisor.harness import ABRT, GRACE, KILL, QUIT, REPLACED, TERM, Harness, served


@pytest.mark.parametrize("has_successor", [False, True])
def test_a_stop_escalates(has_successor: bool, caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1, timeout_graceful_shutdown=30.0)
    process = harness.last()
    harness.workers.stop(harness.now, successor=has_successor)
    harness.step()
    assert process.take_signals() == [REPLACED if has_successor else TERM]
    harness.step(GRACE - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.take_signals() == [QUIT]
    harness.step(QUIT_AFTER_TERM_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.take_signals() == [ABRT]
    harness.step(ABORT_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.take_signals() == [KILL]
    harness.step(100)
    assert process.noted_signals == []
    process.memory.written = "File main.py"
    harness.end(process, code=-9)
    assert list(harness.workers) == []
    assert len(harness.spawned) == 1
    messages = [record.getMessage() for record in caplog.records]
    assert messages[:3] == [
        f"worker does not stop in time, sending {name}: worker 1 (pid 100)"
        for name in ("SIGQUIT", "SIGABRT", "SIGKILL")
    ]
    assert messages[-1] == "Python stacks of worker 1 (pid 100):\nFile main.py"


def test_a_stop_without_a_limit() -> None:
    harness = served(1, timeout_graceful_shutdown=0.0)
    harness.workers.stop(harness.now, successor=False)
    harness.step(10000)
    assert harness.last().noted_signals == [TERM]


def test_the_lifespan_shutdown_has_its_own_limit() -> None:
    harness = served(1, timeout_graceful_shutdown=30.0, timeout_lifespan_shutdown=20.0)
    process = harness.last()
    harness.workers.stop(harness.now, successor=False)
    harness.step(GRACE - 1)
    harness.report(process, "closing")
    harness.step(20 + MARGIN_SECONDS - 0.1)
    assert process.take_signals() == [TERM]
    harness.step(0.1)
    assert process.take_signals() == [QUIT]


def test_the_limit_of_the_lifespan_shutdown_counts_each_application() -> None:
    mounts = {"mount": (Mount("/api", "api:app"), Mount("/live", "live:app"))}
    harness = served(1, timeout_lifespan_shutdown=20.0, **mounts)
    harness.workers.stop(harness.now, successor=False)
    harness.report(harness.last(), "closing")
    harness.step(3 * 20 + MARGIN_SECONDS - 0.1)
    assert harness.last().noted_signals == [TERM]
    harness.step(0.1)
    assert harness.last().noted_signals == [TERM, QUIT]


def test_the_lifespan_shutdown_of_a_quick_shutdown_is_short() -> None:
    harness = served(1)
    process = harness.last()
    harness.workers.stop_now(QUIT, harness.now)
    harness.step(5)
    harness.report(process, "closing")
    assert process.take_signals() == [QUIT]
    harness.step(QUIT_SECONDS - 1)
    harness.report(process, "exiting\t2")
    harness.step(2 + ATEXIT_SECONDS + MARGIN_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.take_signals() == [ABRT]


def test_threads_have_the_time_that_the_worker_reports() -> None:
    harness = served(1, timeout_graceful_shutdown=30.0, timeout_lifespan_shutdown=20.0)
    process = harness.last()
    harness.workers.stop(harness.now, successor=False)
    harness.report(process, "closing")
    harness.report(process, "exiting\t12.5")
    assert process.take_signals() == [TERM]
    harness.step(12.5 + ATEXIT_SECONDS + MARGIN_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.take_signals() == [QUIT]


def test_threads_may_have_no_limit() -> None:
    harness = served(1, timeout_graceful_shutdown=0.0)
    harness.workers.stop(harness.now, successor=False)
    harness.report(harness.last(), "closing")
    harness.report(harness.last(), "exiting\t0")
    harness.step(10000)
    assert harness.last().noted_signals == [TERM]


def test_a_starting_worker_that_does_not_stop_is_killed_soon(caplog: pytest.LogCaptureFixture) -> None:
    """Its startup may block the event loop, as a call of time.sleep() or a database that is not there does."""
    harness = Harness(1)
    harness.step()
    process = harness.last()
    harness.workers.stop(harness.now, successor=False)
    harness.step(TERM_WHILE_STARTING_SECONDS)
    assert process.take_signals() == [TERM, QUIT]
    harness.step(2 * ABORT_SECONDS)
    assert process.take_signals() == [ABRT, KILL]
    harness.end(process, code=-9)
    assert list(harness.workers) == []


def test_a_starting_worker_is_stopped_at_once(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(1)
    harness.step()
    harness.workers.stop(harness.now, successor=True)
    assert harness.last().noted_signals == [TERM]
    harness.report(harness.last(), "ready\tmain:app")
    harness.end(harness.last(), code=-15)
    assert not harness.workers.restarts.failed
    assert list(harness.workers) == []
    assert caplog.text == ""


def test_a_stop_can_be_made_more_urgent() -> None:
    harness = served(2)
    harness.workers.stop(harness.now, successor=False)
    harness.workers.stop_now(QUIT, harness.now)
    harness.step(QUIT_SECONDS)
    assert [each.take_signals() for each in harness.spawned] == [[TERM, QUIT, ABRT]] * 2
    harness.workers.stop_now(KILL, harness.now)
    harness.step(100)
    assert [each.take_signals() for each in harness.spawned] == [[KILL]] * 2


def test_a_stop_does_not_postpone_the_kill_of_a_stuck_worker() -> None:
    harness = served(1)
    process = harness.last()
    harness.report(process, "stuck\tit is")
    harness.workers.stop(harness.now, successor=False)
    harness.step(ABORT_SECONDS)
    assert process.noted_signals[-1] is KILL
