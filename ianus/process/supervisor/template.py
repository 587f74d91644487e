"""--preload: a process that has loaded the applications, and forks workers that share its memory.

The supervisor never loads an application, so the template is a child of its own. Workers are to be the supervisor's
children all the same, for which the template forks twice: the process between the two ends at once, and the system
gives its orphan to the nearest ancestor that asked for orphans, which is the supervisor (become_subreaper).

A request is a datagram with the number of the slot, the number of listeners without TLS, and the descriptors that the
worker gets; the answer is the worker's pid. Only the supervisor ends the template: by closing the socket, or by its own
end, even by SIGKILL.
"""

import contextlib
import errno
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn, TypeVar

from ianus.errors import StartupError
from ianus.process.after_fork import close_in_children, own_fork
from ianus.process.fork import fork, ignore_stop_signals, restore_stop_signals
from ianus.telemetry.formatters import escape
from ianus.telemetry.logger import logger

Loaded = TypeVar("Loaded")
RunWorker = Callable[[Loaded, int, list[int], int], int]


# Seconds in which a fork is answered, unless something has stopped the template.
FORK_TIMEOUT_SECONDS = 10.0

# Maximum number of descriptors in a request, more than the system passes on at once.
MAX_DESCRIPTORS = 256

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Has this process inherit the orphans of its descendants. Raises StartupError if the system cannot do that."""
    if sys.platform != "linux":
        raise StartupError("--preload needs Linux. Remove it: then each worker loads the application itself.")
    import ctypes  # takes 5 ms to import

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise StartupError(
            f"--preload is not supported here: PR_SET_CHILD_SUBREAPER fails ({os.strerror(ctypes.get_errno())}). "
            "Remove it: then each worker loads the application itself."
        )


class Template:
    """The process, as the supervisor sees it.

    close_supervisor_files: called in it first; closes the supervisor's descriptors.
    load: called next, returns the data for workers. A StartupError ends the process with its code.
    run_worker: called in each worker with that data, its slot, its descriptors, and the number of the last ones that
    are listeners without TLS; returns its exit code.
    report: called with that error, to write it; without it, that goes to standard error.
    fd: readable when there is something to read(). pid: a child of this process; the code that reaps it sets it to 0.
    """

    def __init__(
        self,
        close_supervisor_files: Callable[[], None],
        load: Callable[[], Loaded],
        run_worker: RunWorker[Loaded],
        report: Callable[[StartupError], None] | None = None,
    ) -> None:
        """In the process, and in workers, it raises Forked."""
        self._socket, requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(FORK_TIMEOUT_SECONDS)
        self.fd = self._socket.fileno()

        def close_inherited() -> None:
            close_supervisor_files()
            self.close_in_child()

        self.pid = fork(partial(_run, requests, load, run_worker, report or _print), close_inherited)
        requests.close()

    def read(self) -> bool:
        """Returns whether everything is loaded now; false if the process has exited, whose exit code has the reason."""
        try:
            report = self._socket.recv(65536).decode()
        except ConnectionError:
            return False
        threads = report.removeprefix("loaded ")
        if threads:
            logger.warning(
                "with --preload no worker has the threads that the application starts while it is loaded: %s. "
                "Start them in the lifespan, in the hook post_fork or with the first request.",
                threads,
            )
        return bool(report)

    def fork(self, slot: int, fds: Sequence[int], plain: int = 0) -> int:
        """Forks a worker, once everything is loaded. Returns its pid: it is a child of this process.

        plain: the number of the last descriptors that are listeners without TLS.

        Raises OSError if that fails. A template that does not answer is killed.
        """
        try:
            socket.send_fds(self._socket, [b"%d %d" % (slot, plain)], fds)
            answer = self._socket.recv(65536).decode()
        except OSError:
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
            raise
        if answer.startswith(f"[Errno {errno.EAGAIN}]"):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        if not answer.isdigit():
            raise OSError(answer or "the process has ended")
        return int(answer)

    def close_in_child(self) -> None:
        """Closes the socket in a process that was forked since. The template continues."""
        self._socket.close()

    def close(self) -> None:
        """Ends the process, and none of its workers. May be called twice."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)


# --- The process ---


def _run(
    requests: socket.socket,
    load: Callable[[], Loaded],
    run_worker: RunWorker[Loaded],
    report: Callable[[StartupError], None],
) -> int:
    """Forks workers as long as there is a supervisor. Returns in workers only, their exit code."""
    ignore_stop_signals()
    close_in_children(requests.close)
    try:
        loaded = load()
    except StartupError as error:
        report(error)
        _exit(error.exit_code)
    gc.collect()
    gc.freeze()  # A worker that collects garbage would copy the pages that all share.
    _send(requests, f"loaded {_threads()}")
    while True:
        slot, plain, fds = _receive(requests)
        answer = _fork_orphan()
        if not answer:
            requests.close()
            return run_worker(loaded, slot, fds, plain)
        for fd in fds:
            os.close(fd)
        _send(requests, answer)


def _print(error: StartupError) -> None:
    sys.stderr.write(error.report())


def _exit(code: int) -> NoReturn:
    """Ends the template, without waiting for threads of the application or calling its exit handlers."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _send(requests: socket.socket, text: str) -> None:
    with contextlib.suppress(ConnectionError):  # The supervisor is gone: _receive() notices that.
        requests.send(text.encode())


def _receive(requests: socket.socket) -> tuple[int, int, list[int]]:
    """Returns the slot, the number of listeners without TLS, and the descriptors of the worker that is wanted next."""
    try:
        numbers, fds, _, _ = socket.recv_fds(requests, 64, MAX_DESCRIPTORS)
    except ConnectionError:
        numbers = b""
    if not numbers:
        _exit(0)
    for fd in fds:
        os.set_inheritable(fd, False)  # recv_fds() of CPython 3.11 does not heed MSG_CMSG_CLOEXEC.
    slot, plain = map(int, numbers.split())
    return slot, plain, fds


def _fork_orphan() -> str:
    """Forks a process that the supervisor inherits at once. Returns its pid, or why there is none; "" in itself."""
    reading, writing = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        with own_fork():
            between = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        return str(error)
    if between:
        os.close(writing)
        answer = os.read(reading, 4096).decode()
        os.close(reading)
        os.waitpid(between, 0)  # From here on the supervisor is the parent.
        return answer or "the process that forks it was killed"
    os.close(reading)
    # Its pid is known before it heeds stops, and none must be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with own_fork():
            pid = os.fork()
        answer = str(pid)
    except OSError as error:
        pid = -1
        answer = str(error)
    if pid:
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    restore_stop_signals()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return ""


def _threads() -> str:
    """The names of Python's threads beside this one. Libraries in C see to their own threads (numpy's OpenBLAS starts
    them again in a forked process)."""
    known = {thread.ident: thread.name for thread in threading.enumerate()}
    others = [ident for ident in sys._current_frames() if ident != threading.get_ident()]
    names = sorted(known.get(ident, "a thread without a name") for ident in others)
    return escape(", ".join(names[:5])) + (f" and {len(names) - 5} more" if names[5:] else "")
