"""The users that can connect to a Unix socket: for the log, since a proxy without access only answers 502.

Connecting takes write permission for the socket file and search permission for all folders above it (unix(7)).
"""
# ruff: noqa: PTH116, PTH120  (pathlib takes 5 ms to import)

import os
import stat
from collections.abc import Iterable

from ianus.acceptor.listener import Listener
from ianus.telemetry.logger import logger


def log_restrictions(listeners: Iterable[Listener]) -> None:
    """Logs which users can connect to each Unix socket, unless all can."""
    for listener in listeners:
        if listener.path and (restriction := describe_restriction(listener.path)):
            logger.info("access to a Unix socket is restricted: %s: %s", listener.address, restriction)


def describe_restriction(path: str) -> str:
    """Returns the reason why not all users can connect, and the fix; "" if they can, or if that is unknown."""
    try:
        socket = os.stat(path)
        if not socket.st_mode & stat.S_IWOTH:
            users = _users(socket, stat.S_IWGRP)
            return f"only {users} can connect (permissions {stat.S_IMODE(socket.st_mode):o}); see --uds-permissions"
        folder = os.path.dirname(path)
        while True:
            status = os.stat(folder)
            if not status.st_mode & stat.S_IXOTH:
                return f"only {_users(status, stat.S_IXGRP)} can connect; for others, chmod o+x {folder}"
            if folder == "/":
                return ""
            folder = os.path.dirname(folder)
    except OSError:
        return ""


def _users(status: os.stat_result, group_bit: int) -> str:
    import grp  # These two may query a directory service: only for a message.
    import pwd

    try:
        user = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        user = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    users = "root" if status.st_uid == 0 else f"root, user {user}"
    return users + (f" and group {group}" if status.st_mode & group_bit else "")
