"""Messages both ways, and the errors of applications and clients about them."""

import json
from collections.abc import Callable, Iterator

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.codec.websocket.feeding import CONTINUATION, RSV1, compressed, fragments
from tests.e2e.websocket_client import BINARY, PING, PONG, TEXT, close, frame, open_websocket, text
from tests.helpers import WAIT_SECONDS, Server, tls_of_threads, url_of

APP = "websocket_apps:app"
PROSE = "".join(f"{i} times the same words, ünchanged; " for i in range(3000))


@pytest.fixture
def server(shared: Callable[..., Server]) -> Server:
    return shared(app=APP)


@pytest.fixture(params=["deflate", None], ids=["deflate", "plain"])
def library(server: Server, request: pytest.FixtureRequest) -> Iterator[ClientConnection]:
    """A connection of the `websockets` library's to /echo."""
    assert isinstance(server.address, tuple)
    with connect(
        url_of(server.address, f"/echo?{request.node.originalname}", "ws"),
        ssl=tls_of_threads(server.address),
        compression=request.param,
        open_timeout=WAIT_SECONDS,
        proxy=None,
        max_size=None,
    ) as client:
        assert bool(client.protocol.extensions) == (request.param == "deflate")
        yield client


@pytest.mark.parametrize("size", [0, 1, 125, 126, 255, 256, 8191, 8192, 65535, 65536, 1_000_000])
def test_echo(server: Server, size: int) -> None:
    payload = (bytes(range(256)) * (size // 256 + 1))[:size]
    with open_websocket(server) as client:
        client.send(frame(BINARY, payload))
        assert client.frame() == (BINARY, payload)
        client.echo("x" * size)
        client.echo(("é" * size)[: size // 2])


def test_another_client(library: ClientConnection) -> None:
    for message in ("hello", b"hello", "", b"", "ünïcødé \U0001f600", PROSE, PROSE.encode(), bytes(300_000)):
        library.send(message)
        assert library.recv(WAIT_SECONDS) == message


def test_many_messages_stay_in_order(library: ClientConnection) -> None:
    messages = [f"{i} {PROSE[: i * 7 % 2000]}" for i in range(300)]
    for message in messages:
        library.send(message)
    assert [library.recv(WAIT_SECONDS) for _ in messages] == messages


def test_another_client_closes_in_order(server: Server, library: ClientConnection) -> None:
    mark = server.log.mark()
    library.close(3000, "bye")
    assert server.app_log("end of test_another_client_closes_in_order", mark) == "3000 bye"
    assert (library.close_code, library.close_reason) == (3000, "")


def test_fragments_and_control_frames_between(server: Server) -> None:
    with open_websocket(server) as client:
        client.send(frame(TEXT, b"he", fin=False) + frame(PING, b"1"))
        assert client.frame() == (PONG, b"1")
        client.send(frame(CONTINUATION, b"", fin=False) + frame(PONG, b"2") + frame(CONTINUATION, b"llo"))
        assert client.frame() == (TEXT, b"hello")
        client.send(fragments(BINARY, *(bytes([byte]) for byte in range(256))))
        assert client.frame() == (BINARY, bytes(range(256)))


def test_byte_by_byte(server: Server) -> None:
    with open_websocket(server) as client:
        for byte in text("héllo") + frame(BINARY, b"x" * 130):
            client.send(bytes([byte]))
        assert client.frame() == (TEXT, "héllo".encode())
        assert client.frame() == (BINARY, b"x" * 130)
        for byte in frame(PING, b"p"):
            client.send(bytes([byte]))
        assert client.frame() == (PONG, b"p")


def test_compressed_messages(server: Server) -> None:
    with open_websocket(server, "/echo", b"Sec-WebSocket-Extensions: permessage-deflate") as client:
        for small in compressed(b"hello", b"hello again"):
            client.send(text(small, rsv=RSV1))
        # Short messages are not compressed.
        assert client.frame() == (TEXT, b"hello")
        assert client.frame() == (TEXT, b"hello again")
        client.send(text("x" * 1000))
        first, length = client.exactly(2)
        assert first == 0xC0 | TEXT
        assert length < 100


# --- Errors ---


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05Hello", 1002),
        (frame(3), 1002),
        (frame(CONTINUATION), 1002),
        (text("x", rsv=RSV1), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xff", fin=False), 1007),
        (close(1005), 1002),
    ],
)
def test_a_client_that_breaks_the_protocol(server: Server, data: bytes, code: int) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/echo?breaks") as client:
        client.echo("before")
        client.send(data + text("after"))
        told, reason = client.closed()
        assert told == code
        assert reason
        assert client.gone()
    assert server.app_log("end of breaks", mark).startswith(str(code))


def test_errors_go_to_the_application(server: Server) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/errors") as client:
        opcode, payload = client.frame()
        assert opcode == TEXT
        client.send(close(1000))
        assert client.closed() == (1000, "")
    assert json.loads(payload) == [
        # Before it is accepted
        *("RuntimeError", "RuntimeError", "ValueError", "ValueError"),
        # and after that
        *("RuntimeError", "ValueError", "ValueError", "ValueError", "TypeError", "TypeError", "UnicodeEncodeError"),
        *("ValueError", "RuntimeError"),
    ]
    received = server.app_log("errors", mark).split()
    assert received[1] == "none"
    assert received[0] != "none"


def test_an_invalid_message_of_the_application_breaks_nothing(server: Server) -> None:
    """Its errors are its own: the client has seen one message and an ordinary end."""
    with open_websocket(server, "/errors") as client:
        assert client.frame()[0] == TEXT
        client.send(frame(PING, b"still there"))
        assert client.frame() == (PONG, b"still there")
        client.send(close(1000))
        assert client.closed() == (1000, "")
        assert client.nothing()
