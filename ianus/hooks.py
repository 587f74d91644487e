"""The functions of a hooks module, which are called when the server or a worker changes its state.

    $ ianus --hooks project.hooks main:app

The names and parameters are Gunicorn's. All functions are optional, and none is a coroutine. `HooksModule` documents
for each which process calls it, and when. An exception is logged with its traceback, and the server continues as if
the hook had returned, unless `HooksModule` documents another effect.

The supervisor imports the module, and every worker is forked from the supervisor. So the module should import little,
and not the application: all workers keep the imported modules as they were, even if the files change. SIGHUP imports
the hooks module itself again. Hooks in the supervisor run as the user that started it, those in workers as the user of
--user. While a hook runs in the supervisor, no worker is monitored, so hooks there should not wait.
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
        from logging import getLogger  # Late: many modules import only the types.

        return getLogger("ianus.error")


@dataclass(frozen=True, slots=True)
class ServerInfo(_Logs):
    """The server, as it is when a hook is called.

    pid: of the supervisor.
    workers: how many processes are to serve.
    addresses: the listening addresses, as in the log.
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
    """The signatures of all hooks. A module may define only some, so type checkers report the others as missing."""

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
        """The supervisor, before it exits, after the last worker has exited; also if none could start."""

    def nworkers_changed(self, server: ServerInfo, new_value: int, old_value: int) -> None:
        """The supervisor, after TTIN, TTOU or HUP, when more or fewer workers are to serve than before."""

    # --- The supervisor, about a worker ---

    def pre_fork(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """The supervisor, before it forks a worker, which has no pid yet."""

    def worker_abort(self, worker: WorkerInfo) -> None:
        """The supervisor, before it kills a worker that exceeds --timeout, whose stacks are then logged.

        Gunicorn calls it in the worker, which cannot run it while a call holds the interpreter.
        """

    def child_exit(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """The supervisor, when a worker has ended, in whichever way. Its pid is not in use any more."""

    # --- A worker ---

    def post_fork(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """The worker, right after the fork; it has loaded the application only with --preload.

        An exception ends the worker as one that could not start.
        """

    def post_worker_init(self, worker: WorkerInfo) -> None:
        """The worker, when it has loaded the application, before the lifespan starts and requests arrive.

        An exception ends the worker as one that could not start.
        """

    def worker_exit(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """The worker, after its last request and the end of the lifespan. Not in one that is killed."""
