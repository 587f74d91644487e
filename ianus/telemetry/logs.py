"""The server's own log, through Python's logging, and the files that both logs are written to.

Facts and rules:
- Everything is said to the logger `ianus.error`; what WSGI applications write to `wsgi.errors`, to `ianus.app`. Where
  it goes is decided here, or by the user's own configuration, which always wins: handlers of `ianus` or of the logger,
  or any that --log-config sets up.
- A record begins a line and its further lines (tracebacks) are indented, and what is not printable is written as an
  escape. So no text that a client has chosen can look like a record of its own, or drive a terminal.
- Files are opened for appending by a descriptor that stays the same for ever: when a log was rotated, another file
  is put behind its number, whoever is writing to it.
- json and logging.config are imported where they are asked for; they take 5 and 20 ms.
"""

import errno
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

from ianus.errors import StartupError, whole_traceback
from ianus.safe_paths import Parent, UnsafePathError

if TYPE_CHECKING:
    from configparser import ConfigParser

_LOGGERS = (logging.getLogger("ianus.error"), logging.getLogger("ianus.app"))


# --- Files ---


class LogFile:
    """A file that lines are appended to. "-" stands for a standard stream, which stays open.

    fd: the same number until close(). path: what the user wrote. setting: its name on the command line.

    Raises StartupError where the file cannot be opened.
    """

    def __init__(self, path: str, setting: str, standard: int) -> None:
        self.path = path
        self._is_standard = path == "-"
        try:
            self.fd = standard if self._is_standard else _append(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise explain_log_file(path, setting, error) from None

    def reopen(self) -> None:
        """Goes on in the file that is at `path` now, after log rotation. Raises OSError."""
        if not self._is_standard:
            fd = _append(self.path)
            os.dup2(fd, self.fd, inheritable=False)
            os.close(fd)

    def text(self) -> TextIO:
        """A text stream into the file, which closing the stream leaves open."""
        return open(self.fd, "w", encoding="utf-8", errors="backslashreplace", closefd=False)

    def close(self) -> None:
        """May be called twice."""
        if not self._is_standard:
            self._is_standard = True
            os.close(self.fd)


_FIXES: dict[int | None, str] = {errno.ENOENT: "Create its directory", errno.EISDIR: "Name a file in it"}


def explain_log_file(path: str, setting: str, error: OSError | ValueError) -> StartupError:
    """Why the log file at `path` cannot be opened. setting: its name on the command line."""
    number, reason = (error.errno, error.strerror) if isinstance(error, OSError) else (None, str(error))
    fix = error.fix if isinstance(error, UnsafePathError) else _FIXES.get(number, "Let this user write there")
    return StartupError(
        f"The log file {path} cannot be opened ({reason}). "
        f"{fix}, or choose another file with {setting}; - is the terminal."
    )


def _append(path: str) -> int:
    with Parent(path, follow=True) as parent:
        return parent.append()[0]


# --- Lines ---


class _Formatter(logging.Formatter):
    """Formats the exception of a record, however it is made."""

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback, without a newline at the end."""
        return whole_traceback(ei[1]).rstrip("\n") if ei[1] is not None else super().formatException(ei)


class TextFormatter(_Formatter):
    """2026-01-31 23:59:59 +0000 INFO message"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S %z")

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, every line but the first indented."""
        return "\n    ".join(map(escape, super().format(record).split("\n")))


class JsonFormatter(_Formatter):
    """An object with time, level, logger and message, and exception where there is one. Always one line."""

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


# --- Configuration ---


def apply_config(path: str) -> None:
    """Configures Python's logging from a file in the format of its name: .json, .yaml, .yml, or else .ini.

    Raises StartupError that tells what is wrong with the file.
    """
    from logging import config

    kind = os.path.splitext(path)[1].lower()  # noqa: PTH122  (pathlib takes 5 ms to import)
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            if kind == ".json":
                import json

                config.dictConfig(_dictionary(json.load(file)))
            elif kind in (".yaml", ".yml"):
                config.dictConfig(_dictionary(_load_yaml(file)))
            else:
                config.fileConfig(_sections(file), disable_existing_loggers=False)
    except StartupError:
        raise
    except _ShapeError as error:
        raise StartupError(f"The logging configuration {path} {error}.") from None
    except OSError as error:
        raise StartupError(
            f"The logging configuration {path} cannot be read ({error.strerror or error}). Check --log-config."
        ) from None
    except Exception as error:  # Whatever the file names is imported and called.
        cause = error if error.__cause__ is None else error.__cause__
        told = f"{error}: {cause}" if cause is not error else f"{type(error).__name__}: {error}"
        raise StartupError(
            f"The logging configuration {path} cannot be used ({told}). It is read as Python's "
            "logging.config describes: .json and .yaml as dictConfig(), everything else as fileConfig()."
        ) from None


class _ShapeError(Exception):
    """What is wrong with the whole of a configuration, behind its name."""


def _dictionary(content: object) -> dict[str, Any]:
    """What dictConfig() takes, but for what nobody means by leaving it out."""
    if isinstance(content, dict):
        return {"disable_existing_loggers": False} | content
    kind = "is empty" if content is None else f"is a {type(content).__name__} at its top"
    raise _ShapeError(f"{kind}; it has to be a dictionary, as Python's logging.config.dictConfig() takes it")


def _sections(file: TextIO) -> "ConfigParser":
    from configparser import ConfigParser

    parser = ConfigParser()
    parser.read_file(file)
    missing = [f"[{name}]" for name in ("loggers", "handlers", "formatters") if not parser.has_section(name)]
    if missing:
        raise _ShapeError(f"lacks {', '.join(missing)}, which Python's logging.config.fileConfig() needs")
    return parser


def _load_yaml(file: TextIO) -> Any:
    try:
        import yaml
    except ImportError:
        raise StartupError(
            "A logging configuration in YAML needs PyYAML. Install it (pip install PyYAML), "
            "or write the configuration as .json or .ini."
        ) from None
    return yaml.safe_load(file)


class ErrorLog:
    """The server's own log while it is open, in a file ("-": standard error) or where the user wants to have it.

    level: the least that is written, unless the loggers have levels already.
    configured: the user's own configuration was applied; what it does with our loggers is meant.

    To be opened when the application was loaded, which may have configured logging too. Raises StartupError where
    the file cannot be opened.
    """

    def __init__(
        self,
        *,
        level: str = "info",
        log_format: Literal["text", "json"] = "text",
        path: str = "-",
        configured: bool = False,
    ) -> None:
        self.file = LogFile(path, "--error-logfile", 2)
        self._before = [(logger, logger.level, logger.propagate) for logger in _LOGGERS]
        # Standard error is what Python calls so now: tests replace it.
        self._handler = logging.StreamHandler(sys.stderr if path == "-" else self.file.text())
        self._handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
        parent = logging.getLogger("ianus")
        for logger in _LOGGERS:
            # logging.config disables every logger that exists by default; that a server should be silent about its
            # errors is never meant by it.
            logger.disabled = parent.disabled = False
            if logger.level == parent.level == logging.NOTSET:
                logger.setLevel(level.upper())
            is_handled = bool(logger.handlers or parent.handlers or (configured and logger.hasHandlers()))
            if not is_handled or path != "-":
                logger.addHandler(self._handler)
            if not is_handled:
                logger.propagate = False

    def close(self) -> None:
        """Leaves the loggers as they were. May be called twice."""
        for logger, level, propagate in self._before:
            logger.removeHandler(self._handler)
            logger.setLevel(level)
            logger.propagate = propagate
        self.file.close()
