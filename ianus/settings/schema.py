"""The table of settings: each is declared once, here, and nowhere else.

A field of Settings carries all that is to be known about a setting: default, kind of value, unit, help text,
the names that other servers have for it. The command line is built from it (cli.py), files and the environment
are read by it (sources.py), values are checked and printed by it, and docs/settings.md is made of it (page.py).

Settings are plain immutable data. Nothing here opens, imports or starts anything, and nothing of the house
but errors.py is imported, so that any process may load it cheaply.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ianus.errors import ConflictError, SettingError
from ianus.settings import values
from ianus.settings.layers import Layer, as_written, index_names, values_from
from ianus.settings.setting import Alias, Setting, choice, count, field, flag, mebibytes, path, seconds, size, texts
from ianus.settings.values import Bind, Header, Mount, TcpBind

LISTENING = "Listening"
APPLICATION = "Application"
WSGI = "WSGI applications"
WEBSOCKET = "WebSocket"
WORKERS = "Worker processes"
STOPPING = "Starting and stopping"
DEADLINES = "Deadlines"
LIMITS = "Limits"
RESPONSES = "Responses"
LOGGING = "Logging"
DEVELOPMENT = "Development"
SYSTEM = "Operating system"
SOURCES = "Sources of settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to serve. Times are in seconds, sizes in bytes; 0 stands for no limit where the table says so.

    Only what is given here counts: no file and no variable of the environment is read. What the command reads
    besides its line is had from `ianus.settings.sources.read_sources()`.

    Raises SettingError for a value that a setting cannot have.
    """

    bind: tuple[Bind, ...] = field(
        (TcpBind(values.DEFAULT_HOST, values.DEFAULT_PORT),),
        values.bind,
        LISTENING,
        "Listen here: HOST:PORT, [IPv6]:PORT, unix:PATH or fd://N. PORT alone is 127.0.0.1:PORT, an empty"
        " HOST every interface, port 0 any free one. [::] takes IPv4 connections too.",
        metavar="ADDRESS",
        short="-b",
        repeatable=True,
        aliases=(
            Alias("listen"),
            Alias("uds", "unix:{}".format),
            Alias("unix_socket", "unix:{}".format),
            Alias("fd", "fd://{}".format),
        ),
    )
    uds_permissions: int | None = field(
        None,
        values.permissions,
        LISTENING,
        "Permissions of Unix sockets, such as 660; without it 666, so that every user can connect, less --umask if"
        " that is set.",
        metavar="OCTAL",
        to_text="{:o}".format,
    )
    backlog: int = count(
        2048, LISTENING, "How many connections may wait to be accepted; the system may allow fewer.", minimum=1
    )

    mount: tuple[Mount, ...] = field(
        (),
        values.mount,
        APPLICATION,
        "Serve another application under this path, such as /api=api:app. Of several the longest path counts;"
        " APP has the rest.",
        metavar="/PATH=APP",
        repeatable=True,
        to_text=values.mount_to_text,
    )
    factory: bool = flag(False, APPLICATION, "APP is a function that makes the application: call it.", aliases="call")
    app_dir: str = path(
        ".",
        APPLICATION,
        "Look for the application's modules here first.",
        metavar="DIR",
        aliases="chdir pythonpath working_dir",
    )
    interface: Literal["auto", "asgi", "asgi3", "asgi2", "wsgi"] = choice(
        "auto",
        APPLICATION,
        "What APP speaks; auto looks at its parameters, asgi is either version.",
        "auto asgi asgi3 asgi2 wsgi",
        parse=values.interface,
    )
    loop: Literal["auto", "asyncio", "uvloop"] = choice(
        "auto",
        APPLICATION,
        "The event loop; auto is uvloop where it is installed and an ASGI application is served.",
        "auto asyncio uvloop",
        aliases="asgi_loop",
    )
    lifespan: Literal["auto", "on", "off"] = choice(
        "auto",
        APPLICATION,
        "Tell ASGI applications of start and stop; auto goes on without if one does not know these events.",
        "auto on off",
        aliases="asgi_lifespan",
    )
    root_path: str = field(
        "",
        values.root_path,
        APPLICATION,
        "The path under which a proxy serves the application and which it strips, such as /api.",
        metavar="PATH",
        aliases="url_path_prefix url_prefix",
    )
    root_path_kept: str = field(
        "",
        values.root_path,
        APPLICATION,
        "The same for a proxy that leaves it in the requests.",
        metavar="PATH",
    )

    threads: int | Literal["auto"] = field(
        "auto",
        values.threads,
        WSGI,
        "Most requests that WSGI applications are called for at once, and 1 is strictly one after the other; auto"
        " takes as many threads as they block, up to --max-threads.",
        metavar="auto|N",
        aliases="blocking_threads",
    )
    max_threads: int = count(64, WSGI, "Most threads of --threads auto.", minimum=1, maximum=values.MAX_THREADS)
    switch_interval: float = seconds(
        0.001,
        WSGI,
        "How long a thread may run Python code while another one waits to.",
        zero_means="Python's own",
    )
    stuck_report_after: float = seconds(
        30.0, WSGI, "Log once where a call is that has not returned after this time.", zero_means="never"
    )
    request_buffer: int = size(
        1 << 18,
        WSGI,
        "Most of a request's body that is kept in memory; a larger one goes to a temporary file.",
        aliases="inbuf_overflow post_buffering",
    )
    response_buffer: int = size(
        1 << 20, WSGI, "Most of a response that may wait for a slow client before the thread waits too."
    )
    spool_dir: str = path(
        "",
        WSGI,
        "Where temporary files are; without it, where the system has them.",
        metavar="DIR",
    )
    limit_spool: int = size(
        8 << 30, WSGI, "Largest sum of all temporary files; a request beyond it is answered 503.", zero_means="no limit"
    )
    header_map: Literal["drop", "dangerous"] = choice(
        "drop",
        WSGI,
        "What becomes of fields with a _ in their names, which an environ has under the same names as others with"
        " a -: they are dropped, or dangerously kept.",
        "drop dangerous",
    )

    ws: Literal["auto", "none"] = choice(
        "auto",
        WEBSOCKET,
        "Whether ASGI applications are asked for WebSockets; with none a handshake is a request like any other."
        " Names of libraries, as Uvicorn has them, are auto.",
        "auto none",
        parse=values.websockets,
    )
    ws_max_size: int = size(
        16 << 20,
        WEBSOCKET,
        "Largest message, inflated; a larger one closes its connection with code 1009.",
        zero_means="no limit",
        aliases="websocket_max_message_size",
    )
    ws_max_queue: int = count(
        32,
        WEBSOCKET,
        "Most messages that wait for the application before no more are read.",
        minimum=1,
        maximum=1 << 16,
    )
    ws_ping_interval: float = seconds(
        20.0,
        WEBSOCKET,
        "How long nothing may come before a ping asks whether the client is there.",
        zero_means="never",
        aliases="websocket_ping_interval",
    )
    ws_ping_timeout: float = seconds(
        20.0,
        WEBSOCKET,
        "How long nothing may come behind a ping before the connection is closed.",
        zero_means="no limit",
        aliases="websocket_ping_timeout",
    )
    ws_close_timeout: float = seconds(
        10.0, WEBSOCKET, "How long a client may take to answer a close.", zero_means="it is not waited for"
    )
    ws_per_message_deflate: bool = flag(
        True, WEBSOCKET, "Compress messages for clients that offer it.", aliases="websocket_per_message_deflate"
    )
    ws_deflate_level: int = count(
        1,
        WEBSOCKET,
        "How hard to compress: 9 takes several times the CPU of 1 for messages that are a little smaller.",
        minimum=1,
        maximum=9,
    )
    limit_websockets: int = count(
        0,
        WEBSOCKET,
        "Most WebSockets that applications serve at once; further ones are answered 503. They do not count for"
        " --limit-concurrency.",
        zero_means="no limit",
    )

    workers: int | Literal["auto"] = field(
        1,
        values.workers,
        WORKERS,
        "How many processes serve; auto is one for each CPU that they may use.",
        metavar="auto|N",
        short="-w",
        variable="WEB_CONCURRENCY",
        aliases="processes",
    )
    preload: bool = flag(
        False,
        WORKERS,
        "Load the application once, in a process that the workers are copies of; they share its memory.",
        aliases="preload_app",
    )
    timeout: float = seconds(
        30.0,
        WORKERS,
        "How long a worker may do nothing at all before it is replaced; a request may take longer.",
        zero_means="never",
        short="-t",
        aliases="timeout_worker_healthcheck",
    )
    max_requests: int = count(
        0, WORKERS, "Replace a worker after so many requests.", zero_means="never", aliases="limit_max_requests"
    )
    max_requests_jitter: int = count(
        0,
        WORKERS,
        "Most requests to add to that, at random for each worker.",
        zero_means="none",
        aliases="limit_max_requests_jitter",
    )
    workers_lifetime: float = seconds(
        0.0, WORKERS, "Replace a worker after this time.", zero_means="never", aliases="max_worker_lifetime"
    )
    workers_lifetime_jitter: float = seconds(
        0.0, WORKERS, "Most time to add to that, at random for each worker.", zero_means="none"
    )
    workers_max_rss: int = mebibytes(
        0, WORKERS, "Replace a worker that has more memory resident.", zero_means="never", aliases="reload_on_rss"
    )
    workers_max_rss_jitter: int = mebibytes(
        0, WORKERS, "Most memory to add to that, at random for each worker.", zero_means="none"
    )
    hooks: str = field(
        "",
        values.module,
        WORKERS,
        "Call the functions of this module at turns in the life of the server and its workers (ianus.hooks).",
        metavar="MODULE",
    )

    timeout_lifespan_startup: float = seconds(60.0, STOPPING, "How long the application may take to start.")
    timeout_lifespan_shutdown: float = seconds(30.0, STOPPING, "How long the application may take to clean up.")
    timeout_graceful_shutdown: float = seconds(
        30.0,
        STOPPING,
        "How long requests in flight may take to finish once the server was asked to stop.",
        aliases="graceful_timeout workers_kill_timeout",
    )
    timeout_drain_idle: float = seconds(
        2.0,
        STOPPING,
        "How long an idle connection of a worker that is replaced is left for one more request.",
        zero_means="it is closed at once",
    )

    timeout_request_header: float = seconds(
        10.0,
        DEADLINES,
        "How long a request's head may take, from its first byte to its last.",
        aliases=(Alias("http1_header_read_timeout", values.milliseconds),),
    )
    timeout_keep_alive: float = seconds(
        75.0, DEADLINES, "How long a connection may wait for its first or next request.", aliases="keep_alive"
    )
    timeout_request_body: float = seconds(
        30.0,
        DEADLINES,
        "How long a request's body may pause while there is room for more of it.",
        aliases="read_timeout",
    )
    timeout_write: float = seconds(
        60.0, DEADLINES, "How long a client may read nothing of a response that waits for it."
    )

    limit_request_line: int = size(8192, LIMITS, "Largest request line.", minimum=64, maximum=1 << 20)
    limit_request_field_size: int = size(16384, LIMITS, "Largest single header field.", minimum=64, maximum=1 << 20)
    limit_request_fields_size: int = size(
        65536,
        LIMITS,
        "Largest sum of all header fields.",
        minimum=64,
        maximum=1 << 24,
        aliases="h11_max_incomplete_event_size",
    )
    limit_request_fields: int = count(100, LIMITS, "Most header fields of a request.", minimum=1, maximum=10000)
    max_request_body_size: int = size(
        1 << 30, LIMITS, "Largest request body.", zero_means="no limit", aliases="limit_post"
    )
    limit_body_rate: int = size(
        240,
        LIMITS,
        "Slowest average rate of a request body.",
        maximum=2**31 - 1,
        unit="bytes a second",
        zero_means="no limit",
    )
    limit_body_rate_grace: float = seconds(
        10.0, LIMITS, "How long after its start a body's average rate is not judged.", zero_means="no grace"
    )
    limit_concurrency: int = count(
        0,
        LIMITS,
        "Most requests in flight, with work behind a response; further ones are answered 503.",
        zero_means="no limit",
        aliases="backpressure worker_connections connection_limit",
    )
    limit_connections: int = count(
        0, LIMITS, "Most open connections; further ones wait in the backlog.", zero_means="no limit"
    )

    date_header: bool = flag(True, RESPONSES, "Add a Date field.")
    server_header: bool = flag(True, RESPONSES, "Add a Server field.")
    header: tuple[Header, ...] = field(
        (),
        values.header,
        RESPONSES,
        "Add this field to every response.",
        metavar="'NAME: VALUE'",
        repeatable=True,
        separator="\n",
        to_text=values.header_to_text,
        aliases="headers",
    )
    request_id_header: str = field(
        "",
        values.field_name,
        RESPONSES,
        "The field with a request's id, such as x-request-id: taken from the request or made, and sent back.",
        metavar="NAME",
    )

    sendfile: bool = flag(True, RESPONSES, "Have the kernel send the files of WSGI applications (wsgi.file_wrapper).")
    asgi_sendfile: bool = flag(
        False,
        RESPONSES,
        "Offer ASGI applications to have the kernel send files (pathsend and zerocopysend); their middleware has to"
        " know these messages.",
    )
    early_hints: bool = flag(
        False, RESPONSES, "Offer early hints (status 103) to applications; clients and proxies have to know them."
    )

    access_log: bool = flag(True, LOGGING, "Write a line for each response.")
    access_logfile: str = path(
        "-", LOGGING, "Where these lines go; - is standard output.", metavar="FILE", parse=values.log_file
    )
    access_log_format: str = field(
        "",
        values.access_log_format,
        LOGGING,
        "What these lines say, in the atoms of Gunicorn, such as '%(h)s \"%(r)s\" %(s)s'; without it they are in"
        " the combined format, and the duration.",
        metavar="FORMAT",
        aliases="access_logformat access_log_fmt",
    )
    access_log_exclude: tuple[str, ...] = field(
        (),
        values.utf8_text,
        LOGGING,
        "Write no line for this path, or for all that begin like it if it ends in *, unless the response is an error.",
        metavar="PATH",
        repeatable=True,
    )
    error_logfile: str = path(
        "-",
        LOGGING,
        "Where the server's own messages go; - is standard error.",
        metavar="FILE",
        parse=values.log_file,
        aliases="log_file error_log",
    )
    log_level: Literal["critical", "error", "warning", "info", "debug"] = choice(
        "info", LOGGING, "The least of the server's own messages that is written.", "critical error warning info debug"
    )
    log_format: Literal["text", "json"] = choice("text", LOGGING, "How both logs are written.", "text json")
    log_config: str = path(
        "",
        LOGGING,
        "Configure Python's logging from this file: .ini, .json or .yaml.",
        metavar="FILE",
        aliases="log_config_json",
    )
    watch_loop: int = field(
        0,
        values.integer(0, 3_600_000, "milliseconds, such as 100"),
        LOGGING,
        "Log where code of an ASGI application is that blocks the event loop for longer.",
        unit="milliseconds",
        zero_means="never",
        metavar="MS",
    )

    pid_file: str = path("", SYSTEM, "Write the process id here.", metavar="FILE", aliases="pid pidfile")
    user: str = field(
        "",
        values.account,
        SYSTEM,
        "Serve as this user, with all groups of theirs; root alone can, and binds the sockets before.",
        metavar="USER",
        short="-u",
        aliases="uid",
    )
    group: str = field(
        "",
        values.account,
        SYSTEM,
        "Serve as this group in place of the user's own.",
        metavar="GROUP",
        short="-g",
        aliases="gid",
    )
    umask: int | None = field(
        None,
        values.permissions,
        SYSTEM,
        "Permissions that new files do not get, such as 027; without it those of whoever starts the server.",
        metavar="OCTAL",
        to_text="{:o}".format,
        short="-m",
    )
    process_name: str = field(
        "",
        values.text,
        SYSTEM,
        "What ps and top call the processes, in place of ianus; ps shows it if setproctitle is installed.",
        metavar="NAME",
        short="-n",
        aliases="name proc_name",
    )

    reload: bool = flag(False, DEVELOPMENT, "Start again whenever a file changes.")
    reload_dir: tuple[str, ...] = field(
        (),
        values.path,
        DEVELOPMENT,
        "Watch this directory; without it, the one of --app-dir.",
        metavar="DIR",
        repeatable=True,
        aliases="reload_dirs reload_paths",
    )
    reload_include: tuple[str, ...] = texts(
        ("*.py",), DEVELOPMENT, "Watch files whose names are like this.", metavar="GLOB", aliases="reload_includes"
    )
    reload_exclude: tuple[str, ...] = texts(
        (), DEVELOPMENT, "But not those whose names are like this.", metavar="GLOB", aliases="reload_excludes"
    )
    reload_delay: float = seconds(
        0.25,
        DEVELOPMENT,
        "How long to wait for further changes before starting again.",
        zero_means="no wait",
        aliases=(Alias("reload_tick", values.milliseconds),),
    )

    def __post_init__(self) -> None:
        for name, setting, default in table():
            value = getattr(self, name)
            try:
                value = default if value is None else setting.check(value)
            except ValueError as error:
                raise SettingError(name, str(error)) from None
            object.__setattr__(self, name, value)
        _check_binds(self.bind)
        _check_mounts(self.mount)
        if self.root_path and self.root_path_kept:
            raise ConflictError(
                ("root_path", "root_path_kept"), "{} is given together with {}; a proxy strips it or keeps it."
            )
        if self.access_log_format and self.log_format == "json":
            raise ConflictError(
                ("access_log_format", "log_format"), "{} has no meaning with {} json; leave one of them out."
            )

    @classmethod
    def from_values(cls, given: Mapping[str, object]) -> "Settings":
        """Settings with `given` in place of the defaults, each as text or as a native value.

        The names may be aliases, host and port among them. None stands for what is not given.

        Raises SettingError for a value that a setting cannot have and TypeError for a setting that does not
        exist.
        """
        return cls.from_layer(values_from(given, NAMES))

    @classmethod
    def from_layer(cls, merged: Layer) -> "Settings":
        """Makes settings of merged layers. An error names the source of the value. Raises SettingError."""
        names = cls.__dataclass_fields__
        try:
            return cls(**{name: given.value for name, given in merged.items() if name in names})
        except ConflictError as error:
            one, other = error.settings
            raise ConflictError((as_written(merged[one]), as_written(merged[other])), error.template) from None
        except SettingError as error:  # Several values that do not go together, for example a repeated address.
            raise SettingError(merged[error.setting].label, error.problem) from None


