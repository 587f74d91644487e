"""Parsers of the values of settings.

A parser is a function. It takes the value of a source: text from a command line or the environment, a native value from
a file or from Python. It returns the value that the server uses, or raises ValueError with a text that shows the value
and names the remedy. `integer`, `size`, `choice` and `number_or_auto` make parsers; the others are parsers themselves.
The functions at the end write values as text which the parsers read back.
"""

import os
import re
from collections.abc import Callable
from typing import Any, Literal

from ianus.errors import closest_match

Parser = Callable[[object], object]

# Of a name and its misspelling, from 0 to 1.
MIN_SIMILARITY = 0.75

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000

# Seconds and bytes, the largest unit first.
_TIMES = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SIZES = {"G": 1 << 30, "M": 1 << 20, "K": 1 << 10}


def format_value(value: object) -> str:
    """Formats an invalid value for a message: as in a TOML file, if TOML has such values."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(format_value, value))}]"
    return str(value) if hasattr(value, "isoformat") else repr(value)  # TOML has dates.


def in_quotes(value: object) -> str:
    """Returns the end of a message that shows how to write a number as text."""
    return f'; write it in quotes: "{format_value(value)}".' if isinstance(value, (int, float)) else "."


def integer(minimum: int = 0, maximum: int = 2**62, unit: str = "") -> Callable[[object], int]:
    """Makes a parser of whole numbers from `minimum` to `maximum`, both included."""

    def check(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            counted = f"of {unit}" if unit else f"from {minimum} to {maximum}"
            raise ValueError(f"{format_value(value)} is not a whole number {counted}.")
        if not minimum <= value <= maximum:
            raise ValueError(f"{value} is out of range; it can be {minimum} to {maximum}.")
        return value

    return check


def size(minimum: int, maximum: int) -> Parser:
    """Makes a parser of sizes in bytes; as text also with K, M or G (KB, KiB, ...), which are powers of 1024."""
    whole = integer(minimum, maximum, "bytes, such as 65536 or 64K")

    def check(value: object) -> object:
        if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,9})([kmg])(?:i?b)?", value, re.IGNORECASE)):
            value = int(match[1]) * _SIZES[match[2].upper()]
        return whole(value)

    return check


def seconds(value: object) -> float:
    """Parses a time of at least 0; as text also with the unit ms, s, m or h."""
    number = value
    if isinstance(value, str):
        match = re.fullmatch(r"(-?[0-9]{1,12}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})(ms|[smh]?)", value)
        number = float(match[1]) * _TIMES[match[2] or "s"] if match else None
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        raise ValueError(f"{format_value(value)} is not a time, such as 10 or 0.5 (seconds), 500ms, 5m or 1h.")
    if not 0 <= number < 1e9:  # NaN fails this too.
        raise ValueError(f"{value} is out of range; a time is at least 0.")
    return float(number)


def milliseconds(value: object) -> str:
    """Converts a plain number of milliseconds to a time as text. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,9}", str(value)):
        raise ValueError(f"{format_value(value)} is not a whole number of milliseconds.")
    return f"{value}ms"


def optional(parse: Parser) -> Parser:
    """Makes a parser that also accepts None: the server then chooses the value."""

    def check(value: object) -> object:
        return None if value is None else parse(value)

    return check


def boolean(value: object) -> bool:
    """Parses True or False; as text 1/0, true/false, yes/no, on/off."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value.lower() in ("1", "true", "yes", "on"):
            return True
        if value.lower() in ("0", "false", "no", "off"):
            return False
    raise ValueError(f"{format_value(value)} is neither true nor false.")


def choice(*names: str) -> Callable[[object], str]:
    """Makes a parser that accepts one of `names`, in either case. names: in lower case."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value.lower() not in names:
            message = f"{format_value(value)} is not one of {', '.join(names)}."
            # local8 is not a misspelling of local7.
            near = closest_match(value, names, MIN_SIMILARITY) if isinstance(value, str) and value.isalpha() else ""
            raise ValueError(f"{message} Did you mean {near}?" if near else message)
        return value.lower()

    return check


