"""A filter between the sockets and the connections of a listener: one of records with masked bytes, in place of TLS."""

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ianus.acceptor.masking_filter import MaskingFilterFactory
from tests.acceptor.serving import Serving, nothing_left

MASK = bytes(byte ^ 0x5A for byte in range(256))
MAX_RECORD_BYTES = 1000
END = b"\0\0"

GET = b"GET /%s HTTP/1.1\r\nHost: test\r\n\r\n"


def encode(data: bytes, size: int = MAX_RECORD_BYTES) -> bytes:
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(len(piece).to_bytes(2, "big") + piece.translate(MASK) for piece in pieces)


class Client:
    """The other end of a connection, which decodes the bytes that it receives."""

    def __init__(self, serving: Serving, sock: socket.socket) -> None:
        self.serving = serving
        self.socket = sock
        self.received = bytearray()  # not decoded yet
        self.data = bytearray()
        self.ended = False  # the server has ended its records
        self.closed = False  # ... and its side of the socket

    def receive(self, size: int = 1 << 20) -> None:
        with contextlib.suppress(BlockingIOError):
            data = self.socket.recv(size)
            self.closed = not data
            self.received += data
        while len(self.received) >= 2:
            length = int.from_bytes(self.received[:2], "big")
            if length == 0:
                self.ended = True
                assert len(self.received) == 2
                return
            if len(self.received) < length + 2:
                return
            self.data += self.received[2 : length + 2].translate(MASK)
            del self.received[: length + 2]

    def send(self, data: bytes) -> None:
        """Sends all bytes, while the server reads."""
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                self.serving.turn()

    def read(self, condition: Callable[[], Any]) -> bytes:
        """Reads until the condition is true. Returns all decoded bytes so far."""

        def done() -> Any:
            self.receive()
            return condition()

        self.serving.until(done)
        return bytes(self.data)

    def read_to(self, end: bytes) -> bytes:
        return self.read(lambda: self.data.endswith(end))


def connect(serving: Serving, **options: int) -> Client:
    client = socket.socket()
    for name, value in options.items():
        client.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    client.connect(serving.listener.getsockname())
    client.setblocking(False)
    return Client(serving, client)


def new() -> Serving:
    serving = Serving(asgi_sendfile=True)
    serving.state["may_read"] = asyncio.Event()
    serving.reactor.listen(serving.listener, serving.sessions(app), MaskingFilterFactory())
    return serving


