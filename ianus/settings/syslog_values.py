"""Parsers of the settings about syslog: the address of the daemon, the facility, and the prefix of its records."""

import re
from typing import TYPE_CHECKING

from ianus.settings.values import choice, format_value

if TYPE_CHECKING:
    from socket import SocketKind

FACILITIES = (
    *("auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp"),
    *(f"local{number}" for number in range(8)),
)
_PORT = 514

_NETWORK = r"(udp|tcp)://(?:\[([0-9a-fA-F:.]+)\]|([^\s\[\]:/#\0]*))(?::([0-9]{1,5}))?"
_UNIX = r"unix://(/[^#\0]*)(?:#(dgram|stream))?"


def address(value: object) -> str:
    """Parses udp://HOST:PORT, tcp://HOST:PORT or unix://PATH, of which the last may end in #dgram or #stream."""
    if isinstance(value, str) and _target(value) is not None:
        return value
    raise ValueError(
        f"{format_value(value)} is not an address of syslog, such as unix:///dev/log, udp://localhost:514 or"
        " tcp://[::1]:601."
    )


def target(log_syslog_to: str) -> "tuple[str | tuple[str, int], SocketKind | None]":
    """Returns the path, or host and port, and the type of the socket; None if the daemon decides about it.

    log_syslog_to: a text that address() accepts.
    """
    from socket import SOCK_DGRAM, SOCK_STREAM  # Late: only for a server with syslog.

    parts = _target(log_syslog_to)
    assert parts is not None
    place, kind = parts
    return place, {"udp": SOCK_DGRAM, "tcp": SOCK_STREAM, "dgram": SOCK_DGRAM, "stream": SOCK_STREAM}.get(kind)


def _target(text: str) -> tuple[str | tuple[str, int], str] | None:
    """Returns the path, or host and port, and the word for the type; None for any other text."""
    if match := re.fullmatch(_UNIX, text):
        return match[1], match[2] or ""
    match = re.fullmatch(_NETWORK, text)
    port = int(match[4] or _PORT) if match else 0
    if match is None or not 0 < port < 65536:
        return None
    return (match[2] or match[3] or "localhost", port), match[1]


def facility(value: object) -> str:
    """Parses the name of a facility. security is an old name of auth."""
    is_old = isinstance(value, str) and value.lower() == "security"
    return choice(*FACILITIES)("auth" if is_old else value)


def prefix(value: object) -> str:
    """Parses the second part of a record's name, which cannot have spaces. It may be empty."""
    if isinstance(value, str) and re.fullmatch(r"[!-9;-~]{0,48}", value):
        return value
    raise ValueError(
        f"{format_value(value)} is not a name for syslog: at most 48 characters of ASCII, without spaces and colons."
    )


def tag(log_syslog_prefix: str, process_name: str) -> str:
    """Returns the name at the start of records."""
    name = log_syslog_prefix or re.sub(r"[^!-~]+", "_", process_name.replace(":", "."))
    return f"ianus.{name}.error" if name else "ianus.error"
