"""`wsgi.errors`: what applications write there becomes records of the logger `ianus.app` (PEP 3333, "Input and Error
Streams").

One stream serves all threads, so what each has begun to write is its own: lines of two requests never mix. What
several lines arrive in one write() stay together in one record, as a traceback does.

Frameworks have handlers of Python's logging that write here (Flask's default one does). The text of a handler has a
stamp and a level already: it is written as it came, at the level of its record.
"""

import logging
import sys
import threading
import warnings
from collections.abc import Iterable

from ianus.telemetry.logger import app_logger

# Characters that a line may have before it is logged in parts: what never ends must not fill the memory.
_MAX_LINE_CHARACTERS = 65536

# Frames between a handler and this stream that are looked at: rich's handler, which writes through a console, has ten.
_MAX_FRAMES = 16


class _ThreadText(threading.local):
    """What the current thread has written and not ended yet."""

    text = ""
    is_logging = False
    formatted_text = ""


class ErrorStream:
    """A text stream into the log."""

    def __init__(self) -> None:
        self._text_of_thread = _ThreadText()
        # True once any thread has written a line without its end; until then no call needs flush().
        self.has_unfinished_lines = False

    def write(self, text: str) -> int:
        """Logs whole lines; what is behind the last newline waits for its end or for flush()."""
        pending = self._text_of_thread
        if pending.is_logging:
            # Flask's documentation gives the root logger a handler that writes here. Where our records reach it
            # they come back, and would for ever.
            sys.stderr.write(pending.formatted_text or text)
            return len(text)
        level, is_formatted = _origin()
        if is_formatted and pending.text:
            self.flush()  # Text that the application has begun before is not the handler's.
        whole, newline, rest = (pending.text + text).rpartition("\n")
        if len(rest) > _MAX_LINE_CHARACTERS:
            whole, rest = whole + newline + rest, ""
        pending.text = rest
        if rest:
            self.has_unfinished_lines = True
        self._log(whole, level, is_formatted)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes all of them at once."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Logs what the current thread has pending. Whoever calls an application does so when it has returned."""
        pending = self._text_of_thread
        if pending.text and not pending.is_logging:  # Behind each call there is mostly nothing.
            rest, pending.text = pending.text, ""
            self._log(rest, logging.ERROR, False)

    def _log(self, text: str, level: int, is_formatted: bool) -> None:
        text = text.strip("\n")
        if text:
            pending = self._text_of_thread
            pending.is_logging = True
            pending.formatted_text = f"{text}\n" if is_formatted else ""
            try:
                app_logger.pass_text(level, text, as_it_came=is_formatted)
            finally:
                pending.is_logging = False


def _origin() -> tuple[int, bool]:
    """The level of what is being written, and whether a handler of Python's logging has formatted it.

    The stream is given text alone, so the callers are looked at: a handler has the record in a local variable.
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
