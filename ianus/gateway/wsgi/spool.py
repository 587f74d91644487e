"""Temporary files for the request bodies that are too big for memory.

Facts and rules:
- Whoever uploads decides how much is written, so all files together have a limit, and a disk that is full is the
  end of one request, never of the worker: everything that can go wrong is a SpoolError.
- A file has no name in any directory, so nothing is left of it, however the process ends.
- Writing is unbuffered: the write that does not fit is the one that fails, not a later one or closing.
- The thread that receives writes, and an application's thread reads and closes. The counter and each file have a
  lock of their own, and a disk is never waited for with the counter's.
"""

import errno
import io
import os
import threading
from typing import BinaryIO


class SpoolError(Exception):
    """A body cannot be kept. Its text is a sentence for the log that names the setting which would help."""


class Spool:
    """The temporary files of one server.

    directory: where they are; "" is the system's directory for such files.
    limit: bytes that all of them may have together; 0 is no limit.
    """

    def __init__(self, directory: str = "", limit: int = 0) -> None:
        self.directory = directory
        self.limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes that the files have together."""
        return self._used

    def create(self) -> "SpoolFile":
        """An empty file. It is opened with the first write."""
        return SpoolFile(self)

    def reserve(self, size: int) -> None:
        """Counts bytes that are going to be written. Raises SpoolError where that is beyond the limit."""
        with self._lock:
            if self.limit and self._used + size > self.limit:
                raise SpoolError(
                    f"The request bodies in temporary files have reached --limit-spool ({self.limit} bytes)."
                )
            self._used += size

    def release(self, size: int) -> None:
        """Uncounts bytes that are gone."""
        with self._lock:
            self._used -= size


class SpoolFile:
    """One request's body: written, rewound once, read, closed."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock = threading.Lock()  # Guards what follows.
        self._file: io.FileIO | io.BufferedReader | None = None
        self._size = 0
        self._closed = False

    def write(self, data: bytes) -> None:
        """Appends all of data. Raises SpoolError, after which the file is good for nothing but close()."""
        with self._lock:
            if self._closed:
                raise SpoolError("The temporary file of a request body is closed.")
            self._spool.reserve(len(data))
            self._size += len(data)
            try:
                if self._file is None:
                    self._file = _open(self._spool.directory)
                rest = memoryview(data)
                while rest:  # The last write that fits on a disk is a short one.
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                where = self._spool.directory or "the directory for temporary files"
                fix = "Make room there, or name another directory with --spool-dir."
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    fix = "Raise the limit of open files (ulimit -n), or set --limit-connections."
                raise SpoolError(
                    f"A request body cannot be written to {where} ({error.strerror or error}). {fix}"
                ) from error

    def rewind(self) -> BinaryIO:
        """The body as `wsgi.input`, at its first byte. Once, behind the last write."""
        with self._lock:
            if self._file is None:
                return io.BytesIO()
            self._file.seek(0)
            self._file = io.BufferedReader(self._file)
            return self._file

    def close(self) -> None:
        """Frees the disk and gives the bytes back to the limit. May be called twice, and from any thread."""
        with self._lock:
            self._closed = True
            file, self._file = self._file, None
            size, self._size = self._size, 0
        self._spool.release(size)
        if file is not None:
            try:
                # Waits for a read() that is under way in some thread of the application: below it the descriptor
                # would be closed, and its number soon be another file's.
                file.close()
            except OSError:  # What a network file system has to say comes too late for anybody.
                pass


def _open(directory: str) -> io.FileIO:
    # Without a descriptor, tempfile finds "no usable temporary directory". This says what is missing.
    os.close(os.open("/", os.O_RDONLY | os.O_CLOEXEC))
    import tempfile  # With the first big body: start-up pays for no module that it does not need.

    return tempfile.TemporaryFile(buffering=0, dir=directory or None, prefix="ianus-")
