"""What becomes of workers, with processes that are none and a clock that the tests turn.

Whatever happens in a test, each step has to leave nothing behind that would have to be done at the same moment: the
supervisor would spin, or sleep over it.
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
    ABORTING,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    QUICK,
    SILENT,
    START_MARGIN_SECONDS,
    STARTING_SECONDS,
    UNASKED_PAUSE,
    Plan,
    Process,
    Stage,
)
from ianus.process.supervisor.workers import MEMORY_PERIOD, OVERTAKE_SECONDS, PATIENCE, SOON, SPARED, Workers
from ianus.settings.schema import Settings
from ianus.settings.values import Mount

TERM, QUIT, KILL, ABRT = signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL, signal.SIGABRT
REPLACED, REOPEN = signal.SIGUSR2, signal.SIGUSR1
GRACE = 30 + MARGIN_SECONDS

# Where workers listen as configured by default.
BOUND = {str(bind) for bind in Settings().bind}


class Board:
    """What a worker has left."""

    def __init__(self) -> None:
        self.beaten = 0.0
        self.in_flight: list[tuple[str, float]] = []
        self.written = ""

    def beat(self) -> float:
        return self.beaten

    def requests(self) -> list[tuple[str, float]]:
        return self.in_flight

    def unlisted(self) -> int:
        return 2 * len(self.in_flight)

    def stacks(self) -> str:
        return self.written

    def close(self) -> None:
        pass


class Fake(Process):
    """A process that notes signals. told: those that it has not been asked about yet."""

    def __init__(self, plan: Plan, slot: int, now: float, pid: int) -> None:
        self.memory = Board()
        super().__init__(plan, slot, self.memory, -1, -1, now)  # type: ignore[arg-type]
        self.pid = pid
        self.told: list[signal.Signals] = []
        self.looks = 0  # how often it was asked for its stack

    def tell(self, number: signal.Signals) -> None:
        if number == LOOK_SIGNAL:
            self.looks += 1
        else:
            self.told.append(number)

    def heard_signals(self) -> list[signal.Signals]:
        told, self.told = self.told, []
        return told


class FakeSockets:
    """steered: the slots that get connections. kept: of how many slots, and which addresses, in the last clean-up."""

    def __init__(self) -> None:
        self.steered: list[int] = []
        self.kept: tuple[int, set[str]] | None = None

    def steer(self, slots: Sequence[int]) -> None:
        self.steered = list(slots)

    def keep(self, settings: Iterable[Settings], slots: int) -> None:
        self.kept = slots, {str(bind) for each in settings for bind in each.bind}


class World:
    """Workers, and what happens to them.

    now: seconds. refusal: what prevents the next launches; waiting: whether there is nothing yet to fork.
    calls: of hooks.
    """

    def __init__(self, count: int = 2, **settings: Any) -> None:
        self.now = 1000.0
        self.refusal: Exception | None = None
        self.waiting = False
        self.launched: list[Fake] = []
        self.calls: list[tuple[Any, ...]] = []
        self.sockets = FakeSockets()
        names = ("nworkers_changed", "worker_abort", "child_exit")
        self.hooks = Hooks({name: lambda *given, name=name: self.calls.append((name, *given)) for name in names})
        self.settings = Settings(**settings)
        self.workers = Workers(
            self.plan(count),
            self.sockets,  # type: ignore[arg-type]
            self.launch,
            lambda: ServerInfo(1, self.workers.count, ()),
        )

    def plan(self, count: int, **settings: Any) -> Plan:
        return Plan(1, "main:app", replace(self.settings, **settings), count, self.hooks, None)

    def launch(self, plan: Plan, slot: int, now: float) -> Fake | None:
        if self.refusal is not None:
            raise self.refusal
        if self.waiting:
            return None
        self.launched.append(Fake(plan, slot, now, 100 + len(self.launched)))
        return self.launched[-1]

    # --- What happens ---

    def step(self, seconds: float = 0) -> None:
        """Has the supervisor do what is due, whenever it is, for so long."""
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
        return len(self.launched), [list(each.told) for each in self.launched], self.sockets.steered, self.sockets.kept

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
        self.workers.change(self.plan(count or self.workers.count, **settings))
        self.step()

    # --- What there is ---

    def by(self, stage: Stage) -> list[tuple[int, int]]:
        """(slot, number of the plan) of all in this stage."""
        return [(each.slot, each.plan.number) for each in self.workers if each.stage is stage]

    def serving(self) -> list[tuple[int, int]]:
        return self.by(Stage.SERVING)

    def starting(self) -> list[tuple[int, int]]:
        return self.by(Stage.STARTING)

    def last(self) -> Fake:
        return self.launched[-1]

    def replacements(self) -> list[Fake]:
        """Lets one replacement after the other succeed; returns who has started."""
        before = len(self.launched) - len(self.starting())
        while self.starting():
            starting = self.last()
            assert len(self.starting()) == 1
            self.ready(starting)
            for each in list(self.workers):
                if isinstance(each, Fake) and each.stage is Stage.LEAVING:
                    assert each.heard_signals() == [REPLACED]
                    self.end(each)
        return self.launched[before:]


def served(count: int = 2, **settings: Any) -> World:
    """All have started."""
    world = World(count, **settings)
    world.step()
    world.ready(*world.launched)
    world.ready(*world.launched[1:])
    assert world.serving() == [(slot, 1) for slot in range(count)]
    assert world.workers.has_started
    return world


# --- The start ---


def test_the_first_starts_alone_and_then_all_others() -> None:
    world = World(3)
    world.step()
    assert world.starting() == [(0, 1)]
    world.ready(world.launched[0])
    assert world.serving() == [(0, 1)]
    assert world.starting() == [(1, 1), (2, 1)]
    assert not world.workers.has_started
    world.ready(world.launched[2], world.launched[1])
    assert world.workers.has_started
    assert not world.workers.failed
    assert world.workers.facts == ["main:app (asgi3)", "loop asyncio"]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(("code", "told"), [(3, ""), (1, "(exit code 1)"), (-9, "(killed by SIGKILL)")])
def test_what_does_not_start_at_first_is_not_tried_again(
    index: int, code: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(2)
    world.step()
    world.ready(*world.launched[:index])
    world.end(world.launched[index], code=code)
    assert world.workers.failed
    world.step(100)
    assert len(world.launched) == index + 1
    assert told in caplog.text
    assert bool(told) == bool(caplog.records)  # What exits with 3 has told why.


def test_who_is_told_to_end_before_it_has_started_has_not_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Managers stop all processes at once: the supervisor is about to hear of it, and the exit code is not 3."""
    world = World(1)
    world.step()
    world.end(world.last(), code=-signal.SIGTERM)
    assert not world.workers.failed
    assert "worker 1 (pid 100) was told to end while it was starting (killed by SIGTERM)" in caplog.text
    world.step(FIRST_PAUSE)
    assert world.starting() == [(0, 1)]


