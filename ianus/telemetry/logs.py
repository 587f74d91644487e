"""The server's own log, through Python's logging, and the files that both logs are written to.

Facts and rules:
- All messages go to the logger `ianus.error`; text that WSGI applications write to `wsgi.errors`, to `ianus.app`. This
  module adds a handler, unless the user's own configuration has one: handlers of `ianus` or of the logger, or any that
  --log-config sets up.
- Files are opened for appending by a descriptor whose number never changes: when a log was rotated, dup2() puts the new
  file in its place, also for threads that are writing to it.
- json and logging.config are imported only if they are needed; they take 5 and 20 ms.
"""

import errno
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

from ianus.errors import StartupError
from ianus.safe_paths import Parent, UnsafePathError
from ianus.telemetry.formatters import JsonFormatter, TextFormatter
from ianus.telemetry.handler import LineHandler, standard_error_handler
from ianus.telemetry.logger import fallback

if TYPE_CHECKING:
    from configparser import ConfigParser

# Loggers for the access log, if a configuration names them; the first one is used.
ACCESS_LOGGERS = ("ianus.access", "uvicorn.access", "gunicorn.access")

_LOGGERS = (logging.getLogger("ianus.error"), logging.getLogger("ianus.app"))


# --- Files ---


class LogFile:
    """A file that lines are appended to. "-" stands for a standard stream, which stays open.

    fd: the same number until close(). path: as the user wrote it. setting: its name on the command line.

    Raises StartupError if the file cannot be opened.
    """

    def __init__(self, path: str, setting: str, standard: int) -> None:
        self.path = path
        self._is_standard = path == "-"
        try:
            self.fd = standard if self._is_standard else _append(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise explain_log_file(path, setting, error) from None

    def reopen(self) -> None:
        """Continues in the file that is at `path` now, after log rotation. Raises OSError."""
        if not self._is_standard:
            fd = _append(self.path)
            os.dup2(fd, self.fd, inheritable=False)
            os.close(fd)

    def close(self) -> None:
        """Closes the file. May be called twice."""
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


# --- Configuration ---


_named: set[str] = set()  # loggers that the configuration names


def access_logger() -> str:
    """The access logger that the configuration of this process names; "" is none."""
    return next((name for name in ACCESS_LOGGERS if name in _named), "")


def apply_config(log_config: str, app_dir: str) -> None:
    """Configures Python's logging from a file in the format of its name: .json, .yaml, .yml, or else .ini.

    log_config: the path, or a dictionary as JSON.
    app_dir: the first directory for modules, such as one with a formatter; it is put in front of sys.path.

    Raises StartupError with the mistake in the file.
    """
    from logging import config

    directory = os.path.abspath(app_dir)  # noqa: PTH100
    if directory not in sys.path[:1]:
        sys.path.insert(0, directory)
    _named.clear()
    kind = os.path.splitext(log_config)[1].lower()  # noqa: PTH122  (pathlib takes 5 ms to import)
    content = log_config
    try:
        if log_config.startswith("{"):
            import json

            log_config = "logconfig_dict"  # for messages
            _apply_dictionary(json.loads(content))
            return
        with open(log_config, encoding="utf-8") as file:  # noqa: PTH123
            if kind == ".json":
                import json

                _apply_dictionary(json.load(file))
            elif kind in (".yaml", ".yml"):
                _apply_dictionary(_load_yaml(file))
            else:
                sections = _sections(file)
                config.fileConfig(sections, disable_existing_loggers=False)
                _named.update(each["qualname"] for each in sections.values() if "qualname" in each)
    except StartupError:
        raise
    except _ShapeError as error:
        raise StartupError(f"The logging configuration {log_config} {error}.") from None
    except OSError as error:
        raise StartupError(
            f"The logging configuration {log_config} cannot be read ({error.strerror or error}). Check --log-config."
        ) from None
    except Exception as error:  # All objects that the file names are imported and called.
        cause = error if error.__cause__ is None else error.__cause__
        reason = f"{error}: {cause}" if cause is not error else f"{type(error).__name__}: {error}"
        raise StartupError(
            f"The logging configuration {log_config} cannot be used ({reason}). It is read as Python's "
            "logging.config describes: .json and .yaml as dictConfig(), everything else as fileConfig()."
        ) from None


class _ShapeError(Exception):
    """A mistake of a whole configuration; the text follows its name."""


def _apply_dictionary(content: object) -> None:
    from logging import config

    dictionary = _dictionary(content)
    loggers = dictionary.get("loggers")
    if isinstance(loggers, dict) and "gunicorn.error" in loggers and not {"ianus", "ianus.error"} & loggers.keys():
        dictionary["loggers"] = loggers | {"ianus.error": loggers["gunicorn.error"]}
    config.dictConfig(dictionary)
    _named.update(loggers or ())


def _dictionary(content: object) -> dict[str, Any]:
    """Returns a dictionary for dictConfig(), which by default keeps existing loggers enabled."""
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


def add_handler(handler: logging.Handler) -> None:
    """Has a further handler get all records of the server."""
    for logger in _LOGGERS:
        logger.addHandler(handler)


def remove_handler(handler: logging.Handler) -> None:
    """Undoes add_handler()."""
    for logger in _LOGGERS:
        logger.removeHandler(handler)


class ErrorLog:
    """The server's own log while it is open, in a file ("-": standard error) or in the user's own handlers.

    log_level: the minimum level of records that are written, unless the loggers have levels already.
    is_colored: levels have colours in text.
    configured: the user's own configuration was applied; its settings of our loggers are intended.

    To be opened when the application was loaded, which may have configured logging too. Raises StartupError if the
    file cannot be opened.
    """

    def __init__(
        self,
        *,
        log_level: str,
        log_format: Literal["text", "json"],
        error_logfile: str,
        is_colored: bool = False,
        configured: bool,
    ) -> None:
        self._added: list[logging.Handler] = []
        self.file = LogFile(error_logfile, "--error-logfile", 2)
        self._before = [(logger, logger.level, logger.propagate) for logger in _LOGGERS]
        # sys.stderr, not descriptor 2: tests replace it.
        self._handler = LineHandler(self.file.fd) if error_logfile != "-" else standard_error_handler()
        self._handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter(is_colored=is_colored))
        self._fallback = fallback.formatter, fallback.handler
        fallback.formatter = self._handler.formatter or fallback.formatter
        fallback.handler = None if error_logfile == "-" else self._handler
        parent = logging.getLogger("ianus")
        for logger in _LOGGERS:
            # logging.config disables every logger that exists by default. No user wants a server that does not report
            # its errors.
            logger.disabled = parent.disabled = False
            if logger.level == parent.level == logging.NOTSET:
                logger.setLevel(log_level.upper())
            is_handled = bool(logger.handlers or parent.handlers or (configured and logger.hasHandlers()))
            if not is_handled or error_logfile != "-":
                logger.addHandler(self._handler)
            if not is_handled:
                logger.propagate = False

    def add(self, handler: logging.Handler) -> None:
        """Has a further handler get all records too, until the log is closed, and the handler with it."""
        self._added.append(handler)
        add_handler(handler)

    def close(self) -> None:
        """Restores the loggers. May be called twice."""
        for logger, level, propagate in self._before:
            logger.removeHandler(self._handler)
            logger.setLevel(level)
            logger.propagate = propagate
        if fallback.formatter is self._handler.formatter:
            fallback.formatter, fallback.handler = self._fallback
        for added in self._added:
            remove_handler(added)
            added.close()
        self.file.close()
