"""The limit of open files (RLIMIT_NOFILE): raised at the start, and checked before an open() fails.

The soft limit is for programs that use select(), which can handle descriptors below 1024 only. The server does not, so
its processes raise it to the hard limit, at most to MAX_RAISED, since programs that the application starts inherit the
limit, and some of them close every descriptor below it.
"""
# ruff: noqa: PTH208  (pathlib takes 5 ms to import)

import errno
import os
import resource

from ianus.errors import StartupError
from ianus.settings.schema import Settings
from ianus.settings.values import TcpBind

MAX_RAISED = 1 << 16

# Descriptors of the supervisor: its own, and for each worker two pipes' ends and a memory file, beside sockets.
SUPERVISOR_FILES = 20
FILES_PER_WORKER = 3

# Descriptors of a worker that has loaded nothing, and those that it opens after that, some connections included.
WORKER_FILES = 12
SERVING_FILES = 24


def raise_limit() -> None:
    """Raises the soft limit of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_RAISED if hard == resource.RLIM_INFINITY else min(hard, MAX_RAISED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            pass  # A sandbox forbids it; the limit stays as it is.


def check_supervisor(settings: Settings, workers: int) -> None:
    """Raises StartupError if the limit is too low for this number of workers."""
    # A host may have two addresses: localhost has, and "every interface".
    addresses = sum(2 if isinstance(each, TcpBind) else 1 for each in settings.all_binds())
    shared = sum(2 for each in settings.all_binds() if isinstance(each, TcpBind))
    # One more while workers are replaced.
    needed = SUPERVISOR_FILES + addresses + (workers + 1) * (FILES_PER_WORKER + shared)
    least = WORKER_FILES + SERVING_FILES + addresses
    if needed > least:
        _check(needed, f"--workers {workers} needs", ", or have fewer workers")
    else:
        _check(least, "The server needs", "")


def check_worker() -> None:
    """Raises StartupError if too few files are left for serving, once the application is loaded."""
    try:
        used = len(os.listdir("/proc/self/fd")) - 1
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return  # There is no /proc.
        raise StartupError(_too_low("The loaded application has used all open files:", ""), page="operations") from None
    _check(used + SERVING_FILES, f"With {used} files open once the application is loaded, a worker needs", "")


def _check(needed: int, subject: str, remedy: str) -> None:
    if 0 <= _limit() < needed:
        raise StartupError(_too_low(f"{subject} at least {needed} open files, but", remedy), page="operations")


def _too_low(subject: str, remedy: str) -> str:
    return (
        f"{subject} the limit is {_limit()}. Raise the hard limit of open files (ulimit -n, LimitNOFILE= of systemd, "
        f"--ulimit nofile= of Docker){remedy}."
    )


def _limit() -> int:
    """The soft limit; RLIM_INFINITY is negative."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
