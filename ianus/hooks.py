"""What a module of hooks can have: functions that are called at turns in the life of the server and its workers.

    $ ianus --hooks project.hooks main:app

The names, and what is handed in, are Gunicorn's. All functions may be left out, and all are plain ones: none is a
coroutine. `HooksModule` says of each which process calls it and when. Where it says nothing of errors, an exception is
logged with its traceback and all goes on as if the hook had returned.

The module is imported by the supervisor, which every worker is forked from. So it should import little, and not the
application: what it has imported is in all workers as it was then, whatever becomes of the files. HUP imports the
module itself anew. In the supervisor hooks run as the user who has started it, in workers as the one of --user; while
one runs there, the supervisor looks after no worker, so that none should wait for anything.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from logging import Logger


class _Logs:
    """Gunicorn's way to the log."""

    __slots__ = ()

    @property
    def log(self) -> "Logger":
        """The server's own log."""
        from logging import getLogger  # Late: most who import this module want its types.

        return getLogger("ianus.error")


@dataclass(frozen=True, slots=True)
class ServerInfo(_Logs):
    """The server, as it is when a hook is called.

    pid: of the supervisor.
    workers: how many processes are to serve.
    addresses: where it listens, as the log has it.
    """

    pid: int
    workers: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerInfo(_Logs):
    """One process that serves.

    pid: 0 while there is none yet.
    slot: which of the workers it is, from 1; its successor has the same.
    started: Unix time in seconds.
    """

    pid: int
    slot: int
    started: float


class HooksModule(Protocol):
    """The functions. A type checker that is to compare a whole module with this will miss those it leaves out."""

    # --- The supervisor ---

    def on_starting(self, server: ServerInfo) -> None:
        """The supervisor, when it has its sockets, before it starts anything else.

        An exception prevents the start, with exit code 3.
        """

    def when_ready(self, server: ServerInfo) -> None:
        """The supervisor, once, when the workers of the start have all become ready: requests are answered."""

    def on_reload(self, server: ServerInfo) -> None:
        """The supervisor, after HUP and with the new settings, before the first worker is replaced."""

    def pre_exec(self, server: ServerInfo) -> None:
        """The supervisor, after USR2, before it starts its successor."""

    def on_exit(self, server: ServerInfo) -> None:
        """The supervisor, before it ends, when no worker is left; also where none could start."""

    def nworkers_changed(self, server: ServerInfo, new_value: int, old_value: int) -> None:
        """The supervisor, after TTIN, TTOU or HUP, when more or fewer workers are to serve than before."""

    # --- The supervisor, about a worker ---

    def pre_fork(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """The supervisor, before it forks a worker, which has no pid yet."""

    def worker_abort(self, worker: WorkerInfo) -> None:
        """The supervisor, before it kills a worker that is stuck (--timeout), whose stacks come into the log then.

        Gunicorn calls it in the worker, where it could not run as long as anything holds the interpreter.
        """

    def child_exit(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """The supervisor, when a worker has ended, in whichever way. Its pid is not in use any more."""

    # --- A worker ---

    def post_fork(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """The worker, right after the fork; it has loaded the application only with --preload.

        An exception ends the worker as one that could not start.
        """

    def post_worker_init(self, worker: WorkerInfo) -> None:
        """The worker, when it has loaded the application, before the lifespan begins and requests come.

        An exception ends the worker as one that could not start.
        """

    def worker_exit(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """The worker, after its last request and the end of the lifespan. Not in one that is killed."""