def number_or_auto(counted: str, maximum: int) -> Callable[[object], int | Literal["auto"]]:
    """Makes a parser of numbers from 1 to `maximum`, or auto. counted: the noun for messages."""
    whole = integer(1, maximum)

    def check(value: object) -> int | Literal["auto"]:
        if isinstance(value, str) and value.lower() == "auto":
            return "auto"
        try:
            return whole(value)
        except ValueError:
            # In other servers 0 means that the server chooses the number.
            hint = "; write auto." if value in ("0", 0) and value is not False else "."
            raise ValueError(
                f"{format_value(value)} is neither auto nor a number of {counted} from 1 to {maximum}{hint}"
            ) from None

    return check


MAX_THREADS = 1024
threads = number_or_auto("threads", MAX_THREADS)
workers = number_or_auto("processes", 10000)


def text(value: object) -> str:
    """Parses text without a NUL, which no path can contain."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{format_value(value)} is not a text{in_quotes(value)}")
    return value


def path(value: object) -> str:
    """Parses a path, as text or os.PathLike."""
    return text(os.fspath(value) if isinstance(value, os.PathLike) else value)


def split_paths(value: str) -> list[str]:
    """Splits a list of paths at its commas."""
    return [part for each in value.split(",") if (part := each.strip())]


def log_file(value: object) -> str:
    """Parses the path of a file, or - for a standard stream."""
    if not (checked := path(value)):
        raise ValueError("a file name cannot be empty; write - for the standard stream.")
    return checked


def variable(value: object) -> str:
    """Parses a variable of the environment with its value."""
    if not re.match(r"[^=\s]+=", checked := text(value)):
        raise ValueError(f"{format_value(value)} is not a variable; write NAME=value.")
    return checked


def utf8_text(value: object) -> str:
    """Parses text that can be encoded; bytes of a command line that are not UTF-8 arrive as lone surrogates."""
    if re.search(r"[\ud800-\udfff]", checked := text(value)):
        raise ValueError(f"{format_value(value)} is not UTF-8 text.")
    return checked


def permissions(value: object) -> int | None:
    """Parses permission bits of a file: octal digits as text, or a number as for os.chmod."""
    if isinstance(value, str) and re.fullmatch(r"(0o)?[0-7]{1,4}", value):
        value = int(value, 8)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777):
        return value
    raise ValueError(f"{format_value(value)} is not a set of permissions; give octal digits such as '660'.")


def account(value: object) -> str:
    """Parses the name or number of a user or a group; "" is none."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(r"[^\s:\x00-\x1f\x7f]*", value):
        raise ValueError(f"{format_value(value)} is neither the name nor the number of an account.")
    return value


def hooks(value: object) -> str:
    """Parses the dotted name of a module, python:MODULE or file:FILE; "" is none."""
    checked = text(value).removeprefix("python:")
    if re.match("file:.", checked):
        return checked
    if checked.endswith(".py") or (checked and not all(part.isidentifier() for part in checked.split("."))):
        named = re.fullmatch(r"(?:\./)*((?:\w+/)*\w+)\.py", checked)
        hint = f"; write {named[1].replace('/', '.')}." if named else ", such as hooks or project.hooks."
        raise ValueError(f"{format_value(value)} is not the name of a module{hint}")
    return checked


def root_path(value: object) -> str:
    """Parses a path that starts with a slash and ends without one; "" is the root."""
    if not isinstance(value, str) or re.search(r"[\x00-\x20\x7f?#\ud800-\udfff]|://", value):
        raise ValueError(f"{format_value(value)} is not a path prefix such as /api.")
    value = value.rstrip("/")
    if value and not value.startswith("/"):
        raise ValueError(f"{format_value(value)} does not start with a slash; write /{value}.")
    return value


