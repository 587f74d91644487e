"""Listening sockets: opened early, each failure reported in one message, each file removed by its owner only.

Facts and rules:
- A host name may have several addresses (`localhost` has 127.0.0.1 and ::1), so opening one address may give
  several listeners. "Every interface" is two sockets. Only `[::]` is one for both families, as users of other servers
  expect; the reactor shows its IPv4 peers as 127.0.0.1, not as ::ffff:127.0.0.1.
- A socket file outlives the process that made it. It is replaced only if no process accepts connections on
  it, and removed at the end only while it is still the file that this process made.
- Its folder may belong to another user (safe_paths.py), so all operations on the file go through the opened folder.
- Several workers each have a socket of their own at a TCP address (SO_REUSEPORT), among which the system spreads
  connections. The first one is bound without that option and gets it before it listens: so an address that another
  server has is still refused, while siblings are welcome.
- Sockets are non-blocking and not inherited by programs that the application starts (PEP 446).
- `os` instead of pathlib, which takes 5 ms to import.
"""
# ruff: noqa: PTH100, PTH101, PTH120

import errno
import os
import socket
import stat
import struct
from typing import Any

from ianus.acceptor.port_owner import describe_port_owner, describe_process
from ianus.errors import AddressInUseError, StartupError
from ianus.safe_paths import Parent, UnsafePathError

# Host and port, for IPv6 followed by two numbers more.
SocketAddress = tuple[Any, ...]

# Linux: 108 bytes with the final NUL (unix(7)). The system is asked, not this number; it only explains.
UNIX_PATH_LIMIT = 107


class Listener:
    """A bound, listening, non-blocking socket and the name to show for it.

    sock: owned by the listener.
    is_tls: its connections are encrypted, by the newest settings.
    path: of the socket file made for it; "" if there is none, or if another program made it.
    """

    def __init__(self, sock: socket.socket, address: str, unix_path: str = "", *, is_inherited: bool = False) -> None:
        """is_inherited: the socket file was made by another process."""
        self.sock = sock
        self.is_tls = False
        self._address = address
        self.path = os.path.abspath(unix_path) if unix_path else ""
        self._inode = _inode(self.path) if unix_path else None
        self._is_inherited = is_inherited
        self._pid = os.getpid()

    @property
    def address(self) -> str:
        """Returns the address for messages, such as http://127.0.0.1:8000 or unix:/run/app.sock."""
        return self._address.replace("http://", "https://", 1) if self.is_tls else self._address

    def leave_file(self) -> None:
        """Hands the socket file over to another process: close() does not remove it any more."""
        self._inode = None

    def has_lost_file(self) -> bool:
        """Whether the socket file was removed, so that no client can connect any more."""
        return self._inode is not None and _inode(self.path) is None

    def give(self, uid: int, gid: int) -> None:
        """Makes a user and a group the owners of the socket file while it is still ours. Raises StartupError."""
        if self._inode is None:
            return
        try:
            with Parent(self.path) as parent:
                # Another user may have put a socket of root's in place of one that we did not make.
                if _inode_in(parent) == self._inode and not (parent.is_shared and self._is_inherited):
                    _chown(parent, self._inode, uid, gid)
        except OSError as error:
            raise StartupError(_explain_unix(error, self.path)) from None

    def close(self) -> None:
        """Closes the socket and removes the socket file if it is still ours. May be called twice."""
        # A forked child has a copy of this object, but the file is its parent's.
        if self._inode is not None and self._pid == os.getpid():
            _remove(self.path, self._inode)
        self._inode = None
        self.sock.close()


# --- TCP ---


def listen_tcp(host: str, port: int, *, backlog: int, shared: bool = False, dual_stack: bool = True) -> list[Listener]:
    """Listens on every address that `host` has; "" is every interface.

    Port 0 is any free port, the same for all of them. shared: other workers may bind the address, too. dual_stack:
    [::] takes IPv4, too.
    Raises StartupError.
    """
    listeners: list[Listener] = []
    missing: OSError | None = None
    try:
        for family, address in _resolve(host, port):
            if port == 0 and listeners:
                address = (address[0], listeners[0].sock.getsockname()[1], *address[2:])
            try:
                is_dual = dual_stack and bool(host) and address[0] == "::"
                listeners.append(_open_tcp(family, address, backlog, shared, is_dual=is_dual))
            except OSError as error:
                # localhost is ::1 too, by /etc/hosts, on machines whose kernel has no IPv6.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    message = _explain_tcp(error, family, host, address[1])
                    if error.errno == errno.EADDRINUSE:
                        raise AddressInUseError(message, address[1]) from None
                    raise StartupError(message) from None
                missing = error
        if missing is not None and not listeners:
            raise StartupError(_explain_tcp(missing, family, host, port)) from None
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _resolve(host: str, port: int) -> list[tuple[int, SocketAddress]]:
    """(family, socket address) of everything that `host` stands for."""
    if not host:
        every: list[tuple[int, SocketAddress]] = [(socket.AF_INET, ("0.0.0.0", port))]
        return every + ([(socket.AF_INET6, ("::", port))] if socket.has_ipv6 else [])
    try:
        # As bytes, a name does not load the idna codec, which takes longer than the whole look-up.
        name: str | bytes = host.encode("ascii") if host.isascii() else host
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "not a host name"
        raise StartupError(
            f"The host name {host!r} cannot be resolved ({reason}). "
            "Check its spelling, or bind to a numeric address such as 127.0.0.1."
        ) from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def listen_beside(listener: Listener, *, backlog: int) -> Listener:
    """Another socket at the TCP address of a shared one: the system spreads connections among them.

    Raises StartupError.
    """
    sock = listener.sock
    try:
        is_dual = sock.family == socket.AF_INET6 and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        return _open_tcp(sock.family, sock.getsockname(), backlog, shared=True, beside=True, is_dual=is_dual)
    except OSError as error:
        host, port = sock.getsockname()[:2]
        raise StartupError(_explain_tcp(error, sock.family, host, port)) from None


