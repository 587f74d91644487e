"""The users that can connect to a Unix socket: for the log, since a proxy without access only answers 502.

Connecting takes write permission for the socket file and search permission for all folders above it (unix(7)).
"""
# ruff: noqa: PTH116, PTH120  (pathlib takes 5 ms to import)

import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ianus.acceptor.listener import Listener
from ianus.telemetry.logger import logger


class Restriction(NamedTuple):
    """The reason why not all users can connect, and the fix.

    is_unintended: a folder is closed to all users but its own, although the socket's permissions admit others.
    """

    reason: str
    is_unintended: bool


def log_restrictions(listeners: Iterable[Listener]) -> None:
    """Logs which users can connect to each Unix socket, unless all can."""
    for listener in listeners:
        if listener.path and (restriction := find_restriction(listener.path)):
            reason = f"{restriction.reason} (ianus docs starting)"
            if restriction.is_unintended:
                logger.warning("access to a Unix socket is restricted: %s: %s", listener.address, reason)
            else:
                logger.info("access to a Unix socket is restricted: %s: %s", listener.address, reason)


def find_restriction(path: str) -> Restriction | None:
    """Returns the restriction of a socket; None if all users can connect, or if that is unknown."""
    try:
        socket = os.stat(path)
        closed = list(_closed_folders(path))
    except OSError:
        return None
    admits_all, admits_group = bool(socket.st_mode & stat.S_IWOTH), bool(socket.st_mode & stat.S_IWGRP)
    if admits_all and not closed:
        return None
    folders = " ".join(folder for folder, _ in closed)
    innermost = closed[0][1] if admits_all else socket
    # Members of this group can pass the closed folders that are open to it.
    can_pass = all(each.st_gid == innermost.st_gid and each.st_mode & stat.S_IXGRP for _, each in closed)
    users = _users(innermost, with_group=can_pass and (admits_all or admits_group))
    is_unintended = not can_pass and (admits_all or admits_group)
    if admits_all:
        return Restriction(f"only {users} can connect; for others, chmod o+x {folders}", is_unintended)
    reason = f"only {users} can connect (permissions {stat.S_IMODE(socket.st_mode):o})"
    if not closed:
        return Restriction(f"{reason}; see --uds-permissions", is_unintended)
    if is_unintended:
        return Restriction(f"{reason}; for group {_group(socket)}, chmod o+x {folders}", is_unintended)
    return Restriction(f"{reason}; for others, see --uds-permissions, and chmod o+x {folders}", is_unintended)


def _closed_folders(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yields the folders above a file that are closed to all users but their own and their group."""
    folder = os.path.dirname(path)
    while True:
        status = os.stat(folder)
        if not status.st_mode & stat.S_IXOTH:
            yield folder, status
        if folder == "/":
            return
        folder = os.path.dirname(folder)


def _users(status: os.stat_result, *, with_group: bool) -> str:
    import pwd  # This and grp may query a directory service: only for a message.

    try:
        user = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        user = str(status.st_uid)
    users = "root" if status.st_uid == 0 else f"root, user {user}"
    return users + (f" and group {_group(status)}" if with_group else "")


def _group(status: os.stat_result) -> str:
    import grp

    try:
        return grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        return str(status.st_gid)
