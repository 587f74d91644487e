"""Exits of workers, failed starts, and the starts that follow them."""

import re
import signal

import pytest

from ianus.errors import StartupError
from ianus.process.supervisor import control_groups
from ianus.process.supervisor.restarts import EARLY_EXIT_SECONDS
from ianus.process.supervisor.slot import EXTERNAL_STOP_PAUSE_SECONDS, FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS
from ianus.process.supervisor.worker_process import Stage
from tests.process.supervisor.harness import KILL, Harness, served


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(("code", "logged"), [(3, ""), (1, "(exit code 1)"), (-9, "(killed by SIGKILL)")])
def test_a_failed_start_of_the_server_is_not_repeated(
    index: int, code: int, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    harness = Harness(2)
    harness.step()
    harness.ready(*harness.spawned[:index])
    harness.end(harness.spawned[index], code=code)
    assert harness.workers.restarts.failed
    harness.step(100)
    assert len(harness.spawned) == index + 1
    assert logged in caplog.text
    assert bool(logged) == bool(caplog.records)  # A process that exits with 3 has logged the reason.


def test_a_worker_that_another_process_stops_before_it_has_started_has_not_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Managers stop all processes at once: the supervisor is about to hear of it, and the exit code is not 3."""
    harness = Harness(1)
    harness.step()
    harness.end(harness.last(), code=-signal.SIGTERM)
    assert not harness.workers.restarts.failed
    assert (
        "worker was stopped by another process before it had started (killed by SIGTERM): worker 1 (pid 100)"
        in caplog.text
    )
    harness.step(FIRST_RETRY_SECONDS)
    assert harness.starting() == [(0, 1)]


def test_a_reload_starts_workers_after_a_failed_start() -> None:
    harness = Harness(1)
    harness.step()
    harness.end(harness.last(), code=3)
    harness.change()
    assert not harness.workers.restarts.failed
    assert harness.starting() == [(0, 2)]
    harness.ready(harness.last())
    assert harness.workers.restarts.has_started


def test_a_start_with_an_older_configuration_may_fail() -> None:
    """The change may have removed the reason of the failure."""
    harness = Harness(1)
    harness.step()
    harness.change()
    harness.end(harness.last(), code=3)
    assert not harness.workers.restarts.failed
    assert harness.starting() == [(0, 2)]
    harness.end(harness.last(), code=3)
    assert harness.workers.restarts.failed


def test_a_worker_that_exits_before_all_have_started_is_replaced() -> None:
    harness = Harness(2)
    harness.step()
    harness.ready(harness.last())
    harness.end(harness.spawned[0], code=1)
    harness.step(FIRST_RETRY_SECONDS)
    assert harness.starting() == [(0, 1), (1, 1)]
    assert not harness.workers.restarts.failed


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), StartupError("No more sockets.")])
def test_a_start_without_system_resources_is_repeated(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(1)
    harness.refusal = error
    harness.step()
    assert re.search(r"cannot start a worker \(.*\), next attempt in 0\.1 s", caplog.text)
    harness.refusal = None
    harness.step(FIRST_RETRY_SECONDS)
    harness.ready(harness.last())
    assert harness.serving() == [(0, 1)]


def test_a_start_without_processes_fails_with_one_message(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(2)
    harness.refusal = BlockingIOError(11, "Resource temporarily unavailable")
    harness.step(60)
    assert harness.workers.restarts.failed
    assert caplog.text.count("cannot start a worker") == 1


def test_a_crashed_worker_is_replaced_at_once(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    first = harness.spawned[0]
    first.memory.in_flight = [("GET /slow", 7.25)]
    first.memory.written = "Thread 1: somewhere"
    harness.end(first, code=-11)
    assert harness.starting() == [(0, 1)]
    assert "worker exited unexpectedly (killed by SIGSEGV), starting a replacement: worker 1 (pid 100)" in caplog.text
    assert "requests in flight in worker 1 (pid 100):\nGET /slow (7.2 s)\nand 2 more" in caplog.text
    assert "stacks of worker 1 (pid 100):\nThread 1: somewhere" in caplog.text
    assert [(name, info.pid) for name, _, info in harness.calls] == [("child_exit", 100)]


def test_a_worker_that_the_kernel_has_killed_for_want_of_memory_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kills = 7
    monkeypatch.setattr(control_groups, "count_memory_kills", lambda *paths: kills)
    harness = served(2)
    kills = 8
    harness.end(harness.spawned[0], code=-KILL)
    harness.end(harness.spawned[1], code=-KILL)
    memory = "killed by the kernel for want of memory"
    assert f"worker exited unexpectedly ({memory}), starting a replacement: worker 1 (pid 100)" in caplog.text
    assert "worker exited unexpectedly (killed by SIGKILL), starting a replacement: worker 2 (pid 101)" in caplog.text


def test_the_pause_between_restarts_grows_and_is_reset() -> None:
    harness = served(2)
    pauses = []
    for _ in range(10):
        harness.end(next(each for each in harness.spawned[::-1] if each.slot == 1), code=1)
        launched, before = len(harness.spawned), harness.now
        while len(harness.spawned) == launched:
            harness.step(0.05)
        pauses.append(round(harness.now - before, 1))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, *[MAX_RETRY_SECONDS] * 3]
    harness.ready(harness.last())
    harness.step(EARLY_EXIT_SECONDS)
    harness.end(harness.last(), code=1)
    assert harness.starting() == [(1, 1)]
    harness.ready(harness.last())
    harness.end(harness.last(), code=1)
    assert harness.workers.due(harness.now) == harness.now + FIRST_RETRY_SECONDS


def test_starts_that_fail_late_count_as_failures(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(2)
    harness.end(harness.spawned[1], code=1)
    for pause in (0.2, 0.4, 0.8):
        harness.step(MAX_RETRY_SECONDS)
        assert harness.starting() == [(1, 1)]
        harness.step(2 * EARLY_EXIT_SECONDS)
        harness.end(harness.last(), code=1)
        assert f"failed to start (exit code 1), next attempt in {pause} s" in caplog.text
        assert harness.sockets.steered == [0]


def test_a_worker_stopped_by_another_process_is_replaced_after_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    """In a moment, for all processes may have received the signal, the supervisor included."""
    caplog.set_level("INFO")
    harness = served(1)
    first = harness.last()
    harness.report(first, "draining")
    assert harness.in_stage(Stage.STOPPING) == [(0, 1)]
    assert harness.starting() == []
    harness.end(first)
    assert caplog.text == ""
    harness.step(EXTERNAL_STOP_PAUSE_SECONDS)
    assert harness.starting() == [(0, 1)]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["worker was stopped by another process, starting a replacement: worker 1 (pid 100)"]


def test_a_signal_to_the_whole_process_group_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """As `timeout` and Heroku send it. The workers may be faster than the supervisor."""
    caplog.set_level("INFO")
    harness = served(1)
    harness.report(harness.last(), "draining")
    harness.workers.stop(harness.now, successor=False)
    harness.end(harness.last())
    harness.step(10)
    assert len(harness.spawned) == 1
    assert caplog.text == ""


def test_a_signal_without_a_name_is_logged_by_its_number(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1)
    harness.end(harness.last(), code=-50)
    assert "(killed by signal 50)" in caplog.text


def test_a_template_that_does_not_load_at_the_start_fails_the_start() -> None:
    harness = Harness(1)
    harness.waiting = True
    harness.step()
    harness.workers.on_template_exit(1, 3, harness.now)
    harness.step()
    assert harness.workers.restarts.failed


def test_a_new_template_that_does_not_load_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1)
    harness.waiting = True
    harness.change()
    harness.workers.on_template_exit(2, 1, harness.now)
    harness.waiting = False
    harness.step(10)
    assert "worker failed to start with the new configuration (exit code 1)" in caplog.text
    assert harness.serving() == [(0, 1)]
    assert len(harness.spawned) == 1


def test_another_template_is_started_with_the_next_worker(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1)
    harness.workers.on_template_exit(1, -9, harness.now)
    assert "template exited (killed by SIGKILL), starting another one with the next worker" in caplog.text
    assert harness.serving() == [(0, 1)]
    harness.step(EARLY_EXIT_SECONDS)
    harness.end(harness.last())
    assert harness.starting() == [(0, 1)]


def test_the_exit_of_an_older_template_is_ignored() -> None:
    harness = served(1)
    harness.change()
    harness.ready(harness.last())
    harness.workers.on_template_exit(1, 1, harness.now)
    harness.step()
    assert not harness.workers.restarts.failed


def test_workers_without_threads_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(3)
    harness.step()
    harness.ready(harness.last())
    for process in harness.spawned[1:]:
        harness.report(process, "refused\tThe system gives no thread (x).")
    for process in harness.spawned[1:]:
        harness.end(process, code=3)
    assert caplog.text.count("The system gives no thread (x).") == 1
    assert harness.workers.restarts.failed
