"""Opens files that applications give to be sent, as descriptors that the server owns.

The application may close its own descriptor while the client still reads, at the latest when its task is cancelled. The
number may then belong to another file.
"""

from __future__ import annotations

import fcntl
import io
import os
import stat

_MAX_OFFSET = 2**63 - 1  # off_t


def open_whole(path: object) -> tuple[int, int]:
    """Opens a file. Returns a descriptor, which the caller owns, and the size in bytes.

    Raises TypeError or ValueError for a path that is not absolute or not of a regular file, OSError if it cannot be
    opened.
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"the path of a file is a string, not {type(path).__name__}")
    if not os.path.isabs(path):  # noqa: PTH117  # It may be bytes.
        # Applications cannot rely on the working directory of a server.
        raise ValueError(f"'http.response.pathsend' needs an absolute path (os.path.abspath), not {path!r}")
    # O_NONBLOCK: opening a FIFO would wait for its other end.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return fd, _size(fd, path)
    except BaseException:
        os.close(fd)
        raise


def part_of(file: object, offset: object, count: object) -> tuple[int, int, int]:
    """Opens a part of a file. Returns a descriptor, which the caller owns, the first byte, and the number of bytes.

    file: a file object or descriptor. offset: None is the file's position, which then advances, as with
    os.sendfile(). count: None means up to the end; a larger count is cut there.

    Raises TypeError or ValueError for invalid arguments, OSError for a file that cannot be used.
    """
    fd = file if isinstance(file, int) and not isinstance(file, bool) else _descriptor(file)
    size = _size(fd, file)
    for value, name in ((offset, "offset"), (count, "count")):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise TypeError(f"{name} is an int, not {type(value).__name__}")
        if value is not None and value < 0:
            raise ValueError(f"{name} {value} is negative")
        if value is not None and value > _MAX_OFFSET:
            raise ValueError(f"{name} {value} is beyond every file")
    start = _position(file, fd) if offset is None else int(offset)  # type: ignore[call-overload]
    left = max(size - start, 0)
    part = left if count is None else min(int(count), left)  # type: ignore[call-overload]
    if not 0 <= start <= _MAX_OFFSET:
        raise ValueError(f"position {start} is in no file")
    own = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)
    try:
        if offset is None:
            _move(file, fd, start + part)
    except BaseException:
        os.close(own)
        raise
    return own, start, part


def _descriptor(file: object) -> int:
    fileno = getattr(file, "fileno", None)
    try:
        fd = fileno() if fileno is not None else None
    except io.UnsupportedOperation:
        fd = None  # io.BytesIO
    if type(fd) is not int:
        raise TypeError(f"'http.response.zerocopysend' needs a file with a descriptor, not {type(file).__name__}")
    return fd


def _size(fd: int, name: object) -> int:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{name!r} is not a regular file")
    return found.st_size


# The position of a buffered file is less than that of its descriptor, which has filled the buffer.
def _position(file: object, fd: int) -> int:
    position = getattr(file, "tell", None)
    return int(position()) if position is not None else os.lseek(fd, 0, os.SEEK_CUR)


def _move(file: object, fd: int, position: int) -> None:
    seek = getattr(file, "seek", None)
    if seek is not None:
        seek(position)
    else:
        os.lseek(fd, position, os.SEEK_SET)
