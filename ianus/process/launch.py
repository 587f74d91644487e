"""Where a worker's process begins: what it is given, and what it says to the supervisor.

It speaks in lines of words with tabs between them: `ready FACT ...` once connections are accepted; `recycle REASON`
when it wants a successor; `stuck REASON` from a thread of its own (vigil.py) when nothing else in it runs any more.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

from ianus.acceptor.listener import Listener
from ianus.errors import StartupError
from ianus.hooks import ServerInfo, WorkerInfo
from ianus.process.board import Board
from ianus.process.hooks import Hooks
from ianus.process.privileges import Identity, assume
from ianus.process.title import set_title
from ianus.settings.schema import Settings


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


def title(settings: Settings, part: str) -> str:
    """What a process is called that plays this part."""
    return f"{settings.process_name or 'ianus'}: {part}"


class Task(NamedTuple):
    """What a worker is to do. listeners: its own from here on."""

    app: str
    settings: Settings
    listeners: list[Listener]
    supervised: Supervised
    identity: Identity | None
    hooks: Hooks
    server: ServerInfo
    info: Callable[[], WorkerInfo]

    def end(self) -> None:
        """The worker is about to end."""
        self.hooks.call("worker_exit", self.server, self.info())


def serve(task: Task) -> int:
    """The life of a worker. Returns its exit code; what prevents a start is printed."""
    set_title(title(task.settings, f"worker {task.supervised.slot + 1}"))
    try:
        if task.identity is not None:
            assume(task.identity)
        task.hooks.call("post_fork", task.server, task.info())
        from ianus.process import main  # Here begins what the supervisor does not load.

        code = main.serve(task)
    except StartupError as error:
        sys.stderr.write(error.report())
        return error.exit_code
    task.end()
    # It is on its way out: a signal that comes once more must not change its exit code.
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    return code
