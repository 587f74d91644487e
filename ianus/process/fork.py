"""Forks processes of the supervisor: workers, their template, the watcher of files, a new server.

Facts and rules:
- A new process unwinds the supervisor's stack by an exception (Forked), which process/supervise catches. So its
  tracebacks contain no frame of the supervisor, it runs no clean-up of the supervisor, and it exits as any other
  program does.
- It inherits only the descriptors that it needs: with the write end of another worker's lifeline, it would keep that
  worker alive.
- Signals are blocked while the handlers are still the supervisor's, which would lose them.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from ianus.errors import StartupError, one_line
from ianus.process.after_fork import own_fork, set_handler

# The signals that the supervisor handles, and a new process does not.
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

# The signals that a terminal sends to each of its processes.
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)


class Forked(BaseException):
    """Raised in a new process. function: runs in that process; returns its exit code."""

    def __init__(self, function: Callable[[], int]) -> None:
        super().__init__()
        self.function = function


def fork(function: Callable[[], int], close_files: Callable[[], None] = lambda: None) -> int:
    """Makes a process. Returns its pid; in the new process, does not return but raises Forked.

    close_files: closes the files that the new process must not have.

    Raises OSError if the system's limit of processes is reached.
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
            # The supervisor handles the signals that a terminal sends to all of its processes. No SIG_IGN: programs
            # that the application starts would inherit it.
            set_handler(TERMINAL_SIGNALS, ignore)
            signal.set_wakeup_fd(-1)
            _or_exit(close_files)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if pid == 0:
        raise Forked(function)
    return pid


def _or_exit(close_files: Callable[[], None]) -> None:
    # An exception would be caught as the supervisor's own failure, and two supervisors would exist.
    try:
        close_files()
    except BaseException as error:
        sys.stderr.write(f"Error: a new process cannot close the supervisor's files: {one_line(error)}.\n")
        sys.stderr.flush()
        os._exit(StartupError.exit_code)


def ignore(number: int, frame: FrameType | None) -> None:
    """Handles a signal without effect here; programs that are started get its default effect."""


def ignore_stop_signals() -> None:
    """Ignores the signals that stop a server, so that this process exits after the supervisor: managers send TERM to
    every process, terminals QUIT."""
    set_handler((signal.SIGTERM, signal.SIGQUIT), ignore)


def restore_stop_signals() -> None:
    """Undoes ignore_stop_signals(). A handler that the application has set later stays."""
    for number in (signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(number) is ignore:
            signal.signal(number, signal.SIG_DFL)
