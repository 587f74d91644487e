"""The stop of a worker: its signals and their times."""

import pytest

from ianus.process.supervisor.worker_process import (
    ABORT_SECONDS,
    QUICK_QUIT_AGAIN_SECONDS,
    QUIT_AGAIN_SECONDS,
    QUIT_SECONDS,
)
from ianus.settings.stop_budget import STARTING_SECONDS, stop_budget
from tests.process.supervisor.harness import ABRT, KILL, QUIT, REPLACED, TERM, Harness, served

BUDGET = stop_budget(25.0)
INTERRUPT_AFTER = BUDGET.interrupt_after(is_starting=False)


@pytest.mark.parametrize("has_successor", [False, True])
def test_a_stop_escalates_within_its_total(has_successor: bool, caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1, timeout_stop=25.0)
    process = harness.last()
    harness.workers.stop(harness.now, successor=has_successor)
    harness.step()
    assert process.take_signals() == [REPLACED if has_successor else TERM]
    harness.step(INTERRUPT_AFTER - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.take_signals() == [QUIT]
    harness.step(QUIT_AGAIN_SECONDS)
    assert process.take_signals() == [QUIT]
    harness.step(BUDGET.abort_after - INTERRUPT_AFTER - QUIT_AGAIN_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.take_signals() == [ABRT]
    harness.step(BUDGET.kill_after - BUDGET.abort_after - 0.1)
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
    assert messages[:4] == [
        f"worker does not stop in time, sending {name}: worker 1 (pid 100)"
        for name in ("SIGQUIT", "SIGQUIT", "SIGABRT", "SIGKILL")
    ]
    assert messages[-1] == "Python stacks of worker 1 (pid 100):\nFile main.py"


def test_a_stop_without_a_limit() -> None:
    harness = served(1, timeout_stop=0.0)
    harness.workers.stop(harness.now, successor=False)
    harness.step(10000)
    assert harness.last().noted_signals == [TERM]


def test_the_lifespan_shutdown_is_not_interrupted_before_the_end() -> None:
    harness = served(1, timeout_stop=25.0)
    process = harness.last()
    harness.workers.stop(harness.now, successor=False)
    harness.step(BUDGET.lifespan_after - 1)
    harness.report(process, "closing")
    harness.step(BUDGET.abort_after - BUDGET.lifespan_after + 0.9)
    assert process.take_signals() == [TERM]
    harness.step(0.1)
    assert process.take_signals() == [ABRT]


def test_a_second_stop_does_not_postpone_the_end() -> None:
    harness = served(1, timeout_stop=25.0)
    process = harness.last()
    harness.workers.stop(harness.now, successor=True)
    harness.step(10)
    harness.workers.stop(harness.now, successor=False)
    harness.step(BUDGET.kill_after - 10)
    assert process.take_signals() == [REPLACED, TERM, QUIT, QUIT, ABRT, KILL]


def test_a_worker_that_another_process_stops_has_the_same_limit() -> None:
    harness = served(1, timeout_stop=25.0)
    process = harness.last()
    harness.report(process, "draining")
    harness.step(BUDGET.kill_after)
    assert process.noted_signals == [QUIT, QUIT, ABRT, KILL]


def test_a_quick_shutdown_is_short() -> None:
    harness = served(1)
    process = harness.last()
    harness.workers.stop_now(QUIT, harness.now)
    harness.step(QUICK_QUIT_AGAIN_SECONDS)
    assert process.take_signals() == [QUIT, QUIT]
    harness.step(QUIT_SECONDS - QUICK_QUIT_AGAIN_SECONDS)
    assert process.take_signals() == [ABRT]


def test_the_lifespan_shutdown_of_a_quick_shutdown_is_not_interrupted() -> None:
    harness = served(1)
    harness.workers.stop_now(QUIT, harness.now)
    harness.report(harness.last(), "closing")
    harness.step(QUIT_SECONDS - 0.1)
    assert harness.last().take_signals() == [QUIT]


def test_a_quick_shutdown_that_comes_late_does_not_postpone_the_end() -> None:
    harness = served(1, timeout_stop=25.0)
    harness.workers.stop(harness.now, successor=False)
    harness.step(16)
    harness.workers.stop_now(QUIT, harness.now)
    harness.step(BUDGET.kill_after - 16)
    assert harness.last().noted_signals == [TERM, QUIT, QUIT, ABRT, KILL]


def test_the_delay_of_an_announced_stop_is_a_part_of_the_total() -> None:
    harness = served(2, timeout_stop=25.0, drain_delay=5.0)
    harness.workers.stop(harness.now, successor=False)
    harness.step(5)
    harness.workers.end_delay()
    assert [each.take_signals() for each in harness.spawned] == [[TERM, REPLACED]] * 2
    harness.step(BUDGET.kill_after - 5)
    assert [each.take_signals() for each in harness.spawned] == [[QUIT, QUIT, ABRT, KILL]] * 2


def test_the_end_of_the_delay_is_not_sent_to_a_worker_that_was_starting() -> None:
    """It may have no handler yet."""
    harness = Harness(1)
    harness.step()
    harness.workers.stop(harness.now, successor=False)
    harness.workers.end_delay()
    assert harness.last().noted_signals == [TERM]


def test_a_starting_worker_that_does_not_stop_is_killed_soon(caplog: pytest.LogCaptureFixture) -> None:
    """Its startup may block the event loop, as a call of time.sleep() or a database that is not there does."""
    harness = Harness(1)
    harness.step()
    process = harness.last()
    harness.workers.stop(harness.now, successor=False)
    harness.step(STARTING_SECONDS)
    assert process.take_signals() == [TERM, QUIT]
    harness.step(2 * ABORT_SECONDS)
    assert process.take_signals() == [QUIT, ABRT, KILL]
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
    assert [each.take_signals() for each in harness.spawned] == [[TERM, QUIT, QUIT, ABRT]] * 2
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
