"""`wsgi.errors`: what applications write there becomes records of the logger `ianus.app` (PEP 3333, "Input and Error
Streams").

One stream serves all threads, so what each has begun to write is its own: lines of two requests never mix. What
several lines arrive in one write() stay together in one record, as a traceback does.
"""

import logging
import sys
import threading
from collections.abc import Iterable

logger = logging.getLogger("ianus.app")

# Characters that a line may have before it is logged in parts: what never ends must not fill the memory.
_LONGEST = 65536


class _Begun(threading.local):
    """What the current thread has written and not ended yet."""

    text = ""
    is_logging = False


class ErrorStream:
    """A text stream into the log."""

    def __init__(self) -> None:
        self._begun = _Begun()
        self.has_begun_lines = False  # True once any thread has left a line unfinished: only then flush() is worth it.

    def write(self, text: str) -> int:
        """Logs whole lines; what is behind the last newline waits for its end or for flush()."""
        begun = self._begun
        if begun.is_logging:
            # Flask's documentation gives the root logger a handler that writes here. Where our records reach it
            # they come back, and would for ever.
            return sys.stderr.write(text)
        whole, newline, rest = (begun.text + text).rpartition("\n")
        if len(rest) > _LONGEST:
            whole, rest = whole + newline + rest, ""
        begun.text = rest
        if rest:
            self.has_begun_lines = True
        self._log(whole)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes all of them at once."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Logs what the current thread has begun. Whoever calls an application does so when it has returned."""
        begun = self._begun
        if begun.text and not begun.is_logging:  # Behind each call there is mostly nothing.
            rest, begun.text = begun.text, ""
            self._log(rest)

    def _log(self, text: str) -> None:
        text = text.strip("\n")
        if text:
            self._begun.is_logging = True
            try:
                logger.error("%s", text)
            finally:
                self._begun.is_logging = False
