"""Another server in place of this one, on the same sockets: after an update of Ianus, or of Python.

USR2 starts it as this one was started. Both serve until one of them gets SIGTERM: this one, or the new one if the
update has failed. The new one inherits the sockets, and a pipe that ends with this one.
"""

import os
import sys
from typing import NamedTuple

from ianus.process.supervisor.sockets import InheritedFds, Sockets
from ianus.telemetry.logger import logger

VARIABLE = "IANUS_HANDOVER"


class Handover(NamedTuple):
    """The data that a server gets from the previous one. alive: readable once that has ended."""

    inherited_fds: InheritedFds
    predecessor_pipe: int


def receive_handover() -> Handover | None:
    """Returns the data from the previous server, if there is one; once."""
    text = os.environ.pop(VARIABLE, "")
    if not text:
        return None
    import json

    given = json.loads(text)
    os.set_inheritable(given["alive"], False)
    return Handover(given["sockets"], given["alive"])


def exec_new_server(sockets: Sockets, alive_pipe: int, environ: dict[str, str]) -> int:
    """Becomes another server, with this environment: does not return unless that fails.

    alive: the end of a pipe that it is to have.
    """
    import json

    environ |= {VARIABLE: json.dumps({"sockets": sockets.fds_to_hand_over(), "alive": alive_pipe})}
    for fd in (alive_pipe, *(listener.sock.fileno() for listener in sockets.listeners())):
        os.set_inheritable(fd, True)
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)
    except OSError as error:
        logger.error("cannot start the new server: %s", error)
    return 3