def test_what_was_changed_starts_again_after_a_start_that_failed() -> None:
    world = World(1)
    world.step()
    world.end(world.last(), code=3)
    world.change()
    assert not world.workers.failed
    assert world.starting() == [(0, 2)]
    world.ready(world.last())
    assert world.workers.has_started


def test_a_change_during_the_first_start_counts_for_all() -> None:
    world = World(2)
    world.step()
    world.change()
    world.ready(world.launched[0])
    assert world.starting() == [(1, 2)]
    world.ready(world.launched[1])
    assert world.starting() == [(0, 2)]
    world.replacements()
    assert world.serving() == [(0, 2), (1, 2)]


def test_a_start_that_a_change_has_overtaken_may_fail() -> None:
    """What was changed may be what has prevented it."""
    world = World(1)
    world.step()
    world.change()
    world.end(world.last(), code=3)
    assert not world.workers.failed
    assert world.starting() == [(0, 2)]
    world.end(world.last(), code=3)
    assert world.workers.failed


def test_a_worker_that_ends_before_all_have_started_is_replaced() -> None:
    world = World(2)
    world.step()
    world.ready(world.last())
    world.end(world.launched[0], code=1)
    world.step(FIRST_PAUSE)
    assert world.starting() == [(0, 1), (1, 1)]
    assert not world.workers.failed


def test_nothing_starts_before_there_is_what_to_fork() -> None:
    world = World(2)
    world.waiting = True
    world.step(10)
    assert world.launched == []
    world.waiting = False
    world.step()
    assert world.starting() == [(0, 1)]


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), StartupError("No more sockets.")])
def test_what_the_system_does_not_give_is_asked_for_again(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    world = World(1)
    world.refusal = error
    world.step()
    assert re.search(r"cannot start a worker \(.*\); the next attempt is in 0\.1 s", caplog.text)
    world.refusal = None
    world.step(FIRST_PAUSE)
    world.ready(world.last())
    assert world.serving() == [(0, 1)]


def test_a_start_without_processes_fails_with_one_message(caplog: pytest.LogCaptureFixture) -> None:
    world = World(2)
    world.refusal = BlockingIOError(11, "Resource temporarily unavailable")
    world.step(60)
    assert world.workers.failed
    assert caplog.text.count("cannot start a worker") == 1


# --- Ends ---


def test_one_that_has_served_is_replaced_at_once(caplog: pytest.LogCaptureFixture) -> None:
    world = served(2)
    world.step(SOON)
    first = world.launched[0]
    first.memory.in_flight = [("GET /slow", 7.25)]
    first.memory.written = "Thread 1: somewhere"
    world.end(first, code=-11)
    assert world.starting() == [(0, 1)]
    assert "worker 1 (pid 100) has ended by itself (killed by SIGSEGV); another one takes its place" in caplog.text
    assert "in flight in worker 1 (pid 100) were:\nGET /slow (7.2 s)\nand 2 more" in caplog.text
    assert "stacks of worker 1 (pid 100) were:\nThread 1: somewhere" in caplog.text
    assert [(name, info.pid) for name, _, info in world.calls] == [("child_exit", 100)]


def test_the_pause_grows_and_begins_anew() -> None:
    world = served(2)
    pauses = []
    for _ in range(10):
        world.end(next(each for each in world.launched[::-1] if each.slot == 1), code=1)
        launched, before = len(world.launched), world.now
        while len(world.launched) == launched:
            world.step(0.05)
        pauses.append(round(world.now - before, 1))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, *[LONGEST_PAUSE] * 3]
    world.ready(world.last())
    world.step(SOON)
    world.end(world.last(), code=1)
    assert world.starting() == [(1, 1)]
    world.ready(world.last())
    world.end(world.last(), code=1)
    assert world.workers.due(world.now) == world.now + FIRST_PAUSE


def test_starts_that_fail_late_are_failures_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    world = served(2)
    world.end(world.launched[1], code=1)
    for pause in (0.2, 0.4, 0.8):
        world.step(LONGEST_PAUSE)
        assert world.starting() == [(1, 1)]
        world.step(2 * SOON)
        world.end(world.last(), code=1)
        assert f"could not be started (exit code 1); the next attempt is in {pause} s" in caplog.text
        assert world.sockets.steered == [0]


def test_whoever_is_told_to_leave_leaves_no_gap(caplog: pytest.LogCaptureFixture) -> None:
    world = served(1)
    world.change()
    world.ready(world.last())
    first = world.launched[0]
    assert first.heard_signals() == [REPLACED]
    world.end(first, code=-9)
    assert "worker 1 (pid 100) has ended (killed by SIGKILL)" in caplog.text
    assert world.serving() == [(0, 2)]
    assert world.starting() == []


