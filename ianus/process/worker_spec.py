"""The data that a supervisor gives to a worker, and the functions that run in one.

A worker writes lines to its supervisor, words separated by tabs: `refused REASON` when the system gives it no threads;
`starting SECONDS` before the applications start, with the limit for that; `ready FACT ...` once connections are
accepted; `recycle REASON` to ask for a replacement; `draining` when it stops accepting connections; `closing` when all
requests are done and the application shuts down; `certificates` to ask for certificates that have changed, and that
the worker must not read; `stuck REASON` from a native thread when nothing else in the worker
runs any more.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ianus.acceptor.listener import Listener
from ianus.hooks import ServerInfo, WorkerInfo
from ianus.process.hooks import Hooks
from ianus.process.privileges import Identity
from ianus.process.scoreboard import Scoreboard
from ianus.process.tls_files import TlsFiles
from ianus.process.transfer_queue import TransferQueue
from ianus.settings.schema import Settings
from ianus.telemetry.system import write

if TYPE_CHECKING:
    from ianus.gateway.loading.loader import Application


class SupervisorLink(NamedTuple):
    """The connections of a worker to its supervisor.

    slot: its number, from 0. scoreboard: memory that the supervisor reads. lifeline: ends when the supervisor ends.
    channel: the supervisor reads the other end. transfers: connections that workers pass on, closed by the worker.
    """

    slot: int
    scoreboard: Scoreboard
    lifeline: int
    channel: int
    transfers: TransferQueue | None = None

    def notify(self, *words: str) -> None:
        """Writes one line to the supervisor. Does nothing if the supervisor has exited."""
        try:
            write(self.channel, "\t".join(words).replace("\n", " ").encode() + b"\n")
        except OSError:
            pass


class WorkerSpec(NamedTuple):
    """The task of a worker.

    app: "MODULE:ATTR". listeners: closed by the worker. link: to the supervisor. identity: the user that the worker
    becomes. server_info, worker_info: for hooks. apps: the applications, if they are loaded already. tls: the
    certificates, if the server has TLS.
    """

    app: Any
    settings: Settings
    listeners: list[Listener]
    link: SupervisorLink
    identity: Identity | None
    hooks: Hooks
    server_info: ServerInfo
    worker_info: Callable[[], WorkerInfo]
    apps: "tuple[Application, ...]" = ()
    tls: TlsFiles | None = None

    def end(self) -> None:
        """Calls the hook worker_exit."""
        self.hooks.call("worker_exit", self.server_info, self.worker_info())


class WorkerEntry(NamedTuple):
    """The functions of process/worker/entry.py, which run in processes of their own.

    The supervisor is given them, since it imports no module of a worker.
    """

    serve: Callable[[WorkerSpec], int]
    preload: "Callable[[str, Settings, Identity | None, Scoreboard], tuple[Application, ...]]"
    serve_preloaded: (
        "Callable[[str, Settings, Hooks, ServerInfo, TlsFiles | None, Scoreboard, tuple[Application, ...], int,"
        " list[int], int], int]"
    )
