"""The admin socket: health and state of the server, answered by the supervisor, which no worker can block.

Facts and rules:
- The supervisor has one thread and other work. So nothing here blocks: sockets are non-blocking, an answer is built
  from memory, and a slow client waits in the poll set.
- A client has REQUEST_SECONDS in all. If there are MAX_CONNECTIONS, a new connection replaces the oldest one, so that
  silent clients do not lock out a health check.
- While another server has the address, since an upgrade is in progress, opening it is tried every second.
"""

import socket
from collections.abc import Callable
from functools import partial
from time import monotonic

from ianus.acceptor.listener import Listener, listen_tcp, listen_unix
from ianus.errors import StartupError
from ianus.process.supervisor.admin_request import AdminRequestError, build_response, parse_head
from ianus.process.supervisor.admin_status import ServerState
from ianus.process.supervisor.wakeups import Wakeups
from ianus.settings.values import AdminBind, UnixBind
from ianus.telemetry.logger import logger

# Seconds that a connection may last.
REQUEST_SECONDS = 5.0

MAX_CONNECTIONS = 16
BACKLOG = 16

# Seconds until an address is tried again, and until accepting is, for lack of descriptors.
RETRY_SECONDS = 1.0

# Permissions of the Unix socket: for the user of the server, and root.
PERMISSIONS = 0o600


class AdminSocket:
    """The listeners of --admin-bind and their connections.

    state: returns the state of the server.
    """

    def __init__(self, wakeups: Wakeups, state: Callable[[], ServerState], clock: Callable[[], float] = monotonic):
        self.bind: AdminBind | None = None
        self._wakeups = wakeups
        self._state = state
        self._clock = clock
        self._listeners: list[Listener] = []
        self._connections: list[AdminConnection] = []  # oldest first
        self._retry_at = 0.0  # when the address is opened, or accepting continues; 0 for never
        self._is_failing = False  # the last attempt to open the address has failed, and was logged

    def change(self, admin_bind: AdminBind | None) -> None:
        """Replaces the address; None: no address from now on.

        Raises StartupError if the new one cannot be used. The present one stays then.
        """
        lost = any(listener.has_lost_file() for listener in self._listeners)
        if admin_bind == self.bind and not lost:
            return
        listeners = _open(admin_bind)
        self.close()
        self.bind = admin_bind
        self._listen(listeners)

    def open_later(self, admin_bind: AdminBind | None, now: float) -> None:
        """Listens on this address as soon as the previous server has closed it."""
        self.bind = admin_bind
        self._retry_at = now + RETRY_SECONDS if admin_bind is not None else 0.0

    def step(self, now: float, *, has_predecessor: bool = False) -> None:
        """Does the work that is due. has_predecessor: the previous server may have the address."""
        for connection in [each for each in self._connections if now >= each.deadline]:
            self._remove(connection)
        if not self._retry_at or now < self._retry_at:
            return
        self._retry_at = 0.0
        if self._listeners:  # Accepting was paused.
            self._watch()
            return
        try:
            self._listen(_open(self.bind))
        except StartupError as error:
            self._retry_at = now + RETRY_SECONDS
            if not has_predecessor and not self._is_failing:
                self._is_failing = True
                logger.error("cannot open the admin socket, trying again every second: %s", error.message)

    def due(self) -> list[float]:
        """Returns the times at which step() has work; 0 for none."""
        return [self._retry_at, *(each.deadline for each in self._connections)]

    def close(self) -> None:
        """Closes the sockets, and removes the file."""
        for connection in list(self._connections):
            self._remove(connection)
        for listener in self._listeners:
            self._wakeups.unwatch(listener.sock.fileno())
            listener.close()
        self._listeners = []
        self.bind = None
        self._retry_at = 0.0

    def close_in_child(self) -> None:
        """Closes the sockets, in a process that was forked from the supervisor."""
        for connection in self._connections:
            connection.sock.close()
        for listener in self._listeners:
            listener.close()

    def _listen(self, listeners: list[Listener]) -> None:
        self._listeners = listeners
        self._is_failing = False
        self._watch()
        if listeners:
            logger.info("admin socket: %s", ", ".join(listener.address for listener in listeners))

    def _watch(self) -> None:
        for listener in self._listeners:
            self._wakeups.watch(listener.sock.fileno(), partial(self._accept, listener))

    def _accept(self, listener: Listener) -> None:
        for _ in range(MAX_CONNECTIONS):
            try:
                sock, _ = listener.sock.accept()
            except BlockingIOError:
                return
            except (ConnectionError, InterruptedError):
                continue  # That client has gone.
            except OSError as error:
                # EMFILE, for example. A listener that stays readable would keep the supervisor busy.
                logger.error("admin socket cannot accept connections: %s", error)
                for each in self._listeners:
                    self._wakeups.unwatch(each.sock.fileno())
                self._retry_at = self._clock() + RETRY_SECONDS
                return
            sock.setblocking(False)
            if len(self._connections) >= MAX_CONNECTIONS:
                self._remove(self._connections[0])
            is_local = listener.sock.family == socket.AF_UNIX
            connection = AdminConnection(sock, self._clock() + REQUEST_SECONDS, local_only=not is_local)
            self._connections.append(connection)
            self._wakeups.watch(sock.fileno(), partial(self._continue, connection))

    def _continue(self, connection: "AdminConnection") -> None:
        """Reads and writes, as far as the client has sent and takes."""
        try:
            if not connection.output and not connection.is_answered:
                connection.read()
                connection.output = self._answer(connection)
            if connection.output:
                connection.write()
                self._wakeups.watch(
                    connection.sock.fileno(), partial(self._continue, connection), output=bool(connection.output)
                )
            elif connection.is_answered:
                connection.discard()
        except BlockingIOError:
            return
        except OSError:
            self._remove(connection)

    def _answer(self, connection: "AdminConnection") -> bytes:
        from email.utils import formatdate  # 6 ms, which a server without an admin socket does not need.

        date = formatdate(usegmt=True)
        content_type = "text/plain; charset=utf-8"
        try:
            request = parse_head(connection.input, local_only=connection.local_only)
        except AdminRequestError as error:
            return build_response(error.status, f"{error}\n".encode(), content_type, date, is_head=False)
        if request is None:
            return b""
        state = self._state()
        status, body = 200, b"live\n"
        if request.path == "/-/ready":
            status, body = (200, b"ready\n") if state.is_ready else (503, b"not ready\n")
        elif request.path == "/-/status":
            import json

            content_type = "application/json"
            body = json.dumps(state.status(self._clock())).encode() + b"\n"
        elif request.path != "/-/live":
            status, body = 404, b"there are /-/live, /-/ready and /-/status\n"
        return build_response(status, body, content_type, date, is_head=request.method == "HEAD")

    def _remove(self, connection: "AdminConnection") -> None:
        self._connections.remove(connection)
        self._wakeups.unwatch(connection.sock.fileno())
        connection.sock.close()


