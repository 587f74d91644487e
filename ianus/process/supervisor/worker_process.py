"""A worker as its supervisor sees it: its stage, its reports, and the signals that stop it."""

import os
import signal
import time
from enum import Enum

from ianus.errors import StartupError
from ianus.hooks import WorkerInfo
from ianus.process.scoreboard import Scoreboard
from ianus.process.start_reports import STARTING, StartReport
from ianus.process.stop_limits import drain_budget, exit_budget, lifespan_budget
from ianus.process.supervisor.generation import Generation
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


class Stage(Enum):
    """The part of its life that a worker process is in."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"  # a successor serves, or the slot is removed


class WorkerProcess:
    """A worker process and its descriptors in the supervisor.

    lifeline: the end of a pipe that the supervisor holds as long as it lives; channel: the pipe of the worker's
    reports. All times but started_unix are seconds of CLOCK_MONOTONIC.
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
        self.last_heartbeat = 0.0  # the last value that was read from the scoreboard
        self.last_seen_at = now  # when that value was new
        self._stopped_while_starting = False  # whether it was STARTING when it was stopped
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

    def log_last_activity(self) -> None:
        """Logs the requests and stacks that the worker had when it ended, from its scoreboard."""
        if requests := self.scoreboard.requests():
            lines = [f"{line} ({age:.1f} s)" for line, age in requests]
            if unlisted := self.scoreboard.unlisted():
                lines.append(f"and {unlisted} more")
            logger.error("requests in flight in %s:\n%s", self, "\n".join(lines))
        if stacks := self.scoreboard.take_stacks():
            logger.error("Python stacks of %s:\n%s", self, stacks)

    # --- Its stop ---

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

    def abort(self, because: str, now: float) -> None:
        """Kills the worker, after it has written its stacks."""
        if not self.is_aborted:
            self.is_aborted = True
            logger.critical("worker is stuck and will be killed: %s: %s", self, because)
            self.generation.hooks.call("worker_abort", self.info())
            self.send_stop_signal(signal.SIGABRT, now, ABORT_SECONDS)

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
        """Notes that the worker is stopping, and that its application cleans up."""
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
        """Returns the time of the next signal, 0 for none."""
        return self._next_signal[1] if self._next_signal is not None else 0.0

    def close(self) -> None:
        """Closes the descriptors of the worker. May be called twice."""
        for fd in (self.lifeline, self.channel):
            if fd >= 0:
                os.close(fd)
        self.lifeline = self.channel = -1
        self.scoreboard.close()
