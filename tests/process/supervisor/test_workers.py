"""The life of workers, with fake processes and a clock that the tests set.

In each test, a step must do all work that is due at its moment: otherwise the supervisor would spin, or oversleep it.
"""

import os
import random
import re
import signal
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ianus.errors import StartupError
from ianus.hooks import ServerInfo
from ianus.process.hooks import Hooks
from ianus.process.start_reports import FIRST_REPORT_SECONDS, LOOK_SIGNAL
from ianus.process.stop_limits import ATEXIT_SECONDS, MARGIN_SECONDS
from ianus.process.supervisor import workers as module
from ianus.process.supervisor.slot import (
    ABORT_SECONDS,
    EXTERNAL_STOP_PAUSE_SECONDS,
    FIRST_RETRY_SECONDS,
    MAX_RETRY_SECONDS,
    QUIT_AFTER_TERM_SECONDS,
    QUIT_SECONDS,
    START_MARGIN_SECONDS,
    TERM_WHILE_STARTING_SECONDS,
    Generation,
    Stage,
    WorkerProcess,
)
from ianus.process.supervisor.workers import (
    EARLY_EXIT_SECONDS,
    HEARTBEAT_TIMEOUT_FACTOR,
    MEMORY_CHECK_SECONDS,
    OVERTAKE_SECONDS,
    SLOT_RETIRE_DELAY_SECONDS,
    Workers,
)
from ianus.settings.schema import Settings
from ianus.settings.values import Mount

TERM, QUIT, KILL, ABRT = signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL, signal.SIGABRT
REPLACED, REOPEN = signal.SIGUSR2, signal.SIGUSR1
GRACE = 30 + MARGIN_SECONDS

# The addresses of workers by default.
BOUND = {str(bind) for bind in Settings().bind}


class Scoreboard:
    """A fake of a worker's scoreboard."""

    def __init__(self) -> None:
        self.heartbeat = 0.0
        self.in_flight: list[tuple[str, float]] = []
        self.written = ""

    def last_heartbeat(self) -> float:
        return self.heartbeat

    def requests(self) -> list[tuple[str, float]]:
        return self.in_flight

    def unlisted(self) -> int:
        return 2 * len(self.in_flight)

    def take_stacks(self) -> str:
        return self.written

    def close(self) -> None:
        pass


class Fake(WorkerProcess):
    """A process that notes signals. noted_signals: those since the last call of heard_signals()."""

    def __init__(self, generation: Generation, slot: int, now: float, pid: int) -> None:
        self.memory = Scoreboard()
        super().__init__(generation, slot, self.memory, -1, -1, now)  # type: ignore[arg-type]
        self.pid = pid
        self.noted_signals: list[signal.Signals] = []
        self.looks = 0  # how often it was asked for its stack

    def send_signal(self, number: signal.Signals) -> None:
        if number == LOOK_SIGNAL:
            self.looks += 1
        else:
            self.noted_signals.append(number)

    def heard_signals(self) -> list[signal.Signals]:
        noted, self.noted_signals = self.noted_signals, []
        return noted


class FakeSockets:
    """steered: the slots that get connections. kept: of how many slots, and which addresses, in the last clean-up."""

    def __init__(self) -> None:
        self.steered: list[int] = []
        self.kept: tuple[int, set[str]] | None = None

    def steer(self, slots: Sequence[int]) -> None:
        self.steered = list(slots)

    def close_unused(self, settings: Iterable[Settings], slots: int) -> None:
        self.kept = slots, {str(bind) for each in settings for bind in each.bind}


class Harness:
    """Workers, and the events of their processes.

    now: seconds. refusal: the error of the next spawns; waiting: whether the template is not loaded yet.
    calls: of hooks.
    """

    def __init__(self, count: int = 2, **settings: Any) -> None:
        self.now = 1000.0
        self.refusal: Exception | None = None
        self.waiting = False
        self.spawned: list[Fake] = []
        self.calls: list[tuple[Any, ...]] = []
        self.sockets = FakeSockets()
        names = ("nworkers_changed", "worker_abort", "child_exit")
        self.hooks = Hooks({name: lambda *given, name=name: self.calls.append((name, *given)) for name in names})
        self.settings = Settings(**settings)
        self.workers = Workers(
            self.generation(count),
            self.sockets,  # type: ignore[arg-type]
            self.spawn,
            lambda: ServerInfo(1, self.workers.count, ()),
        )

    def generation(self, count: int, **settings: Any) -> Generation:
        return Generation(1, "main:app", replace(self.settings, **settings), count, self.hooks, None)

    def spawn(self, generation: Generation, slot: int, now: float) -> Fake | None:
        if self.refusal is not None:
            raise self.refusal
        if self.waiting:
            return None
        self.spawned.append(Fake(generation, slot, now, 100 + len(self.spawned)))
        return self.spawned[-1]

    # --- Events ---

    def step(self, seconds: float = 0) -> None:
        """Runs the steps of the supervisor that are due within `seconds`, each at its time."""
        until = self.now + seconds
        self._step()
        while (due := self.workers.due(self.now)) and due <= until:
            self.now = due
            self._step()
        if seconds:
            self.now = until
            self._step()

    def _step(self) -> None:
        self.workers.step(self.now)
        done = self.done()
        due = self.workers.due(self.now)
        assert due == 0 or due > self.now, "the supervisor would spin"
        self.workers.step(self.now)
        assert self.done() == done, "the supervisor would sleep over what is to be done"

    def done(self) -> tuple[Any, ...]:
        return (
            len(self.spawned),
            [list(each.noted_signals) for each in self.spawned],
            self.sockets.steered,
            self.sockets.kept,
        )

    def ready(self, *processes: Fake) -> None:
        for process in processes:
            self.workers.on_line(process, "ready\tmain:app (asgi3)\tloop asyncio", self.now)
            self.step()

    def say(self, process: Fake, line: str) -> None:
        self.workers.on_line(process, line, self.now)
        self.step()

    def end(self, *processes: Fake, code: int = 0) -> None:
        """code: exit code, a signal as a negative number."""
        for process in processes:
            self.workers.on_exit(process, -code if code < 0 else code << 8, self.now)
            self.step()

    def change(self, count: int = 0, **settings: Any) -> None:
        self.workers.start_generation(self.generation(count or self.workers.count, **settings))
        self.step()

    # --- State ---

    def by(self, stage: Stage) -> list[tuple[int, int]]:
        """(slot, number of the generation) of all in this stage."""
        return [(each.slot, each.generation.number) for each in self.workers if each.stage is stage]

    def serving(self) -> list[tuple[int, int]]:
        return self.by(Stage.SERVING)

    def starting(self) -> list[tuple[int, int]]:
        return self.by(Stage.STARTING)

    def last(self) -> Fake:
        return self.spawned[-1]

    def replacements(self) -> list[Fake]:
        """Lets one replacement after the other succeed; returns the started processes."""
        before = len(self.spawned) - len(self.starting())
        while self.starting():
            starting = self.last()
            assert len(self.starting()) == 1
            self.ready(starting)
            for each in list(self.workers):
                if isinstance(each, Fake) and each.stage is Stage.STOPPING:
                    assert each.heard_signals() == [REPLACED]
                    self.end(each)
        return self.spawned[before:]