class AdminConnection:
    """One connection: a request, its response, and the end.

    input: the bytes that have arrived. output: those that are to be sent. deadline: when it is closed.
    is_answered: all of the response is sent; the client may still send, and is waited for, since a close would reset
    the connection (RFC 9112 section 9.6).
    """

    def __init__(self, sock: socket.socket, deadline: float, *, local_only: bool) -> None:
        self.sock = sock
        self.deadline = deadline
        self.local_only = local_only
        self.input = b""
        self.output = b""
        self.is_answered = False

    def read(self) -> None:
        """Reads a part of the request. Raises OSError, also at the end of the connection."""
        data = self.sock.recv(4096)
        if not data:
            raise ConnectionResetError
        self.input += data

    def write(self) -> None:
        """Sends a part of the response. Raises OSError."""
        self.output = self.output[self.sock.send(self.output) :]
        if not self.output:
            self.is_answered = True
            self.sock.shutdown(socket.SHUT_WR)

    def discard(self) -> None:
        """Reads further input of the client. Raises OSError, also at the end of the connection."""
        if not self.sock.recv(4096):
            raise ConnectionResetError


def _open(bind: AdminBind | None) -> list[Listener]:
    """Listens on an address. Raises StartupError."""
    if bind is None:
        return []
    try:
        if isinstance(bind, UnixBind):
            return [listen_unix(bind.path, backlog=BACKLOG, permissions=PERMISSIONS)]
        return listen_tcp(bind.host, bind.port, backlog=BACKLOG)
    except StartupError as error:
        raise StartupError(error.message.replace("--bind", "--admin-bind")) from None
