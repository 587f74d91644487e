"""`wsgi.file_wrapper`: a file as a response body, sent by the kernel if that gives the same bytes (PEP 3333, "Optional
Platform-Specific File Handling").

The bytes are the same only if read() returns the content of the descriptor. A GzipFile has a fileno(), too, that of the
compressed file; a text file has that of its undecoded bytes. So the check is not for attributes: the object's read()
has to be that of one of Python's own binary files. Wrappers such as Django's File pass it through.
"""

import io
import os
from collections.abc import Iterator
from types import BuiltinMethodType, FunctionType
from typing import Any

from ianus.gateway.files import part_of


class FileWrapper:
    """Iterates over the rest of a file, in blocks, and closes it.

    filelike: has read(size) and, if it likes, close(). block_size: bytes.
    """

    def __init__(self, filelike: Any, block_size: int = 8192) -> None:
        self.filelike = filelike
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block: bytes = self.filelike.read(self.block_size)
        if not block:
            raise StopIteration
        return block

    def close(self) -> None:
        """Closes the file."""
        # Looked up only now: Django puts a close() of its own into the file.
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()

    # Not in the PEP. Werkzeug uses these for range requests; without them it reads the file up to the range.

    def seekable(self) -> bool:
        """Returns whether seek() can be used."""
        seekable = getattr(self.filelike, "seekable", None)
        return seekable is not None and bool(seekable())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the file's position."""
        return int(self.filelike.seek(offset, whence))

    def tell(self) -> int:
        """Returns the file's position."""
        return int(self.filelike.tell())


def file_part(wrapper: FileWrapper) -> tuple[int, int, int] | None:
    """Returns the rest of the wrapped file: a descriptor, which the caller owns, the first byte, the number of bytes.

    The file's position then is the same as after iterating. Returns None if the kernel would not send the same bytes,
    if the rest is empty, or if the file cannot be used: iterating then gives the right result or exception.

    Unwritten data in the file's buffer ends at the file's position, so it is not part of the rest.
    """
    file = _file_that_reads(wrapper.filelike)
    if file is None:
        return None
    try:
        # Files of /proc and /sys report a size of 0 or 4 KiB, regardless of their content. They have no disk blocks.
        if not file.readable() or os.fstat(file.fileno()).st_blocks == 0:
            return None
        fd, offset, count = part_of(file, None, None)
    except (OSError, ValueError):  # ValueError: it is closed, or not a regular file.
        return None
    if count == 0:
        os.close(fd)
        return None
    return fd, offset, count


def _file_that_reads(filelike: Any) -> io.FileIO | io.BufferedReader | io.BufferedRandom | None:
    """Returns the binary file of Python's own whose read() is the object's read(), or None."""
    read = getattr(filelike, "read", None)
    if isinstance(read, FunctionType):
        import tempfile  # Usually imported already; if not, read() is not one of its functions.

        # NamedTemporaryFile puts a function of its own around each method, to keep the file open meanwhile.
        if read.__globals__ is vars(tempfile):
            read = getattr(read, "__wrapped__", None)
    file = read.__self__ if isinstance(read, BuiltinMethodType) and read.__name__ == "read" else None
    # Exactly these types: a subclass may have another readinto().
    if type(file) is io.FileIO:
        return file
    if (type(file) is io.BufferedReader or type(file) is io.BufferedRandom) and type(file.raw) is io.FileIO:
        return file
    return None
