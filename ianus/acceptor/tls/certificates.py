"""The certificates of a worker: loaded at the start, chosen by name, and replaced while connections are served.

Facts and rules:
- No thread and no timer watches the files. A handshake asks for their states, at most once in CHECK_SECONDS, so an idle
  server stays idle.
- A changed pair is loaded and checked before it replaces the previous one. Connections and tickets are not affected:
  the store is asked in handshakes alone.
- The two files of a pair may change one after the other. So a pair that cannot be loaded is reported if its files have
  the same states at the next check. It is reported once, and the previous pair stays.
- All names that clients send are hostile data.
"""

import os
import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ianus.acceptor.tls.challenge_files import ChallengeFiles
from ianus.acceptor.tls.name_index import NameIndex, Pairs
from ianus.acceptor.tls.pair import UNSUPPORTED, CertificateError, LoadedPair
from ianus.acceptor.tls.pair_checks import (
    explain_unreadable,
    explain_unusable,
    format_date,
    log_expired,
    log_weaknesses,
)
from ianus.acceptor.tls.pair_files import (
    FileState,
    PairContent,
    PairFileError,
    PairFiles,
    PairSources,
    Stat,
    pair_states,
    read_pair,
)
from ianus.errors import StartupError, one_line
from ianus.telemetry.logger import logger

# Seconds between two looks at the files.
CHECK_SECONDS = 10.0

# Maximum number of unknown names that are logged.
MAX_UNKNOWN_NAMES = 100

# An engine's load_pair(certificates_pem, key_pem, password). Raises CertificateError.
LoadPair = Callable[[bytes, bytes, bytes | None], LoadedPair]


class _Entry(NamedTuple):
    """A pair that is in use."""

    content: PairContent
    pair: LoadedPair


class _Failure(NamedTuple):
    """A pair that could not be loaded. states: of its files, None if they cannot be seen."""

    states: tuple[FileState, FileState] | None
    is_reported: bool


