"""systemd keeps the listening sockets while the server restarts: FDSTORE of sd_notify(3).

Facts and rules:
- A unit with FileDescriptorStoreMax= gets descriptors back at its next start, in LISTEN_FDS, by their names. So
  connections wait in the backlog during `systemctl restart`, and none is refused.
- From version 254 on, systemd sets FDSTORE if a unit has a store. Without that variable nothing is stored.
- A socket in the store listens, also without a server. So one that is not used any more is removed.
- Sockets of a socket unit are not stored: systemd has them.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from ianus.process.activation import STORED_PREFIX, ActivatedSocket
from ianus.process.supervisor.systemd import notify, parse_number
from ianus.telemetry.logger import logger

# By the name of a bind, for each address that it stands for the sockets of the slots, as descriptors.
InheritedFds = Mapping[str, Sequence[Sequence[int]]]

# A longer name is not valid for systemd (sd_pid_notify_with_fds(3)).
MAX_NAME_BYTES = 255


def format_stored_name(bind: str, number: int) -> str:
    """Returns the name of the socket with this number among those of a bind. systemd allows no colon."""
    escaped = re.sub(rb"[^A-Za-z0-9/.-]", lambda found: b"%%%02x" % found[0][0], os.fsencode(bind))
    return f"{STORED_PREFIX}{number}.{escaped.decode('ascii')}"


def _parse_stored_name(name: str) -> tuple[str, int]:
    number, _, escaped = name.removeprefix(STORED_PREFIX).partition(".")
    bind = re.sub(rb"%([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), escaped.encode("utf-8", "replace"))
    return os.fsdecode(bind), int(number) if number.isdecimal() else 0


def group_stored(stored: Iterable[ActivatedSocket]) -> dict[str, list[list[int]]]:
    """Returns stored sockets by the names of their binds, as Sockets takes over those of a previous server."""
    found: dict[str, dict[int, int]] = {}
    for fd, name in stored:
        bind, number = _parse_stored_name(name)
        found.setdefault(bind, {})[number] = fd
    return {bind: [[fds[number]] for number in sorted(fds)] for bind, fds in found.items()}


class FdStore:
    """The store of this service. inherited: sockets of an earlier server, as Sockets takes them over."""

    def __init__(self, inherited: InheritedFds | None) -> None:
        limit = os.environ.get("FDSTORE", "") if os.environ.get("NOTIFY_SOCKET") else ""
        self._limit = parse_number(limit)
        # The inode of the socket with each name: a socket file that was removed is another socket later.
        self._stored: dict[str, int] = {}
        self._is_reported = False  # a socket that is not stored
        for bind, groups in (inherited or {}).items() if self._limit else ():
            for number, fds in enumerate(groups):
                self._stored[format_stored_name(bind, number)] = os.fstat(fds[0]).st_ino

    def is_enabled(self) -> bool:
        """Returns whether systemd keeps descriptors of this service."""
        return self._limit > 0

    def update(self, wanted: Mapping[str, int]) -> None:
        """Stores the wanted sockets that are not in the store yet, and removes all others. wanted: fds by name."""
        inodes = {name: os.fstat(fd).st_ino for name, fd in wanted.items()}
        for name in sorted(self._stored):
            if inodes.get(name) != self._stored[name]:
                notify(f"FDSTOREREMOVE=1\nFDNAME={name}")
                del self._stored[name]
        for name in sorted(inodes.keys() - self._stored.keys()):
            if len(self._stored) < self._limit and len(name) <= MAX_NAME_BYTES:
                notify(f"FDSTORE=1\nFDNAME={name}", wanted[name])
                self._stored[name] = inodes[name]
            elif not self._is_reported:
                self._is_reported = True
                logger.warning(
                    "systemd cannot keep all sockets during a restart: sockets: %d, FileDescriptorStoreMax: %d",
                    len(wanted),
                    self._limit,
                )
