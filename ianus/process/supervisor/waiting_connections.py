"""Answers health checks while no worker serves, and keeps all other connections for the next worker.

Facts: without a worker, connections wait in the backlog, and so would the health checks of --health-path, until the
platform takes the silence for a broken server. Strategy: the supervisor accepts connections then, and peeks at their
first bytes. A health check is answered with 503. Any other connection is put into the transfer queue, with its bytes
unread, and a worker takes it from there as soon as one serves.

At an address with TLS all connections wait in the backlog: this process makes no handshakes, and clients there do not
understand an answer without TLS.
"""

import socket
from collections.abc import Callable
from functools import partial
from time import monotonic

from ianus.acceptor.listener import Listener, set_connection_options
from ianus.process.supervisor.sockets import Sockets
from ianus.process.supervisor.wakeups import Wakeups
from ianus.process.transfer_queue import TransferQueue

# Maximum number of connections that have sent nothing so far, or for which the queue has no space. Further ones stay in
# the backlog.
MAX_WAITING = 128

# Seconds after which a connection that has sent nothing is put into the queue.
FIRST_BYTE_SECONDS = 1.0

# Seconds until it is tried again if the queue is full, or no connection can be accepted.
RETRY_SECONDS = 0.1

PEEK_BYTES = 8192

_HEAD = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n"
)
_BODY = b"503 Service Unavailable: starting\n"

# The start of a header of version 2 of the PROXY protocol.
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


class WaitingConnections:
    """The connections of a server without a worker that serves."""

    def __init__(
        self, sockets: Sockets, transfers: TransferQueue, wakeups: Wakeups, clock: Callable[[], float] = monotonic
    ) -> None:
        self._sockets = sockets
        self._transfers = transfers
        self._wakeups = wakeups
        self._clock = clock
        self._path = b""
        # Duplicates, so that the number of a closed listener does not become that of another watched file.
        self._listeners: list[socket.socket] = []
        self._originals: list[Listener] = []  # of which they are duplicates
        self._deadlines: dict[socket.socket, float] = {}  # of the connections, oldest first
        self._retry_at = 0.0  # when accepting continues, 0 for now

    def step(self, health_path: str, *, is_unserved: bool, now: float) -> None:
        """Starts or stops accepting connections. To be called after each change, before the next wait.

        is_unserved: no worker serves, and this process alone may accept connections.
        """
        if not health_path or not is_unserved:
            if self._listeners or self._deadlines:
                self._stop(now)
            return
        self._path = health_path.encode("ascii")
        self._look_at_overdue(now)
        if self._listeners and self._originals != list(self._sockets.listeners()):
            self._close_listeners()  # A reload has changed the addresses.
        if now >= self._retry_at:
            self._retry_at = 0.0
            # At the maximum, a connection that ends makes the next step.
            if not self._listeners and len(self._deadlines) < MAX_WAITING:
                self._start()

    def due(self) -> list[float]:
        """Returns the times of the next steps; 0 for none."""
        return [self._retry_at, *list(self._deadlines.values())[:1]]

    def close_in_child(self) -> None:
        """Closes the descriptors, in a process that was forked from the supervisor."""
        for sock in (*self._listeners, *self._deadlines):
            sock.close()

    def _start(self) -> None:
        try:
            self._originals = list(self._sockets.listeners())
            for listener in self._originals:
                if listener.is_tls:
                    continue
                # A worker sets them when it listens, and there may not have been one.
                set_connection_options(listener.sock)
                sock = listener.sock.dup()
                self._listeners.append(sock)
                self._wakeups.watch(sock.fileno(), partial(self._accept, sock))
        except OSError:
            self._pause()  # no descriptor is left

    def _pause(self) -> None:
        self._close_listeners()
        self._retry_at = self._clock() + RETRY_SECONDS

    def _stop(self, now: float) -> None:
        self._close_listeners()
        self._retry_at = 0.0
        for connection in list(self._deadlines):
            self._wakeups.unwatch(connection.fileno())
            self._pass_on(connection)

    def _close_listeners(self) -> None:
        for sock in self._listeners:
            self._wakeups.unwatch(sock.fileno())
            sock.close()
        self._listeners = []

    def _accept(self, sock: socket.socket) -> None:
        while len(self._deadlines) < MAX_WAITING:
            try:
                connection, _ = sock.accept()
            except BlockingIOError:
                return
            except (ConnectionError, InterruptedError):
                continue  # That client has gone.
            except OSError:
                break
            connection.setblocking(False)
            self._deadlines[connection] = self._clock() + FIRST_BYTE_SECONDS
            self._wakeups.watch(connection.fileno(), partial(self._look, connection))
        self._pause()

    def _look(self, connection: socket.socket, *, is_overdue: bool = False) -> None:
        """Handles the first bytes of a connection, or its end."""
        # Its bytes stay unread, so poll() would report them again and again.
        self._wakeups.unwatch(connection.fileno())
        start: bytes | None = None
        try:
            start = connection.recv(PEEK_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            pass
        except OSError:
            start = b""
        if start == b"":
            self._remove(connection)
            return
        request = skip_proxy_header(start or b"")
        if is_health_check(request, self._path):
            _answer(connection, request)
            self._remove(connection)
        elif is_overdue or b"\n" in request:
            self._pass_on(connection)
        else:
            self._look_later(connection)  # The rest of the first line may follow.

    def _look_at_overdue(self, now: float) -> None:
        for connection in [each for each, deadline in self._deadlines.items() if now >= deadline]:
            self._look(connection, is_overdue=True)

    def _look_later(self, connection: socket.socket) -> None:
        # It stays the first one, so that due() has its time.
        self._deadlines = {connection: self._clock() + RETRY_SECONDS} | {
            each: deadline for each, deadline in self._deadlines.items() if each is not connection
        }

    def _pass_on(self, connection: socket.socket) -> None:
        if self._transfers.put(connection):
            self._remove(connection)
        else:
            self._look_later(connection)

    def _remove(self, connection: socket.socket) -> None:
        del self._deadlines[connection]
        connection.close()


def is_health_check(start: bytes, path: bytes) -> bool:
    """Returns whether a request that starts with these bytes is for the health path."""
    for method in (b"GET ", b"HEAD "):
        if start.startswith(method + path):
            return start[len(method) + len(path) :][:1] in (b" ", b"?")
    return False


def skip_proxy_header(start: bytes) -> bytes:
    """Returns the bytes after a header of the PROXY protocol, if there is one: a proxy's health checks have it, too.

    Its addresses do not matter, since each client gets the same answer.
    """
    if start.startswith(b"PROXY "):
        return start.partition(b"\r\n")[2]
    if start.startswith(_SIGNATURE):
        # The specification, 2.2: 16 bytes, of which the last two are the length of the rest.
        return start[16 + int.from_bytes(start[14:16], "big") :] if len(start) >= 16 else b""
    return start


def _answer(connection: socket.socket, start: bytes) -> None:
    try:
        # Read as far as it has arrived: a close with unread bytes would reset the connection.
        connection.recv(PEEK_BYTES)
        connection.send(_HEAD % len(_BODY) + (_BODY if start.startswith(b"GET ") else b""))
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # The client has gone.
