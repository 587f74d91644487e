"""Listening sockets that an init system has opened for this process: sd_listen_fds(3).

Facts and rules:
- The sockets are the descriptors from 3 on. LISTEN_FDS has their number, LISTEN_FDNAMES their names, and LISTEN_PID
  the process that they are for. The variables are removed, so that no child takes the sockets for its own.
- All of them are served. An address of --bind that is the address of such a socket stands for that socket, so a unit
  for Gunicorn, with the same path in --bind, works as it is. If --bind names sockets (fd://), only those are served.
- Their addresses belong to the init system: no socket file is removed, and workers share each socket.
- Sockets of this server's own that systemd has kept (process/supervisor/fd_store) arrive in the same way.
"""
# ruff: noqa: PTH121  (pathlib takes 5 ms to import)

import os
import socket
import stat
from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ianus.errors import StartupError
from ianus.settings.schema import Settings
from ianus.settings.values import Bind, FdBind, NamedFdBind, TcpBind, UnixBind

FIRST_FD = 3
# The names that this server gives to its own sockets start with this.
STORED_PREFIX = "ianus."
# A larger number of sockets is an error of its own: a list of them would fill the memory.
MAX_COUNT_DIGITS = 5


class ActivatedSocket(NamedTuple):
    """A descriptor and its name, which the socket unit gives it (FileDescriptorName=)."""

    fd: int
    name: str


class Activation:
    """The sockets of an init system.

    sockets: in the order of the init system. stored: those of this server's own that systemd has kept.
    ignored: the reason why variables were ignored; "" if they were not.
    """

    def __init__(
        self, environ: MutableMapping[str, str] = os.environ, inherited: Sequence[ActivatedSocket] = ()
    ) -> None:
        """Takes the variables out of `environ`. inherited: the sockets of a previous server, with the same numbers.

        Raises StartupError if a descriptor is not a listening socket.
        """
        self.ignored = ""
        found = self._take(environ) or inherited
        self.sockets = [each for each in found if not each.name.startswith(STORED_PREFIX)]
        self.stored = [each for each in found if each.name.startswith(STORED_PREFIX)]
        self._addresses = {each.fd: _address_of(each) for each in self.sockets}

    def apply(self, settings: Settings) -> Settings:
        """Returns the settings with these sockets in `bind` and `insecure_bind`.

        Raises StartupError for a name that does not exist.
        """
        if not self.sockets and not any(isinstance(each, NamedFdBind) for each in settings.all_binds()):
            return settings
        insecure = [found for each in settings.insecure_bind for found in self._find(each) or [each]]
        binds: list[Bind] = []
        if settings.bind != Settings.__dataclass_fields__["bind"].default:
            for each in settings.bind:
                binds += self._find(each) or [each]
        if not any(isinstance(each, (FdBind, NamedFdBind)) for each in settings.bind):
            binds += [each for each in (FdBind(each.fd) for each in self.sockets) if each not in insecure]
        return replace(
            settings, bind=tuple(dict.fromkeys(binds)) or settings.bind, insecure_bind=tuple(dict.fromkeys(insecure))
        )

    def _take(self, environ: MutableMapping[str, str]) -> list[ActivatedSocket]:
        texts = [environ.pop(name, "") for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")]
        number, pid, names = texts[:3]
        if not number or number == "0":
            return []
        if not number.isdecimal() or not number.isascii() or len(number) > MAX_COUNT_DIGITS:
            reason = "is not a number" if len(number) <= MAX_COUNT_DIGITS else "is too large"
            raise StartupError(
                f"LISTEN_FDS is {number[:20]!r}, which {reason}. Check the init system.", page="operations"
            )
        if pid and pid != str(os.getpid()):
            self.ignored = f"LISTEN_FDS is for the process {pid}, and this one is {os.getpid()}"
            return []
        given = names.split(":") if names else []
        given += ["unknown"] * (int(number) - len(given))
        return [ActivatedSocket(FIRST_FD + index, given[index]) for index in range(int(number))]

    def _find(self, bind: Bind) -> list[Bind]:
        """Returns the sockets that an address of --bind stands for; none if it is another address."""
        if isinstance(bind, FdBind):
            return []  # It stands for itself.
        if isinstance(bind, NamedFdBind):
            if found := [FdBind(each.fd) for each in self.sockets if each.name == bind.name]:
                return [*found]
            names = ", ".join(sorted({each.name for each in self.sockets})) or "none"
            raise StartupError(
                f"{bind}: no socket with this name was passed by the init system (passed: {names}). "
                "Check FileDescriptorName= of the socket unit.",
                page="operations",
            )
        return [FdBind(each.fd) for each in self.sockets if _is_same(bind, *self._addresses[each.fd])]


def _address_of(given: ActivatedSocket) -> tuple[socket.AddressFamily, str, int]:
    """Returns the family, the host and the port, or the path and 0. The descriptor is not inherited any more."""
    text = f"LISTEN_FDS: the descriptor {given.fd} ({given.name})"
    try:
        is_socket = stat.S_ISSOCK(os.fstat(given.fd).st_mode)
    except OSError:
        raise StartupError(f"{text} is not open. Check the init system.", page="operations") from None
    if not is_socket:
        raise StartupError(
            f"{text} is not a socket. Remove it from the socket unit, which needs ListenStream= alone.",
            page="operations",
        )
    os.set_inheritable(given.fd, False)
    sock = socket.socket(fileno=given.fd)
    try:
        if sock.type != socket.SOCK_STREAM:
            raise StartupError(
                f"{text} is not a stream socket. Use ListenStream= in the socket unit.", page="operations"
            )
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise StartupError(f"{text} is not listening. Remove Accept=yes from the socket unit.", page="operations")
        name = sock.getsockname()
        if sock.family == socket.AF_UNIX:
            return sock.family, os.fsdecode(name), 0
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            return sock.family, name[0], name[1]
        raise StartupError(
            f"{text} is a socket of a kind that carries no HTTP. Use an address or a path.", page="operations"
        )
    finally:
        sock.detach()  # Its owner is the listener that is made of it later.


def _is_same(bind: TcpBind | UnixBind, family: socket.AddressFamily, host: str, port: int) -> bool:
    """Returns whether an address of --bind is the address of a socket, or one that the socket includes."""
    if isinstance(bind, UnixBind):
        return family == socket.AF_UNIX and _is_same_file(bind.path, host)
    if family == socket.AF_UNIX or bind.port != port:
        return False
    if host == "::":  # systemd's ListenStream=8000 is this, for both families.
        return True
    if host == "0.0.0.0":
        return ":" not in bind.host
    if not bind.host:
        return False
    try:
        found = socket.getaddrinfo(bind.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(address[0] == host for _, _, _, _, address in found)


def _is_same_file(path: str, other: str) -> bool:
    try:
        # /var/run is a link to /run.
        return os.path.samefile(path, other)
    except OSError:
        return os.path.abspath(path) == os.path.abspath(other)  # noqa: PTH100
