"""The user and groups of the workers: --user and --group.

Everything is looked up once, by the supervisor and before any worker exists, so that a name that is not known stops the
start and no worker waits for a directory service. The supervisor keeps its own user: it opens the sockets and log files
of later settings too.

The environment stays as it is, HOME and USER included.
"""

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from ianus.errors import StartupError
from ianus.safe_paths import Parent, UnsafePathError
from ianus.telemetry.logs import explain_log_file

if TYPE_CHECKING:
    from pwd import struct_passwd

# The largest number but one: the largest one means "do not change".
_MAX_ID = 2**32 - 2


class Identity(NamedTuple):
    """The user of the workers. uid, gid: also of the files that they write. groups: all groups of the user."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def resolve(user: str, group: str) -> Identity | None:
    """Looks up `user` and `group`, each a name, a number or "" for no change. Returns None if neither changes.

    Raises StartupError for unknown names, and for a user that this process cannot become.
    """
    own = os.geteuid(), os.getegid()
    uid, account = _user(user) if user else (own[0], _account(own[0]))
    if group:
        gid = _group(group)
    elif not user:
        gid = own[1]
    elif account is not None:
        gid = account.pw_gid
    else:
        raise StartupError(f"The user {user} has no entry with a group; name one with --group.", page="operations")
    if (uid, gid) == own:
        return None
    if own[0] != 0:
        wanted = f"--user {user}" if uid != own[0] else f"--group {group}"
        raise StartupError(f"{wanted} works for root alone; start the server as root, or remove it.", page="operations")
    return Identity(uid, gid, tuple(os.getgrouplist(account.pw_name, gid)) if account is not None else (gid,))


def assume(identity: Identity) -> None:
    """Becomes `identity`, for ever: this process, and every thread of it. Raises OSError."""
    os.setgroups(identity.groups)
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)


def give_log(identity: Identity, path: str, setting: str) -> None:
    """Makes `identity` the owner of the log file at `path`, which is created if there is none. Raises StartupError.

    Terminals, pipes, devices and files with a second name are not changed. In a folder that others can write to,
    another user may have moved a file of root's there: only a file that was created here is given away.
    """
    try:
        _give_log(identity, path)
    except (OSError, ValueError) as error:
        raise explain_log_file(path, setting, error) from None


def _give_log(identity: Identity, path: str) -> None:
    with Parent(path, follow=True, groups=identity.groups) as parent:
        fd, is_new = parent.append()
        try:
            status = os.fstat(fd)
            if (status.st_uid, status.st_gid) == identity[:2]:
                return
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                return
            if parent.is_shared and not is_new and status.st_uid != identity.uid:
                what = f"belongs to user {status.st_uid} and not to user {identity.uid}"
                raise UnsafePathError(path, what, "Give it to that user (chown)")
            os.fchown(fd, identity.uid, identity.gid)
        finally:
            os.close(fd)


def _user(name: str) -> "tuple[int, struct_passwd | None]":
    """Its number, and its entry if it has one."""
    import pwd  # Slow with some directory services: only if a user is named.

    if _is_number(name):
        return int(name), _account(int(name))
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise StartupError(f"There is no user {name!r}; see --user.", page="operations") from None
    return account.pw_uid, account


def _account(uid: int) -> "struct_passwd | None":
    import pwd

    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None


def _group(name: str) -> int:
    import grp

    if _is_number(name):
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StartupError(f"There is no group {name!r}; see --group.", page="operations") from None


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and int(name) <= _MAX_ID
