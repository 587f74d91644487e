"""--tls-auto: the process that orders certificates, and the supervisor's side of it.

The libraries for ACME take much memory and time, and have threads. So they are loaded in a process of their own, which
is the only one that writes the files of certificates. Workers notice changed files at handshakes. The process exits
after the supervisor: it reads a pipe whose other end the supervisor holds.
"""

import os
import select
import signal
from collections.abc import Callable
from functools import partial

from ianus.process.fork import fork, ignore_stop_signals
from ianus.process.issued_certificates import challenge_of, open_acme_folder
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger

# Seconds until a process that has exited unexpectedly is started again.
RESTART_SECONDS = 60.0


class CertificateIssuer:
    """The process of one server. close_supervisor_files: called in it first."""

    def __init__(self, close_supervisor_files: Callable[[], None]) -> None:
        self._close_supervisor_files = close_supervisor_files
        self._settings: Settings | None = None
        self._lifeline = -1
        self._pid = 0
        self._start_at = 0.0

    def change(self, settings: Settings, now: float) -> None:
        """Uses other settings. The process is started by the next step(), or ends."""
        before, self._settings = self._settings, settings if settings.tls_auto else None
        if _facts_of(before) != _facts_of(self._settings):
            self.close()
            self._start_at = now if self._settings is not None else 0.0

    def step(self, now: float) -> None:
        """Starts the process if it is due. Raises Forked in the new process."""
        if not self._start_at or now < self._start_at or self._settings is None:
            return
        self._start_at = 0.0
        reading, self._lifeline = os.pipe()
        try:
            self._pid = fork(partial(_run, self._settings, reading), self._close_in_new_process)
        except OSError as error:
            logger.error("cannot start the process that orders certificates: %s", error)
            self.close_in_child()
            self._start_at = now + RESTART_SECONDS
        # Not reached in the new process, which reads it.
        os.close(reading)

    def due(self) -> float:
        """Returns the time of the next step, 0 for none."""
        return self._start_at

    def on_exit(self, pid: int, status: int, now: float) -> None:
        """Handles the exit of a child of the supervisor."""
        if pid != self._pid:
            return
        self._pid = 0
        self.close_in_child()
        self._start_at = now + RESTART_SECONDS
        logger.error(
            "the process that orders certificates exited unexpectedly (%d), starting it again in %d s",
            os.waitstatus_to_exitcode(status),
            RESTART_SECONDS,
        )

    def close(self) -> None:
        """Ends the process. May be called twice."""
        self.close_in_child()
        self._start_at = 0.0
        if self._pid:
            # Its files are replaced as a whole, so it can be interrupted at any time.
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def close_in_child(self) -> None:
        """Closes the pipe, in a process that was forked from the supervisor."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _close_in_new_process(self) -> None:
        self._close_supervisor_files()
        self.close_in_child()


def _facts_of(settings: Settings | None) -> object:
    if settings is None:
        return None
    return (
        settings.tls_auto,
        settings.tls_auto_dir,
        settings.tls_auto_authority,
        settings.tls_auto_email,
        challenge_of(settings),
    )


def _run(settings: Settings, lifeline: int) -> int:
    """Keeps certificates valid until the supervisor has exited. Returns the exit code."""
    import random
    import time

    from ianus.issuing.acme_orders import AcmeOrders
    from ianus.issuing.issuer import Issuer

    ignore_stop_signals()
    folder = open_acme_folder(settings)
    orders = AcmeOrders(folder, challenge_of(settings), settings.tls_auto_email)
    issuer = Issuer(folder, settings.tls_auto, orders.order, orders.advise, time.time, random.random)
    delay = 0.0
    while not select.select([lifeline], [], [], delay)[0]:
        delay = issuer.step()
    return 0
