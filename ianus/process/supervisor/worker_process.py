"""A worker as its supervisor sees it: its stage, its reports, and the signals that stop it."""

import math
import os
import signal
import time
from enum import Enum

from ianus.errors import StartupError
from ianus.hooks import WorkerInfo
from ianus.process.scoreboard import Scoreboard
from ianus.process.start_reports import STARTING, StartReport
from ianus.process.supervisor.generation import Generation
from ianus.settings.gunicorn_view import GunicornView
from ianus.telemetry.logger import logger

# Seconds to obey SIGQUIT before SIGABRT is sent, and SIGABRT before SIGKILL. After SIGABRT a worker writes its stacks.
QUIT_SECONDS = 10.0
ABORT_SECONDS = 2.0

# Seconds after which SIGQUIT is sent again to a worker whose requests are not done: by then its loop has noticed the
# first one, unless the application blocks it (worker/signals.py).
QUIT_AGAIN_SECONDS = 0.25
QUICK_QUIT_AGAIN_SECONDS = 3.0

# Seconds that a start may last beside --timeout-lifespan-startup.
START_MARGIN_SECONDS = 3.0


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
        self._pending: list[tuple[float, signal.Signals]] = []  # the signals that follow, by their times
        self._partial_line = b""

    def info(self) -> WorkerInfo:
        """Returns the information for hooks."""
        cfg = GunicornView(self.generation.settings)
        return WorkerInfo(pid=self.pid, slot=self.slot + 1, started=self.started_unix, cfg=cfg)

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
        self.send_signal(first)
        self.limit_stop(now)

    def end_delay(self) -> None:
        """Starts the stop that stop() has announced (--drain-delay)."""
        if not self._stopped_while_starting:
            self.send_signal(signal.SIGUSR2)

    def limit_stop(self, now: float) -> None:
        """Limits a graceful stop, from its signal on. An earlier limit stays."""
        if self._pending:
            return
        budget = self.generation.settings.stop_budget()
        interrupt_at = now + budget.interrupt_after(is_starting=self._stopped_while_starting)
        abort_at, kill_at = now + budget.abort_after, now + budget.kill_after
        if self._stopped_while_starting:
            abort_at = min(abort_at, interrupt_at + ABORT_SECONDS)
            kill_at = min(kill_at, abort_at + ABORT_SECONDS)
        again_at = min(interrupt_at + QUIT_AGAIN_SECONDS, (interrupt_at + abort_at) / 2)
        self._schedule(
            (interrupt_at, signal.SIGQUIT),
            (again_at, signal.SIGQUIT),
            (abort_at, signal.SIGABRT),
            (kill_at, signal.SIGKILL),
        )

    def stop_now(self, number: signal.Signals, now: float) -> None:
        """Stops the worker without waiting for requests, by SIGQUIT or SIGKILL."""
        if self.stage is Stage.STARTING:
            self.expected_exit_codes.add(-number)
        self.stage = Stage.STOPPING
        self.send_signal(number)
        if number == signal.SIGKILL:
            self._pending.clear()
        else:
            abort_at = now + QUIT_SECONDS
            self._remove_quit()
            self._schedule(
                (now + QUICK_QUIT_AGAIN_SECONDS, signal.SIGQUIT),
                (abort_at, signal.SIGABRT),
                (abort_at + ABORT_SECONDS, signal.SIGKILL),
            )

    def abort(self, because: str, now: float) -> None:
        """Kills the worker, after it has written its stacks."""
        if not self.is_aborted:
            self.is_aborted = True
            logger.critical("worker is stuck and will be killed: %s: %s", self, because)
            self.generation.hooks.call("worker_abort", self.info())
            self.send_signal(signal.SIGABRT)
            self._schedule((now + ABORT_SECONDS, signal.SIGKILL))
            self._pending = [each for each in self._pending if each[1] == signal.SIGKILL]

    def escalate(self, now: float) -> None:
        """Sends the signals that are due."""
        while self._pending and now >= self._pending[0][0]:
            number = self._pending.pop(0)[1]
            logger.warning("worker does not stop in time, sending %s: %s", number.name, self)
            self.send_signal(number)

    def _schedule(self, *signals: tuple[float, signal.Signals]) -> None:
        """Has signals sent at their times. SIGABRT and SIGKILL that are to be sent earlier stay as they are."""
        forced: dict[signal.Signals, float] = {number: at for at, number in self._pending if number != signal.SIGQUIT}
        times = [(min(at, forced.pop(number, at)), number) for at, number in signals if at < math.inf]
        self._pending = sorted([*times, *((at, number) for number, at in forced.items())])

    def _remove_quit(self) -> None:
        self._pending = [each for each in self._pending if each[1] != signal.SIGQUIT]

    def limit_start(self, seconds: float, now: float) -> None:
        """Limits the start of the application, 0 for no limit. The worker keeps the limit itself, unless the
        application blocks its event loop.
        """
        self.start_report.activity = STARTING
        self.start_deadline = now + seconds + START_MARGIN_SECONDS if seconds else 0.0

    def on_closing(self, now: float) -> None:
        """Notes that the worker is stopping, and that its application cleans up."""
        self.start_deadline = 0.0
        self._remove_quit()

    def due(self) -> float:
        """Returns the time of the next signal, 0 for none."""
        return self._pending[0][0] if self._pending else 0.0

    def close(self) -> None:
        """Closes the descriptors of the worker. May be called twice."""
        for fd in (self.lifeline, self.channel):
            if fd >= 0:
                os.close(fd)
        self.lifeline = self.channel = -1
        self.scoreboard.close()
