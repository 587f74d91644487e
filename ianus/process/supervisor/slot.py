"""Places for workers, and the processes that take them one after the other."""

import os
import signal
import time
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from ianus.errors import StartupError
from ianus.hooks import WorkerInfo
from ianus.process.hooks import Hooks
from ianus.process.privileges import Identity
from ianus.process.scoreboard import Board
from ianus.process.start_reports import STARTING, StartReport
from ianus.process.stop_limits import drain_budget, exit_budget, lifespan_budget
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger

# Seconds to obey QUIT before ABRT is sent, and ABRT before KILL. ABRT has the worker write down its stacks.
QUICK = 10.0
ABORTING = 2.0

# Seconds after which ABRT is sent if QUIT, sent because TERM had no effect, has none either.
SILENT = 5.0

# Seconds to obey TERM for a worker that is starting, which has no request to finish.
STARTING_SECONDS = 3.0

# Seconds that a start may last beside --timeout-lifespan-startup.
START_MARGIN_SECONDS = 3.0

# The signals that end a worker, each more urgent than the one before it.
NEXT_SIGNAL = {signal.SIGQUIT: signal.SIGABRT, signal.SIGABRT: signal.SIGKILL}
FORCED = (signal.SIGABRT, signal.SIGKILL)


class Plan(NamedTuple):
    """What workers serve, and how: what was configured at a time.

    number: plans are counted. workers: how many. identity: who they are to become.
    """

    number: int
    app: str
    settings: Settings
    workers: int
    hooks: Hooks
    identity: Identity | None


class Stage(Enum):
    """What a process is there for."""

    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"  # a successor serves, or nobody is to


