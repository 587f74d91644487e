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
from ianus.process.scoreboard import Scoreboard
from ianus.process.start_reports import STARTING, StartReport
from ianus.process.stop_limits import drain_budget, exit_budget, lifespan_budget
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger

# Seconds to obey QUIT before ABRT is sent, and ABRT before KILL. ABRT has the worker write down its stacks.
QUIT_SECONDS = 10.0
ABORT_SECONDS = 2.0

# Seconds after which ABRT is sent if QUIT, sent because TERM had no effect, has none either.
QUIT_AFTER_TERM_SECONDS = 5.0

# Seconds to obey TERM for a worker that is starting, which has no request to finish.
TERM_WHILE_STARTING_SECONDS = 3.0

# Seconds that a start may last beside --timeout-lifespan-startup.
START_MARGIN_SECONDS = 3.0

# The signals that end a worker, each more urgent than the one before it.
NEXT_SIGNAL = {signal.SIGQUIT: signal.SIGABRT, signal.SIGABRT: signal.SIGKILL}
FORCED_SIGNALS = (signal.SIGABRT, signal.SIGKILL)


class Generation(NamedTuple):
    """The applications and settings of workers, as configured at a time.

    number: counts generations. workers: their number. identity: the user and group that they change to.
    """

    number: int
    app: str
    settings: Settings
    workers: int
    hooks: Hooks
    identity: Identity | None


