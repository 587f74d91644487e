"""Another server in place of this one, on the same sockets: after an update of Ianus, or of Python.

SIGUSR2 starts it as this one was started. Both serve until one of them gets SIGTERM: this one, or the new one if the
update has failed. The new one inherits the sockets, the transfer queue, and a pipe that ends
with this one.
"""

import os
import sys
from collections.abc import Sequence
from functools import partial

from ianus.process.activation import ActivatedSocket
from ianus.process.fork import fork
from ianus.process.supervisor.fd_store import InheritedFds
from ianus.process.supervisor.sockets import Sockets
from ianus.process.transfer_queue import TransferQueue
from ianus.telemetry.logger import logger

VARIABLE = "IANUS_HANDOVER"


class Upgrade:
    """The servers before and after this one.

    ticket_secret: of the previous server, so that clients can resume their TLS sessions; b"" if there is none.
    inherited_fds: the sockets of the previous server, None if there is none. activated: those of them that an init
    system has opened. queue_ends: of its transfer queue. predecessor_pipe: ends with the previous server; -1 if there
    is none. successor: the pid of the new server, 0 if there is none.
    """

    def __init__(self) -> None:
        self.inherited_fds: InheritedFds | None = None
        self.predecessor_pipe = -1
        self.activated: list[ActivatedSocket] = []
        self.queue_ends: tuple[int, int] | None = None
        self.ticket_secret = b""
        self.successor = 0
        self._successor_pipe = -1  # this process holds it as long as it lives, for the successor
        if text := os.environ.pop(VARIABLE, ""):
            import json  # Imported only if needed.

            given = json.loads(text)
            self.inherited_fds, self.predecessor_pipe = given["sockets"], given["alive"]
            self.activated = [ActivatedSocket(*each) for each in given.get("activated", ())]
            if "queue" in given:  # Earlier versions do not hand it over.
                writer, reader = given["queue"]
                self.queue_ends = writer, reader
            for fd in (self.predecessor_pipe, *(self.queue_ends or ())):
                os.set_inheritable(fd, False)
            if "tickets" in given:
                with os.fdopen(given["tickets"], "rb") as pipe:
                    self.ticket_secret = pipe.read()

    def has_predecessor(self) -> bool:
        """Returns whether the previous server runs."""
        return self.predecessor_pipe >= 0

    def shares_sockets(self) -> bool:
        """Returns whether another server runs on the same sockets."""
        return self.has_predecessor() or bool(self.successor)

    def start(
        self,
        sockets: Sockets,
        activated: Sequence[ActivatedSocket],
        transfers: TransferQueue,
        environ: dict[str, str],
        ticket_secret: bytes,
    ) -> None:
        """Starts a new server with this environment. Raises OSError, and Forked in the new process.

        activated: those of the sockets that an init system has opened. ticket_secret: for the new server.
        """
        alive_pipe, successor_pipe = os.pipe()
        run = partial(_exec_new_server, sockets, activated, transfers, alive_pipe, environ, ticket_secret)
        try:
            self.successor = fork(run)
        except OSError:
            os.close(alive_pipe)
            os.close(successor_pipe)
            raise
        os.close(alive_pipe)
        self._successor_pipe = successor_pipe

    def on_exit(self, pid: int) -> bool:
        """Handles the exit of a process. Returns whether it was the new server."""
        if pid != self.successor:
            return False
        self.successor = 0
        os.close(self._successor_pipe)
        self._successor_pipe = -1
        return True

    def close_predecessor_pipe(self) -> None:
        """Completes an upgrade, after the end of the pipe."""
        os.close(self.predecessor_pipe)
        self.predecessor_pipe = -1

    def close_in_child(self) -> None:
        """Closes all descriptors, in a process that was forked from the supervisor."""
        for fd in (self.predecessor_pipe, self._successor_pipe):
            if fd >= 0:
                os.close(fd)


def _exec_new_server(
    sockets: Sockets,
    activated: Sequence[ActivatedSocket],
    transfers: TransferQueue,
    alive_pipe: int,
    environ: dict[str, str],
    ticket_secret: bytes,
) -> int:
    """Becomes another server, with this environment: does not return unless that fails.

    alive_pipe: the end of a pipe that the new server is to have.
    """
    import json

    queue = transfers.writer.fileno(), transfers.reader.fileno()
    given = {"sockets": sockets.fds_to_hand_over(), "activated": activated, "queue": queue, "alive": alive_pipe}
    # Not in the environment, which the application can read.
    secret_pipe, end = os.pipe()
    os.write(end, ticket_secret)
    os.close(end)
    given["tickets"] = secret_pipe
    environ |= {VARIABLE: json.dumps(given)}
    if "WATCHDOG_PID" in environ:
        environ["WATCHDOG_PID"] = str(os.getpid())
    for fd in (alive_pipe, secret_pipe, *queue, *(listener.sock.fileno() for listener in sockets.listeners())):
        os.set_inheritable(fd, True)
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)
    except OSError as error:
        logger.error("cannot start the new server: %s", error)
    return 3
