"""Counts the warnings and errors of the server's own log for statsd."""

import logging
from collections.abc import Callable

_NAMES = {logging.WARNING: "warning", logging.ERROR: "error", logging.CRITICAL: "critical"}


class LogCounter(logging.Handler):
    """Reports each record from WARNING up. Those with a traceback are counted as `exception`.

    count: is called with the name of the metric, and must neither raise nor block.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._count = count

    def emit(self, record: logging.LogRecord) -> None:
        """Counts a record; its lock is held."""
        name = "exception" if record.exc_info else _NAMES.get(record.levelno)
        if name is not None:
            self._count(f"gunicorn.log.{name}")
