"""Lines of the server's own log: text, or one JSON object for each record.

Rule: a record starts a line, further lines are indented, and characters that are not printable are escaped. So text
that a client has chosen cannot look like a record of its own, or drive a terminal.
"""

import logging
import re
from typing import Any

from ianus.errors import whole_traceback

# The attribute of a record whose text a handler of the application has formatted already.
ALREADY_FORMATTED = "ianus_already_formatted"

# The start of a line of TextFormatter.
_RECORD_START = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} ")


class _Formatter(logging.Formatter):
    """Formats the exception of a record, however it is made."""

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback, without a newline at the end."""
        return whole_traceback(ei[1]).rstrip("\n") if ei[1] is not None else super().formatException(ei)


# Select graphic rendition (ECMA-48 section 8.3.117): green, yellow, red, and bold red.
_COLORS = {"INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


class TextFormatter(_Formatter):
    """2026-01-31 23:59:59 +0000 INFO message

    is_colored: the level has a colour, for a terminal.
    """

    def __init__(self, *, is_colored: bool = False) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S %z")
        self._is_colored = is_colored

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, every line but the first indented."""
        text = record.getMessage() if getattr(record, ALREADY_FORMATTED, False) else ""
        # Text with a stamp of its own gets no second one, unless that stamp looks like ours.
        if not text or _RECORD_START.match(text):
            text = super().format(record)
        text = "\n    ".join(map(escape, text.split("\n")))
        stamp = _RECORD_START.match(text) if self._is_colored else None
        color = _COLORS.get(record.levelname)
        if stamp is None or color is None:
            return text
        return f"{stamp[0]}\x1b[{color}m{record.levelname}\x1b[0m{text[stamp.end() + len(record.levelname) :]}"


class SyslogFormatter(_Formatter):
    """[pid] message: syslog has time and level itself."""

    def __init__(self) -> None:
        super().__init__("[%(process)d] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, every line but the first indented."""
        return "\n    ".join(map(escape, super().format(record).split("\n")))


class JsonFormatter(_Formatter):
    """An object with time, level, logger and message, and exception if there is one. Always one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON in ASCII."""
        import json

        line = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line).replace("\x7f", "\\u007f")  # json escapes all controls but this one

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """ISO 8601 in UTC, with milliseconds."""
        import time

        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z"


def escape(text: str) -> str:
    """The text with everything that is not printable written as Python would: \\n, \\x1b, \\u202e."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