class Stage(Enum):
    """The part of its life that a worker process is in."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"  # a successor serves, or the slot is removed


class WorkerProcess:
    """A worker as the supervisor sees it.

    lifeline: the end of a pipe that this process holds as long as it lives; channel: the pipe of its reports.
    started, and all times but since: CLOCK_MONOTONIC in seconds. since: the same as Unix time.
    """

    def __init__(
        self, generation: Generation, slot: int, scoreboard: Scoreboard, lifeline: int, channel: int, now: float
    ) -> None:
        self.generation = generation
        self.slot = slot
        self.scoreboard = scoreboard
        self.lifeline = lifeline
        self.channel = channel
        self.started_at = now
        self.started_unix = time.time()
        self.pid = 0
        self.stage = Stage.STARTING
        self.start_report = StartReport(scoreboard, now)
        self.start_deadline = 0.0  # when its applications have to be started, 0 for no limit
        self.deferred_signals: list[signal.Signals] = []  # sent once it has started
        self.is_aborted = False
        self.expected_exit_codes = {0}  # exit codes that are not logged as unexpected
        self.memory_limit = 0  # bytes, 0 for none
        self.retire_at = 0.0  # when it has served long enough, 0 for never
        self.last_heartbeat = 0.0  # the last one that was seen,
        self.last_seen_at = now  # and when
        self._stopped_while_starting = False  # when it was asked to stop
        self._next_signal: tuple[signal.Signals, float] | None = None  # the next signal, and its time
        self._partial_line = b""

    def info(self) -> WorkerInfo:
        """Returns the information for hooks."""
        return WorkerInfo(pid=self.pid, slot=self.slot + 1, started=self.started_unix)

    def __str__(self) -> str:
        return f"worker {self.slot + 1} (pid {self.pid})"

    # --- Reports ---

    def read(self) -> list[str] | None:
        """Returns the lines that have arrived; None at the end of the channel."""
        try:
            data = os.read(self.channel, 65536)
        except BlockingIOError:
            return []
        if not data:
            return None
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    # --- How it ends ---

    def send_stop_signal(self, number: signal.Signals, now: float, limit: float = 0.0) -> None:
        """Sends a signal. limit: seconds after which a more urgent one follows; 0 for never."""
        self.send_signal(number)
        if number == signal.SIGKILL:
            self._next_signal = None
        elif self._next_signal is None or self._next_signal[0] not in FORCED_SIGNALS or number == signal.SIGABRT:
            # A forced signal that is due is never postponed.
            urgent = NEXT_SIGNAL.get(number, signal.SIGQUIT)
            self._next_signal = (urgent, now + limit) if limit else None

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal and expects nothing."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # It is being reaped this moment.

    def stop(self, now: float, *, successor: bool = False) -> None:
        """Stops the worker gracefully. successor: another worker accepts the connections of its sockets."""
        first = signal.SIGUSR2 if successor else signal.SIGTERM
        if self.stage is Stage.STARTING:  # It has no handlers yet, and nothing to finish.
            first = signal.SIGTERM
            # A process that exits with StartupError's code has logged the reason.
            self.expected_exit_codes |= {-first, StartupError.exit_code}
            self._stopped_while_starting = True
        self.stage = Stage.STOPPING
        limit = drain_budget(self.generation.settings)
        self.send_stop_signal(first, now, TERM_WHILE_STARTING_SECONDS if self._stopped_while_starting else limit)

    def escalate(self, now: float) -> None:
        """Sends the next signal if it is due."""
        if self._next_signal is not None and now >= self._next_signal[1]:
            number = self._next_signal[0]
            logger.warning("worker does not stop in time, sending %s: %s", number.name, self)
            is_short = self._stopped_while_starting or number == signal.SIGABRT
            self.send_stop_signal(number, now, ABORT_SECONDS if is_short else QUIT_AFTER_TERM_SECONDS)

    def limit_start(self, seconds: float, now: float) -> None:
        """Limits the start of the application, 0 for no limit. The worker keeps the limit itself, unless the
        application blocks its event loop.
        """
        self.start_report.activity = STARTING
        self.start_deadline = now + seconds + START_MARGIN_SECONDS if seconds else 0.0

    def on_closing(self, now: float) -> None:
        """It has obeyed, and its application cleans up."""
        self.start_deadline = 0.0
        if self._next_signal is not None:
            number = self._next_signal[0]
            if number in FORCED_SIGNALS:
                self._next_signal = (number, now + QUIT_SECONDS)
            else:
                limit = lifespan_budget(self.generation.settings)
                self._next_signal = (number, now + limit) if limit else None

    def on_exiting(self, now: float, seconds: float) -> None:
        """Notes that the application has cleaned up. seconds: maximum time for its threads, 0 for no limit."""
        if self._next_signal is not None:
            limit = exit_budget(seconds)
            self._next_signal = (self._next_signal[0], now + limit) if limit else None

    def due(self) -> float:
        """When there is something to send, 0 for never."""
        return self._next_signal[1] if self._next_signal is not None else 0.0

    def close(self) -> None:
        """Closes its descriptors. May be called twice."""
        for fd in (self.lifeline, self.channel):
            if fd >= 0:
                os.close(fd)
        self.lifeline = self.channel = -1
        self.scoreboard.close()


class Slot:
    """A place for a worker, with the sockets that belong to it (sockets.py).

    serving: the worker that accepts connections; starting: its successor. stopping: those before.
    unasked: the last one, if it stopped without being asked by this process.
    is_overtaken: a start was given up here for a newer configuration, whose next worker starts in this slot.
    failures: how many in a row have ended soon; not_before: when the next one may start.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.serving: WorkerProcess | None = None
        self.starting: WorkerProcess | None = None
        self.stopping: list[WorkerProcess] = []
        self.externally_stopped: WorkerProcess | None = None
        self.is_overtaken = False
        self.failures = 0
        self.not_before = 0.0

    def processes(self) -> Iterator[WorkerProcess]:
        """All of them."""
        if self.serving is not None:
            yield self.serving
        if self.starting is not None:
            yield self.starting
        yield from self.stopping

    def is_vacant(self) -> bool:
        """Returns whether no worker serves or starts."""
        return self.serving is None and self.starting is None

    def promote(self) -> WorkerProcess | None:
        """Makes the starting worker the serving one. Returns the previous one, which is to stop."""
        before, self.serving, self.starting = self.serving, self.starting, None
        assert self.serving is not None
        self.serving.stage = Stage.SERVING
        self.is_overtaken = False
        if before is not None:
            self.stopping.append(before)
        return before

    def on_external_stop(self, now: float) -> None:
        """The one that serves has stopped to accept connections by itself."""
        self.not_before = now + EXTERNAL_STOP_PAUSE_SECONDS
        assert self.serving is not None
        self.externally_stopped = self.serving
        self.serving.stage = Stage.STOPPING
        self.stopping.append(self.serving)
        self.serving = None

    def abandon_start(self, now: float) -> None:
        """Stops the process that is starting, for a newer configuration."""
        assert self.starting is not None
        process, self.starting = self.starting, None
        self.stopping.append(process)
        process.stop(now)
        self.is_overtaken = True

    def retire(self) -> list[WorkerProcess]:
        """Removes the workers of the slot for good. Returns them."""
        gone = [each for each in (self.serving, self.starting) if each is not None]
        self.stopping += gone
        self.serving = self.starting = None
        return gone

    def remove(self, process: WorkerProcess) -> None:
        """It has ended."""
        if self.serving is process:
            self.serving = None
        elif self.starting is process:
            self.starting = None
        else:
            self.stopping.remove(process)

    def delay_next_start(self, now: float) -> None:
        """The next start waits, longer each time."""
        self.not_before = now + min(FIRST_RETRY_SECONDS * 2**self.failures, MAX_RETRY_SECONDS)
        self.failures += 1


# Seconds after which a worker is started in place of one that stopped without being asked by this process.
EXTERNAL_STOP_PAUSE_SECONDS = 0.25

# Seconds between two starts that fail.
FIRST_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 10.0
