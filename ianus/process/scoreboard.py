"""Memory that a worker shares with its supervisor, which can read it after any crash of the worker.

Facts and rules:
- It is a file in memory, inherited by fork. The worker writes to it as to its own memory (telemetry/in_flight,
  telemetry/liveness), without a system call; the content survives any crash and KILL.
- After it, the same file has the stacks that faulthandler writes when the worker crashes. For that the descriptor
  appends.
- The supervisor reads while the worker writes, so an entry may be half the one before and half the next. The supervisor
  then shows a wrong entry, very rarely. So it trusts no number and no byte that it reads.

The layout is written down here and in telemetry/in_flight.pxd; tests hold the two together.
"""

import fcntl
import os
import struct
from time import monotonic

# The header: the time of the worker's last heartbeat; the number of requests in flight without an entry, as the table
# was full; the numbers of open WebSockets, of all requests so far, and of open connections.
HEADER = struct.Struct("=dIIQI36x")

# The place of the number of open connections, which has four bytes.
CONNECTIONS_OFFSET = 24

# An entry: the arrival of the request (0.0: no request), in CLOCK_MONOTONIC seconds; bytes of its line; the line.
ENTRY = struct.Struct("=dH118s")
ENTRIES = 64
SIZE = HEADER.size + ENTRIES * ENTRY.size

# Bytes of stacks that are shown; a hundred threads with deep ones have as many.
MAX_STACKS_BYTES = 256 * 1024


class Scoreboard:
    """The memory that one worker process shares with its supervisor.

    fd: of the file; programs that the application executes do not get it. Without one, a new file is created. Raises
    OSError if the system cannot create it.
    """

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            fd = os.memfd_create("ianus-scoreboard")
            os.ftruncate(fd, SIZE)
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
        self.fd = fd

    def last_heartbeat(self) -> float:
        """Returns the time of the worker's last heartbeat, in CLOCK_MONOTONIC seconds; 0.0 is never."""
        seconds: float = HEADER.unpack(self._read(0, HEADER.size))[0]
        return seconds

    def requests(self) -> list[tuple[str, float]]:
        """The requests in flight: line, printable and cut to the size of an entry, and age in seconds. Oldest first."""
        now = monotonic()
        found = []
        for since, size, line in ENTRY.iter_unpack(self._read(HEADER.size, ENTRIES * ENTRY.size)):
            if 0.0 < since <= now:
                found.append((_printable(line[:size]), now - since))
        return sorted(found, key=lambda request: -request[1])

    def unlisted(self) -> int:
        """How many requests are in flight besides these."""
        count: int = HEADER.unpack(self._read(0, HEADER.size))[1]
        return count

    def counts(self) -> tuple[int, int, int, int]:
        """Returns the numbers of requests in flight, open WebSockets, all requests so far, and open connections."""
        _, unlisted, websockets, requests, connections = HEADER.unpack(self._read(0, HEADER.size))
        return len(self.requests()) + unlisted, websockets, requests, connections

    def take_stacks(self) -> str:
        """Returns the text that faulthandler has written, "" for none, and discards it."""
        data = os.pread(self.fd, MAX_STACKS_BYTES, SIZE)
        os.ftruncate(self.fd, SIZE)
        return data.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """Closes the file; may be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _read(self, offset: int, size: int) -> bytes:
        # If the worker has truncated the file, the missing bytes are read as zeros.
        return os.pread(self.fd, size, offset).ljust(size, b"\0")


def _printable(line: bytes) -> str:
    text = line.decode("latin-1")
    return text if text.isascii() and text.isprintable() else text.encode("unicode_escape").decode("ascii")
