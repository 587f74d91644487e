"""The `wsgi.input` of requests without a body."""

import io
from typing import Self


class EmptyInput:
    """A file without content, which all requests without a body share.

    It has no state, so that no application can change it for another one: close() does nothing. Like a file in memory
    it can be read, searched and wrapped, for example by io.TextIOWrapper.
    """

    __slots__ = ()

    closed = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Returns b"", as all methods that read do."""
        return b""

    read1 = read
    readline = read

    def readinto(self, buffer: object, /) -> int:
        """Returns 0, the number of bytes read."""
        return 0

    readinto1 = readinto

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Returns no line."""
        return []

    def getvalue(self) -> bytes:
        """Returns the whole content, as io.BytesIO does."""
        return b""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        raise StopIteration

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Returns 0, the only position."""
        return 0

    def tell(self) -> int:
        """Returns 0, the only position."""
        return 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def writable(self) -> bool:
        """Returns False."""
        return False

    def isatty(self) -> bool:
        """Returns False."""
        return False

    def fileno(self) -> int:
        """Raises io.UnsupportedOperation, an OSError: there is no descriptor."""
        raise io.UnsupportedOperation("fileno")

    def write(self, data: object, /) -> int:
        """Raises io.UnsupportedOperation, an OSError."""
        raise io.UnsupportedOperation("write")

    def flush(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing, since other requests have the same object."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        """Does nothing."""


io.BufferedIOBase.register(EmptyInput)
EMPTY_INPUT = EmptyInput()
