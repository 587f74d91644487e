"""The authorities of clients' certificates, and the lists of revoked ones: files that are loaded again after a change.

Rules, as for the certificates of the server:
- Handshakes look at the files, at the times when they look at those of certificates.
- Changed files are checked and loaded before they replace the previous content. Connections are not affected.
- A file may be written in several steps. So a problem is reported if the files have the same states at the next look.
  It is reported once, and the previous content stays.
"""
# ruff: noqa: PTH116, PTH123, PTH208  (pathlib takes 5 ms to import)

import os
import stat
from collections.abc import Callable
from typing import Any, NamedTuple

from ianus.acceptor.tls.options import TlsOptionError, TlsOptions
from ianus.acceptor.tls.pair_files import file_state
from ianus.errors import StartupError, one_line
from ianus.telemetry.logger import logger

# A value that differs after a change of a file, or of the files in a folder. None if it cannot be seen.
PathState = Any


class _FailedLoad(NamedTuple):
    """A failure to load the files. states: those that they had then."""

    states: tuple[PathState, PathState]
    is_reported: bool


class ClientAuthorities:
    """Notices changes of the files `options.ca_certs` and `options.crl`. Made before their content is loaded."""

    def __init__(self, options: TlsOptions) -> None:
        self._ca_certs = options.ca_certs
        self._crl = options.crl
        self._is_reporting = options.is_reporting
        self._states = self._find_states()
        self._failure: _FailedLoad | None = None

    def refresh(self, load: Callable[[], None]) -> None:
        """Loads the files if they have changed.

        load: makes an engine use their content. It raises TlsOptionError, and has changed nothing then.
        """
        states = self._find_states()
        if states == self._states:
            self._failure = None
            return
        before = self._failure
        is_settled = before is not None and before.states == states
        if before is not None and is_settled and before.is_reported:
            return
        problem = self._try(load)
        if problem is None:
            self._states = states
            self._failure = None
            if self._is_reporting:
                logger.info(
                    "authorities of clients loaded: %s", " and ".join(filter(None, (self._ca_certs, self._crl)))
                )
            return
        self._failure = _FailedLoad(states, is_settled)
        if is_settled and self._is_reporting:
            logger.error("authorities of clients not reloaded, keeping the previous ones: %s", problem)

    def _try(self, load: Callable[[], None]) -> str | None:
        """Returns the reason why the files cannot be used, or None if they are loaded."""
        try:
            check_authority_files(self._ca_certs, self._crl)
            load()
        except StartupError as error:
            return error.message
        except TlsOptionError as error:
            return error.explain()
        except Exception as error:  # It would end each handshake that looks at the files.
            return f"{one_line(error)}."
        return None

    def _find_states(self) -> tuple[PathState, PathState]:
        return _find_state(self._ca_certs), _find_state(self._crl)


def check_authority_files(ssl_ca_certs: str, ssl_crl: str) -> None:
    """Raises StartupError if a file cannot be read, or has no such content. "" stands for none."""
    _check_pem_file("--ssl-ca-certs", ssl_ca_certs, b"CERTIFICATE-----", "certificate")
    _check_pem_file("--ssl-crl", ssl_crl, b"X509 CRL-----", "list of revoked certificates")


def _check_pem_file(setting: str, path: str, end: bytes, content: str) -> None:
    if not path or os.path.isdir(path):  # noqa: PTH112
        return
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # A FIFO would wait for its writer, here and at each change.
            raise StartupError(f"{path} of {setting} is not a regular file. Name one.", page="tls")
        with open(path, "rb") as file:
            has_content = end in file.read()
    except OSError as error:
        raise StartupError(
            f"{path} of {setting} cannot be read: {error.strerror}. Correct the path, or let the user of the workers"
            " read the file.",
            page="tls",
        ) from None
    if not has_content:
        raise StartupError(f"{path} of {setting} has no {content} in PEM form. Name a file that has one.", page="tls")


def _find_state(path: str) -> PathState:
    try:
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            return file_state(status)
        # In a folder, a file is overwritten without a change of the folder itself.
        return [(name, _find_entry_state(f"{path}/{name}")) for name in sorted(os.listdir(path))]
    except OSError:
        return None


def _find_entry_state(path: str) -> PathState:
    try:
        return file_state(os.stat(path))
    except OSError:
        return None
