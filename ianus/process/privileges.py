"""Who the workers are: --user and --group.

Everything is looked up once, by the supervisor and before any worker exists, so that a name that is not known stops
the start and no worker waits for a directory service. The supervisor itself stays who it is: it opens the sockets and
log files of later settings too.

The environment stays as it is, HOME and USER included.
"""

import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ianus.errors import StartupError

if TYPE_CHECKING:
    from pwd import struct_passwd

# The largest number but one: that one stands for "leave it as it is".
_MOST = 2**32 - 2


class Identity(NamedTuple):
    """uid, gid: of the workers and of what they write. groups: all that they belong to."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def resolve(user: str, group: str) -> Identity | None:
    """Who `user` and `group` are, each a name, a number or "" for one that is not to change; None where neither is.

    Raises StartupError for who is not known, and for who this process cannot become.
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
        raise StartupError(f"The user {user} has no entry that says its group; name one with --group.")
    if (uid, gid) == own:
        return None
    if own[0] != 0:
        wanted = f"--user {user}" if uid != own[0] else f"--group {group}"
        raise StartupError(f"{wanted} can be had by root alone; start the server as root, or leave it out.")
    return Identity(uid, gid, tuple(os.getgrouplist(account.pw_name, gid)) if account is not None else (gid,))


def assume(identity: Identity) -> None:
    """Becomes `identity`, for ever: this process, and every thread of it. Raises OSError."""
    os.setgroups(identity.groups)
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)


def give(identity: Identity, files: Iterable[str]) -> None:
    """Makes `identity` the owner of log files and Unix sockets, of those that exist. Raises OSError.

    Whoever may write to a log's directory can put a link in the file's place, to have what it leads to given away. So
    links are left alone: symbolic ones, and files that have a second name. Terminals, pipes and devices are, too.
    """
    for path in files:
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        if (stat.S_ISREG(status.st_mode) and status.st_nlink == 1) or stat.S_ISSOCK(status.st_mode):
            os.chown(path, identity.uid, identity.gid, follow_symlinks=False)


def _user(name: str) -> "tuple[int, struct_passwd | None]":
    """Its number, and its entry if it has one."""
    import pwd  # With some systems behind them these two are dear: only where somebody is named.

    if _is_number(name):
        return int(name), _account(int(name))
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise StartupError(f"There is no user {name!r}; see --user.") from None
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
        raise StartupError(f"There is no group {name!r}; see --group.") from None


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and int(name) <= _MOST