def request_path(value: object) -> str:
    """Parses a path as it is in a request line, without a query; "" is none."""
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]*", value) or re.search(r"[?#]|://", value):
        raise ValueError(f"{format_value(value)} is not a path such as /up; encode other characters with %.")
    if value and not value.startswith("/"):
        raise ValueError(f"{format_value(value)} does not start with a slash; write /{value}.")
    return value


def request_target(value: object) -> str:
    """Parses a path as it is in a request line, with or without a query."""
    path, mark, query = value.partition("?") if isinstance(value, str) else (value, "", "")
    if not request_path(path) or not re.fullmatch(r"[!-\"$-~]*", query):
        raise ValueError(f"{format_value(value)} is not a path such as /shop?page=1; encode other characters with %.")
    return f"{path}{mark}{query}"


def field_name(value: object) -> str:
    """Parses the name of a header field, and returns it in lower case; "" is none."""
    if not isinstance(value, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*", value):
        raise ValueError(f"{format_value(value)} is not the name of a header field, such as x-request-id.")
    return value.lower()


def access_log_format(value: object) -> str:
    """Parses a format of the access log in Gunicorn's atoms: `%(h)s`, `%({name}i)s`; `%%` is a percent sign."""
    check_access_log_format(checked := text(value))
    if checked and not re.search(_ATOM, checked.replace("%%", "")):
        raise ValueError(f"{format_value(value)} has no atom; remove the option for the combined format.")
    return checked


def check_access_log_format(text: str) -> None:
    """Raises ValueError for a format that the access log cannot write."""
    if re.search(r"[\0\r\n]", text):
        raise ValueError(f"{text!r} is not one line.")
    rest = re.sub(_ATOM, "\n", text)
    if wrong := re.search(r"%(\(.*?\)\w?|.?)", rest):
        raise ValueError(
            f"{wrong[0]!r} is not an atom of an access log; write, for example, %(h)s, and %% for a percent sign."
        )


_ATOM = r"%%|%\((?:[hlutrmUqHsBbfaTDMLQp]|\{[^{}()]+\}[ioe])\)s"


# --- Addresses to listen on ---


class _Fields:
    """The base of types with fields: objects are equal if their type and fields are.

    A dataclass would take 1 ms of each start, since it compiles its methods.
    """

    __slots__: tuple[str, ...] = ()

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._values() == self._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"


class TcpBind(_Fields):
    """A host, as a name or a numeric address ("" is every interface), and a port (0: the kernel chooses)."""

    __slots__ = ("host", "port")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "*"
        return f"{host}:{self.port}"


class UnixBind(_Fields):
    """The path of a Unix socket."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __str__(self) -> str:
        return f"unix:{self.path}"


class FdBind(_Fields):
    """A descriptor of an inherited listening socket."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __str__(self) -> str:
        return f"fd://{self.fd}"


class NamedFdBind(_Fields):
    """The name of a listening socket that an init system passes."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"fd://{self.name}"


Bind = TcpBind | UnixBind | FdBind | NamedFdBind


def bind(value: object) -> Bind:
    """Parses `HOST:PORT`, `[v6]:PORT`, `HOST`, `PORT`, `unix:PATH`, `fd://N` or `fd://NAME`; an empty HOST or `*` is
    every interface."""
    if isinstance(value, (TcpBind, UnixBind, FdBind, NamedFdBind)):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{format_value(value)} is not an address such as 127.0.0.1:8000{in_quotes(value)}")
    if value.startswith("unix:"):
        return _unix_bind(value)
    if re.fullmatch(r"fd:(?!//).*", value):
        raise ValueError(f"{format_value(value)} is not an address; write fd://{value[3:].lstrip('/') or 3}.")
    if value.startswith("fd://"):
        name = value.removeprefix("fd://")
        if re.fullmatch(r"[0-9]{1,7}", name):
            return FdBind(int(name))
        if re.fullmatch(r"[A-Za-z_][\w.@-]*", name, re.ASCII):
            return NamedFdBind(name)
        raise ValueError(f"{format_value(value)} does not name a descriptor; write fd://3.")
    return _tcp_bind(value)


def _unix_bind(value: str) -> UnixBind:
    path = value.removeprefix("unix:")
    if re.match(r"//[^/]", path):
        raise ValueError(f"{format_value(value)} is not an address; write unix:{path[1:]} for the path {path[1:]}.")
    if path.startswith("//"):
        path = path.removeprefix("//")
    if path.startswith("unix:"):
        raise ValueError(f"{format_value(value)} is not an address; write {path}.")
    if not path or "\0" in path:
        raise ValueError(f"{format_value(value)} does not name a path; write unix:/run/app.sock.")
    if path.startswith("@"):
        raise ValueError(f"{format_value(value)}: abstract sockets are not supported; give the path of a file.")
    return UnixBind(path)


def _tcp_bind(value: str) -> TcpBind:
    if value.startswith("tcp://"):
        value = value.removeprefix("tcp://").removesuffix("/")
    if url := re.fullmatch(r"https?://([^/]+:[0-9]+)/?", value):
        raise ValueError(f"{format_value(value)} is not an address; write {url[1]}.")
    if re.match(r"\.{0,2}/|[^:]*\.sock$", value):
        raise ValueError(f"{format_value(value)} is not an address; write unix:{value}.")
    if "/" in value:
        raise ValueError(f"{format_value(value)} is not an address; write HOST:PORT, unix:PATH or fd://N.")
    if re.fullmatch(r"[0-9]+", value):
        return TcpBind(DEFAULT_HOST, _port(value, value))
    if bracketed := re.fullmatch(r"\[([^\[\]]+)\](?::(.*))?", value):
        host, port = bracketed[1], bracketed[2]
        if ":" not in host:
            raise ValueError(f"{format_value(value)}: brackets are for IPv6 addresses; write {host}:{port or 8000}.")
    else:
        host, colon, port = value.rpartition(":")
        if ":" in host or value.count(":") > 1:
            raise ValueError(f"{format_value(value)}: an IPv6 address needs brackets, as in [::1]:8000.")
        if not colon:
            host, port = value, None
    if port is None and host:
        port = str(DEFAULT_PORT)
    if not port:
        bracketed_host = f"[{host}]" if ":" in host else host
        raise ValueError(f"{format_value(value)} has no port; write {bracketed_host}:{DEFAULT_PORT}.")
    # A comma separates addresses. Resolvers take names with commas, so a list of nothing would be an address.
    if re.search(r"[\s,\x00-\x1f\x7f]", host):
        raise ValueError(f"{format_value(value)} is not an address such as 127.0.0.1:8000.")
    return TcpBind("" if host == "*" else host, _port(port, value))


def lacks_port(value: str) -> bool:
    """Whether an address is a host alone, so that its port may be given elsewhere."""
    return re.fullmatch(r"\[[^\[\]]+\]|(?!unix:|fd:)(?![0-9]+$)[^:/,\s\[\]]+", value) is not None


def split_binds(value: str) -> list[str]:
    """Splits a list of addresses, `:1,:2`, which waitress separates by spaces. Paths may have both."""
    if re.search(r"unix:.*[,\s](?!unix:|fd://|[^/,\s]*:[0-9]+)", value):
        return [value]
    return [part for part in re.split(r"[,\s]+", value) if part] or [value]


def _port(digits: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", digits) or int(digits) > 65535:
        address = "" if digits == value else f"{format_value(value)}: "
        raise ValueError(f"{address}{digits!r} is not a port; ports are 0 to 65535.")
    return int(digits)


AdminBind = TcpBind | UnixBind


def admin_bind(value: object) -> AdminBind | None:
    """Parses `unix:PATH`, or `HOST:PORT` with a loopback address; "" and None are none."""
    if value is None or value == "":
        return None
    address = bind(value)
    if isinstance(address, (FdBind, NamedFdBind)):
        raise ValueError(f"{format_value(value)} is a descriptor; write unix:PATH or 127.0.0.1:PORT.")
    if isinstance(address, TcpBind) and not re.fullmatch(r"localhost|127(\.[0-9]{1,3}){3}|::1", address.host):
        raise ValueError(
            f"{format_value(value)} can be reached from other machines; write unix:PATH or 127.0.0.1:{address.port}."
        )
    return address


def host(value: object) -> str:
    """Parses the HOST of an address; an IPv6 address needs no brackets."""
    if isinstance(value, str):
        if re.fullmatch(r"(\[.*\]|[^:]*):[0-9]+", value):
            raise ValueError(f"{format_value(value)} is an address with a port; write --bind {value}.")
        bare = value.removeprefix("[").removesuffix("]")
        try:
            return _tcp_bind(f"[{bare}]:0" if ":" in bare else f"{bare}:0").host
        except ValueError:
            pass
    raise ValueError(f"{format_value(value)} is not a host name or a numeric address.")


def port(value: object) -> int:
    """Parses a port from 0 (any free one) to 65535."""
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not re.fullmatch(r"[0-9]{1,5}", str(value)):
        # Gunicorn's -p is a file.
        hint = f" For a process id file write --pid-file {value}." if "/" in str(value) else ""
        raise ValueError(f"{format_value(value)} is not a port; ports are 0 to 65535.{hint}")
    return _port(str(value), str(value))


# --- Applications beside the one at / ---


class Mount(_Fields):
    """An application and its path.

    prefix: the application gets requests for this path and below. Decoded, with a slash in front and none at its end.
    app: "MODULE:ATTR", or, from Python, the application itself.
    """

    __slots__ = ("app", "prefix")

    def __init__(self, prefix: str, app: Any) -> None:
        self.prefix = prefix
        self.app = app


def mount(value: object) -> Mount:
    """Parses `/PATH=MODULE:ATTR` as text, or a pair of a path and an application."""
    prefix, app = _halves_of_mount(value)
    if app is None or app == "":
        raise ValueError(
            f"{format_value(value)} does not name a path and an application; write /PATH=MODULE:ATTRIBUTE, as in"
            ' /api=api:app, or from Python [("/api", api)].'
        )
    path = root_path(prefix)
    if not path:
        raise ValueError(f"{format_value(prefix)} is the path of APP; mount at another one, such as /api.")
    if "//" in path:
        raise ValueError(f"{format_value(path)} has an empty segment; remove a slash.")
    return Mount(path, text(app) if isinstance(app, str) else app)


def _halves_of_mount(value: object) -> tuple[object, Any]:
    """Splits a mount into a path and an application, which is None if it is missing."""
    if isinstance(value, Mount):
        return value.prefix, value.app
    if isinstance(value, str):
        prefix, _, app = value.partition("=")
        return prefix, app
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return value[0], value[1]
    return value, None


# --- Fields that every response gets ---

Header = tuple[bytes, bytes]

# RFC 9110 5.6.2 and 5.5: a token, and a value without control characters.
_FIELD = r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)"

# They frame the message or belong to the connection (RFC 9110 7.6.1, RFC 9112 6), so only the server sets them.
# The same fields as exchange/response_head.pyx drops from applications.
_OWN_FIELDS = {
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


def header(value: object) -> Header:
    """Parses `Name: value` as text, or a pair of texts or byte strings."""
    line = value
    if isinstance(value, (tuple, list)) and len(value) == 2:
        parts = [part.decode("latin-1") if isinstance(part, bytes) else part for part in value]
        line = ": ".join(parts) if all(isinstance(part, str) for part in parts) else None
    match = re.fullmatch(_FIELD, line) if isinstance(line, str) else None
    if match is None:
        raise ValueError(f"{format_value(value)} is not a header field; write 'Name: value'.")
    name, content = match[1], match[2].strip(" \t")
    if name.lower() in _OWN_FIELDS:
        raise ValueError(f"{name} is set by the server itself and cannot be added.")
    return name.lower().encode("ascii"), content.encode("latin-1")


# --- Values as text ---


def seconds_to_text(value: float) -> str:
    """Formats a time in the largest unit that gives a whole number: 60.0 is 1m, 0.25 is 250ms."""
    milliseconds = round(value * 1000)
    for name, length in _TIMES.items():
        step = round(length * 1000)
        if milliseconds and not milliseconds % step and abs(milliseconds - value * 1000) < 1e-6:
            return f"{milliseconds // step}{name}"
    return f"{value:.9f}".rstrip("0").rstrip(".")


def size_to_text(value: int) -> str:
    """Formats a size in the largest unit that gives a whole number: 65536 is 64K."""
    for name, length in _SIZES.items():
        if value and not value % length:
            return f"{value // length}{name}"
    return str(value)


def boolean_to_text(value: bool) -> str:
    return "true" if value else "false"


def mount_to_text(value: Mount) -> str:
    """Formats a mount; it can be read back if the application is given by name."""
    return f"{value.prefix}={value.app}"


def header_to_text(value: Header) -> str:
    return f"{value[0].decode('ascii')}: {value[1].decode('latin-1')}"
