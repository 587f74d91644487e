"""`wsgi.errors`: a stream whose text becomes records of the logger `ianus.app` (PEP 3333, "Input and Error Streams").

All threads share one stream, but each has its own unfinished line, so lines of two requests never mix. Several lines of
one write(), such as a traceback, stay together in one record.

Frameworks have handlers of Python's logging that write here (Flask's default one does). The text of a handler has a
stamp and a level already: it is written unchanged, at the level of its record.
"""

import logging
import sys
import threading
import warnings
from collections.abc import Iterable

from ianus.telemetry.logger import app_logger

# Maximum characters of a line; a longer one is logged in parts, so that an endless line cannot fill the memory.
_MAX_LINE_CHARACTERS = 65536

# Maximum frames searched for a logging handler: rich's handler, which writes through a console, is ten frames up.
_MAX_FRAMES = 16


class _ThreadText(threading.local):
    """The unfinished line of the current thread."""

    text = ""
    is_logging = False
    formatted_text = ""


class ErrorStream:
    """A text stream into the log."""

    def __init__(self) -> None:
        self._text_of_thread = _ThreadText()
        # Idents of threads with a line without its end; while there are none, no call needs flush(). The gateway looks
        # at this set itself, as each request would pay for a method.
        self.unfinished_threads: set[int] = set()

    def write(self, text: str) -> int:
        """Logs whole lines. Text after the last newline waits for its end or for flush()."""
        pending = self._text_of_thread
        if pending.is_logging:
            # Flask's documentation gives the root logger a handler that writes here. If our records reach it, they
            # are written here again, without end.
            sys.stderr.write(pending.formatted_text or text)
            return len(text)
        level, is_formatted = _origin()
        if is_formatted and pending.text:
            self.flush()  # The unfinished line is the application's, not the handler's.
        whole, newline, rest = (pending.text + text).rpartition("\n")
        if len(rest) > _MAX_LINE_CHARACTERS:
            whole, rest = whole + newline + rest, ""
        pending.text = rest
        if rest:
            self.unfinished_threads.add(threading.get_ident())
        self._log(whole, level, is_formatted)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes all lines at once."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Logs the unfinished line of the current thread. The gateway calls this when the application has returned."""
        pending = self._text_of_thread
        if pending.text and not pending.is_logging:  # Usually there is none.
            rest, pending.text = pending.text, ""
            self.unfinished_threads.discard(threading.get_ident())
            self._log(rest, logging.ERROR, False)

    def _log(self, text: str, level: int, is_formatted: bool) -> None:
        text = text.strip("\n")
        if text:
            pending = self._text_of_thread
            pending.is_logging = True
            pending.formatted_text = f"{text}\n" if is_formatted else ""
            try:
                app_logger.pass_text(level, text, already_formatted=is_formatted)
            finally:
                pending.is_logging = False


def _origin() -> tuple[int, bool]:
    """Returns the level of the text being written, and whether a handler of Python's logging has formatted it.

    The stream gets only text, so this inspects the callers: a handler has the record in a local variable.
    """
    frame = sys._getframe(2)
    for _ in range(_MAX_FRAMES):
        names = frame.f_code.co_varnames
        if "record" in names and isinstance(record := frame.f_locals.get("record"), logging.LogRecord):
            return record.levelno, True
        if "msg" in names and isinstance(frame.f_locals.get("msg"), warnings.WarningMessage):
            return logging.WARNING, False
        if frame.f_back is None:
            break
        frame = frame.f_back
    return logging.ERROR, False
