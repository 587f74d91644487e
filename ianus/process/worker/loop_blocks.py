"""Logs code that blocks the event loop (--watch-loop): the duration, and the line of code.

Facts: the loop cannot report while it is blocked; nor can the interpreter if C code holds its lock. So a native thread
notices (telemetry/liveness) and asks the loop's thread for its stack, by a signal that faulthandler answers: that needs
no lock, but can do no more than write a text. When the loop runs again, it logs that.

The code is not interrupted: a system call that the signal interrupts is restarted.
"""

import asyncio
import faulthandler
import itertools
import os
import signal
from time import monotonic
from traceback import StackSummary, format_list

from ianus.errors import is_own
from ianus.process.start_reports import frames_of
from ianus.telemetry.liveness import LivenessThread
from ianus.telemetry.logger import logger

# Bytes of a stack that are read; it has a hundred frames at most.
MAX_STACK_BYTES = 64 * 1024


class LoopBlockReporter:
    """Logs each block of the loop, until close(). For the thread of a running loop.

    milliseconds: the limit, for messages. signal: requests a stack. alarm: the eventfd that reports one.

    Raises OSError if the system gives no files, and RuntimeError if no signal is free.
    """

    def __init__(self, liveness_thread: LivenessThread, milliseconds: int) -> None:
        self._liveness_thread = liveness_thread
        self._milliseconds = milliseconds
        self._loop = asyncio.get_running_loop()
        self.signal = _free_signal()
        self._stack = os.memfd_create("ianus-stack")
        self.alarm = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        faulthandler.register(self.signal, self._stack, all_threads=False)
        signal.siginterrupt(self.signal, False)
        self._loop.add_reader(self.alarm, self._report)

    def close(self) -> None:
        """Stops. The native thread no longer reports blocks."""
        self._loop.remove_reader(self.alarm)
        faulthandler.unregister(self.signal)
        os.close(self._stack)
        os.close(self.alarm)

    def _report(self) -> None:
        os.eventfd_read(self.alarm)
        seconds = monotonic() - self._liveness_thread.loop_blocked_since()
        text = os.pread(self._stack, MAX_STACK_BYTES, 0).decode("utf-8", "replace")
        os.lseek(self._stack, 0, os.SEEK_SET)
        os.ftruncate(self._stack, 0)
        logger.warning(
            "event loop blocked for %.2f s (--watch-loop %d):\n%s",
            seconds,
            self._milliseconds,
            readable(text),
        )


def readable(text: str) -> str:
    """Formats a thread's stack as written by faulthandler like a traceback, without the server's own frames."""
    of_application = list(itertools.takewhile(lambda frame: not is_own(frame.filename), frames_of(text)))
    of_application.reverse()
    for index, frame in enumerate(of_application):
        # The loop calls the application from there, if it is written in Python. A loop in the application is shown.
        if frame.filename == asyncio.events.__file__ and frame.name == "_run":
            del of_application[: index + 1]
            break
    # For example while C code of another thread holds Python's global lock, or the machine is overloaded.
    return "".join(format_list(StackSummary.from_list(of_application))).rstrip() or "  (in no code of the application)"


def _free_signal() -> signal.Signals | int:
    for number in range(signal.SIGRTMAX, signal.SIGRTMIN - 1, -1):
        if signal.getsignal(number) is signal.SIG_DFL:
            return number
    raise RuntimeError("--watch-loop needs a real-time signal, and every one is in use")