def served(count: int = 2, **settings: Any) -> Harness:
    """All have started."""
    harness = Harness(count, **settings)
    harness.step()
    harness.ready(*harness.spawned)
    harness.ready(*harness.spawned[1:])
    assert harness.serving() == [(slot, 1) for slot in range(count)]
    assert harness.workers.has_started
    return harness


# --- The start ---


def test_the_first_starts_alone_and_then_all_others() -> None:
    harness = Harness(3)
    harness.step()
    assert harness.starting() == [(0, 1)]
    harness.ready(harness.spawned[0])
    assert harness.serving() == [(0, 1)]
    assert harness.starting() == [(1, 1), (2, 1)]
    assert not harness.workers.has_started
    harness.ready(harness.spawned[2], harness.spawned[1])
    assert harness.workers.has_started
    assert not harness.workers.failed
    assert harness.workers.ready_facts == ["main:app (asgi3)", "loop asyncio"]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(("code", "logged"), [(3, ""), (1, "(exit code 1)"), (-9, "(killed by SIGKILL)")])
def test_what_does_not_start_at_first_is_not_tried_again(
    index: int, code: int, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    harness = Harness(2)
    harness.step()
    harness.ready(*harness.spawned[:index])
    harness.end(harness.spawned[index], code=code)
    assert harness.workers.failed
    harness.step(100)
    assert len(harness.spawned) == index + 1
    assert logged in caplog.text
    assert bool(logged) == bool(caplog.records)  # A process that exits with 3 has logged the reason.


def test_who_is_told_to_end_before_it_has_started_has_not_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Managers stop all processes at once: the supervisor is about to hear of it, and the exit code is not 3."""
    harness = Harness(1)
    harness.step()
    harness.end(harness.last(), code=-signal.SIGTERM)
    assert not harness.workers.failed
    assert (
        "worker was stopped by another process before it had started (killed by SIGTERM): worker 1 (pid 100)"
        in caplog.text
    )
    harness.step(FIRST_RETRY_SECONDS)
    assert harness.starting() == [(0, 1)]


def test_what_was_changed_starts_again_after_a_start_that_failed() -> None:
    harness = Harness(1)
    harness.step()
    harness.end(harness.last(), code=3)
    harness.change()
    assert not harness.workers.failed
    assert harness.starting() == [(0, 2)]
    harness.ready(harness.last())
    assert harness.workers.has_started


def test_a_change_during_the_first_start_counts_for_all() -> None:
    harness = Harness(2)
    harness.step()
    harness.change()
    harness.ready(harness.spawned[0])
    assert harness.starting() == [(1, 2)]
    harness.ready(harness.spawned[1])
    assert harness.starting() == [(0, 2)]
    harness.replacements()
    assert harness.serving() == [(0, 2), (1, 2)]


def test_a_start_that_a_change_has_overtaken_may_fail() -> None:
    """The change may have removed the reason of the failure."""
    harness = Harness(1)
    harness.step()
    harness.change()
    harness.end(harness.last(), code=3)
    assert not harness.workers.failed
    assert harness.starting() == [(0, 2)]
    harness.end(harness.last(), code=3)
    assert harness.workers.failed


def test_a_worker_that_ends_before_all_have_started_is_replaced() -> None:
    harness = Harness(2)
    harness.step()
    harness.ready(harness.last())
    harness.end(harness.spawned[0], code=1)
    harness.step(FIRST_RETRY_SECONDS)
    assert harness.starting() == [(0, 1), (1, 1)]
    assert not harness.workers.failed


def test_nothing_starts_before_there_is_what_to_fork() -> None:
    harness = Harness(2)
    harness.waiting = True
    harness.step(10)
    assert harness.spawned == []
    harness.waiting = False
    harness.step()
    assert harness.starting() == [(0, 1)]


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), StartupError("No more sockets.")])
def test_what_the_system_does_not_give_is_asked_for_again(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
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
    assert harness.workers.failed
    assert caplog.text.count("cannot start a worker") == 1


# --- Ends ---


def test_one_that_has_served_is_replaced_at_once(caplog: pytest.LogCaptureFixture) -> None:
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


def test_the_pause_grows_and_begins_anew() -> None:
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


def test_starts_that_fail_late_are_failures_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(2)
    harness.end(harness.spawned[1], code=1)
    for pause in (0.2, 0.4, 0.8):
        harness.step(MAX_RETRY_SECONDS)
        assert harness.starting() == [(1, 1)]
        harness.step(2 * EARLY_EXIT_SECONDS)
        harness.end(harness.last(), code=1)
        assert f"failed to start (exit code 1), next attempt in {pause} s" in caplog.text
        assert harness.sockets.steered == [0]


def test_whoever_is_told_to_leave_leaves_no_gap(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1)
    harness.change()
    harness.ready(harness.last())
    first = harness.spawned[0]
    assert first.heard_signals() == [REPLACED]
    harness.end(first, code=-9)
    assert "worker exited while stopping (killed by SIGKILL): worker 1 (pid 100)" in caplog.text
    assert harness.serving() == [(0, 2)]
    assert harness.starting() == []


def test_whoever_is_told_to_stop_by_somebody_else_has_a_successor_soon(caplog: pytest.LogCaptureFixture) -> None:
    """In a moment, for all processes may have received the signal, the supervisor included."""
    caplog.set_level("INFO")
    harness = served(1)
    first = harness.last()
    harness.say(first, "draining")
    assert harness.by(Stage.STOPPING) == [(0, 1)]
    assert harness.starting() == []
    harness.end(first)
    assert caplog.text == ""
    harness.step(EXTERNAL_STOP_PAUSE_SECONDS)
    assert harness.starting() == [(0, 1)]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["worker was stopped by another process, starting a replacement: worker 1 (pid 100)"]


def test_a_signal_to_the_whole_group_is_no_surprise(caplog: pytest.LogCaptureFixture) -> None:
    """As `timeout` and Heroku send it. The workers may be faster than the supervisor."""
    caplog.set_level("INFO")
    harness = served(1)
    harness.say(harness.last(), "draining")
    harness.workers.stop(harness.now, successor=False)
    harness.end(harness.last())
    harness.step(10)
    assert len(harness.spawned) == 1
    assert caplog.text == ""


def test_signals_without_a_name(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1)
    harness.end(harness.last(), code=-50)
    assert "(killed by signal 50)" in caplog.text


# --- Changes ---


def test_one_is_replaced_after_the_other() -> None:
    harness = served(3)
    harness.change()
    assert harness.workers.pending_generation is not None
    for slot in range(3):
        assert harness.starting() == [(slot, 2)]
        assert harness.spawned[slot].noted_signals == []
        harness.ready(harness.last())
        assert harness.workers.pending_generation is None
        assert harness.spawned[slot].heard_signals() == [REPLACED]
    assert harness.starting() == []
    assert harness.by(Stage.STOPPING) == [(0, 1), (1, 1), (2, 1)]
    harness.end(*harness.spawned[:3])
    assert harness.serving() == [(0, 2), (1, 2), (2, 2)]


def test_what_does_not_start_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(2)
    harness.change()
    harness.end(harness.last(), code=3)
    assert "worker failed to start with the new configuration (exit code 3); keeping the current workers" in caplog.text
    harness.step(100)
    assert harness.serving() == [(0, 1), (1, 1)]
    assert len(harness.spawned) == 3
    harness.step(EARLY_EXIT_SECONDS)
    harness.end(harness.spawned[1])
    assert harness.starting() == [(1, 1)]


def test_whoever_has_to_be_started_meanwhile_is_started_as_before() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    harness.change()
    harness.end(harness.spawned[1])
    assert harness.starting() == [(0, 2), (1, 1)]
    harness.ready(harness.spawned[3], harness.spawned[2])
    assert harness.starting() == [(1, 2)]
    harness.replacements()
    assert harness.serving() == [(0, 2), (1, 2)]


def test_when_nobody_serves_any_more_what_was_changed_is_tried() -> None:
    harness = served(1)
    harness.step(EARLY_EXIT_SECONDS)
    harness.change()
    harness.end(harness.spawned[0], code=1)
    harness.end(harness.spawned[1], code=1)
    assert harness.starting() == [(0, 1)], "the change did not start, so there is what was before"
    harness.end(harness.last(), code=1)
    harness.change()
    assert harness.starting() == [(0, 3)], "there is nothing to lose"


def test_a_change_waits_for_no_worker_that_cannot_start_as_before() -> None:
    harness = served(1)
    harness.step(EARLY_EXIT_SECONDS)
    harness.workers.start_generation(harness.generation(1))
    harness.end(harness.spawned[0], code=1)
    assert harness.starting() == [(0, 2)]


def test_a_later_change_overtakes() -> None:
    harness = served(2)
    harness.change()
    harness.change()
    harness.ready(harness.last())
    assert harness.workers.pending_generation is not None
    for slot in range(2):
        assert harness.starting() == [(slot, 3)]
        harness.ready(harness.last())
    assert harness.serving() == [(0, 3), (1, 3)]


def test_what_has_started_counts_even_if_a_later_change_does_not_start() -> None:
    harness = served(2)
    harness.change()
    harness.change()
    harness.ready(harness.last())
    harness.end(harness.last(), code=3)
    assert harness.serving() == [(0, 2), (1, 1)]
    harness.replacements()
    assert harness.serving() == [(0, 2), (1, 2)]


def test_a_start_that_a_later_change_has_overtaken_fails() -> None:
    harness = served(1)
    harness.change()
    harness.change()
    harness.end(harness.last(), code=3)
    harness.step(1)
    assert harness.starting() == [(0, 3)]


def test_a_change_of_the_count() -> None:
    harness = served(2)
    harness.change(count=3)
    assert harness.starting() == [(0, 2)], "whether it can be had is not known yet"
    harness.replacements()
    assert [(name, *more) for name, _, *more in harness.calls if name != "child_exit"] == [("nworkers_changed", 3, 2)]
    assert harness.serving() == [(0, 2), (1, 2), (2, 2)]
    harness.change(count=1)
    harness.replacements()
    assert harness.sockets.steered == [0]
    harness.step(SLOT_RETIRE_DELAY_SECONDS)
    for process in harness.spawned:
        if process.stage is Stage.STOPPING and process.heard_signals():
            harness.end(process)
    assert harness.serving() == [(0, 3)]
    assert harness.sockets.kept == (1, BOUND)


def test_a_count_that_comes_with_what_does_not_start_is_not_had() -> None:
    harness = served(1)
    harness.change(count=2)
    assert (
        harness.workers.count_after(harness.workers.generation),
        harness.workers.count_after(harness.last().generation),
    ) == (1, 2)
    harness.end(harness.last(), code=3)
    harness.step(100)
    assert harness.serving() == [(0, 1)]
    assert len(harness.spawned) == 2
    assert not any(name == "nworkers_changed" for name, *_ in harness.calls)
    harness.workers.resize(1)
    harness.step()
    assert harness.starting() == [(1, 1)]


def test_an_application_that_has_changed_is_served_as_configured_last() -> None:
    harness = served(1)
    harness.change(count=2, workers_lifetime=60.0)
    harness.workers.reload_application()
    harness.step()
    harness.ready(harness.last())
    harness.replacements()
    assert harness.serving() == [(0, 3), (1, 3)]
    assert {each.generation.settings.workers_lifetime for each in harness.workers} == {60.0}
    harness.workers.resize(1)
    harness.step()
    harness.ready(harness.last())
    harness.workers.reload_application()
    harness.step()
    harness.replacements()
    assert harness.serving() == [(0, 4), (1, 4), (2, 4)], "one more than configured, as somebody has asked"


def test_addresses_stay_that_somebody_needs() -> None:
    """A change that has not started yet has its sockets already, even if a worker ends meanwhile."""
    harness = served(2)
    harness.workers.resize(-1)
    harness.change(bind=("127.0.0.1:9000",))
    harness.step(SLOT_RETIRE_DELAY_SECONDS)
    harness.end(harness.spawned[1])
    assert harness.sockets.kept == (1, {"127.0.0.1:9000", *BOUND})
    harness.ready(harness.last())
    assert harness.sockets.kept == (1, {"127.0.0.1:9000", *BOUND})
    harness.end(harness.spawned[0])
    assert harness.sockets.kept == (1, {"127.0.0.1:9000"})


# --- Recycling ---


def test_recycled_ones_queue_up() -> None:
    harness = served(3)
    first, second, third = harness.spawned
    for process in (third, first, third):
        harness.say(process, "recycle\t--max-requests")
    assert harness.starting() == [(2, 1)]
    assert [each.slot for each in harness.replacements()] == [2, 0]
    assert harness.serving() == [(0, 1), (1, 1), (2, 1)]
    assert second.noted_signals == []


def test_one_that_ends_while_it_waits_for_its_successor_is_replaced_once() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    first, second = harness.spawned
    harness.say(first, "recycle\t--max-requests")
    harness.say(second, "recycle\t--max-requests")
    harness.end(second, code=-9)
    assert [each.slot for each in harness.spawned[2:]] == [0, 1]
    harness.ready(*harness.spawned[2:])
    harness.step(10)
    assert len(harness.spawned) == 4


def test_a_successor_that_does_not_start_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1)
    harness.say(harness.spawned[0], "recycle\t--max-requests")
    harness.end(harness.last(), code=1)
    assert "worker failed to start (exit code 1), next attempt in 0.1 s: worker 1 (pid 101)" in caplog.text
    assert harness.serving() == [(0, 1)]
    harness.step(FIRST_RETRY_SECONDS)
    harness.replacements()
    assert [each.pid for each in harness.workers] == [102]


def test_a_change_comes_before_recycling_and_does_it() -> None:
    harness = served(2)
    harness.workers.on_line(harness.spawned[1], "recycle\t--max-requests", harness.now)
    harness.change()
    assert [(each.slot, each.generation.number) for each in harness.replacements()] == [(0, 2), (1, 2)]


def test_a_life_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    harness = served(1, workers_lifetime=60.0)
    harness.step(59)
    assert harness.starting() == []
    harness.step(1)
    assert harness.starting() == [(0, 1)]
    assert "worker will be replaced: worker 1 (pid 100): it has lived for 60 s" in caplog.text
    harness.replacements()


def test_lives_differ() -> None:
    harness = served(20, workers_lifetime=60.0, workers_lifetime_jitter=30.0)
    ends = {each.retire_at - harness.now for each in harness.spawned}
    assert len(ends) == 20
    assert all(60 <= end <= 90 for end in ends)


def test_memory_has_a_limit(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    sizes = {100: 63 << 20, 101: 64 << 20}
    monkeypatch.setattr(module, "_resident_bytes", lambda pid: sizes.get(pid, 0))
    harness = served(2, workers_max_rss=64)
    harness.step(2 * MEMORY_CHECK_SECONDS)
    assert harness.starting() == []
    sizes[101] += 1 << 20
    harness.step(MEMORY_CHECK_SECONDS)
    assert harness.starting() == [(1, 1)]
    assert "worker will be replaced: worker 2 (pid 101): it takes 65 MiB of memory" in caplog.text
    harness.replacements()


def test_memory_of_a_process() -> None:
    assert module._resident_bytes(os.getpid()) > 1 << 20
    assert module._resident_bytes(0) == 0


# --- Liveness ---


def beating(harness: Harness, process: Fake, seconds: int) -> None:
    for _ in range(seconds):
        process.memory.heartbeat = harness.now
        harness.step(1)


def test_one_whose_heart_stops_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1, timeout=30.0)
    process = harness.last()
    beating(harness, process, 100)
    assert process.noted_signals == []
    harness.step(30 * HEARTBEAT_TIMEOUT_FACTOR - 1.5)
    assert process.noted_signals == []
    harness.step(0.5)
    assert process.heard_signals() == [ABRT]
    assert (
        "worker is stuck and will be killed: worker 1 (pid 100): it has given no sign of life for 40 s" in caplog.text
    )
    assert [(name, info.pid) for name, info in harness.calls] == [("worker_abort", 100)]
    harness.step(ABORT_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.heard_signals() == [KILL]
    harness.end(process, code=-9)
    assert harness.starting() == [(0, 1)], "without a pause, though it has not served for long"


def test_time_that_nobody_has_watched_counts_against_nobody() -> None:
    """The machine has slept: the heartbeat of the worker and the supervisor are late."""
    harness = served(1, timeout=30.0)
    process = harness.last()
    beating(harness, process, 10)
    assert harness.workers.due(harness.now)
    harness.now += 3600
    harness.workers.step(harness.now)
    assert process.noted_signals == []
    harness.step(30 * HEARTBEAT_TIMEOUT_FACTOR)
    assert process.heard_signals() == [ABRT]


@pytest.mark.parametrize("timeout", [0.0, 30.0])
def test_no_heart_is_waited_for_that_has_not_begun_to_beat(timeout: float) -> None:
    harness = served(1, timeout=timeout)
    if not timeout:
        harness.last().memory.heartbeat = harness.now
    harness.step(1000)
    assert harness.last().noted_signals == []


def test_one_that_says_so_is_stuck(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1)
    harness.say(harness.last(), "stuck\tthe loop has been blocked for 30 s")
    harness.say(harness.last(), "stuck\tthe loop has been blocked for 31 s")
    assert harness.last().heard_signals() == [ABRT]
    assert caplog.text.count("worker is stuck and will be killed: worker 1 (pid 100): the loop has been blocked") == 1


def test_one_that_leaves_may_be_stuck_as_well() -> None:
    harness = served(1)
    harness.change()
    harness.ready(harness.last())
    harness.say(harness.spawned[0], "stuck\tit is")
    assert harness.spawned[0].heard_signals() == [REPLACED, ABRT]
    harness.step(ABORT_SECONDS)
    assert harness.spawned[0].heard_signals() == [KILL]


@pytest.mark.parametrize("line", ["stuck\tit is", "recycle\tit has to be", "nonsense", "", "closing"])
def test_one_that_starts_says_nothing_but_that_it_is_ready(line: str) -> None:
    harness = Harness(1)
    harness.step()
    harness.say(harness.last(), line)
    assert harness.last().noted_signals == []
    harness.ready(harness.last())
    assert harness.serving() == [(0, 1)]


@pytest.mark.parametrize("line", ["ready", "ready\tmain:app", "recycle", "stuck", "closing", "\t\t", "\ufffd"])
def test_nonsense_harms_nobody_else(line: str) -> None:
    """An application may write to descriptors that it does not know."""
    harness = served(2)
    harness.say(harness.spawned[0], line)
    assert harness.workers.ready_facts == ["main:app (asgi3)", "loop asyncio"]
    assert harness.spawned[1].noted_signals == []


def test_one_is_ready_that_says_nothing_of_itself() -> None:
    harness = Harness(1)
    harness.step()
    harness.say(harness.last(), "ready")
    assert harness.serving() == [(0, 1)]
    assert harness.workers.ready_facts == [""]


# --- More and fewer ---


def test_one_more() -> None:
    harness = served(1)
    harness.workers.resize(1)
    harness.step()
    assert harness.starting() == [(1, 1)]
    harness.ready(harness.last())
    assert harness.serving() == [(0, 1), (1, 1)]
    assert [(name, server.workers, *more) for name, server, *more in harness.calls] == [("nworkers_changed", 2, 2, 1)]


def test_one_less_serves_what_is_on_its_way() -> None:
    harness = served(3)
    last = harness.last()
    harness.workers.resize(-1)
    harness.step()
    assert harness.sockets.steered == [0, 1]
    harness.step(SLOT_RETIRE_DELAY_SECONDS - 0.1)
    assert last.noted_signals == []
    harness.step(0.1)
    assert last.heard_signals() == [TERM]
    harness.step(10)
    assert harness.sockets.steered == [0, 1]
    harness.end(last)
    assert harness.serving() == [(0, 1), (1, 1)]
    assert harness.sockets.steered == [0, 1]
    assert harness.sockets.kept == (2, BOUND)


def test_one_less_and_one_more_is_nothing() -> None:
    harness = served(2)
    for by in (-1, 1):
        harness.workers.resize(by)
        harness.step()
    harness.step(10)
    assert harness.sockets.steered == [0, 1]
    assert [each.noted_signals for each in harness.spawned] == [[], []]


def test_one_more_while_the_last_one_leaves() -> None:
    harness = served(2)
    harness.workers.resize(-1)
    harness.step(SLOT_RETIRE_DELAY_SECONDS)
    harness.workers.resize(1)
    harness.step()
    assert harness.starting() == [(1, 1)]
    harness.ready(harness.last())
    harness.end(harness.spawned[1])
    assert harness.serving() == [(0, 1), (1, 1)]


def test_many_less() -> None:
    harness = served(4)
    for _ in range(5):
        harness.workers.resize(-1)
        harness.step()
    harness.step(SLOT_RETIRE_DELAY_SECONDS)
    leaving = [each for each in harness.spawned if each.heard_signals()]
    assert len(leaving) == 3, "all at once"
    harness.end(*leaving)
    assert harness.serving() == [(0, 1)]
    assert [tuple(more) for name, _, *more in harness.calls if name == "nworkers_changed"] == [(3, 4), (2, 3), (1, 2)]


def test_one_that_crashes_before_it_leaves_is_not_replaced() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    harness.workers.resize(-1)
    harness.step()
    harness.end(harness.spawned[1])
    harness.step(10)
    assert harness.serving() == [(0, 1)]
    assert len(harness.spawned) == 2


# --- Slots that get connections ---


def test_a_slot_that_nobody_serves_gets_none() -> None:
    harness = served(3)
    harness.end(harness.spawned[1], code=1)
    assert harness.sockets.steered == [0, 2]
    harness.step(FIRST_RETRY_SECONDS)
    assert harness.sockets.steered == [0, 2]
    harness.ready(harness.last())
    assert harness.sockets.steered == [0, 1, 2]


def test_a_slot_that_is_served_again_at_once_keeps_its_connections() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    harness.end(harness.spawned[1], code=-11)
    assert harness.sockets.steered == [0, 1]


def test_when_nobody_serves_connections_wait_everywhere() -> None:
    harness = served(2)
    harness.end(*harness.spawned, code=1)
    assert harness.sockets.steered == []


# --- Ends of all ---


@pytest.mark.parametrize("has_successor", [False, True])
def test_a_stop_grows_more_urgent(has_successor: bool, caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1, timeout_graceful_shutdown=30.0)
    process = harness.last()
    harness.workers.stop(harness.now, successor=has_successor)
    harness.step()
    assert process.heard_signals() == [REPLACED if has_successor else TERM]
    harness.step(GRACE - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.heard_signals() == [QUIT]
    harness.step(QUIT_AFTER_TERM_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.heard_signals() == [ABRT]
    harness.step(ABORT_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.heard_signals() == [KILL]
    harness.step(100)
    assert process.noted_signals == []
    process.memory.written = "File main.py"
    harness.end(process, code=-9)
    assert list(harness.workers) == []
    assert len(harness.spawned) == 1
    told = [record.getMessage() for record in caplog.records]
    assert told[:3] == [
        f"worker does not stop in time, sending {name}: worker 1 (pid 100)"
        for name in ("SIGQUIT", "SIGABRT", "SIGKILL")
    ]
    assert told[-1] == "Python stacks of worker 1 (pid 100):\nFile main.py"


def test_a_stop_without_a_limit() -> None:
    harness = served(1, timeout_graceful_shutdown=0.0)
    harness.workers.stop(harness.now, successor=False)
    harness.step(10000)
    assert harness.last().noted_signals == [TERM]


def test_the_clean_up_has_a_limit_of_its_own() -> None:
    harness = served(1, timeout_graceful_shutdown=30.0, timeout_lifespan_shutdown=20.0)
    process = harness.last()
    harness.workers.stop(harness.now, successor=False)
    harness.step(GRACE - 1)
    harness.say(process, "closing")
    harness.step(20 + MARGIN_SECONDS - 0.1)
    assert process.heard_signals() == [TERM]
    harness.step(0.1)
    assert process.heard_signals() == [QUIT]


def test_several_applications_clean_up_one_after_the_other() -> None:
    mounts = {"mount": (Mount("/api", "api:app"), Mount("/live", "live:app"))}
    harness = served(1, timeout_lifespan_shutdown=20.0, **mounts)
    harness.workers.stop(harness.now, successor=False)
    harness.say(harness.last(), "closing")
    harness.step(3 * 20 + MARGIN_SECONDS - 0.1)
    assert harness.last().noted_signals == [TERM]
    harness.step(0.1)
    assert harness.last().noted_signals == [TERM, QUIT]


def test_the_clean_up_of_one_that_is_killed_is_short() -> None:
    harness = served(1)
    process = harness.last()
    harness.workers.stop_now(QUIT, harness.now)
    harness.step(5)
    harness.say(process, "closing")
    assert process.heard_signals() == [QUIT]
    harness.step(QUIT_SECONDS - 1)
    harness.say(process, "exiting\t2")
    harness.step(2 + ATEXIT_SECONDS + MARGIN_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.heard_signals() == [ABRT]


def test_threads_have_the_time_that_the_worker_says() -> None:
    harness = served(1, timeout_graceful_shutdown=30.0, timeout_lifespan_shutdown=20.0)
    process = harness.last()
    harness.workers.stop(harness.now, successor=False)
    harness.say(process, "closing")
    harness.say(process, "exiting\t12.5")
    assert process.heard_signals() == [TERM]
    harness.step(12.5 + ATEXIT_SECONDS + MARGIN_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.heard_signals() == [QUIT]


def test_threads_may_have_no_limit() -> None:
    harness = served(1, timeout_graceful_shutdown=0.0)
    harness.workers.stop(harness.now, successor=False)
    harness.say(harness.last(), "closing")
    harness.say(harness.last(), "exiting\t0")
    harness.step(10000)
    assert harness.last().noted_signals == [TERM]


def test_a_worker_that_is_starting_and_does_not_react_is_killed_soon(caplog: pytest.LogCaptureFixture) -> None:
    """Its startup may block the event loop, as a call of time.sleep() or a database that is not there does."""
    harness = Harness(1)
    harness.step()
    process = harness.last()
    harness.workers.stop(harness.now, successor=False)
    harness.step(TERM_WHILE_STARTING_SECONDS)
    assert process.heard_signals() == [TERM, QUIT]
    harness.step(2 * ABORT_SECONDS)
    assert process.heard_signals() == [ABRT, KILL]
    harness.end(process, code=-9)
    assert list(harness.workers) == []


def test_a_startup_that_blocks_the_loop_ends_with_its_time_limit(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(1)
    harness.step()
    process = harness.last()
    harness.say(process, "starting\t4")
    harness.step(4 + START_MARGIN_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.heard_signals() == [ABRT]
    process.memory.written = "File main.py"
    harness.end(process, code=-6)
    assert harness.workers.failed
    assert "its event loop is blocked, and --timeout-lifespan-startup is over" in caplog.text
    assert "Python stacks of worker 1 (pid 100):\nFile main.py" in caplog.text


@pytest.mark.parametrize("line", ["starting\t0", "starting\tlong", "starting"])
def test_a_startup_may_have_no_limit(line: str) -> None:
    harness = Harness(1)
    harness.step()
    harness.say(harness.last(), line)
    harness.step(10000)
    assert harness.last().noted_signals == []


def test_nobody_starts_while_all_leave() -> None:
    harness = served(2)
    harness.workers.start_generation(harness.generation(3))
    harness.workers.stop(harness.now, successor=False)
    harness.end(harness.spawned[0], code=1)
    harness.step(100)
    assert len(harness.spawned) == 2


def test_one_that_starts_has_nothing_to_finish(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(1)
    harness.step()
    harness.workers.stop(harness.now, successor=True)
    assert harness.last().noted_signals == [TERM]
    harness.say(harness.last(), "ready\tmain:app")
    harness.end(harness.last(), code=-15)
    assert not harness.workers.failed
    assert list(harness.workers) == []
    assert caplog.text == ""


def test_those_that_leave_for_a_successor_leave_for_nobody_now() -> None:
    harness = served(1)
    harness.change()
    harness.ready(harness.last())
    harness.workers.stop(harness.now, successor=False)
    assert [each.noted_signals for each in harness.spawned] == [[REPLACED, TERM], [TERM]]


def test_hurry() -> None:
    harness = served(2)
    harness.workers.stop(harness.now, successor=False)
    harness.workers.stop_now(QUIT, harness.now)
    harness.step(QUIT_SECONDS)
    assert [each.heard_signals() for each in harness.spawned] == [[TERM, QUIT, ABRT]] * 2
    harness.workers.stop_now(KILL, harness.now)
    harness.step(100)
    assert [each.heard_signals() for each in harness.spawned] == [[KILL]] * 2


def test_one_that_is_being_killed_is_not_given_more_time() -> None:
    harness = served(1)
    process = harness.last()
    harness.say(process, "stuck\tit is")
    harness.workers.stop(harness.now, successor=False)
    harness.step(ABORT_SECONDS)
    assert process.noted_signals[-1] is KILL


def test_all_leave_and_the_sockets_stay() -> None:
    harness = served(2)
    harness.workers.scale_to_zero(harness.now)
    harness.step()
    assert [each.noted_signals for each in harness.spawned] == [[REPLACED]] * 2
    harness.end(*harness.spawned)
    harness.step(1000)
    assert len(harness.spawned) == 2
    assert harness.sockets.kept == (2, BOUND)
    harness.change()
    assert harness.starting() == [(0, 2), (1, 2)]
    harness.ready(*harness.spawned[2:])
    assert harness.serving() == [(0, 2), (1, 2)]


@pytest.mark.parametrize("count", [1, 3])
def test_one_more_than_nobody_is_one(count: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    harness = served(count)
    harness.workers.scale_to_zero(harness.now)
    harness.workers.resize(-1)
    harness.step()
    assert len(harness.spawned) == count, "there are no fewer than none"
    harness.workers.resize(1)
    harness.step()
    harness.ready(harness.last())
    assert harness.serving() == [(0, 1)]
    assert "workers: 1" in caplog.text


# --- Signals for all workers ---


def test_those_that_start_are_told_later() -> None:
    harness = Harness(2)
    harness.step()
    harness.ready(harness.last())
    harness.workers.send_signal(REOPEN)
    assert [each.noted_signals for each in harness.spawned] == [[REOPEN], []]
    harness.ready(harness.last())
    assert [each.noted_signals for each in harness.spawned] == [[REOPEN], [REOPEN]]


# --- Templates ---


def test_a_template_that_does_not_load_at_first() -> None:
    harness = Harness(1)
    harness.waiting = True
    harness.step()
    harness.workers.on_template_exit(1, 3, harness.now)
    harness.step()
    assert harness.workers.failed


def test_a_template_that_does_not_load_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
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


def test_nobody_minds_a_template_of_before() -> None:
    harness = served(1)
    harness.change()
    harness.ready(harness.last())
    harness.workers.on_template_exit(1, 1, harness.now)
    harness.step()
    assert not harness.workers.failed


# --- Anything, in any order ---


class Chaos:
    """A harness in which things happen at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        limits: dict[str, Any] = {"timeout": 30.0, "workers_lifetime": 300.0} if self.random.random() < 0.5 else {}
        self.harness = Harness(self.random.randint(1, 4), **limits)
        self.trace: list[str] = []

    def happen(self) -> None:
        """One event, and then perhaps some time."""
        harness, workers = self.harness, self.harness.workers
        present = [each for each in harness.spawned if each in list(workers)]
        kinds = ["time"] * 3 + ["change", "resize", "wind_down", "refuse", "tell"] + ["ready", "end", "say", "beat"] * 4
        kind = self.random.choice(kinds)
        process = self.random.choice(present) if present else None
        self.trace.append(f"{kind} {process}")
        if kind == "time":
            harness.step(self.random.choice([0.05, 0.5, 3.0, 20.0, 100.0]))
        elif kind == "change":
            workers.start_generation(harness.generation(self.random.randint(1, 4)))
        elif kind == "resize":
            workers.resize(self.random.choice([-1, 1]))
        elif kind == "wind_down" and self.random.random() < 0.2:
            workers.scale_to_zero(harness.now)
        elif kind == "refuse":
            harness.refusal = OSError(24, "no") if harness.refusal is None and self.random.random() < 0.5 else None
        elif kind == "tell":
            workers.send_signal(REOPEN)
        elif process is not None and kind == "ready":
            workers.on_line(process, "ready\tmain:app", harness.now)
        elif process is not None and kind == "say":
            workers.on_line(process, self.random.choice(["recycle\tx", "stuck\tx", "draining", "closing"]), harness.now)
        elif process is not None and kind == "beat":
            process.memory.heartbeat = harness.now
        elif process is not None and kind == "end":
            workers.on_exit(process, self.random.choice([0, 3 << 8, 9]), harness.now)
        if workers.failed and workers.pending_generation is None:
            workers.start_generation(harness.generation(workers.count))
        harness.step()
        assert workers.count >= 1
        assert len({(each.slot, each.stage) for each in present if each.stage is Stage.SERVING}) == len(
            [each for each in present if each.stage is Stage.SERVING]
        )

    def calm_down(self) -> None:
        """Makes all processes obey from now on."""
        harness, workers = self.harness, self.harness.workers
        harness.refusal = None
        for _ in range(100):
            for process in list(workers):
                assert isinstance(process, Fake)
                if process.stage is Stage.STARTING:
                    harness.ready(process)
                elif process.stage is Stage.STOPPING or process.is_aborted:
                    harness.end(process)
                else:
                    process.memory.heartbeat = harness.now
            harness.step(0.5)


@pytest.mark.parametrize("seed", range(100))
def test_anything_in_any_order(seed: int) -> None:
    chaos = Chaos(seed)
    harness = chaos.harness
    harness.step()
    try:
        for _ in range(60):
            chaos.happen()
        harness.workers.resize(1)
        chaos.calm_down()
        number = harness.workers.generation.number
        assert harness.workers.pending_generation is None
        assert harness.serving() == [(slot, number) for slot in range(harness.workers.count)]
        assert len(list(harness.workers)) == harness.workers.count
        assert harness.sockets.steered == list(range(harness.workers.count))
        harness.workers.stop(harness.now, successor=False)
        harness.step(1000)
        assert all(KILL in each.noted_signals for each in harness.spawned if each in list(harness.workers))
    except Exception as error:
        error.add_note("\n".join(chaos.trace))
        raise


# --- Starts that take too long ---


def start_limit(harness: Harness) -> float:
    settings = harness.settings
    return settings.timeout + settings.timeout_lifespan_startup


def test_a_new_configuration_that_hangs_is_ended_while_the_old_one_serves() -> None:
    harness = served(1)
    old = harness.spawned[-1]
    harness.change()
    hanging = harness.spawned[-1]
    assert hanging is not old
    harness.step(start_limit(harness) - 1)
    assert hanging.heard_signals() == []
    harness.step(2)
    assert hanging.heard_signals() == [ABRT]
    assert old.heard_signals() == []
    harness.end(hanging, code=-ABRT)
    assert harness.workers.pending_generation is None
    assert list(harness.workers) == [old]


def test_a_newer_change_overtakes_a_start_that_hangs() -> None:
    """Once, it had to wait until the start was killed."""
    harness = served(1)
    harness.change()
    hanging = harness.spawned[-1]
    harness.change()
    harness.step(OVERTAKE_SECONDS + 0.1)
    assert hanging.heard_signals() == [TERM]
    assert harness.starting() == [(0, 3)]
    harness.end(hanging, code=-TERM)
    harness.ready(harness.last())
    assert harness.serving() == [(0, 3)]


def test_a_fixed_file_overtakes_the_first_start_that_hangs() -> None:
    harness = Harness(1)
    harness.step(60)
    hanging = harness.last()
    harness.change()
    assert hanging.heard_signals() == [TERM]
    assert harness.starting() == [(0, 2)]


def test_a_start_that_takes_its_usual_time_is_not_overtaken() -> None:
    """Otherwise frequent changes would prevent every start."""
    harness = Harness(1)
    harness.step(20)
    harness.ready(harness.last())
    harness.change()
    starting = harness.last()
    harness.change()
    harness.step(19)
    assert starting.heard_signals() == []
    harness.ready(starting)
    assert harness.serving() == [(0, 2)]


def test_a_respawn_that_hangs_is_overtaken_by_a_change_while_others_serve() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    harness.end(harness.spawned[1], code=-KILL)
    hanging = harness.last()
    harness.change()
    harness.step(OVERTAKE_SECONDS + 0.1)
    assert hanging.heard_signals() == [TERM]
    assert harness.starting() == [(1, 2)]


def test_what_overtakes_and_fails_too_leaves_the_old_configuration() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    harness.end(harness.spawned[1], code=-KILL)
    hanging = harness.last()
    harness.change()
    harness.step(OVERTAKE_SECONDS + 0.1)
    harness.end(hanging, code=-TERM)
    harness.end(harness.last(), code=3)
    harness.step(1)
    assert harness.workers.pending_generation is None
    assert harness.starting() == [(1, 1)]


def test_a_start_that_lasts_is_reported_at_growing_intervals(caplog: pytest.LogCaptureFixture) -> None:
    """Once, the first start could wait for a database for ever without a word."""
    harness = Harness(1)
    harness.step(FIRST_REPORT_SECONDS - 0.1)
    process = harness.last()
    assert process.looks == 0
    process.memory.written = (
        'Stack (most recent call first):\n  File "/srv/main.py", line 4 in connect\n'
        '  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed\n'
        f'  File "{module.__file__}", line 1 in load\n  File "/usr/bin/ianus", line 9 in <module>\n'
    )
    harness.step(90)
    assert process.looks == 3
    reports = [each.message for each in caplog.records if "still loading" in each.message]
    assert [re.findall(r"after (\d+) s: worker 1 \(pid 100\); the main", each) for each in reports] == [
        ["10"],
        ["30"],
        ["90"],
    ]
    assert reports[0].splitlines()[1:] == ['  File "/srv/main.py", line 4, in connect']


def test_an_event_loop_that_waits_in_a_lifespan_is_not_reported_here(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(1)
    harness.step()
    harness.say(harness.last(), "starting\t0")
    harness.last().memory.written = '  File "/usr/lib/python3/selectors.py", line 468 in select\n'
    harness.last().memory.written += '  File "/usr/lib/python3/asyncio/base_events.py", line 1898 in _run_once\n'
    harness.step(60)
    assert "still" not in caplog.text
    harness.last().memory.written = '  File "/srv/main.py", line 7 in lifespan\n'
    harness.step(60)
    assert "application is still starting after" in caplog.text


def test_workers_that_lack_threads_say_so_once(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(3)
    harness.step()
    harness.ready(harness.last())
    for process in harness.spawned[1:]:
        harness.say(process, "refused\tThe system gives no thread (x).")
    for process in harness.spawned[1:]:
        harness.end(process, code=3)
    assert caplog.text.count("The system gives no thread (x).") == 1
    assert harness.workers.failed


def test_the_first_start_may_take_as_long_as_it_likes() -> None:
    harness = Harness(1)
    harness.step()
    harness.step(10 * start_limit(harness))
    assert harness.spawned[-1].heard_signals() == []