def _open_tcp(
    family: int,
    address: SocketAddress,
    backlog: int,
    shared: bool = False,
    beside: bool = False,
    is_dual: bool = False,
) -> Listener:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without it a restarted server would have to wait for the TIME_WAIT of its predecessor's connections.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_dual)
        sock.setblocking(False)
        if beside:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, _describe(sock))


def _explain_tcp(error: OSError, family: int, host: str, port: str | int) -> str:
    shown = f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"
    if error.errno == errno.EADDRINUSE:
        if isinstance(port, int) and (owner := describe_port_owner(port)):
            return f"{shown} is in use by another process: {owner}. Stop it, or choose another port with --bind."
        return (
            f"{shown} is in use by another process. Stop that one (`ss -ltnp 'sport = :{port}'` or "
            f"`lsof -iTCP:{port} -sTCP:LISTEN` shows which it is), or choose another port with --bind."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        if isinstance(port, int) and port >= 1024:
            return f"The system does not let this process listen on {shown}. Choose another port with --bind."
        return (
            f"This user may not listen on {shown}: ports below 1024 are privileged. Choose a higher port "
            "with --bind (a proxy or a firewall can forward to it), or give the process CAP_NET_BIND_SERVICE."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"The address {host} is not one of this machine's (`ip addr` lists them). "
            f"Bind to one of those, or to 0.0.0.0:{port} for every IPv4 interface."
        )
    if error.errno == errno.EAFNOSUPPORT:
        kind = "IPv6" if family == socket.AF_INET6 else "IPv4"
        return f"Cannot listen on {shown}: this system has no {kind}. Bind to an address of the other kind."
    return f"Cannot listen on {shown}: {error.strerror or error}. Choose another address with --bind."


def set_connection_options(sock: socket.socket) -> None:
    """Sets the options that the connections of a listening socket inherit, if it is a TCP socket."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        # Small responses do not wait for the acknowledgement of earlier ones, and dead peers are detected eventually
        # (TCP keepalive).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


# --- Unix sockets ---


def listen_unix(path: str, *, backlog: int, permissions: int | None = None) -> Listener:
    """Listens on the Unix socket `path`, with the given permission bits (None: the umask decides).

    A socket file without a listening process is replaced. Raises StartupError.
    """
    try:
        with Parent(path) as parent:
            _make_room(parent)
            return _bind_unix(parent, backlog, permissions)
    except OSError as error:
        raise StartupError(_explain_unix(error, path)) from None


def _bind_unix(parent: Parent, backlog: int, permissions: int | None) -> Listener:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(parent.path)
        if parent.is_shared and _inode_in(parent) is None:
            raise UnsafePathError(parent.path, "leads elsewhere now")
    except BaseException:
        sock.close()
        raise
    listener = Listener(sock, _describe(sock), parent.path)
    try:
        if permissions is not None:
            _chmod(parent, permissions)  # No client can connect before the next line.
        sock.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _make_room(parent: Parent) -> None:
    """Removes a socket file whose owner is gone. Raises OSError, and StartupError for anything else that is there."""
    path = parent.path
    found = parent.status()
    if found is None:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise StartupError(f"{path} exists and is not a socket. Remove it, or choose another path with --bind.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # A full backlog is an answer as well (EAGAIN).
        code = probe.connect_ex(path)  # OSError: the path is too long
        owner = _describe_unix_owner(probe) if code == 0 else ""
    if code == errno.ENOENT:
        return
    if code in (errno.EACCES, errno.EPERM):
        raise StartupError(
            f"{path} exists and this user may not connect to it, so it cannot be checked whether it is in use. "
            "Start as the user that it belongs to, or choose another path with --bind."
        )
    if code != errno.ECONNREFUSED:
        how = "" if owner else f" (`ss -lxp 'src = {path}'` shows which it is)"
        raise StartupError(
            f"Another process listens on {path}{owner}. Stop it{how}, or choose another path with --bind."
        )
    if _inode_in(parent) == (found.st_dev, found.st_ino):
        os.unlink(parent.name, dir_fd=parent.fd)


def _describe_unix_owner(probe: socket.socket) -> str:
    """Describes the process that a connected socket has reached; "" if it is unknown, as outside this container."""
    pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    found = describe_process(pid) if pid > 0 else ""
    return f": {found}" if found else ""


def _explain_unix(error: OSError, path: str) -> str:
    parent = os.path.dirname(path) or "."
    if isinstance(error, UnsafePathError):
        return f"{error.strerror}. {error.fix}, or choose another path with --bind."
    if error.errno is None:  # Python's own check of the length, before any system call
        length = len(os.fsencode(path))
        return (
            f"The socket path {path} is too long ({length} bytes; about {UNIX_PATH_LIMIT} are possible). "
            "Choose a shorter one with --bind."
        )
    if error.errno == errno.ENOENT and not os.path.lexists(parent):
        return f"The directory {parent} does not exist. Create it, or choose another path with --bind."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"This user may not create {path} ({error.strerror}). "
            f"Make {parent} writable for it, or choose another path with --bind."
        )
    if error.errno == errno.EADDRINUSE:
        return f"Another process took {path} this moment. Stop it, or choose another path with --bind."
    return f"Cannot listen on {path}: {error.strerror or error}. Choose another path with --bind."


def _inode(path: str) -> tuple[int, int] | None:
    """The identity of the file that is at `path` now; None if there is none, or if it cannot be reached safely."""
    try:
        with Parent(path) as parent:
            return _inode_in(parent)
    except OSError:
        return None


def _inode_in(parent: Parent) -> tuple[int, int] | None:
    found = parent.status()
    return None if found is None else (found.st_dev, found.st_ino)


def _remove(path: str, inode: tuple[int, int]) -> None:
    try:
        with Parent(path) as parent:
            if _inode_in(parent) == inode:
                os.unlink(parent.name, dir_fd=parent.fd)
    except OSError:
        pass  # Its folder is gone, or is another one now.


def _chmod(parent: Parent, permissions: int) -> None:
    """Sets the permissions of a socket file, and of nothing else that may be in its place by now."""
    if not parent.is_shared:
        os.chmod(parent.name, permissions, dir_fd=parent.fd)
        return
    # No system call changes permissions without following links, but one through an opened file.
    fd = _open_socket_file(parent)
    try:
        os.chmod(f"/proc/self/fd/{fd}", permissions)
    finally:
        os.close(fd)


def _chown(parent: Parent, inode: tuple[int, int], uid: int, gid: int) -> None:
    """Gives a socket file away while it is the one with that inode."""
    if not parent.is_shared:
        os.chown(parent.name, uid, gid, dir_fd=parent.fd, follow_symlinks=False)
        return
    fd = _open_socket_file(parent)
    try:
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) == inode:
            os.chown(f"/proc/self/fd/{fd}", uid, gid)
    finally:
        os.close(fd)


def _open_socket_file(parent: Parent) -> int:
    """Opens it for its status alone. Raises OSError if another user has put something else there."""
    fd = os.open(parent.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent.fd)
    found = os.fstat(fd)
    if stat.S_ISSOCK(found.st_mode) and found.st_nlink == 1:
        return fd
    os.close(fd)
    raise UnsafePathError(parent.path, "is not the socket that was made")


# --- Descriptors that another process opened ---


def listen_fd(fd: int) -> Listener:
    """Takes over a listening descriptor from a process manager. Raises StartupError."""
    advice = f"Check that the process manager passes it, and that its number is {fd}."
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        raise StartupError(f"fd://{fd}: no descriptor with this number is open. {advice}") from None
    if not stat.S_ISSOCK(mode):
        raise StartupError(f"fd://{fd}: this descriptor is not a socket. {advice}")
    sock = socket.socket(fileno=fd)
    if sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) or sock.type != socket.SOCK_STREAM:
        sock.detach()  # not ours to close
        raise StartupError(f"fd://{fd}: this socket is of a kind that carries no HTTP. {advice}")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise StartupError(f"fd://{fd}: this socket is not listening. {advice}")
    sock.setblocking(False)
    sock.set_inheritable(False)
    return Listener(sock, _describe(sock))


def take_over(fd: int) -> Listener:
    """Takes over a listening descriptor, and with it the duty to remove its socket file. Raises StartupError."""
    listener = listen_fd(fd)
    sock = listener.sock
    path = os.fsdecode(sock.getsockname()) if sock.family == socket.AF_UNIX else ""
    return Listener(sock, listener.address, "" if path.startswith("\0") else path, is_inherited=True)


def _describe(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
    return f"http://{host}:{name[1]}"
