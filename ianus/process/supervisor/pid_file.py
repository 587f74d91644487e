"""The file with the number of the supervisor.

Facts and rules:
- It is created (O_EXCL), never overwritten, so that of two servers with one file the second one does not start.
- The file of a killed server remains, and its number may be that of another process by now; after the restart of a
  container it nearly always is. So a file counts only if its process had started when the file was written.
- Only the process that has created it removes it, and only while it has that process' number: not a forked child, and
  not if a successor has its own file there.
"""
# ruff: noqa: PTH123  (pathlib takes 5 ms to import)

import errno
import os

from ianus.errors import StartupError
from ianus.safe_paths import Parent, UnsafePathError

# Seconds by which the start of a process and the time of a file may be reckoned wrongly: the system counts the one
# in hundredths since it started, and knows when that was to a second.
_CLOCK_TOLERANCE_SECONDS = 2.0


class PidFile:
    """The file at `path`, with the number of this process and a line end, from here until remove().

    Raises StartupError if it cannot be created, or if it belongs to a running server.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._pid = os.getpid()
        try:
            self._create()
        except OSError as error:
            fix = (
                error.fix
                if isinstance(error, UnsafePathError)
                else _FIXES.get(error.errno, "Let this user write there")
            )
            raise StartupError(
                f"The pid file {path} cannot be made ({error.strerror}). {fix}, or choose another one with --pid-file.",
                page="operations",
            ) from None

    def move(self, path: str) -> None:
        """Renames the file, and replaces a file of that name. Raises OSError."""
        if self._is_own():
            with Parent(self.path) as before, Parent(path) as after:
                os.rename(before.name, after.name, src_dir_fd=before.fd, dst_dir_fd=after.fd)
        self.path = path

    def remove(self) -> None:
        """Removes it while it is this process' own. May be called twice."""
        if self._is_own():
            try:
                with Parent(self.path) as parent:
                    os.unlink(parent.name, dir_fd=parent.fd)
            except OSError:
                pass  # The directory or its permissions may be gone; a stale file is harmless.

    def _create(self) -> None:
        with Parent(self.path) as parent:
            _check_stale(parent)
            fd = os.open(parent.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=parent.fd)
        try:
            os.write(fd, f"{self._pid}\n".encode())
        finally:
            os.close(fd)

    def _is_own(self) -> bool:
        try:
            with Parent(self.path) as parent:
                return os.getpid() == self._pid and _read(parent)[0] == f"{self._pid}"
        except OSError:
            return False


_FIXES: dict[int | None, str] = {
    errno.ENOENT: "Create its directory",
    errno.EISDIR: "Name a file in it",
    errno.EEXIST: "Remove it",
}


def _check_stale(parent: Parent) -> None:
    """Removes the file of a server that does not run any more. Raises StartupError and OSError."""
    path = parent.path
    try:
        content, written = _read(parent)
    except FileNotFoundError:
        return
    if not content.isascii() or not (content.isdigit() or not content):
        raise StartupError(
            f"{path} is not a pid file: it has no number. Choose another file with --pid-file.", page="operations"
        )
    # It is empty if the server was killed before it had written the number.
    if content and int(content) != os.getpid() and _was_running(int(content), written):
        raise StartupError(
            f"A server runs already: process {content} of {path}. Stop it, or choose another file with --pid-file.",
            page="operations",
        )
    os.unlink(parent.name, dir_fd=parent.fd)


def _read(parent: Parent) -> tuple[str, float]:
    """Returns the content of the file, and its modification time."""
    data, status = parent.read(64)
    return data.decode("latin-1").strip(), status.st_mtime


def _was_running(pid: int, time: float) -> bool:
    """Whether the process with this number runs, and did at that time, in seconds since 1970."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            # The second field is a name in parentheses, which may have some itself; the start is field 22.
            started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        with open("/proc/stat") as file:
            booted = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    except OSError:
        return False
    return booted + started <= time + _CLOCK_TOLERANCE_SECONDS