def test_whoever_is_told_to_stop_by_somebody_else_has_a_successor_soon(caplog: pytest.LogCaptureFixture) -> None:
    """In a moment, for it may be that all were told, and the supervisor too."""
    caplog.set_level("INFO")
    world = served(1)
    first = world.last()
    world.say(first, "leaving")
    assert world.by(Stage.LEAVING) == [(0, 1)]
    assert world.starting() == []
    world.end(first)
    assert caplog.text == ""
    world.step(UNASKED_PAUSE)
    assert world.starting() == [(0, 1)]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["worker was stopped by another process, starting a replacement: worker 1 (pid 100)"]


def test_a_signal_to_the_whole_group_is_no_surprise(caplog: pytest.LogCaptureFixture) -> None:
    """As `timeout` and Heroku send it. The workers may be faster than the supervisor."""
    caplog.set_level("INFO")
    world = served(1)
    world.say(world.last(), "leaving")
    world.workers.stop(world.now, successor=False)
    world.end(world.last())
    world.step(10)
    assert len(world.launched) == 1
    assert caplog.text == ""


def test_signals_without_a_name(caplog: pytest.LogCaptureFixture) -> None:
    world = served(1)
    world.end(world.last(), code=-50)
    assert "(killed by signal 50)" in caplog.text


# --- Changes ---


def test_one_is_replaced_after_the_other() -> None:
    world = served(3)
    world.change()
    assert world.workers.candidate is not None
    for slot in range(3):
        assert world.starting() == [(slot, 2)]
        assert world.launched[slot].told == []
        world.ready(world.last())
        assert world.workers.candidate is None
        assert world.launched[slot].heard_signals() == [REPLACED]
    assert world.starting() == []
    assert world.by(Stage.LEAVING) == [(0, 1), (1, 1), (2, 1)]
    world.end(*world.launched[:3])
    assert world.serving() == [(0, 2), (1, 2), (2, 2)]


def test_what_does_not_start_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = served(2)
    world.change()
    world.end(world.last(), code=3)
    assert "a worker could not be started as configured now (exit code 3); the old ones serve on" in caplog.text
    world.step(100)
    assert world.serving() == [(0, 1), (1, 1)]
    assert len(world.launched) == 3
    world.step(SOON)
    world.end(world.launched[1])
    assert world.starting() == [(1, 1)]


def test_whoever_has_to_be_started_meanwhile_is_started_as_before() -> None:
    world = served(2)
    world.step(SOON)
    world.change()
    world.end(world.launched[1])
    assert world.starting() == [(0, 2), (1, 1)]
    world.ready(world.launched[3], world.launched[2])
    assert world.starting() == [(1, 2)]
    world.replacements()
    assert world.serving() == [(0, 2), (1, 2)]


def test_when_nobody_serves_any_more_what_was_changed_is_tried() -> None:
    world = served(1)
    world.step(SOON)
    world.change()
    world.end(world.launched[0], code=1)
    world.end(world.launched[1], code=1)
    assert world.starting() == [(0, 1)], "the change did not start, so there is what was before"
    world.end(world.last(), code=1)
    world.change()
    assert world.starting() == [(0, 3)], "there is nothing to lose"


def test_a_change_waits_for_no_worker_that_cannot_start_as_before() -> None:
    world = served(1)
    world.step(SOON)
    world.workers.change(world.plan(1))
    world.end(world.launched[0], code=1)
    assert world.starting() == [(0, 2)]


def test_a_later_change_overtakes() -> None:
    world = served(2)
    world.change()
    world.change()
    world.ready(world.last())
    assert world.workers.candidate is not None
    for slot in range(2):
        assert world.starting() == [(slot, 3)]
        world.ready(world.last())
    assert world.serving() == [(0, 3), (1, 3)]


def test_what_has_started_counts_even_if_a_later_change_does_not_start() -> None:
    world = served(2)
    world.change()
    world.change()
    world.ready(world.last())
    world.end(world.last(), code=3)
    assert world.serving() == [(0, 2), (1, 1)]
    world.replacements()
    assert world.serving() == [(0, 2), (1, 2)]


def test_a_start_that_a_later_change_has_overtaken_fails() -> None:
    world = served(1)
    world.change()
    world.change()
    world.end(world.last(), code=3)
    world.step(1)
    assert world.starting() == [(0, 3)]


def test_a_change_of_the_count() -> None:
    world = served(2)
    world.change(count=3)
    assert world.starting() == [(0, 2)], "whether it can be had is not known yet"
    world.replacements()
    assert [(name, *more) for name, _, *more in world.calls if name != "child_exit"] == [("nworkers_changed", 3, 2)]
    assert world.serving() == [(0, 2), (1, 2), (2, 2)]
    world.change(count=1)
    world.replacements()
    assert world.sockets.steered == [0]
    world.step(SPARED)
    for process in world.launched:
        if process.stage is Stage.LEAVING and process.heard_signals():
            world.end(process)
    assert world.serving() == [(0, 3)]
    assert world.sockets.kept == (1, BOUND)


def test_a_count_that_comes_with_what_does_not_start_is_not_had() -> None:
    world = served(1)
    world.change(count=2)
    assert (world.workers.count_with(world.workers.plan), world.workers.count_with(world.last().plan)) == (1, 2)
    world.end(world.last(), code=3)
    world.step(100)
    assert world.serving() == [(0, 1)]
    assert len(world.launched) == 2
    assert not any(name == "nworkers_changed" for name, *_ in world.calls)
    world.workers.resize(1)
    world.step()
    assert world.starting() == [(1, 1)]


