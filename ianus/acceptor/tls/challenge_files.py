"""Certificates by which an authority validates a name in a handshake (tls-alpn-01, RFC 8737).

The process that orders certificates writes them, and workers read them. The folder is in a private one of the
supervisor's user. So it is opened before workers become another user: they reach it by the descriptor, and by no path.
"""
# ruff: noqa: PTH123  (pathlib takes 5 ms to import)

import os
from collections.abc import Iterable

# RFC 8737 section 6.2. An authority offers it as the only protocol (section 3).
CHALLENGE_PROTOCOL = "acme-tls/1"

# A key and a certificate without a chain have about 1,000 bytes.
_MAX_BYTES = 1 << 16


def challenge_file(name: str) -> str:
    """Returns the name of the file with the key and the certificate for a validation of a name."""
    return f"{name}.pem"


class ChallengeFiles:
    """The folder `path`, for the names `tls_auto`. Others are not looked for, since clients choose them.

    Raises OSError if the folder cannot be opened.
    """

    def __init__(self, path: str, tls_auto: Iterable[str]) -> None:
        self._names = frozenset(tls_auto)
        self._fd = -1
        # Owned by this object. Processes that are forked have a copy.
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def read(self, name: str) -> bytes | None:
        """Returns the PEM of a key and of its certificate, or None if the name is not being validated."""
        if name not in self._names:
            return None
        try:
            fd = os.open(challenge_file(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
        except OSError:
            return None
        with open(fd, "rb") as file:
            return file.read(_MAX_BYTES)