class CertificateStore:
    """The certificates of a worker.

    sources: the configured files. contents: the files as they were read before, at least one pair. load: the function
    of an engine. password: of encrypted keys. on_unreadable: called if another user may read a file that this process
    cannot; None if there is no such process. challenges: of an issuer, or None. is_reporting: warnings are logged; one
    of several workers does that.
    clock: POSIX seconds. stat: as os.stat.

    Raises StartupError if a pair cannot be used.
    """

    def __init__(
        self,
        sources: PairSources,
        contents: Sequence[PairContent],
        load: LoadPair,
        *,
        password: str = "",
        on_unreadable: Callable[[], None] | None = None,
        challenges: ChallengeFiles | None = None,
        is_reporting: bool = True,
        clock: Callable[[], float] = time.time,
        stat: Stat = os.stat,
    ) -> None:
        self._sources = sources
        self._load_pair = load
        self._password = password.encode() or None
        self._on_unreadable = on_unreadable
        self._challenges = challenges
        self._is_reporting = is_reporting
        self._clock = clock
        self._stat = stat
        self._check_at = 0.0
        self._is_forbidden = False  # a file was not readable at the last look
        self._failures: dict[PairFiles, _Failure] = {}
        self._missing: set[PairFiles] = set()  # pairs of the directory that the last look has not found
        self._directory_failure = ""
        self._expired: set[LoadedPair] = set()
        self._unknown_names: set[str] = set()
        self._entries: dict[PairFiles, _Entry] = {}
        for content in contents:
            try:
                pair = self._load(content)
            except CertificateError as error:
                raise StartupError(explain_unusable(content, error), page="tls") from None
            self._entries[content.files] = _Entry(content, pair)
        self._index = self._build_index()
        given = self._entries
        # The supervisor may have read the files long ago, before other workers have noticed changes.
        self._look()
        for files, entry in self._entries.items():
            if entry is given.get(files):
                self._log_weaknesses(entry)

    # --- For engines, in handshakes ---

    def select(self, server_name: str | None) -> Pairs:
        """Returns the pairs for a name in lower case, at most one of each key type; the default for an unknown one."""
        if server_name is None:
            return self._index.default
        if found := self._index.find(server_name):
            return found
        self._note_unknown(server_name)
        return self._index.default

    def find_challenge(self, server_name: str | None) -> LoadedPair | None:
        """Returns the pair by which an authority validates this name now (RFC 8737), or None."""
        if self._challenges is None or server_name is None:
            return None
        # Not kept: a validation has a few handshakes.
        pem = self._challenges.read(server_name)
        try:
            return None if pem is None else self._load_pair(pem, pem, None)
        except CertificateError as error:
            logger.error("certificate for a challenge cannot be used: name: %s: %s", server_name, error)
            return None

    def has_name(self, name: str) -> bool:
        """Returns whether a certificate is for this host name or address; always true if no certificate has names."""
        return bool(self._index.find(name.lower())) or not self._index.has_names()

    def pairs(self) -> Pairs:
        """Returns all pairs, the default first."""
        return tuple(entry.pair for entry in self._entries.values())

    def refresh(self, now: float) -> bool:
        """Replaces pairs whose files have changed, if the last look at them is CHECK_SECONDS ago.

        now: seconds of CLOCK_MONOTONIC. Returns whether it has looked.
        """
        if now < self._check_at:
            return False
        self._check_at = now + CHECK_SECONDS
        self._log_expirations()
        self._look()
        return True

    # --- Changes ---

    def _look(self) -> None:
        """Replaces pairs whose files have changed."""
        try:
            found = self._sources.find()
        except PairFileError as error:
            self._on_unreadable_directory(error)
            return
        self._directory_failure = ""
        self._is_forbidden = False
        missing = self._entries.keys() - set(found)
        kept = missing - self._missing
        self._missing = missing
        # Programs remove a file before they write the new one, so a pair has to be missing twice.
        removed = missing - kept
        entries = {files: entry for files, entry in self._entries.items() if kept and files not in removed}
        for files in found:
            before = self._entries.get(files)
            entry = self._changed(files, before) or before
            if entry is not None:
                entries[files] = entry
        if self._is_forbidden and self._on_unreadable is not None:
            self._on_unreadable()
        # Without any pair no client could be served.
        if entries and entries != self._entries:
            self._log_changes(entries)
            self._entries = entries
            self._index = self._build_index()
            self._unknown_names.clear()
        self._failures = {files: failure for files, failure in self._failures.items() if files in found}

    def _changed(self, files: PairFiles, before: _Entry | None) -> _Entry | None:
        """Returns the new pair of these files; None if they have not changed or cannot be used."""
        try:
            states = pair_states(files, self._stat)
            if before is not None and states == before.content.states:
                self._failures.pop(files, None)
                return None
        except PermissionError:
            if self._on_unreadable is not None:
                self._is_forbidden = True
                return None
            states = None
        except (OSError, ValueError):
            states = None
        failure = self._failures.get(files)
        if failure is not None and failure.is_reported and failure.states == states:
            return None
        try:
            content = read_pair(files)
            entry = _Entry(content, self._load(content))
        except PairFileError as error:
            if error.is_forbidden and self._on_unreadable is not None:
                self._is_forbidden = True
                return None
            problem = explain_unreadable(error)
        except CertificateError as error:
            problem = explain_unusable(content, error)
        else:
            self._failures.pop(files, None)
            return entry
        is_settled = failure is not None and failure.states == states
        self._failures[files] = _Failure(states, is_settled)
        if is_settled and self._is_reporting:
            logger.error("certificate not reloaded, keeping the previous one: %s: %s", files, problem)
        return None

    def _load(self, content: PairContent) -> LoadedPair:
        """Loads a pair. Raises CertificateError."""
        try:
            return self._load_pair(content.certificates_pem, content.key_pem, self._password)
        except CertificateError:
            raise
        except Exception as error:  # It would end each handshake that looks at the files.
            raise CertificateError(UNSUPPORTED, detail=one_line(error)) from error

    def _on_unreadable_directory(self, error: PairFileError) -> None:
        if error.is_forbidden and self._on_unreadable is not None:
            self._on_unreadable()
            return
        problem = explain_unreadable(error)
        if problem != self._directory_failure and self._is_reporting:
            logger.error("certificates not reloaded, keeping the previous ones: %s", problem)
        self._directory_failure = problem

    def _build_index(self) -> NameIndex:
        return NameIndex([entry.pair for entry in self._entries.values()], self._clock())

    # --- Messages ---

    def _log_changes(self, entries: dict[PairFiles, _Entry]) -> None:
        if not self._is_reporting:
            return
        for files in self._entries.keys() - entries.keys():
            logger.info("certificate removed: %s", files)
        for files, entry in entries.items():
            before = self._entries.get(files)
            # A copy of the same content is not worth a line.
            if before is not None and entry.content[1:3] == before.content[1:3]:
                continue
            logger.info(
                "certificate loaded: %s, names: %s, valid until: %s",
                files,
                ", ".join(entry.pair.names[:5]) or "none",
                format_date(entry.pair.not_after),
            )
            self._log_weaknesses(entry)

    def _log_weaknesses(self, entry: _Entry) -> None:
        if self._is_reporting:
            log_weaknesses(entry.content, entry.pair, now := self._clock())
            if now > entry.pair.not_after:
                self._expired.add(entry.pair)

    def _log_expirations(self) -> None:
        """Logs the certificates that have expired since they were loaded, each once."""
        now = self._clock()
        pairs = {entry.pair for entry in self._entries.values()}
        self._expired &= pairs
        for entry in self._entries.values():
            if now > entry.pair.not_after and entry.pair not in self._expired and self._is_reporting:
                self._expired.add(entry.pair)
                log_expired(entry.content, entry.pair)

    def _note_unknown(self, name: str) -> None:
        if name in self._unknown_names or len(self._unknown_names) >= MAX_UNKNOWN_NAMES:
            return
        self._unknown_names.add(name)
        shown = name if re.fullmatch(r"[\w.*-]{1,255}", name, re.ASCII) else ascii(name)
        logger.info("no certificate for the name that a client asked for, sent the first one: %s", shown)