def test_an_application_that_has_changed_is_served_as_configured_last() -> None:
    world = served(1)
    world.change(count=2, workers_lifetime=60.0)
    world.workers.renew()
    world.step()
    world.ready(world.last())
    world.replacements()
    assert world.serving() == [(0, 3), (1, 3)]
    assert {each.plan.settings.workers_lifetime for each in world.workers} == {60.0}
    world.workers.resize(1)
    world.step()
    world.ready(world.last())
    world.workers.renew()
    world.step()
    world.replacements()
    assert world.serving() == [(0, 4), (1, 4), (2, 4)], "one more than configured, as somebody has asked"


def test_addresses_stay_that_somebody_needs() -> None:
    """A change that has not started yet has its sockets already, whoever ends meanwhile."""
    world = served(2)
    world.workers.resize(-1)
    world.change(bind=("127.0.0.1:9000",))
    world.step(SPARED)
    world.end(world.launched[1])
    assert world.sockets.kept == (1, {"127.0.0.1:9000", *BOUND})
    world.ready(world.last())
    assert world.sockets.kept == (1, {"127.0.0.1:9000", *BOUND})
    world.end(world.launched[0])
    assert world.sockets.kept == (1, {"127.0.0.1:9000"})


# --- Recycling ---


def test_recycled_ones_queue_up() -> None:
    world = served(3)
    first, second, third = world.launched
    for process in (third, first, third):
        world.say(process, "recycle\t--max-requests")
    assert world.starting() == [(2, 1)]
    assert [each.slot for each in world.replacements()] == [2, 0]
    assert world.serving() == [(0, 1), (1, 1), (2, 1)]
    assert second.told == []


def test_one_that_ends_while_it_waits_for_its_successor_is_replaced_once() -> None:
    world = served(2)
    world.step(SOON)
    first, second = world.launched
    world.say(first, "recycle\t--max-requests")
    world.say(second, "recycle\t--max-requests")
    world.end(second, code=-9)
    assert [each.slot for each in world.launched[2:]] == [0, 1]
    world.ready(*world.launched[2:])
    world.step(10)
    assert len(world.launched) == 4


def test_a_successor_that_does_not_start_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    world = served(1)
    world.say(world.launched[0], "recycle\t--max-requests")
    world.end(world.last(), code=1)
    assert "worker 1 (pid 101) could not be started (exit code 1); the next attempt is in 0.1 s" in caplog.text
    assert world.serving() == [(0, 1)]
    world.step(FIRST_PAUSE)
    world.replacements()
    assert [each.pid for each in world.workers] == [102]


def test_a_change_comes_before_recycling_and_does_it() -> None:
    world = served(2)
    world.workers.on_line(world.launched[1], "recycle\t--max-requests", world.now)
    world.change()
    assert [(each.slot, each.plan.number) for each in world.replacements()] == [(0, 2), (1, 2)]


def test_a_life_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = served(1, workers_lifetime=60.0)
    world.step(59)
    assert world.starting() == []
    world.step(1)
    assert world.starting() == [(0, 1)]
    assert "worker 1 (pid 100) will be replaced: it has lived for 60 s" in caplog.text
    world.replacements()


def test_lives_differ() -> None:
    world = served(20, workers_lifetime=60.0, workers_lifetime_jitter=30.0)
    ends = {each.lives_until - world.now for each in world.launched}
    assert len(ends) == 20
    assert all(60 <= end <= 90 for end in ends)


