"""Where a worker's process begins: what it is given, and what it says to the supervisor.

It speaks in lines of words with tabs between them: `starting SECONDS` before the applications are started, with the
time for that; `ready FACT ...` once connections are accepted; `recycle REASON` when it wants a successor; `leaving`
when it stops to accept connections; `closing` when requests are done and the application cleans up; `exiting SECONDS`
when it has cleaned up, with the time for its threads; `stuck REASON` from a thread of its own (vigil.py) when nothing
else in it runs any more.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ianus.acceptor.listener import Listener, listen_fd
from ianus.errors import StartupError
from ianus.hooks import ServerInfo, WorkerInfo
from ianus.process.after_fork import set_handler
from ianus.process.board import Board
from ianus.process.failures import write_crash, write_failed_start
from ianus.process.fork import ignore
from ianus.process.hooks import Hooks
from ianus.process.privileges import Identity, assume
from ianus.process.title import name_process
from ianus.settings.schema import Settings
from ianus.telemetry.logs import apply_config

if TYPE_CHECKING:
    from ianus.gateway.loader import Application


# Maximum time for threads of an application that could not be started, or has ended its worker.
FAILED_SECONDS = 2.0


class Supervised(NamedTuple):
    """What a worker has of its supervisor, as descriptors.

    slot: its number, from 0. board: memory that the supervisor reads. lifeline: ends when the supervisor ends.
    channel: what is written to it, the supervisor hears.
    """

    slot: int
    board: Board
    lifeline: int
    channel: int

    def say(self, *words: str) -> None:
        """One line. Where the supervisor is gone, nobody hears it."""
        try:
            os.write(self.channel, "\t".join(words).replace("\n", " ").encode() + b"\n")
        except OSError:
            pass


class Task(NamedTuple):
    """What a worker is to do. listeners: its own from here on. identity: who it is to become. apps: loaded already."""

    app: Any
    settings: Settings
    listeners: list[Listener]
    supervised: Supervised
    identity: Identity | None
    hooks: Hooks
    server: ServerInfo
    info: Callable[[], WorkerInfo]
    apps: "tuple[Application, ...]" = ()

    def end(self) -> None:
        """The worker is about to end."""
        self.hooks.call("worker_exit", self.server, self.info())


def preload(app: str, settings: Settings, identity: Identity | None) -> "tuple[Application, ...]":
    """Loads what workers have in common, in the process that they are forked from. Raises StartupError."""
    name_process(settings, "template")
    if identity is not None:
        assume(identity)
    if settings.log_config:
        apply_config(settings.log_config, settings.app_dir)
    from ianus.process import main, wiring
    from ianus.process.worker import load_applications

    apps = load_applications(app, settings)
    wiring.load_rooms(apps)
    main.load_loop(settings.loop, apps)
    return apps


def serve_preloaded(
    app: str,
    settings: Settings,
    hooks: Hooks,
    server: ServerInfo,
    apps: "tuple[Application, ...]",
    slot: int,
    fds: list[int],
) -> int:
    """The life of a worker that was forked from what preload() has loaded. fds: board, lifeline, channel, listeners."""
    board, lifeline, channel, *listening = fds
    listeners = [listen_fd(fd) for fd in listening]
    info = WorkerInfo(pid=os.getpid(), slot=slot + 1, started=time.time())
    supervised = Supervised(slot, Board(board), lifeline, channel)
    return serve(Task(app, settings, listeners, supervised, None, hooks, server, lambda: info, apps))


def _explain(error: ImportError, settings: Settings) -> StartupError:
    """Why the server's own modules cannot be loaded."""
    return StartupError(
        f"The user {settings.user} cannot load Python's modules ({error}). Let that user read {sys.prefix} and "
        f"{sys.base_prefix}, with all directories above them."
    )


def serve(task: Task) -> int:
    """The life of a worker. Returns its exit code; why it could not start is logged."""
    name_process(task.settings, f"worker {task.supervised.slot + 1}")
    from ianus.process.exit import HANDLED_SIGNALS, Ending, Exit  # The supervisor does not load it.

    try:
        if task.identity is not None:
            assume(task.identity)
        task.hooks.call("post_fork", task.server, task.info())
        try:
            from ianus.process import main  # Here begins what the supervisor does not load.
        except ImportError as error:
            if not task.settings.user:
                raise
            raise _explain(error, task.settings) from None
        ending = main.serve(task)
        task.end()
    except StartupError as error:
        write_failed_start(error, task.settings, f"worker {task.supervised.slot + 1}")
        ending = Ending(error.exit_code, FAILED_SECONDS)
    except SystemExit as error:  # of the application, in a callback of the loop
        ending = Ending(error.code if isinstance(error.code, int) else bool(error.code), FAILED_SECONDS)
    except Exception as error:
        write_crash(error, task.settings, f"worker {task.supervised.slot + 1} (pid {os.getpid()})")
        ending = Ending(1, FAILED_SECONDS)
    # It is on its way out: a signal that comes once more must not change its exit code.
    set_handler(HANDLED_SIGNALS, ignore)
    return Exit(ending).run()
