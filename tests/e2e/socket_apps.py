"""A WSGI application that uses the socket of its connection by itself, as libraries for WebSockets do.

Each path is one kind of application. `environ["gunicorn.socket"]` is there for handshakes alone.
"""

import select
import selectors
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ianus.codec.websocket.handshake import GUID
from tests.e2e.apps import report
from tests.e2e.wsgi_apps import app as other_app

Start = Callable[..., Any]


def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    use = PATHS.get(environ["PATH_INFO"])
    if use is None or ("gunicorn.socket" not in environ and use is not read_now):
        return other_app(environ, start_response)
    return use(environ, start_response)


def accept(environ: dict[str, Any]) -> socket.socket:
    """Answers the handshake."""
    import base64
    import hashlib

    connection: socket.socket = environ["gunicorn.socket"]
    key = environ["HTTP_SEC_WEBSOCKET_KEY"].encode()
    value = base64.b64encode(hashlib.sha1(key + GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + value + b"\r\n\r\n"
    )
    return connection


def read_frame(connection: socket.socket) -> tuple[int, bytes] | None:
    """Reads a frame of a client: opcode and payload. Returns None at the end of the input."""

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = connection.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    try:
        first, length = exactly(2)
        length &= 0x7F
        if length > 125:
            length = int.from_bytes(exactly(2 if length == 126 else 8), "big")
        key = exactly(4)
        payload = exactly(length)
    except EOFError:
        return None
    return first & 15, bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def write_frame(connection: socket.socket, opcode: int, payload: bytes) -> None:
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7f" + len(payload).to_bytes(8, "big")
    connection.sendall(bytes([0x80 | opcode]) + size + payload)


def echo(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    connection = accept(environ)
    while (got := read_frame(connection)) is not None:
        write_frame(connection, *got)
        if got[0] == 8:
            break
    report("echo ended", "by a close frame" if got else "by the end of the input")
    raise StopIteration


def answer(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"plain"]


def refuse(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    environ["gunicorn.socket"].sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    raise StopIteration


def fail(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    write_frame(accept(environ), 1, b"last")
    raise RuntimeError("failed in a WebSocket")


def close(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Closes the socket at once after a large message, with unread input."""
    connection = accept(environ)
    connection.recv(1)
    write_frame(connection, 2, bytes(150_000))
    connection.close()
    raise StopIteration


def respond(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """As the libraries do that do not know the server."""
    write_frame(accept(environ), 8, b"")
    start_response("200 OK", [])
    return [b"dropped"]


def flood(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    connection = accept(environ)
    try:
        while True:
            write_frame(connection, 2, bytes(65536))
    except OSError as error:
        report("flood ended", type(error).__name__)
        raise


def ignore(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Reads nothing until its input has ended."""
    connection = accept(environ)
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    report("ignoring")
    poll.poll()
    raise StopIteration


reading = threading.Event()


def read_later(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Reads nothing before a request for /read-now."""
    connection = accept(environ)
    report("not reading")
    reading.wait(30)
    reading.clear()
    report("read", sum(map(len, iter(lambda: connection.recv(65536), b""))))
    raise StopIteration


def read_now(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    reading.set()
    return answer(environ, start_response)


def wait(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Waits for the client by each means that a socket has."""
    connection = accept(environ)
    connection.settimeout(0.01)
    try:
        connection.recv(1)
    except TimeoutError:
        write_frame(connection, 1, b"timeout")
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        assert not selector.select(0.01)
        write_frame(connection, 1, b"select")
        assert selector.select(10)
    connection.settimeout(None)
    got = read_frame(connection)
    assert got is not None
    threading.Thread(target=write_frame, args=(connection, *got)).start()
    assert read_frame(connection) is not None
    connection.shutdown(socket.SHUT_WR)
    raise StopIteration


PATHS: dict[str, Callable[[dict[str, Any], Start], Iterable[bytes]]] = {
    "/ws": echo,
    "/answer": answer,
    "/refuse": refuse,
    "/fail": fail,
    "/close": close,
    "/respond": respond,
    "/flood": flood,
    "/ignore": ignore,
    "/read-later": read_later,
    "/read-now": read_now,
    "/wait": wait,
}