_init = Settings.__init__


def _init_by_any_name(self: Settings, *values: Any, **given: Any) -> None:
    """Settings(...): by the names that other servers use, too."""
    if not given.keys() <= Settings.__dataclass_fields__.keys():
        given = {name: each.value for name, each in values_from(given, NAMES).items()}
    _init(self, *values, **given)


Settings.__init__ = _init_by_any_name  # type: ignore[method-assign]


# What is said beside the settings proper: halves of an address, what to serve, and where the rest is said.
EXTRA_INPUTS = {
    "host": Setting(
        values.host, "The host to listen on, where it is not --bind that says so.", LISTENING, metavar="HOST"
    ),
    "port": Setting(
        values.port,
        "The port to listen on, where it is not --bind that says so.",
        LISTENING,
        metavar="PORT",
        short="-p",
        variable="PORT",
    ),
    "app": Setting(values.text, "The application, as on the command line.", APPLICATION, metavar="APP"),
    "config": Setting(
        values.path,
        "Read settings from this file, not from ianus.toml or from [tool.ianus] in pyproject.toml.",
        SOURCES,
        metavar="FILE",
        short="-c",
    ),
    "env_file": Setting(
        values.path,
        "Set the variables in this file, unless they are set. May be repeated.",
        SOURCES,
        metavar="FILE",
        repeatable=True,
        aliases=(Alias("env_files"),),
    ),
}


def table() -> Iterator[tuple[str, Setting, Any]]:
    """(name, description, default) of every setting, in the order of the help page."""
    for each in dataclasses.fields(Settings):
        yield each.name, each.metadata["setting"], each.default


def inputs() -> Iterator[tuple[str, Setting]]:
    """(name, description) of everything that a source can say."""
    for name, setting, _ in table():
        yield name, setting
    yield from EXTRA_INPUTS.items()


# Every name that an input can be given by.
NAMES = index_names(inputs())


def _check_binds(binds: tuple[Bind, ...]) -> None:
    if not binds:
        raise SettingError("bind", "there is no address to listen on; give at least one.")
    for index, each in enumerate(binds):
        if each in binds[:index] and not (isinstance(each, TcpBind) and each.port == 0):
            raise SettingError("bind", f"{each} is given twice; remove one.")


def _check_mounts(mounts: tuple[Mount, ...]) -> None:
    prefixes = [each.prefix for each in mounts]
    for index, prefix in enumerate(prefixes):
        if prefix in prefixes[:index]:
            raise SettingError("mount", f"{prefix} is given twice; remove one.")
