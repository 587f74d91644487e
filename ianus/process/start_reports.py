"""Reports the line of code of a worker or template whose start takes long: an import, or code that blocks the loop.

Facts: an import may wait for a database forever, and may hold Python's lock meanwhile. So the supervisor sends
LOOK_SIGNAL, and faulthandler in that process writes the stack of the main thread to the scoreboard, which needs no
lock. A startup that awaits something is reported by the worker itself (worker/worker.py), whose event loop runs then. A
process without a supervisor (`ianus.run()`) has only these reports: a thread of its own would make each fork() of the
application one of a process with threads, which Python warns of.
"""

import itertools
import re
import signal
import threading
from collections.abc import Callable
from traceback import FrameSummary

from ianus.errors import is_own
from ianus.process.scoreboard import Scoreboard
from ianus.telemetry.logger import logger

# The system ignores it by default, so it does no harm before record_stacks() and after the start.
LOOK_SIGNAL = signal.SIGURG

# Seconds from the start to the first report; each further report follows after REPORT_FACTOR times as long.
FIRST_REPORT_SECONDS = 10.0
REPORT_FACTOR = 3.0

# Seconds that a process gets to write its stack.
STACK_SECONDS = 0.25

# A line that faulthandler writes of a frame.
FRAME = r'^  File "(.*)", line (\d+) in (.*)$'

LOADING, STARTING = "loading", "starting"


def record_stacks(scoreboard: Scoreboard) -> None:
    """Has this process write its stacks to the scoreboard: all when it crashes, the main thread's at LOOK_SIGNAL."""
    import faulthandler  # The supervisor does not need it.

    faulthandler.enable(scoreboard.fd, all_threads=True)
    faulthandler.register(LOOK_SIGNAL, scoreboard.fd, all_threads=False)
    signal.siginterrupt(LOOK_SIGNAL, False)


def frames_of(text: str) -> list[FrameSummary]:
    """Returns the frames that faulthandler has written of one thread, the innermost first."""
    return [
        FrameSummary(file, int(line), name, lookup_line=False)
        for file, line, name in re.findall(FRAME, text, re.MULTILINE)
    ]


class StartReport:
    """The supervisor's reports about the start of one process.

    activity: LOADING or STARTING. While it is STARTING, an event loop that waits is not reported.
    """

    def __init__(self, scoreboard: Scoreboard, now: float) -> None:
        self.activity = LOADING
        self._scoreboard = scoreboard
        self._since = now
        self._next = now + FIRST_REPORT_SECONDS
        self._read_at = 0.0  # the time at which the stack should be there; 0: not requested

    def due(self) -> float:
        """Returns the time at which step() has something to do."""
        return self._read_at or self._next

    def step(self, process: object, ask: Callable[[signal.Signals], None], now: float) -> None:
        """Requests a stack, or logs it, if that is due. ask: sends the process a signal."""
        if self._read_at:
            if now >= self._read_at:
                self._read_at = 0.0
                _log(self.activity, now - self._since, frames_of(self._scoreboard.take_stacks()), process)
        elif now >= self._next:
            ask(LOOK_SIGNAL)
            self._next = now + (now - self._since) * (REPORT_FACTOR - 1)
            self._read_at = now + STACK_SECONDS


def _log(activity: str, seconds: float, frames: list[FrameSummary], process: object) -> None:
    if activity == STARTING and _waits(frames):
        return
    logger.warning(
        "application is still %s after %.0f s: %s; the main thread is here:\n%s",
        activity,
        seconds,
        process,
        _show(frames),
    )


def _waits(frames: list[FrameSummary]) -> bool:
    """Whether these frames, the innermost first, are those of an event loop in which nothing runs. uvloop has none.
    With --threads 1 the main thread waits for calls, and the loop has another one."""
    files = {frame.filename for frame in _of_application(frames)}
    return files <= {threading.__file__} or [frame.name for frame in frames[:2]] == ["select", "_run_once"]


def _show(frames: list[FrameSummary]) -> str:
    """Formats the application's frames without source lines: the supervisor may be root, and must not read the files
    that a worker names."""
    lines = [f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in _of_application(frames)]
    return "\n".join(reversed(lines)) or "  (in no Python code of the application)"


def _of_application(frames: list[FrameSummary]) -> list[FrameSummary]:
    called = itertools.takewhile(lambda frame: not is_own(frame.filename), frames)
    return [frame for frame in called if not _is_import(frame.filename)]


def _is_import(filename: str) -> bool:
    return filename.startswith("<frozen importlib") or filename.endswith("/importlib/__init__.py")
