"""Temporary files for request bodies that are too big for memory.

Facts and rules:
- Clients decide how much is written, so all files together have a limit. A full disk fails one request, never the
  worker: every failure is a SpoolError.
- Without a writable directory, a file is in memory (memfd), within a small limit. The start logs that.
- A file has no name in any directory, so it disappears with the process, even after a crash.
- Writing is unbuffered: the write that does not fit fails at once, not a later one or close().
- The receiving thread writes, and an application's thread reads and closes. The counter and each file have their own
  lock, and no thread waits for a disk while it holds the counter's lock.
"""

import errno
import io
import os
import threading
from typing import BinaryIO

# Maximum bytes of all bodies of a worker if they have to be in memory.
MEMORY_SPOOL_BYTES = 64 << 20


class SpoolError(Exception):
    """A body cannot be stored. The text is a sentence for the log that names the setting to change."""


class Spool:
    """The temporary files of one server.

    spool_dir: directory of the files; "" is the system's directory for temporary files.
    limit_spool: maximum bytes of all files together; 0 means unlimited.
    in_memory: the files are in memory, since no directory can be written (as in a container whose root is read-only).
    """

    def __init__(self, spool_dir: str, limit_spool: int, *, in_memory: bool) -> None:
        self.spool_dir = spool_dir
        self.in_memory = in_memory
        if in_memory:
            limit_spool = min(limit_spool or MEMORY_SPOOL_BYTES, MEMORY_SPOOL_BYTES)
        self.limit_spool = limit_spool
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes of all files together."""
        return self._used

    def create(self) -> "SpoolFile":
        """Returns an empty file. It is opened by the first write."""
        return SpoolFile(self)

    def reserve(self, size: int) -> None:
        """Counts bytes before they are written. Raises SpoolError if they exceed the limit."""
        with self._lock:
            if self.limit_spool and self._used + size > self.limit_spool:
                if self.in_memory:
                    raise SpoolError(
                        f"The request bodies in memory have reached {self.limit_spool} bytes, since no directory for "
                        "temporary files can be written. Name a writable one with --spool-dir."
                    )
                raise SpoolError(
                    f"The request bodies in temporary files have reached --limit-spool ({self.limit_spool} bytes)."
                )
            self._used += size

    def release(self, size: int) -> None:
        """Subtracts bytes that were freed."""
        with self._lock:
            self._used -= size


class SpoolFile:
    """The body of one request: written, rewound once, read, closed."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock = threading.Lock()  # guards the following attributes
        self._file: io.FileIO | io.BufferedReader | None = None
        self._size = 0
        self._closed = False

    def write(self, data: bytes) -> None:
        """Appends all of data. Raises SpoolError, after which the file can only be closed."""
        with self._lock:
            if self._closed:
                raise SpoolError("The temporary file of a request body is closed.")
            self._spool.reserve(len(data))
            self._size += len(data)
            try:
                if self._file is None:
                    self._file = _open(self._spool.spool_dir) if not self._spool.in_memory else _open_in_memory()
                rest = memoryview(data)
                while rest:  # The last write that fits on a disk is a short one.
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                place = self._spool.spool_dir or "the directory for temporary files"
                fix = "Free disk space there, or set another directory with --spool-dir."
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    fix = "Raise the limit of open files (ulimit -n), or set --limit-connections."
                raise SpoolError(
                    f"A request body cannot be written to {place} ({error.strerror or error}). {fix}"
                ) from error

    def rewind(self) -> BinaryIO:
        """Returns the body as `wsgi.input`, at its first byte. Called once, after the last write."""
        with self._lock:
            if self._file is None:
                return io.BytesIO()
            self._file.seek(0)
            self._file = io.BufferedReader(self._file)
            return self._file

    def close(self) -> None:
        """Frees the disk space and the bytes counted for the limit. May be called twice, and from any thread."""
        with self._lock:
            self._closed = True
            file, self._file = self._file, None
            size, self._size = self._size, 0
        self._spool.release(size)
        if file is not None:
            try:
                # close() waits for a read() that runs in another thread of the application. Without that, the read()
                # could use a descriptor number that belongs to another file by then.
                file.close()
            except OSError:  # A network file system reports a failed write late; the body is not needed any more.
                pass


def _open(directory: str) -> io.FileIO:
    # If the process has no free descriptor, tempfile reports "no usable temporary directory". This open() fails first,
    # with the true reason.
    os.close(os.open("/", os.O_RDONLY | os.O_CLOEXEC))
    import tempfile  # Imported with the first big body, to keep start-up fast.

    return tempfile.TemporaryFile(buffering=0, dir=directory or None, prefix="ianus-")


def _open_in_memory() -> io.FileIO:
    return io.FileIO(os.memfd_create("ianus-body"), "w+b")
