"""The handler of the server's own log.

Rules: each record is one write, so that records of several processes do not mix. A record that cannot be written (a
full disk) is counted, and the number is logged as soon as something can be written again. Records that do not reach
a file go to standard error.
"""

import logging
import sys

from ianus.telemetry.logger import fallback, format_safely
from ianus.telemetry.system import pause, write

# Seconds that a reader gets to take something, if another process has made the pipe or terminal non-blocking.
WRITABLE_SECONDS = 0.5
RETRY_SECONDS = 0.01


class LineHandler(logging.Handler):
    """Writes records to the descriptor `fd`, without a buffer."""

    def __init__(self, fd: int, encoding: str = "utf-8") -> None:
        super().__init__()
        self._fd = fd
        self._encoding = encoding
        self._lost = 0
        self._reason = ""
        self._is_torn = False  # The last line has no end: a write was cut short.

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record; its lock is held."""
        text = self.format(record)
        if self._lost:
            text = f"{self.format(self._loss())}\n{text}"
        if self._is_torn:
            text = f"\n{text}"
        try:
            self._write(f"{text}\n".encode(self._encoding, "backslashreplace"))
        except OSError as error:
            self._lost += 1
            self._reason = error.strerror or str(error)
            if self._fd != 2:
                fallback.write_to_standard_error(record)
        else:
            self._lost = 0

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, also of one whose message cannot be made of its arguments."""
        assert self.formatter is not None
        return format_safely(self.formatter, record)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        waited = 0.0
        while view:
            try:
                written = write(self._fd, view)
            except BlockingIOError:
                if waited >= WRITABLE_SECONDS:
                    raise
                pause(RETRY_SECONDS)  # select.poll() does not exist if eventlet has patched it.
                waited += RETRY_SECONDS
                continue
            waited = 0.0
            view = view[written:]
            self._is_torn = bool(view)

    def _loss(self) -> logging.LogRecord:
        lost = "lost" if self._fd == 2 else "went to standard error instead"
        message = "error log could not be written (%s): %d record(s) %s"
        return logging.LogRecord("ianus.error", logging.ERROR, "", 0, message, (self._reason, self._lost, lost), None)


def standard_error_handler() -> logging.Handler:
    """Writes to standard error, or to the object that the program has put in its place."""
    try:
        is_own = sys.stderr.fileno() == 2
    except Exception:  # None, closed, or any object of the program's
        is_own = False
    return LineHandler(2, sys.stderr.encoding) if is_own else logging.StreamHandler()
