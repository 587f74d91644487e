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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger
    from ssl import SSLContext


class _Information:
    """Gunicorn's way to the log, and the explanation of attributes that gunicorn has and Ianus has not."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{type(self).__name__} has no attribute {name!r}; `ianus docs hooks` lists the attributes"
        )

    @property
    def log(self) -> "Logger":
        """The server's own log."""
        from logging import getLogger  # Late: many modules import only the types.

        return getLogger("ianus.error")


@dataclass(unsafe_hash=True)
class ServerInfo(_Information):
    """The server, as it is when a hook is called. Hooks may add attributes; they stay in their process.

    pid: of the supervisor.
    workers: how many processes are to serve; gunicorn's name for it is num_workers.
    addresses: the listening addresses, as in the log.
    cfg: the settings, by gunicorn's names.
    """

    pid: int
    workers: int
    addresses: tuple[str, ...]
    cfg: Any = field(default=None, compare=False, repr=False)

    @property
    def num_workers(self) -> int:
        """How many processes are to serve."""
        return self.workers


@dataclass(unsafe_hash=True)
class WorkerInfo(_Information):
    """One process that serves. Hooks may add attributes; in a worker, all of its hooks get the same object.

    pid: 0 while there is none yet.
    slot: which of the workers it is, from 1; its successor has the same.
    started: Unix time in seconds.
    cfg: the settings, by gunicorn's names.
    """

    pid: int
    slot: int
    started: float
    cfg: Any = field(default=None, compare=False, repr=False)


class RequestInfo:
    """A request, by gunicorn's names. Hooks may add attributes.

    method, uri, query: as received. path: of the uri, without the query, and not decoded. version: such as (1, 1).
    remote_addr, peer_addr: the client's address and port (0 if unknown); "" if it has none.
    headers: (NAME, value) pairs, the names in upper case.
    """

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.uri: str = environ["RAW_URI"]
        self.path, _, self.query = self.uri.partition("?")
        self.scheme: str = environ["wsgi.url_scheme"]
        address = environ.get("REMOTE_ADDR", "")
        # A proxy does not always report the port of its client.
        self.remote_addr = self.peer_addr = (address, int(environ.get("REMOTE_PORT") or 0)) if address else ""

    @property
    def version(self) -> tuple[int, int]:
        """The version of HTTP."""
        major, _, minor = self._environ["SERVER_PROTOCOL"].removeprefix("HTTP/").partition(".")
        return int(major), int(minor or 0)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The header fields; fields of one name are one pair."""
        names = {"CONTENT_TYPE": "CONTENT-TYPE", "CONTENT_LENGTH": "CONTENT-LENGTH"}
        return [
            (names.get(key) or key.removeprefix("HTTP_").replace("_", "-"), value)
            for key, value in self._environ.items()
            if key.startswith("HTTP_") or key in names
        ]


class ResponseInfo:
    """A response, by gunicorn's names.

    status: such as "200 OK"; "" if the application has not started one. headers: (name, value) pairs.
    """

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []

    @property
    def status_code(self) -> int:
        """The number of the status; 0 if the application has not started a response."""
        return int(self.status[:3]) if self.status else 0


class HooksModule(Protocol):
    """The signatures of all hooks. A module may define only some, so type checkers report the others as missing."""

    # --- The supervisor ---

    def on_starting(self, server: ServerInfo) -> None:
        """Called in the supervisor when it has its sockets, before it starts anything else.

        An exception prevents the start, with exit code 3.
        """

    def when_ready(self, server: ServerInfo) -> None:
        """Called once in the supervisor, when the workers of the start have all become ready: requests are answered."""

    def on_reload(self, server: ServerInfo) -> None:
        """Called in the supervisor after HUP and with the new settings, before the first worker is replaced."""

    def pre_exec(self, server: ServerInfo) -> None:
        """Called in the supervisor after USR2, before it starts its successor."""

    def on_exit(self, server: ServerInfo) -> None:
        """Called in the supervisor before it exits, after the last worker has exited; also if none could start."""

    def nworkers_changed(self, server: ServerInfo, new_value: int, old_value: int) -> None:
        """Called in the supervisor after TTIN, TTOU or HUP, when more or fewer workers are to serve than before."""

    # --- The supervisor, about a worker ---

    def pre_fork(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """Called in the supervisor before it forks a worker, which has no pid yet."""

    def worker_abort(self, worker: WorkerInfo) -> None:
        """Called in the supervisor before it kills a worker that exceeds --timeout, whose stacks are then logged.

        Gunicorn calls it in the worker, which cannot run it while a call holds the interpreter.
        """

    def child_exit(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """Called in the supervisor when a worker has ended, in whichever way. Its pid is not in use any more."""

    # --- A worker ---

    def post_fork(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """Called in the worker right after the fork; it has loaded the application only with --preload.

        An exception ends the worker as one that could not start.
        """

    def ssl_context(self, config: Any, default_ssl_context_factory: "Callable[[], SSLContext]") -> "SSLContext":
        """Called in the worker before it loads the application, if TLS is on. Returns the context of its connections.

        `config` has the settings by gunicorn's names, and `default_ssl_context_factory()` returns a context by them. An
        exception ends the worker as one that could not start.
        """
        ...

    def post_worker_init(self, worker: WorkerInfo) -> None:
        """Called in the worker when it has loaded the application, before the lifespan starts and requests arrive.

        An exception ends the worker as one that could not start.
        """

    def worker_int(self, worker: WorkerInfo) -> None:
        """Called in the worker, in a signal handler of its main thread, when a stop aborts its requests.

        That is after SIGQUIT, or a second SIGINT.
        """

    def pre_request(self, worker: WorkerInfo, req: RequestInfo) -> None:
        """Called in the worker before it calls a WSGI application. An exception counts as one of the application."""

    def post_request(self, worker: WorkerInfo, req: RequestInfo, environ: dict[str, Any], resp: ResponseInfo) -> None:
        """Called in the worker after a WSGI application has returned its response.

        If that is not a list or a file, the hook is called after the response was sent. It may have two or three
        parameters.
        """

    def worker_exit(self, server: ServerInfo, worker: WorkerInfo) -> None:
        """Called in the worker after its last request and the end of the lifespan. Not in one that is killed."""
