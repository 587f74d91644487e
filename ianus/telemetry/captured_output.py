"""Output of a process in the file of its error log (--capture-output)."""

import os
import sys

from ianus.telemetry.logs import LogFile

STANDARD_STREAMS = (1, 2)


class CapturedOutput(LogFile):
    """Has the standard streams of this process written to a file, also those of its child processes.

    Raises StartupError if the file cannot be opened.
    """

    def __init__(self, error_logfile: str) -> None:
        super().__init__(error_logfile, "--error-logfile", 2)
        self._redirect()

    def reopen(self) -> None:
        """Continues in the file that is at `path` now. Raises OSError."""
        super().reopen()
        self._redirect()

    def _redirect(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for fd in STANDARD_STREAMS:
            os.dup2(self.fd, fd)
