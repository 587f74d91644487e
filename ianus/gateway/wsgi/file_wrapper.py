"""`wsgi.file_wrapper`: a file as a response body, sent by the kernel where that is the same (PEP 3333, "Optional
Platform-Specific File Handling").

It is the same only where read() gives what the descriptor has. A GzipFile has a fileno() too, of the compressed file,
and a text file that of its bytes. So it is not asked what an object has, but whose read() it is: that of Python's own
binary files, which proxies such as Django's File hand on, and nobody else's.
"""

import io
import os
from collections.abc import Iterator
from types import BuiltinMethodType, FunctionType
from typing import Any

from ianus.gateway.files import part_of


class FileWrapper:
    """Iterates over what is left of a file, in blocks, and closes it.

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
        # As late as this: Django puts a close() of its own into the file.
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()

    # Not in the PEP. Werkzeug asks for them when a client wants a part of the file; without them it reads up to there.

    def seekable(self) -> bool:
        """Whether seek() can be used."""
        seekable = getattr(self.filelike, "seekable", None)
        return seekable is not None and bool(seekable())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the file's position."""
        return int(self.filelike.seek(offset, whence))

    def tell(self) -> int:
        """The file's position."""
        return int(self.filelike.tell())


def file_part(wrapper: FileWrapper) -> tuple[int, int, int] | None:
    """What iterating over the wrapper would yield, as a descriptor (the caller's), the first byte, how many.

    The file's position then is where iterating would leave it. None where the kernel would not send the same, and
    where nothing is left or the file cannot be used: iterating then gives, or raises, what there is.

    What was written and is still in the file's buffer ends at its position, so it is none of it.
    """
    file = _file_that_reads(wrapper.filelike)
    if file is None:
        return None
    try:
        # Files of /proc and /sys say they are empty, or 4 KiB, whatever they have. They are on no disk.
        if not file.readable() or os.fstat(file.fileno()).st_blocks == 0:
            return None
        fd, offset, count = part_of(file, None, None)
    except (OSError, ValueError):  # ValueError: it is closed, or no regular file.
        return None
    if count == 0:
        os.close(fd)
        return None
    return fd, offset, count


def _file_that_reads(filelike: Any) -> io.FileIO | io.BufferedReader | io.BufferedRandom | None:
    """The file of Python's own whose read() the object has."""
    read = getattr(filelike, "read", None)
    if isinstance(read, FunctionType):
        import tempfile  # Likely there already, or else it is none of its functions.

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
