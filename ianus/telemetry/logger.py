"""The one way in which the server writes to its own log.

Facts: for each record Python's logging runs code of the application: filters, handlers, a record factory, a subclass
of Logger, methods that an error tracker has patched. Any of them may raise.

Rules:
- Nothing raised there passes on to the server: a log call must not change the course of a connection, a response, a
  worker or a stop.
- No record is lost by it: the record goes to standard error (and to --error-logfile), followed by
  the reason why logging failed.
"""

import functools
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from ianus.telemetry.formatters import ALREADY_FORMATTED, TextFormatter
from ianus.telemetry.system import write

ExcInfo = bool | BaseException | tuple[type[BaseException], BaseException, TracebackType | None] | None

# Seconds between two tracebacks of failures in logging; a line for each failure is always written.
TRACEBACK_SECONDS = 60.0


class Fallback:
    """Writes records that Python's logging could not take.

    formatter: of the server's own log. handler: writes to the file of --error-logfile, if there is one.
    """

    def __init__(self) -> None:
        self.formatter: logging.Formatter = TextFormatter()
        self.handler: logging.Handler | None = None
        self._traceback_at = -TRACEBACK_SECONDS

    def write(self, record: logging.LogRecord, failure: BaseException) -> None:
        """Writes `record`, and that logging it has failed. Never raises, except KeyboardInterrupt."""
        try:
            for each in (record, self._explain(failure)):
                self.write_to_standard_error(each)
                if self.handler is not None:
                    self.handler.handle(each)
        except KeyboardInterrupt:
            raise
        except BaseException:
            pass  # There is no place left to write to.

    def write_to_standard_error(self, record: logging.LogRecord) -> None:
        """Writes `record`. Raises the exceptions of a standard error that is closed or not the system's."""
        text = format_safely(self.formatter, record) + "\n"
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except Exception:  # None, closed, or an object of the application's that writes to the log itself
            write(2, text.encode("utf-8", "backslashreplace"))

    def _explain(self, failure: BaseException) -> logging.LogRecord:
        import traceback  # Servers whose logging works need none of it.

        reason = " ".join(traceback.format_exception_only(failure)).strip()
        now = time.monotonic()
        if now - self._traceback_at >= TRACEBACK_SECONDS:
            self._traceback_at = now
            # Without its context, which is often the exception that was to be logged.
            reason += "\n" + "".join(traceback.format_exception(failure, chain=False)).rstrip()
        message = "logging failed, the server wrote the record above itself: %s"
        return _record("ianus.error", logging.ERROR, message, (reason,), None)


fallback = Fallback()


class SafeLogger:
    """Writes to the logger `name` of Python's logging. Its methods never raise, except KeyboardInterrupt."""

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, message: str, *args: object) -> None:
        """Logs details for developers."""
        self._write(logging.DEBUG, message, args, None)

    def info(self, message: str, *args: object) -> None:
        """Logs a normal event."""
        self._write(logging.INFO, message, args, None)

    def warning(self, message: str, *args: object) -> None:
        """Logs an event that an operator should look at."""
        self._write(logging.WARNING, message, args, None)

    def error(self, message: str, *args: object, exc_info: ExcInfo = None) -> None:
        """Logs a failure."""
        self._write(logging.ERROR, message, args, exc_info)

    def exception(self, message: str, *args: object) -> None:
        """Logs a failure with the exception that is being handled."""
        self._write(logging.ERROR, message, args, True)

    def critical(self, message: str, *args: object) -> None:
        """Logs a failure that ends a process."""
        self._write(logging.CRITICAL, message, args, None)

    def log(self, level: int, message: str, *args: object, extra: Mapping[str, object] | None = None) -> None:
        """Logs at any level. extra: further attributes of the record."""
        self._write(level, message, args, None, extra)

    def pass_text(self, level: int, text: str, *, already_formatted: bool = False) -> None:
        """Gives text that the application has written to the handlers of this logger.

        already_formatted: a handler has formatted it, so that it gets no second stamp, and its level was decided on.

        Error trackers watch Logger.callHandlers(). They do not see this text: it repeats a record that they have seen,
        or an exception.
        """
        logger = self._logger()
        try:
            if already_formatted or logger.isEnabledFor(level):
                extra = {ALREADY_FORMATTED: True} if already_formatted else None
                record = logger.makeRecord(self._name, level, "(wsgi.errors)", 0, "%s", (text,), None, extra=extra)
                if logger.filter(record):
                    for handler in _handlers_of(logger):
                        if record.levelno >= handler.level:
                            handler.handle(record)
        except KeyboardInterrupt:
            raise
        except BaseException as failure:
            fallback.write(_record(self._name, level, "%s", (text,), None), failure)

    def _write(
        self,
        level: int,
        message: str,
        args: tuple[object, ...],
        exc_info: ExcInfo,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        handled: Any = sys.exc_info() if exc_info is True else exc_info
        try:
            # The caller of error() and the others is the third frame from here.
            self._logger().log(level, message, *args, exc_info=handled, extra=extra, stacklevel=3)
        except KeyboardInterrupt:
            raise
        except BaseException as failure:
            fallback.write(_record(self._name, level, message, args, handled), failure)

    def _logger(self) -> logging.Logger:
        logger = logging.getLogger(self._name)
        # logging.config disables all loggers that exist by default, whenever the application calls it. That a server is
        # silent about its errors is never meant by it.
        logger.disabled = False
        if "makeRecord" not in vars(logger):
            logger.makeRecord = functools.partial(_make_record, logger)  # type: ignore[method-assign]
        return logger


def format_safely(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """The text of a record, also of one whose message cannot be made of its arguments."""
    try:
        return formatter.format(record)
    except Exception as error:
        message = "%s (its arguments cannot be shown: %s)"
        plain = _record(record.name, record.levelno, message, (str(record.msg), type(error).__name__), None)
        return formatter.format(plain)


def _handlers_of(logger: logging.Logger) -> Iterator[logging.Handler]:
    """The handlers that a record of `logger` goes to."""
    found = False
    at: logging.Logger | None = logger
    while at is not None:
        for handler in at.handlers:
            found = True
            yield handler
        at = at.parent if at.propagate else None
    if not found and logging.lastResort is not None:
        yield logging.lastResort


def _make_record(logger: logging.Logger, *args: Any, **options: Any) -> logging.LogRecord:
    """Makes a record by the application's factory. Raises TypeError for another object.

    Since Python 3.12 a logger drops an object that is false, as if a filter had refused it.
    """
    record: object = type(logger).makeRecord(logger, *args, **options)
    if not isinstance(record, logging.LogRecord):
        raise TypeError(f"the record factory returned {type(record).__name__}")
    return record


def _record(name: str, level: int, message: str, args: tuple[object, ...], exc_info: Any) -> logging.LogRecord:
    """A record that no factory of the application's has made."""
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    return logging.LogRecord(name, level, "", 0, message, args, exc_info or None)


# The server's own messages, and the text that WSGI applications write to wsgi.errors.
logger = SafeLogger("ianus.error")
app_logger = SafeLogger("ianus.app")
