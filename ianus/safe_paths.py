"""Opens files that root writes to, without letting other users choose which file that is.

Facts and rules:
- Users can replace any file by a link, at any time, in a folder that they can write to. If root then opens the file
  by its path, root writes to the target of the link (CVE-2016-1247).
- So root resolves a path one component at a time, by descriptors. Links are followed only in folders that root alone
  can write to. In other folders, and in everything below them, a link is an error.
- In such folders a file counts only if it is a regular file with one name: a hard link is another file's second name.
- Links in /proc lead to open files of this process; only the kernel can follow those.
- The kernel protects all other users: a process that is not root opens paths as they are.
"""

import errno
import os
import stat
from collections.abc import Container
from typing import Self

_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | os.O_PATH
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
_MAX_LINKS = 40  # as the kernel

# The number that getuid() and stat() return for a user that has no number in this user namespace.
_OVERFLOW_UID = 65534


class UnsafePathError(OSError):
    """Root does not use a path, because another user controls its target. strerror: why. fix: the remedy."""

    def __init__(self, path: str, reason: str, fix: str = "Replace it by a regular file") -> None:
        self.fix = f"{fix}, or let only root write to that folder"
        super().__init__(errno.ELOOP, f"{path} {reason}, in a folder that other users than root can write to")


class Parent:
    """The folder of a file, opened; a context manager that closes it.

    fd: for the dir_fd parameters of `os`. name: the file's, for use with fd. is_shared: other users can replace the
    file.

    Raises OSError.
    """

    def __init__(self, path: str, *, follow: bool = False, groups: Container[int] | None = None) -> None:
        """follow: a link at `path` itself is followed too. groups: those whose members are other users; None is all."""
        self.path = path
        self.fd: int | None = None
        self.name = path
        self.is_shared = False
        if os.geteuid() == 0:
            self._groups = groups
            self._resolve(path, follow)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._enter(None)

    def status(self) -> os.stat_result | None:
        """Returns the status of the file, or of the link itself if it is one; None if there is neither."""
        try:
            return os.stat(self.name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def append(self) -> tuple[int, bool]:
        """Opens the file for appending; creates it if there is none. Returns the descriptor, and whether it was created
        in a shared folder. Raises OSError."""
        if not self.is_shared:
            return os.open(self.name, _APPEND | os.O_CREAT, 0o644, dir_fd=self.fd), False
        for _ in range(_MAX_LINKS):  # Another user may create and remove it all the time.
            try:
                # O_EXCL follows no link.
                return os.open(self.name, _APPEND | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=self.fd), True
            except FileExistsError:
                pass
            try:
                return self._open_existing(_APPEND), False
            except FileNotFoundError:
                pass
        raise UnsafePathError(self.path, "is replaced all the time")

    def read(self, size: int) -> tuple[bytes, os.stat_result]:
        """The first bytes of the file, and its status. Raises OSError."""
        # Not blocking: it may be a pipe.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        fd = self._open_existing(flags) if self.is_shared else os.open(self.name, flags, dir_fd=self.fd)
        try:
            return os.read(fd, size), os.fstat(fd)
        finally:
            os.close(fd)

    def _open_existing(self, flags: int) -> int:
        try:
            fd = os.open(self.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.fd)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UnsafePathError(self.path, "is a symbolic link") from None
            if error.errno == errno.ENXIO:  # a pipe without a reader, or a socket
                raise UnsafePathError(self.path, "is not a regular file") from None
            raise
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            return fd
        os.close(fd)
        reason = "has a second name (a hard link)" if stat.S_ISREG(status.st_mode) else "is not a regular file"
        raise UnsafePathError(self.path, reason)

    def _resolve(self, path: str, follow: bool) -> None:
        rest = _components(os.path.join(os.getcwd(), path))  # noqa: PTH109, PTH118  (pathlib takes 5 ms to import)
        links = 0
        self._enter(os.open("/", _FOLDER))
        try:
            while True:
                self.name = rest.pop() if rest else "."
                folder = os.fstat(self.fd or 0)
                below_shared = self.is_shared
                self.is_shared |= _is_shared(folder, self._groups)
                status = self.status()
                is_link = status is not None and stat.S_ISLNK(status.st_mode) and not _is_proc(folder)
                if not rest and not (is_link and follow):
                    return
                if is_link:
                    links += 1
                    self._follow(rest, links)
                    continue
                if self.name == ".." and self.is_shared:
                    raise UnsafePathError(self.path, "leads through ..", "Write the path without it")
                no_link = 0 if _is_proc(folder) else os.O_NOFOLLOW
                fd = os.open(self.name, _FOLDER | no_link, dir_fd=self.fd)
                # In a sticky folder such as /tmp others cannot replace the files of root.
                is_kept = folder.st_mode & stat.S_ISVTX and os.fstat(fd).st_uid == 0 and _is_trusted(folder.st_uid)
                self._enter(fd)
                self.is_shared = self.is_shared and (below_shared or not is_kept)
        except BaseException:
            self._enter(None)
            raise

    def _follow(self, rest: list[str], links: int) -> None:
        """Puts the components of a link's target in front of the rest."""
        if self.is_shared:
            if not rest:
                raise UnsafePathError(self.path, "is a symbolic link")
            raise UnsafePathError(
                self.path, f"leads over {self.name!r}, a symbolic link", "Name the target of the link"
            )
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(self.name, dir_fd=self.fd)
        rest += _components(target)
        if target.startswith("/"):
            self._enter(os.open("/", _FOLDER))

    def _enter(self, fd: int | None) -> None:
        if self.fd is not None:
            os.close(self.fd)
        self.fd = fd


def _components(path: str) -> list[str]:
    """The last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _is_shared(folder: os.stat_result, groups: Container[int] | None) -> bool:
    """Whether other users than root can write to a folder. groups: as of Parent."""
    if folder.st_mode & stat.S_IWOTH or not _is_trusted(folder.st_uid):
        return True
    other_group = folder.st_gid != 0 if groups is None else folder.st_gid in groups
    return bool(folder.st_mode & stat.S_IWGRP) and other_group


def _is_trusted(uid: int) -> bool:
    # In a user namespace the folders of the system's own root, for example, have no number.
    return uid == 0 or (uid == _OVERFLOW_UID and not _is_mapped(uid))


def _is_mapped(uid: int) -> bool:
    try:
        with open("/proc/self/uid_map") as file:  # noqa: PTH123
            ranges = [tuple(map(int, line.split())) for line in file]
    except OSError:
        return True
    return any(first <= uid < first + count for first, _, count in ranges)


def _is_proc(folder: os.stat_result) -> bool:
    try:
        return folder.st_dev == os.stat("/proc").st_dev != os.stat("/").st_dev  # noqa: PTH116
    except OSError:
        return False