class Process:
    """A worker as the supervisor sees it.

    lifeline: the end of a pipe that this process holds as long as it lives; channel: where the worker speaks.
    started, and all times but since: CLOCK_MONOTONIC in seconds. since: the same as Unix time.
    """

    def __init__(self, plan: Plan, slot: int, board: Board, lifeline: int, channel: int, now: float) -> None:
        self.plan = plan
        self.slot = slot
        self.board = board
        self.lifeline = lifeline
        self.channel = channel
        self.started = now
        self.since = time.time()
        self.pid = 0
        self.stage = Stage.STARTING
        self.start = StartReport(board, now)
        self.start_until = 0.0  # when its applications have to be started, 0 for no limit
        self.untold: list[signal.Signals] = []  # what it is told once it has started
        self.is_aborted = False
        self.in_order = {0}  # exit codes that surprise nobody
        self.memory_limit = 0  # bytes, 0 for none
        self.lives_until = 0.0  # when it has served long enough, 0 for never
        self.heartbeat = 0.0  # the last one that was seen,
        self.heard = now  # and when
        self._was_starting = False  # when it was asked to stop
        self._next: tuple[signal.Signals, float] | None = None  # the signal that comes next, and when
        self._rest = b""

    def info(self) -> WorkerInfo:
        """What hooks are told of it."""
        return WorkerInfo(pid=self.pid, slot=self.slot + 1, started=self.since)

    def __str__(self) -> str:
        return f"worker {self.slot + 1} (pid {self.pid})"

    # --- What it says ---

    def read(self) -> list[str] | None:
        """The lines that have come; None when none will come any more."""
        try:
            data = os.read(self.channel, 65536)
        except BlockingIOError:
            return []
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    # --- How it ends ---

    def ask(self, number: signal.Signals, now: float, patience: float = 0.0) -> None:
        """Sends a signal. patience: seconds behind which a more urgent one follows; 0 for never."""
        self.tell(number)
        if number == signal.SIGKILL:
            self._next = None
        elif self._next is None or self._next[0] not in FORCED or number == signal.SIGABRT:  # which are not put off
            urgent = NEXT_SIGNAL.get(number, signal.SIGQUIT)
            self._next = (urgent, now + patience) if patience else None

    def tell(self, number: signal.Signals) -> None:
        """Sends a signal and expects nothing."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # It is being reaped this moment.

    def stop(self, now: float, *, successor: bool = False) -> None:
        """Has it finish what it does and leave. successor: somebody else serves on its sockets."""
        first = signal.SIGUSR2 if successor else signal.SIGTERM
        if self.stage is Stage.STARTING:  # It has no handlers yet, and nothing to finish.
            first = signal.SIGTERM
            self.in_order |= {
                -first,
                StartupError.exit_code,
            }  # A process that exits with the latter has logged the reason.
            self._was_starting = True
        self.stage = Stage.LEAVING
        self.ask(first, now, STARTING_SECONDS if self._was_starting else drain_budget(self.plan.settings))

    def hasten(self, now: float) -> None:
        """Sends what is due."""
        if self._next is not None and now >= self._next[1]:
            number = self._next[0]
            logger.warning("worker does not stop in time, sending %s: %s", number.name, self)
            self.ask(number, now, ABORTING if self._was_starting or number == signal.SIGABRT else SILENT)

    def start_within(self, seconds: float, now: float) -> None:
        """Limits the start of the application, 0 for no limit. The worker keeps the limit itself, unless the
        application blocks its event loop.
        """
        self.start.activity = STARTING
        self.start_until = now + seconds + START_MARGIN_SECONDS if seconds else 0.0

    def on_closing(self, now: float) -> None:
        """It has obeyed, and its application cleans up."""
        self.start_until = 0.0
        if self._next is not None:
            number = self._next[0]
            if number in FORCED:
                self._next = (number, now + QUICK)
            else:
                limit = lifespan_budget(self.plan.settings)
                self._next = (number, now + limit) if limit else None

    def on_exiting(self, now: float, seconds: float) -> None:
        """Notes that the application has cleaned up. seconds: maximum time for its threads, 0 for no limit."""
        if self._next is not None:
            limit = exit_budget(seconds)
            self._next = (self._next[0], now + limit) if limit else None

    def due(self) -> float:
        """When there is something to send, 0 for never."""
        return self._next[1] if self._next is not None else 0.0

    def close(self) -> None:
        """Lets go of what belongs to it. May be called twice."""
        for fd in (self.lifeline, self.channel):
            if fd >= 0:
                os.close(fd)
        self.lifeline = self.channel = -1
        self.board.close()


class Slot:
    """A place for a worker, with the sockets that belong to it (sockets.py).

    serving: who accepts connections; starting: who is to. leaving: those before.
    unasked: the last one, if it stopped without being asked by this process.
    is_overtaken: a start was given up here for a newer configuration, whose next worker starts in this slot.
    failures: how many in a row have ended soon; not_before: when the next one may start.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.serving: Process | None = None
        self.starting: Process | None = None
        self.leaving: list[Process] = []
        self.unasked: Process | None = None
        self.is_overtaken = False
        self.failures = 0
        self.not_before = 0.0

    def processes(self) -> Iterator[Process]:
        """All of them."""
        if self.serving is not None:
            yield self.serving
        if self.starting is not None:
            yield self.starting
        yield from self.leaving

    def is_vacant(self) -> bool:
        """Whether nobody serves, nor is about to."""
        return self.serving is None and self.starting is None

    def promote(self) -> Process | None:
        """The one that was starting serves. Returns the one that served before, which leaves."""
        before, self.serving, self.starting = self.serving, self.starting, None
        assert self.serving is not None
        self.serving.stage = Stage.SERVING
        self.is_overtaken = False
        if before is not None:
            self.leaving.append(before)
        return before

    def leave(self, now: float) -> None:
        """The one that serves has stopped to accept connections by itself."""
        self.not_before = now + UNASKED_PAUSE
        assert self.serving is not None
        self.unasked = self.serving
        self.serving.stage = Stage.LEAVING
        self.leaving.append(self.serving)
        self.serving = None

    def give_up_start(self, now: float) -> None:
        """Stops the process that is starting, for a newer configuration."""
        assert self.starting is not None
        process, self.starting = self.starting, None
        self.leaving.append(process)
        process.stop(now)
        self.is_overtaken = True

    def retire(self) -> list[Process]:
        """Nobody is to serve here any more. Returns those who do."""
        gone = [each for each in (self.serving, self.starting) if each is not None]
        self.leaving += gone
        self.serving = self.starting = None
        return gone

    def remove(self, process: Process) -> None:
        """It has ended."""
        if self.serving is process:
            self.serving = None
        elif self.starting is process:
            self.starting = None
        else:
            self.leaving.remove(process)

    def punish(self, now: float) -> None:
        """The next start waits, longer each time."""
        self.not_before = now + min(FIRST_PAUSE * 2**self.failures, LONGEST_PAUSE)
        self.failures += 1


# Seconds after which a worker is started in place of one that stopped without being asked by this process.
UNASKED_PAUSE = 0.25

# Seconds between two starts that fail.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
