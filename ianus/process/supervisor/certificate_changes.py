"""Changes of certificates that the workers must not read (--user): a worker asks, and the supervisor looks."""

from typing import TYPE_CHECKING

from ianus.process.tls_files import TlsFiles
from ianus.telemetry.logger import logger

if TYPE_CHECKING:
    from ianus.process.tls_files import PairStates

# Seconds for which changed files must stay the same: the two files of a pair may change one after the other.
SETTLE_SECONDS = 2.0


class CertificateChanges:
    """Decides whether the files have changed. Workers ask while they serve handshakes, each at most once in 10 s."""

    def __init__(self) -> None:
        self._seen: PairStates | None = None  # changed states at an earlier request
        self._seen_at = 0.0
        self._read: PairStates | None = None  # the states with which the files were read last
        self._problem = ""

    def find_changed(self, files: TlsFiles, now: float) -> TlsFiles | None:
        """Returns the new content of `files`; None if it has not changed for SETTLE_SECONDS, or was returned before.

        now: seconds of CLOCK_MONOTONIC.
        """
        # Late: a server without TLS loads none of it.
        from ianus.acceptor.tls.pair_checks import explain_unreadable
        from ianus.acceptor.tls.pair_files import PairFileError

        try:
            states = files.present_states()
            if states in (files.states(), self._read):
                self._seen = None
                return None
            if states != self._seen:
                self._seen, self._seen_at = states, now
            if now < self._seen_at + SETTLE_SECONDS:
                return None
            self._read = states
            return files.read_again()
        except PairFileError as error:
            problem = explain_unreadable(error)
            if problem != self._problem:
                logger.error("certificates not reloaded, keeping the previous ones: %s", problem)
            self._problem = problem
            return None
