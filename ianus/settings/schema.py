"""The table of settings: each is declared once, here, and nowhere else.

A field of Settings carries all that is to be known about a setting: default, kind of value, unit, help text.
The command line is built from it (cli.py), values are checked by it, and whatever else needs to know the
settings (a file, the environment, a page of documentation) iterates over `table()` too.

Settings are plain immutable data. Nothing here opens, imports or starts anything, and nothing of the house
but errors.py is imported, so that any process may load it cheaply.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ianus.errors import SettingError
from ianus.settings import values
from ianus.settings.values import Bind, Header, Kind, TcpBind


@dataclass(frozen=True, slots=True)
class Setting:
    """What a field of Settings says about itself.

    kind: checks one value (values.py).
    summary: one sentence for the help page, without default and unit, which are added.
    group: the heading that it stands under.
    unit: what the number counts.
    zero: what 0 stands for, where that is not a number like the others.
    metavar: the placeholder on the help page.
    short: a one-letter flag beside the long one, which is the name.
    many: the value is a tuple, the flag may be repeated.
    choices: every possible value, where there are few.
    """

    kind: Kind
    summary: str
    group: str
    unit: str = ""
    zero: str = ""
    metavar: str = ""
    short: str = ""
    many: bool = False
    choices: tuple[str, ...] = ()

    def check(self, value: object) -> object:
        """The value as the server uses it. Raises ValueError with value and fix."""
        if not self.many:
            return self.kind(value)
        values = value if isinstance(value, (list, tuple)) else [value]
        return tuple(self.kind(each) for each in values)


def _seconds(default: float, group: str, summary: str, zero: str = "no limit") -> Any:
    return _setting(default, Setting(values.seconds, summary, group, unit="seconds", zero=zero, metavar="SECONDS"))


def _bytes(default: int, summary: str, minimum: int, zero: str = "", maximum: int = 2**62) -> Any:
    kind = values.integer(minimum, maximum, "bytes")
    return _setting(default, Setting(kind, summary, LIMITS, unit="bytes", zero=zero, metavar="BYTES"))


def _count(default: int, group: str, summary: str, minimum: int = 0, zero: str = "", maximum: int = 2**31 - 1) -> Any:
    return _setting(default, Setting(values.integer(minimum, maximum), summary, group, zero=zero, metavar="N"))


def _flag(default: bool, group: str, summary: str) -> Any:
    return _setting(default, Setting(values.boolean, summary, group))


def _choice(default: str, group: str, summary: str, *names: str) -> Any:
    return _setting(default, Setting(values.choice(*names), summary, group, choices=names))


def _setting(default: Any, setting: Setting) -> Any:
    return dataclasses.field(default=default, metadata={"setting": setting})


LISTENING = "Listening"
APPLICATION = "Application"
STOPPING = "Starting and stopping"
DEADLINES = "Deadlines"
LIMITS = "Limits"
RESPONSES = "Responses"
LOGGING = "Logging"
DEVELOPMENT = "Development"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to serve. Times are in seconds, sizes in bytes; 0 stands for no limit where the table says so.

    Raises SettingError for a value that a setting cannot have.
    """

    bind: tuple[Bind, ...] = _setting(
        (TcpBind("127.0.0.1", 8000),),
        Setting(
            values.bind,
            "Listen here: HOST:PORT, [IPv6]:PORT, unix:PATH or fd://N. An empty HOST is every interface,"
            " port 0 any free one. May be repeated.",
            LISTENING,
            metavar="ADDRESS",
            short="-b",
            many=True,
        ),
    )
    uds_permissions: int | None = _setting(
        None,
        Setting(
            values.permissions,
            "Permissions of Unix sockets, such as 660; without it the umask decides.",
            LISTENING,
            metavar="OCTAL",
        ),
    )
    backlog: int = _count(
        2048,
        LISTENING,
        "How many connections may wait to be accepted; the system may allow fewer.",
        minimum=1,
    )

    factory: bool = _flag(False, APPLICATION, "APP is a function that makes the application: call it.")
    app_dir: str = _setting(
        ".",
        Setting(values.text, "Look for the application's modules here first.", APPLICATION, metavar="DIR"),
    )
    loop: Literal["auto", "asyncio", "uvloop"] = _choice(
        "auto",
        APPLICATION,
        "The event loop; auto is uvloop where it is installed.",
        "auto",
        "asyncio",
        "uvloop",
    )
    interface: Literal["auto", "asgi", "asgi3", "asgi2", "wsgi"] = _choice(
        "auto",
        APPLICATION,
        "What the application speaks; auto looks at its parameters, asgi is either version.",
        "auto",
        "asgi",
        "asgi3",
        "asgi2",
        "wsgi",
    )
    root_path: str = _setting(
        "",
        Setting(
            values.root_path,
            "The path under which a proxy serves the application and which it strips, such as /api.",
            APPLICATION,
            metavar="PATH",
        ),
    )
    root_path_kept: str = _setting(
        "",
        Setting(
            values.root_path,
            "The same where the proxy does not strip it from the requests.",
            APPLICATION,
            metavar="PATH",
        ),
    )
    lifespan: Literal["auto", "on", "off"] = _choice(
        "auto",
        APPLICATION,
        "Tell the application of start and stop; auto goes on without if it does not know these events.",
        "auto",
        "on",
        "off",
    )

    workers: int = _count(1, STOPPING, "How many processes serve; this version runs one.", minimum=1, maximum=10000)
    timeout_lifespan_startup: float = _seconds(60.0, STOPPING, "How long the application may take to start.")
    timeout_lifespan_shutdown: float = _seconds(30.0, STOPPING, "How long the application may take to clean up.")
    timeout_graceful_shutdown: float = _seconds(
        30.0, STOPPING, "How long requests in flight may take to finish once the server was asked to stop."
    )

    timeout_request_header: float = _seconds(
        10.0, DEADLINES, "How long a request's head may take, from its first byte to its last."
    )
    timeout_keep_alive: float = _seconds(
        75.0, DEADLINES, "How long a connection may wait for its first or next request."
    )
    timeout_request_body: float = _seconds(
        30.0, DEADLINES, "How long a request's body may pause while there is room for more of it."
    )
    timeout_write: float = _seconds(
        60.0, DEADLINES, "How long a client may read nothing of a response that waits for it."
    )

    limit_request_line: int = _bytes(8192, "Largest request line.", minimum=64, maximum=1 << 20)
    limit_request_field_size: int = _bytes(16384, "Largest single header field.", minimum=64, maximum=1 << 20)
    limit_request_fields_size: int = _bytes(65536, "Largest sum of all header fields.", minimum=64, maximum=1 << 24)
    limit_request_fields: int = _count(100, LIMITS, "Most header fields of a request.", minimum=1, maximum=10000)
    max_request_body_size: int = _bytes(1 << 30, "Largest request body.", minimum=0, zero="no limit")
    limit_body_rate: int = _setting(
        240,
        Setting(
            values.integer(0, 2**31 - 1, "bytes a second"),
            "Slowest average rate of a request body.",
            LIMITS,
            unit="bytes a second",
            zero="no limit",
            metavar="BYTES",
        ),
    )
    limit_body_rate_grace: float = _seconds(
        10.0, LIMITS, "How long after its start a body's average rate is not judged.", zero="no grace"
    )
    limit_concurrency: int = _count(
        0,
        LIMITS,
        "Most requests in flight, with work behind a response; further ones are answered 503.",
        zero="no limit",
    )
    limit_connections: int = _count(
        0, LIMITS, "Most open connections; further ones wait in the backlog.", zero="no limit"
    )

    date_header: bool = _flag(True, RESPONSES, "Add a Date field.")
    server_header: bool = _flag(True, RESPONSES, "Add a Server field.")
    header: tuple[Header, ...] = _setting(
        (),
        Setting(
            values.header,
            "Add this field to every response. May be repeated.",
            RESPONSES,
            metavar="'NAME: VALUE'",
            many=True,
        ),
    )

    request_id_header: str = _setting(
        "",
        Setting(
            values.field_name,
            "The field with a request's id, such as x-request-id: taken from the request or made, and sent back.",
            RESPONSES,
            metavar="NAME",
        ),
    )

    access_log: bool = _flag(True, LOGGING, "Write a line for each response.")
    access_logfile: str = _setting(
        "-",
        Setting(values.text, "Where these lines go; - is standard output.", LOGGING, metavar="FILE"),
    )
    access_log_format: str = _setting(
        "",
        Setting(
            values.access_log_format,
            "What these lines say, in the atoms of Gunicorn, such as '%(h)s \"%(r)s\" %(s)s'; without it they are in"
            " the combined format, and the duration.",
            LOGGING,
            metavar="FORMAT",
        ),
    )
    access_log_exclude: tuple[str, ...] = _setting(
        (),
        Setting(
            values.text,
            "Write no line for this path, or for all that begin like it if it ends in *, unless the response is an"
            " error. May be repeated.",
            LOGGING,
            metavar="PATH",
            many=True,
        ),
    )
    error_logfile: str = _setting(
        "-",
        Setting(values.text, "Where the server's own messages go; - is standard error.", LOGGING, metavar="FILE"),
    )
    log_level: Literal["critical", "error", "warning", "info", "debug"] = _choice(
        "info",
        LOGGING,
        "The least of the server's own messages that is written.",
        "critical",
        "error",
        "warning",
        "info",
        "debug",
    )
    log_format: Literal["text", "json"] = _choice("text", LOGGING, "How both logs are written.", "text", "json")
    log_config: str = _setting(
        "",
        Setting(
            values.text,
            "Configure Python's logging from this file: .ini, .json, .yaml.",
            LOGGING,
            metavar="FILE",
        ),
    )

    reload: bool = _flag(False, DEVELOPMENT, "Start again whenever a file changes.")
    reload_dir: tuple[str, ...] = _setting(
        (),
        Setting(
            values.text,
            "Watch this directory; without it, the one of --app-dir. May be repeated.",
            DEVELOPMENT,
            metavar="DIR",
            many=True,
        ),
    )
    reload_include: tuple[str, ...] = _setting(
        ("*.py",),
        Setting(
            values.text,
            "Watch files whose names are like this. May be repeated.",
            DEVELOPMENT,
            metavar="GLOB",
            many=True,
        ),
    )
    reload_exclude: tuple[str, ...] = _setting(
        (),
        Setting(
            values.text,
            "But not those whose names are like this. May be repeated.",
            DEVELOPMENT,
            metavar="GLOB",
            many=True,
        ),
    )
    reload_delay: float = _seconds(
        0.25, DEVELOPMENT, "How long to wait for further changes before starting again.", zero="no wait"
    )

    def __post_init__(self) -> None:
        for name, setting, _ in table():
            try:
                value = setting.check(getattr(self, name))
            except ValueError as error:
                raise SettingError(name, str(error)) from None
            object.__setattr__(self, name, value)
        _check_binds(self.bind)
        if self.root_path and self.root_path_kept:
            raise SettingError("root_path", "is given together with root_path_kept; a proxy strips it or keeps it.")
        if self.access_log_format and self.log_format == "json":
            raise SettingError("access_log_format", "has no meaning with log_format json; leave one of them out.")

    @classmethod
    def from_values(cls, given: Mapping[str, object]) -> "Settings":
        """Settings with `given` in place of the defaults, each as text or as a native value.

        Raises SettingError for a value that a setting cannot have and TypeError for a setting that does not
        exist.
        """
        known = {name for name, _, _ in table()}
        for name in given:
            if name not in known:
                raise TypeError(f"there is no setting {name!r}{_nearest(name, known)}")
        return cls(**given)  # type: ignore[arg-type]  # __post_init__ checks them.


def table() -> Iterator[tuple[str, Setting, Any]]:
    """(name, description, default) of every setting, in the order of the help page."""
    for field in dataclasses.fields(Settings):
        yield field.name, field.metadata["setting"], field.default


def _check_binds(binds: tuple[Bind, ...]) -> None:
    if not binds:
        raise SettingError("bind", "there is no address to listen on; give at least one.")
    for index, each in enumerate(binds):
        if each in binds[:index] and not (isinstance(each, TcpBind) and each.port == 0):
            raise SettingError("bind", f"{each} is given twice; remove one.")


def _nearest(name: str, known: Iterable[str]) -> str:
    import difflib  # Only on the way out.

    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