@pytest.fixture
def serving() -> Iterator[Serving]:
    with nothing_left():
        running = new()
        yield running
        running.close()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if path == "/upload":
        digest = hashlib.sha256()
        more = True
        while more:
            message = await receive()
            digest.update(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.body", "body": digest.hexdigest().encode()})
    elif path == "/late-upload":
        await scope["state"]["may_read"].wait()
        size = 0
        while (message := await receive())["type"] == "http.request":
            size += len(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.body", "body": b"size: %d" % size})
    elif path == "/big":
        for number in range(15):
            await send({"type": "http.response.body", "body": bytes([number]) * 100_000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif path == "/file":
        await send({"type": "http.response.pathsend", "path": __file__})
    else:
        await send({"type": "http.response.body", "body": scope["raw_path"]})


def test_a_request_in_one_record(serving: Serving) -> None:
    client = connect(serving)
    for name in (b"first", b"second"):
        client.send(encode(GET % name))
        assert client.read_to(b"/" + name).startswith(b"HTTP/1.1 200 OK\r\n")
    client.socket.close()


def test_bytes_of_records_one_by_one(serving: Serving) -> None:
    client = connect(serving)
    for byte in encode(GET % b"slow"):
        client.send(bytes([byte]))
        serving.turn()
    assert client.read_to(b"/slow").startswith(b"HTTP/1.1 200 OK\r\n")
    client.socket.close()


def test_records_of_one_byte(serving: Serving) -> None:
    client = connect(serving)
    client.send(encode(GET % b"cut", size=1))
    client.read_to(b"/cut")
    client.socket.close()


def test_several_requests_in_one_record(serving: Serving) -> None:
    client = connect(serving)
    client.send(encode(GET % b"1" + GET % b"2" + GET % b"3"))
    assert client.read_to(b"/3").count(b"HTTP/1.1 200 OK") == 3
    client.socket.close()


@pytest.mark.parametrize("chunk", [997, 4099, 65537])
def test_an_upload_in_chunks_of_odd_sizes(serving: Serving, chunk: int) -> None:
    body = bytes(range(256)) * 3_000
    client = connect(serving)
    data = encode(b"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(body) + body, size=999)
    for start in range(0, len(data), chunk):
        client.send(data[start : start + chunk])
        if start % 7 == 0:
            serving.turn()
    assert hashlib.sha256(body).hexdigest().encode() in client.read_to(b"0\r\n\r\n")
    client.socket.close()


def test_a_half_close_after_an_upload_that_is_read_late(serving: Serving) -> None:
    # All of it, and the FIN, is in the server's socket when the application starts to read.
    serving.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    client = connect(serving, SO_SNDBUF=1 << 20)
    client.send(encode(b"POST /late-upload HTTP/1.1\r\nHost: test\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)))
    client.socket.shutdown(socket.SHUT_WR)
    for _ in range(20):
        serving.turn()
    serving.state["may_read"].set()
    assert b"size: 300000\r\n" in client.read(lambda: client.closed)
    client.socket.close()


@pytest.mark.slow
def test_a_big_response_for_a_slow_client(serving: Serving) -> None:
    client = connect(serving, SO_RCVBUF=4096)
    client.send(encode(GET % b"big"))
    for _ in range(50):
        serving.turn()
        client.receive(1000)
    data = client.read_to(b"0\r\n\r\n")
    for number in range(15):
        assert data.count(bytes([number]) * 100_000) == 1
    client.socket.close()


def test_a_file_is_read_and_encoded(serving: Serving) -> None:
    client = connect(serving)
    client.send(encode(GET % b"file"))
    content = Path(__file__).read_bytes()
    assert client.read_to(content).endswith(b"\r\n\r\n" + content)
    client.socket.close()


def test_the_server_ends_its_bytes_before_it_shuts_down(serving: Serving) -> None:
    client = connect(serving)
    client.send(encode(b"GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
    assert client.read(lambda: client.closed).endswith(b"/last")
    assert client.ended
    client.socket.close()


def test_an_error_response_is_encoded(serving: Serving) -> None:
    client = connect(serving)
    client.send(encode(b"GET /\r\n\r\n"))
    assert client.read(lambda: client.closed).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert client.ended
    client.socket.close()


def test_the_end_of_the_peers_bytes_is_as_a_half_close(serving: Serving) -> None:
    client = connect(serving)
    client.send(encode(GET % b"end") + END)
    assert b"/end" in client.read(lambda: client.closed)
    client.socket.close()


def test_a_violation_of_the_filters_protocol_closes_the_connection(serving: Serving) -> None:
    client = connect(serving)
    client.send(GET % b"plain")
    with contextlib.suppress(ConnectionResetError):
        assert client.read(lambda: client.closed) == b""
    serving.until(lambda: serving.reactor.connections == 0)
    client.socket.close()


def test_a_client_that_does_not_read_is_not_encoded_for(serving: Serving) -> None:
    client = connect(serving, SO_RCVBUF=4096)
    client.send(encode(GET % b"big"))
    for _ in range(20):
        serving.turn()
    # The connection is gone with the bytes that wait.
    client.socket.close()
    serving.until(lambda: serving.reactor.connections == 0)


@pytest.mark.slow
def test_a_client_that_does_not_take_the_answers_of_the_filter_is_not_read(serving: Serving) -> None:
    serving.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client = connect(serving, SO_RCVBUF=4096, SO_SNDBUF=4096)
    requests = b"\xff\xff" * 15_000
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < len(requests):
            sent += client.socket.send(requests[sent : sent + 1000])
            for _ in range(5):
                serving.turn()
    assert sent < len(requests)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # The rest is read faster.
    while sent < len(requests):
        with contextlib.suppress(BlockingIOError):
            sent += client.socket.send(requests[sent : sent + 100])
        client.receive()
        serving.turn()
    client.read(lambda: len(client.data) == 1000 * (len(requests) // 2))
    client.send(encode(GET % b"alive"))
    client.read_to(b"/alive")
    client.socket.close()
