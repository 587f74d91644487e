"""A folder for keys, which only its owner can read.

Several machines may share it: each file is replaced as a whole, and a lock is held while certificates are ordered.
"""
# ruff: noqa: PTH101, PTH103, PTH105, PTH108, PTH116, PTH118, PTH123  (pathlib takes 5 ms to import)

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator

from ianus.errors import StartupError

LOCK_NAME = "lock"


def make_folder(path: str, flag: str, *, is_private: bool) -> None:
    """Makes a folder of this user, if it does not exist. flag: the option that names it, for messages.

    is_private: others must not read it either; in any case they must not be able to replace its files.

    Raises StartupError if it cannot be made, or if other users have access to it.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        facts = os.stat(path)
    except OSError as error:
        raise StartupError(
            f"The folder {path} cannot be made ({error.strerror}). Name another one with {flag}."
        ) from None
    if facts.st_uid != os.geteuid():
        raise StartupError(f"The folder {path} belongs to another user. Name another one with {flag}.")
    if stat.S_IMODE(facts.st_mode) & (0o077 if is_private else 0o022):
        raise StartupError(f"Other users have access to the folder {path}, which has keys. Run `chmod 700 {path}`.")


class PrivateFolder:
    """The folder `path`, which only this user can read, and which is made if it does not exist.

    flag: the option that names it, for messages. Raises StartupError if it cannot be used.
    """

    _is_private = True
    _file_mode = 0o600

    def __init__(self, path: str, flag: str) -> None:
        self.path = path
        make_folder(path, flag, is_private=self._is_private)

    def file(self, name: str) -> str:
        """Returns the path of a file in the folder."""
        return os.path.join(self.path, name)

    def read(self, name: str) -> bytes | None:
        """Returns the content of a file, or None without it."""
        try:
            with open(self.file(name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replaces a file as a whole: readers find the old content or the new one, also after a loss of power."""
        temporary = self.file(f".{name}.{os.uname().nodename}.{os.getpid()}")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            os.fchmod(file.fileno(), self._file_mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.file(name))

    def remove(self, name: str) -> None:
        """Removes a file, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.file(name))

    @contextlib.contextmanager
    def lock(self, *, waits: bool = True) -> Iterator[bool]:
        """Holds the lock of the folder, in all processes and machines that share it. Yields whether it has it.

        waits: until another process releases it; otherwise the lock may be missing.
        """
        fd = os.open(self.file(LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                # POSIX locks, since network file systems have those. The end of the process releases it.
                fcntl.lockf(fd, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)


class ServedFolder(PrivateFolder):
    """A folder within a private one, whose files the workers of the server can read, which may be another user."""

    _is_private = False
    _file_mode = 0o644

    def __init__(self, path: str, flag: str) -> None:
        super().__init__(path, flag)
        # Workers open files by name, and never list them.
        os.chmod(path, 0o711)
