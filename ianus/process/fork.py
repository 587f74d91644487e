"""Processes that the supervisor makes of itself: workers, their template, what watches files, another server.

Facts and rules:
- A new process leaves the supervisor's frames by an exception (Forked), which is caught where the command began. So it
  has a stack of its own, nothing of the supervisor's is in its tracebacks or cleaned up in it, and it ends as any other
  program does.
- It has none of the supervisor's descriptors but those that it was made for: whoever held the write end of another
  worker's lifeline would keep that one alive.
- No signal arrives while the handlers are still the supervisor's, which would lose it.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from ianus.errors import StartupError, one_line
from ianus.process.after_fork import own_fork, set_handler

# What the supervisor handles, and a new process does not.
HANDLED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)

# What a terminal sends to each process that belongs to it.
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)


class Forked(BaseException):
    """Raised in a new process. function: what it does; returns its exit code."""

    def __init__(self, function: Callable[[], int]) -> None:
        super().__init__()
        self.function = function


def fork(function: Callable[[], int], leave: Callable[[], None] = lambda: None) -> int:
    """Makes a process. Returns its pid; in the new process, does not return but raises Forked.

    leave: lets go of what the new process is not to have. Raises OSError where the system has no more processes.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # or it would be written twice
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with own_fork():
            pid = os.fork()
        if pid == 0:
            for number in HANDLED:
                if number not in TERMINAL_SIGNALS:
                    signal.signal(number, signal.SIG_DFL)
            # What a terminal sends to all processes that belong to it is for the supervisor to decide about. No
            # SIG_IGN: programs that the application starts would inherit it.
            set_handler(TERMINAL_SIGNALS, ignore)
            signal.set_wakeup_fd(-1)
            _or_exit(leave)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if pid == 0:
        raise Forked(function)
    return pid


def _or_exit(leave: Callable[[], None]) -> None:
    # What it raised would be caught as the supervisor's own failure, and there would be two of it.
    try:
        leave()
    except BaseException as error:
        sys.stderr.write(f"Error: a new process cannot let go of what is the supervisor's: {one_line(error)}.\n")
        sys.stderr.flush()
        os._exit(StartupError.exit_code)


def ignore(number: int, frame: FrameType | None) -> None:
    """Handles a signal that is to have no effect here, but its own one on programs that are started."""


def ignore_stop_signals() -> None:
    """Has this process end with the supervisor and not before: managers send TERM to every process, terminals QUIT."""
    set_handler((signal.SIGTERM, signal.SIGQUIT), ignore)


def restore_stop_signals() -> None:
    """Undoes ignore_stop_signals(). A handler that the application has set since stays."""
    for number in (signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(number) is ignore:
            signal.signal(number, signal.SIG_DFL)