def test_memory_has_a_limit(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    sizes = {100: 63 << 20, 101: 64 << 20}
    monkeypatch.setattr(module, "_resident", lambda pid: sizes.get(pid, 0))
    world = served(2, workers_max_rss=64)
    world.step(2 * MEMORY_PERIOD)
    assert world.starting() == []
    sizes[101] += 1 << 20
    world.step(MEMORY_PERIOD)
    assert world.starting() == [(1, 1)]
    assert "worker 2 (pid 101) will be replaced: it takes 65 MiB of memory" in caplog.text
    world.replacements()


def test_memory_of_a_process() -> None:
    assert module._resident(os.getpid()) > 1 << 20
    assert module._resident(0) == 0


# --- Liveness ---


def beating(world: World, process: Fake, seconds: int) -> None:
    for _ in range(seconds):
        process.memory.beaten = world.now
        world.step(1)


def test_one_whose_heart_stops_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    world = served(1, timeout=30.0)
    process = world.last()
    beating(world, process, 100)
    assert process.told == []
    world.step(30 * PATIENCE - 1.5)
    assert process.told == []
    world.step(0.5)
    assert process.heard_signals() == [ABRT]
    assert "worker 1 (pid 100) is stuck and will be killed: it has given no sign of life for 40 s" in caplog.text
    assert [(name, info.pid) for name, info in world.calls] == [("worker_abort", 100)]
    world.step(ABORTING - 0.1)
    assert process.told == []
    world.step(0.1)
    assert process.heard_signals() == [KILL]
    world.end(process, code=-9)
    assert world.starting() == [(0, 1)], "without a pause, though it has not served for long"


def test_time_that_nobody_has_watched_counts_against_nobody() -> None:
    """The machine has slept: what is late are its heart and the supervisor."""
    world = served(1, timeout=30.0)
    process = world.last()
    beating(world, process, 10)
    assert world.workers.due(world.now)
    world.now += 3600
    world.workers.step(world.now)
    assert process.told == []
    world.step(30 * PATIENCE)
    assert process.heard_signals() == [ABRT]


@pytest.mark.parametrize("timeout", [0.0, 30.0])
def test_no_heart_is_waited_for_that_has_not_begun_to_beat(timeout: float) -> None:
    world = served(1, timeout=timeout)
    if not timeout:
        world.last().memory.beaten = world.now
    world.step(1000)
    assert world.last().told == []


def test_one_that_says_so_is_stuck(caplog: pytest.LogCaptureFixture) -> None:
    world = served(1)
    world.say(world.last(), "stuck\tthe loop has been blocked for 30 s")
    world.say(world.last(), "stuck\tthe loop has been blocked for 31 s")
    assert world.last().heard_signals() == [ABRT]
    assert caplog.text.count("is stuck and will be killed: the loop has been blocked for 30 s") == 1


def test_one_that_leaves_may_be_stuck_as_well() -> None:
    world = served(1)
    world.change()
    world.ready(world.last())
    world.say(world.launched[0], "stuck\tit is")
    assert world.launched[0].heard_signals() == [REPLACED, ABRT]
    world.step(ABORTING)
    assert world.launched[0].heard_signals() == [KILL]


@pytest.mark.parametrize("line", ["stuck\tit is", "recycle\tit has to be", "nonsense", "", "closing"])
def test_one_that_starts_says_nothing_but_that_it_is_ready(line: str) -> None:
    world = World(1)
    world.step()
    world.say(world.last(), line)
    assert world.last().told == []
    world.ready(world.last())
    assert world.serving() == [(0, 1)]


@pytest.mark.parametrize("line", ["ready", "ready\tmain:app", "recycle", "stuck", "closing", "\t\t", "\ufffd"])
def test_nonsense_harms_nobody_else(line: str) -> None:
    """An application may write to descriptors that it does not know."""
    world = served(2)
    world.say(world.launched[0], line)
    assert world.workers.facts == ["main:app (asgi3)", "loop asyncio"]
    assert world.launched[1].told == []


def test_one_is_ready_that_says_nothing_of_itself() -> None:
    world = World(1)
    world.step()
    world.say(world.last(), "ready")
    assert world.serving() == [(0, 1)]
    assert world.workers.facts == [""]


# --- More and fewer ---


def test_one_more() -> None:
    world = served(1)
    world.workers.resize(1)
    world.step()
    assert world.starting() == [(1, 1)]
    world.ready(world.last())
    assert world.serving() == [(0, 1), (1, 1)]
    assert [(name, server.workers, *more) for name, server, *more in world.calls] == [("nworkers_changed", 2, 2, 1)]


def test_one_less_serves_what_is_on_its_way() -> None:
    world = served(3)
    last = world.last()
    world.workers.resize(-1)
    world.step()
    assert world.sockets.steered == [0, 1]
    world.step(SPARED - 0.1)
    assert last.told == []
    world.step(0.1)
    assert last.heard_signals() == [TERM]
    world.step(10)
    assert world.sockets.steered == [0, 1]
    world.end(last)
    assert world.serving() == [(0, 1), (1, 1)]
    assert world.sockets.steered == [0, 1]
    assert world.sockets.kept == (2, BOUND)


def test_one_less_and_one_more_is_nothing() -> None:
    world = served(2)
    for by in (-1, 1):
        world.workers.resize(by)
        world.step()
    world.step(10)
    assert world.sockets.steered == [0, 1]
    assert [each.told for each in world.launched] == [[], []]


def test_one_more_while_the_last_one_leaves() -> None:
    world = served(2)
    world.workers.resize(-1)
    world.step(SPARED)
    world.workers.resize(1)
    world.step()
    assert world.starting() == [(1, 1)]
    world.ready(world.last())
    world.end(world.launched[1])
    assert world.serving() == [(0, 1), (1, 1)]


def test_many_less() -> None:
    world = served(4)
    for _ in range(5):
        world.workers.resize(-1)
        world.step()
    world.step(SPARED)
    leaving = [each for each in world.launched if each.heard_signals()]
    assert len(leaving) == 3, "all at once"
    world.end(*leaving)
    assert world.serving() == [(0, 1)]
    assert [tuple(more) for name, _, *more in world.calls if name == "nworkers_changed"] == [(3, 4), (2, 3), (1, 2)]


def test_one_that_crashes_before_it_leaves_is_not_replaced() -> None:
    world = served(2)
    world.step(SOON)
    world.workers.resize(-1)
    world.step()
    world.end(world.launched[1])
    world.step(10)
    assert world.serving() == [(0, 1)]
    assert len(world.launched) == 2


# --- Where connections go ---


def test_a_slot_that_nobody_serves_gets_none() -> None:
    world = served(3)
    world.end(world.launched[1], code=1)
    assert world.sockets.steered == [0, 2]
    world.step(FIRST_PAUSE)
    assert world.sockets.steered == [0, 2]
    world.ready(world.last())
    assert world.sockets.steered == [0, 1, 2]


def test_a_slot_that_is_served_again_at_once_keeps_its_connections() -> None:
    world = served(2)
    world.step(SOON)
    world.end(world.launched[1], code=-11)
    assert world.sockets.steered == [0, 1]


def test_when_nobody_serves_connections_wait_everywhere() -> None:
    world = served(2)
    world.end(*world.launched, code=1)
    assert world.sockets.steered == []


# --- Ends of all ---


@pytest.mark.parametrize("has_successor", [False, True])
def test_a_stop_grows_more_urgent(has_successor: bool, caplog: pytest.LogCaptureFixture) -> None:
    world = served(1, timeout_graceful_shutdown=30.0)
    process = world.last()
    world.workers.stop(world.now, successor=has_successor)
    world.step()
    assert process.heard_signals() == [REPLACED if has_successor else TERM]
    world.step(GRACE - 0.1)
    assert process.told == []
    world.step(0.1)
    assert process.heard_signals() == [QUIT]
    world.step(SILENT - 0.1)
    assert process.told == []
    world.step(0.1)
    assert process.heard_signals() == [ABRT]
    world.step(ABORTING - 0.1)
    assert process.told == []
    world.step(0.1)
    assert process.heard_signals() == [KILL]
    world.step(100)
    assert process.told == []
    process.memory.written = "File main.py"
    world.end(process, code=-9)
    assert list(world.workers) == []
    assert len(world.launched) == 1
    told = [record.getMessage() for record in caplog.records]
    assert told[:3] == [
        f"worker does not stop in time, sending {name}: worker 1 (pid 100)"
        for name in ("SIGQUIT", "SIGABRT", "SIGKILL")
    ]
    assert told[-1] == "the Python stacks of worker 1 (pid 100) were:\nFile main.py"


def test_a_stop_without_a_limit() -> None:
    world = served(1, timeout_graceful_shutdown=0.0)
    world.workers.stop(world.now, successor=False)
    world.step(10000)
    assert world.last().told == [TERM]


def test_the_clean_up_has_a_limit_of_its_own() -> None:
    world = served(1, timeout_graceful_shutdown=30.0, timeout_lifespan_shutdown=20.0)
    process = world.last()
    world.workers.stop(world.now, successor=False)
    world.step(GRACE - 1)
    world.say(process, "closing")
    world.step(20 + MARGIN_SECONDS - 0.1)
    assert process.heard_signals() == [TERM]
    world.step(0.1)
    assert process.heard_signals() == [QUIT]


def test_several_applications_clean_up_one_after_the_other() -> None:
    mounts = {"mount": (Mount("/api", "api:app"), Mount("/live", "live:app"))}
    world = served(1, timeout_lifespan_shutdown=20.0, **mounts)
    world.workers.stop(world.now, successor=False)
    world.say(world.last(), "closing")
    world.step(3 * 20 + MARGIN_SECONDS - 0.1)
    assert world.last().told == [TERM]
    world.step(0.1)
    assert world.last().told == [TERM, QUIT]


def test_the_clean_up_of_one_that_is_killed_is_short() -> None:
    world = served(1)
    process = world.last()
    world.workers.hurry(QUIT, world.now)
    world.step(5)
    world.say(process, "closing")
    assert process.heard_signals() == [QUIT]
    world.step(QUICK - 1)
    world.say(process, "exiting\t2")
    world.step(2 + ATEXIT_SECONDS + MARGIN_SECONDS - 0.1)
    assert process.told == []
    world.step(0.1)
    assert process.heard_signals() == [ABRT]


def test_threads_have_the_time_that_the_worker_says() -> None:
    world = served(1, timeout_graceful_shutdown=30.0, timeout_lifespan_shutdown=20.0)
    process = world.last()
    world.workers.stop(world.now, successor=False)
    world.say(process, "closing")
    world.say(process, "exiting\t12.5")
    assert process.heard_signals() == [TERM]
    world.step(12.5 + ATEXIT_SECONDS + MARGIN_SECONDS - 0.1)
    assert process.told == []
    world.step(0.1)
    assert process.heard_signals() == [QUIT]


def test_threads_may_have_no_limit() -> None:
    world = served(1, timeout_graceful_shutdown=0.0)
    world.workers.stop(world.now, successor=False)
    world.say(world.last(), "closing")
    world.say(world.last(), "exiting\t0")
    world.step(10000)
    assert world.last().told == [TERM]


def test_a_worker_that_is_starting_and_does_not_react_is_killed_soon(caplog: pytest.LogCaptureFixture) -> None:
    """Its startup may block the event loop, as a call of time.sleep() or a database that is not there does."""
    world = World(1)
    world.step()
    process = world.last()
    world.workers.stop(world.now, successor=False)
    world.step(STARTING_SECONDS)
    assert process.heard_signals() == [TERM, QUIT]
    world.step(2 * ABORTING)
    assert process.heard_signals() == [ABRT, KILL]
    world.end(process, code=-9)
    assert list(world.workers) == []


def test_a_startup_that_blocks_the_loop_ends_with_its_time_limit(caplog: pytest.LogCaptureFixture) -> None:
    world = World(1)
    world.step()
    process = world.last()
    world.say(process, "starting\t4")
    world.step(4 + START_MARGIN_SECONDS - 0.1)
    assert process.told == []
    world.step(0.1)
    assert process.heard_signals() == [ABRT]
    process.memory.written = "File main.py"
    world.end(process, code=-6)
    assert world.workers.failed
    assert "its event loop is blocked, and --timeout-lifespan-startup is over" in caplog.text
    assert "the Python stacks of worker 1 (pid 100) were:\nFile main.py" in caplog.text


@pytest.mark.parametrize("line", ["starting\t0", "starting\tlong", "starting"])
def test_a_startup_may_have_no_limit(line: str) -> None:
    world = World(1)
    world.step()
    world.say(world.last(), line)
    world.step(10000)
    assert world.last().told == []


def test_nobody_starts_while_all_leave() -> None:
    world = served(2)
    world.workers.change(world.plan(3))
    world.workers.stop(world.now, successor=False)
    world.end(world.launched[0], code=1)
    world.step(100)
    assert len(world.launched) == 2


def test_one_that_starts_has_nothing_to_finish(caplog: pytest.LogCaptureFixture) -> None:
    world = World(1)
    world.step()
    world.workers.stop(world.now, successor=True)
    assert world.last().told == [TERM]
    world.say(world.last(), "ready\tmain:app")
    world.end(world.last(), code=-15)
    assert not world.workers.failed
    assert list(world.workers) == []
    assert caplog.text == ""


def test_those_that_leave_for_a_successor_leave_for_nobody_now() -> None:
    world = served(1)
    world.change()
    world.ready(world.last())
    world.workers.stop(world.now, successor=False)
    assert [each.told for each in world.launched] == [[REPLACED, TERM], [TERM]]


def test_hurry() -> None:
    world = served(2)
    world.workers.stop(world.now, successor=False)
    world.workers.hurry(QUIT, world.now)
    world.step(QUICK)
    assert [each.heard_signals() for each in world.launched] == [[TERM, QUIT, ABRT]] * 2
    world.workers.hurry(KILL, world.now)
    world.step(100)
    assert [each.heard_signals() for each in world.launched] == [[KILL]] * 2


def test_one_that_is_being_killed_is_not_given_more_time() -> None:
    world = served(1)
    process = world.last()
    world.say(process, "stuck\tit is")
    world.workers.stop(world.now, successor=False)
    world.step(ABORTING)
    assert process.told[-1] is KILL


def test_all_leave_and_the_sockets_stay() -> None:
    world = served(2)
    world.workers.wind_down(world.now)
    world.step()
    assert [each.told for each in world.launched] == [[REPLACED]] * 2
    world.end(*world.launched)
    world.step(1000)
    assert len(world.launched) == 2
    assert world.sockets.kept == (2, BOUND)
    world.change()
    assert world.starting() == [(0, 2), (1, 2)]
    world.ready(*world.launched[2:])
    assert world.serving() == [(0, 2), (1, 2)]


@pytest.mark.parametrize("count", [1, 3])
def test_one_more_than_nobody_is_one(count: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = served(count)
    world.workers.wind_down(world.now)
    world.workers.resize(-1)
    world.step()
    assert len(world.launched) == count, "there are no fewer than none"
    world.workers.resize(1)
    world.step()
    world.ready(world.last())
    assert world.serving() == [(0, 1)]
    assert "workers: 1" in caplog.text


# --- What all are told ---


def test_those_that_start_are_told_later() -> None:
    world = World(2)
    world.step()
    world.ready(world.last())
    world.workers.tell(REOPEN)
    assert [each.told for each in world.launched] == [[REOPEN], []]
    world.ready(world.last())
    assert [each.told for each in world.launched] == [[REOPEN], [REOPEN]]


# --- Templates ---


def test_a_template_that_does_not_load_at_first() -> None:
    world = World(1)
    world.waiting = True
    world.step()
    world.workers.reject(1, 3, world.now)
    world.step()
    assert world.workers.failed


def test_a_template_that_does_not_load_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = served(1)
    world.waiting = True
    world.change()
    world.workers.reject(2, 1, world.now)
    world.waiting = False
    world.step(10)
    assert "a worker could not be started as configured now (exit code 1)" in caplog.text
    assert world.serving() == [(0, 1)]
    assert len(world.launched) == 1


def test_another_template_is_started_with_the_next_worker(caplog: pytest.LogCaptureFixture) -> None:
    world = served(1)
    world.workers.reject(1, -9, world.now)
    assert "the template has ended (killed by SIGKILL); the next worker starts another one" in caplog.text
    assert world.serving() == [(0, 1)]
    world.step(SOON)
    world.end(world.last())
    assert world.starting() == [(0, 1)]


def test_nobody_minds_a_template_of_before() -> None:
    world = served(1)
    world.change()
    world.ready(world.last())
    world.workers.reject(1, 1, world.now)
    world.step()
    assert not world.workers.failed


# --- Anything, in any order ---


class Chaos:
    """A world in which things happen at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        limits: dict[str, Any] = {"timeout": 30.0, "workers_lifetime": 300.0} if self.random.random() < 0.5 else {}
        self.world = World(self.random.randint(1, 4), **limits)
        self.trace: list[str] = []

    def happen(self) -> None:
        """One event, and then perhaps some time."""
        world, workers = self.world, self.world.workers
        present = [each for each in world.launched if each in list(workers)]
        kinds = ["time"] * 3 + ["change", "resize", "wind_down", "refuse", "tell"] + ["ready", "end", "say", "beat"] * 4
        kind = self.random.choice(kinds)
        process = self.random.choice(present) if present else None
        self.trace.append(f"{kind} {process}")
        if kind == "time":
            world.step(self.random.choice([0.05, 0.5, 3.0, 20.0, 100.0]))
        elif kind == "change":
            workers.change(world.plan(self.random.randint(1, 4)))
        elif kind == "resize":
            workers.resize(self.random.choice([-1, 1]))
        elif kind == "wind_down" and self.random.random() < 0.2:
            workers.wind_down(world.now)
        elif kind == "refuse":
            world.refusal = OSError(24, "no") if world.refusal is None and self.random.random() < 0.5 else None
        elif kind == "tell":
            workers.tell(REOPEN)
        elif process is not None and kind == "ready":
            workers.on_line(process, "ready\tmain:app", world.now)
        elif process is not None and kind == "say":
            workers.on_line(process, self.random.choice(["recycle\tx", "stuck\tx", "leaving", "closing"]), world.now)
        elif process is not None and kind == "beat":
            process.memory.beaten = world.now
        elif process is not None and kind == "end":
            workers.on_exit(process, self.random.choice([0, 3 << 8, 9]), world.now)
        if workers.failed and workers.candidate is None:
            workers.change(world.plan(workers.count))
        world.step()
        assert workers.count >= 1
        assert len({(each.slot, each.stage) for each in present if each.stage is Stage.SERVING}) == len(
            [each for each in present if each.stage is Stage.SERVING]
        )

    def calm_down(self) -> None:
        """From here on everybody does as he is told."""
        world, workers = self.world, self.world.workers
        world.refusal = None
        for _ in range(100):
            for process in list(workers):
                assert isinstance(process, Fake)
                if process.stage is Stage.STARTING:
                    world.ready(process)
                elif process.stage is Stage.LEAVING or process.is_aborted:
                    world.end(process)
                else:
                    process.memory.beaten = world.now
            world.step(0.5)


@pytest.mark.parametrize("seed", range(100))
def test_anything_in_any_order(seed: int) -> None:
    chaos = Chaos(seed)
    world = chaos.world
    world.step()
    try:
        for _ in range(60):
            chaos.happen()
        world.workers.resize(1)
        chaos.calm_down()
        number = world.workers.plan.number
        assert world.workers.candidate is None
        assert world.serving() == [(slot, number) for slot in range(world.workers.count)]
        assert len(list(world.workers)) == world.workers.count
        assert world.sockets.steered == list(range(world.workers.count))
        world.workers.stop(world.now, successor=False)
        world.step(1000)
        assert all(KILL in each.told for each in world.launched if each in list(world.workers))
    except Exception as error:
        error.add_note("\n".join(chaos.trace))
        raise


# --- Starts that take too long ---


def start_limit(world: World) -> float:
    settings = world.settings
    return settings.timeout + settings.timeout_lifespan_startup


def test_a_new_configuration_that_hangs_is_ended_while_the_old_one_serves() -> None:
    world = served(1)
    old = world.launched[-1]
    world.change()
    hanging = world.launched[-1]
    assert hanging is not old
    world.step(start_limit(world) - 1)
    assert hanging.heard_signals() == []
    world.step(2)
    assert hanging.heard_signals() == [ABRT]
    assert old.heard_signals() == []
    world.end(hanging, code=-ABRT)
    assert world.workers.candidate is None
    assert list(world.workers) == [old]


def test_a_newer_change_overtakes_a_start_that_hangs() -> None:
    """Once, it had to wait until the start was killed."""
    world = served(1)
    world.change()
    hanging = world.launched[-1]
    world.change()
    world.step(OVERTAKE_SECONDS + 0.1)
    assert hanging.heard_signals() == [TERM]
    assert world.starting() == [(0, 3)]
    world.end(hanging, code=-TERM)
    world.ready(world.last())
    assert world.serving() == [(0, 3)]


def test_a_fixed_file_overtakes_the_first_start_that_hangs() -> None:
    world = World(1)
    world.step(60)
    hanging = world.last()
    world.change()
    assert hanging.heard_signals() == [TERM]
    assert world.starting() == [(0, 2)]


def test_a_start_that_takes_its_usual_time_is_not_overtaken() -> None:
    """Or changes that come often would prevent every start."""
    world = World(1)
    world.step(20)
    world.ready(world.last())
    world.change()
    starting = world.last()
    world.change()
    world.step(19)
    assert starting.heard_signals() == []
    world.ready(starting)
    assert world.serving() == [(0, 2)]


def test_a_respawn_that_hangs_is_overtaken_by_a_change_while_others_serve() -> None:
    world = served(2)
    world.step(SOON)
    world.end(world.launched[1], code=-KILL)
    hanging = world.last()
    world.change()
    world.step(OVERTAKE_SECONDS + 0.1)
    assert hanging.heard_signals() == [TERM]
    assert world.starting() == [(1, 2)]


def test_what_overtakes_and_fails_too_leaves_the_old_configuration() -> None:
    world = served(2)
    world.step(SOON)
    world.end(world.launched[1], code=-KILL)
    hanging = world.last()
    world.change()
    world.step(OVERTAKE_SECONDS + 0.1)
    world.end(hanging, code=-TERM)
    world.end(world.last(), code=3)
    world.step(1)
    assert world.workers.candidate is None
    assert world.starting() == [(1, 1)]


def test_a_start_that_lasts_is_reported_at_growing_intervals(caplog: pytest.LogCaptureFixture) -> None:
    """Once, the first start could wait for a database for ever without a word."""
    world = World(1)
    world.step(FIRST_REPORT_SECONDS - 0.1)
    process = world.last()
    assert process.looks == 0
    process.memory.written = (
        'Stack (most recent call first):\n  File "/srv/main.py", line 4 in connect\n'
        '  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed\n'
        f'  File "{module.__file__}", line 1 in load\n  File "/usr/bin/ianus", line 9 in <module>\n'
    )
    world.step(90)
    assert process.looks == 3
    reports = [each.message for each in caplog.records if "still loading" in each.message]
    assert [re.findall(r"after (\d+) s: worker 1 \(pid 100\); the main", each) for each in reports] == [
        ["10"],
        ["30"],
        ["90"],
    ]
    assert reports[0].splitlines()[1:] == ['  File "/srv/main.py", line 4, in connect']


def test_an_event_loop_that_waits_in_a_lifespan_is_not_reported_here(caplog: pytest.LogCaptureFixture) -> None:
    world = World(1)
    world.step()
    world.say(world.last(), "starting\t0")
    world.last().memory.written = '  File "/usr/lib/python3/selectors.py", line 468 in select\n'
    world.last().memory.written += '  File "/usr/lib/python3/asyncio/base_events.py", line 1898 in _run_once\n'
    world.step(60)
    assert "still" not in caplog.text
    world.last().memory.written = '  File "/srv/main.py", line 7 in lifespan\n'
    world.step(60)
    assert "application is still starting after" in caplog.text


def test_workers_that_lack_threads_say_so_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(3)
    world.step()
    world.ready(world.last())
    for process in world.launched[1:]:
        world.say(process, "refused\tThe system gives no thread (x).")
    for process in world.launched[1:]:
        world.end(process, code=3)
    assert caplog.text.count("The system gives no thread (x).") == 1
    assert world.workers.failed


def test_the_first_start_may_take_as_long_as_it_likes() -> None:
    world = World(1)
    world.step()
    world.step(10 * start_limit(world))
    assert world.launched[-1].heard_signals() == []
