"""Workers with fake processes and a clock that the tests set.

In each test, a step must do all work that is due at its moment: otherwise the supervisor would spin, or oversleep it.
"""

import signal
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ianus.hooks import ServerInfo
from ianus.process.hooks import Hooks
from ianus.process.start_reports import LOOK_SIGNAL
from ianus.process.supervisor.generation import Generation
from ianus.process.supervisor.worker_process import Stage, WorkerProcess
from ianus.process.supervisor.workers import Workers
from ianus.settings.schema import Settings

TERM, QUIT, KILL, ABRT = signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL, signal.SIGABRT
REPLACED, REOPEN = signal.SIGUSR2, signal.SIGUSR1

# The addresses of workers by default.
BOUND = {str(bind) for bind in Settings().bind}


class FakeScoreboard:
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


class FakeProcess(WorkerProcess):
    """A process that records signals. noted_signals: those since the last call of take_signals()."""

    def __init__(self, generation: Generation, slot: int, now: float, pid: int) -> None:
        self.memory = FakeScoreboard()
        super().__init__(generation, slot, self.memory, -1, -1, now)  # type: ignore[arg-type]
        self.pid = pid
        self.noted_signals: list[signal.Signals] = []
        self.looks = 0  # how often it was asked for its stack

    def send_signal(self, number: signal.Signals) -> None:
        if number == LOOK_SIGNAL:
            self.looks += 1
        else:
            self.noted_signals.append(number)

    def take_signals(self) -> list[signal.Signals]:
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
        self.spawned: list[FakeProcess] = []
        self.calls: list[tuple[Any, ...]] = []
        self.sockets = FakeSockets()
        names = ("nworkers_changed", "worker_abort", "child_exit")
        self.hooks = Hooks({name: lambda *given, name=name: self.calls.append((name, *given)) for name in names})
        self.settings = Settings(**settings)
        self.workers = Workers(
            self.generation(count),
            self.sockets,  # type: ignore[arg-type]
            self.spawn,
            lambda: ServerInfo(1, self.workers.slots.count, ()),
        )

    def generation(self, count: int, **settings: Any) -> Generation:
        return Generation(1, "main:app", replace(self.settings, **settings), count, self.hooks, None)

    def spawn(self, generation: Generation, slot: int, now: float) -> FakeProcess | None:
        if self.refusal is not None:
            raise self.refusal
        if self.waiting:
            return None
        self.spawned.append(FakeProcess(generation, slot, now, 100 + len(self.spawned)))
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

    def ready(self, *processes: FakeProcess) -> None:
        for process in processes:
            self.workers.on_line(process, "ready\tmain:app (asgi3)\tloop asyncio", self.now)
            self.step()

    def report(self, process: FakeProcess, line: str) -> None:
        self.workers.on_line(process, line, self.now)
        self.step()

    def end(self, *processes: FakeProcess, code: int = 0) -> None:
        """code: exit code, a signal as a negative number."""
        for process in processes:
            self.workers.on_exit(process, -code if code < 0 else code << 8, self.now)
            self.step()

    def change(self, count: int = 0, **settings: Any) -> None:
        self.workers.start_generation(self.generation(count or self.workers.slots.count, **settings))
        self.step()

    # --- State ---

    def in_stage(self, stage: Stage) -> list[tuple[int, int]]:
        """(slot, number of the generation) of all in this stage."""
        return [(each.slot, each.generation.number) for each in self.workers if each.stage is stage]

    def serving(self) -> list[tuple[int, int]]:
        return self.in_stage(Stage.SERVING)

    def starting(self) -> list[tuple[int, int]]:
        return self.in_stage(Stage.STARTING)

    def last(self) -> FakeProcess:
        return self.spawned[-1]

    def replacements(self) -> list[FakeProcess]:
        """Lets one replacement after the other succeed; returns the started processes."""
        before = len(self.spawned) - len(self.starting())
        while self.starting():
            starting = self.last()
            assert len(self.starting()) == 1
            self.ready(starting)
            for each in list(self.workers):
                if isinstance(each, FakeProcess) and each.stage is Stage.STOPPING:
                    assert each.take_signals() == [REPLACED]
                    self.end(each)
        return self.spawned[before:]


def served(count: int = 2, **settings: Any) -> Harness:
    """Returns a harness in which all workers have started."""
    harness = Harness(count, **settings)
    harness.step()
    harness.ready(*harness.spawned)
    harness.ready(*harness.spawned[1:])
    assert harness.serving() == [(slot, 1) for slot in range(count)]
    assert harness.workers.restarts.has_started
    return harness
