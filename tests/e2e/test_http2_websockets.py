"""WebSockets over HTTP/2 (RFC 8441): the handshake, messages both ways, and the ends of a stream."""

import json
import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import h2.events
import pytest

from tests.certificates import localhost, root
from tests.codec.websocket.feeding import BINARY, CLOSE, PING, PONG, TEXT, close, frame, text
from tests.e2e.http2_client import Http2Client
from tests.helpers import Server

APP = "websocket_apps:app"
DATA = bytes(range(256)) * 4000

Shared = Callable[..., Server]


class StreamWebSocket:
    """One WebSocket on a stream of a connection."""

    def __init__(self, client: Http2Client, path: str = "/echo", *fields: tuple[bytes, bytes]) -> None:
        self.client = client
        self.stream = client.connect(path, *fields)
        assert client.status(self.stream) == 200

    def send(self, data: bytes, *, ends: bool = False) -> None:
        self.client.send(self.stream, data, ends=ends)

    def received(self) -> bytes:
        events = self.client.events[self.stream]
        return b"".join(each.data for each in events if isinstance(each, h2.events.DataReceived))

    def frames(self, count: int) -> list[tuple[int, bytes]]:
        """Returns the first frames of the server, and reads until they are there."""
        while len(found := read_frames(self.received())) < count:
            assert not self.client.is_ended
            self.client.receive()
        return found


def read_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Returns opcode and payload of the whole frames."""
    found = []
    while len(data) >= 2:
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            break
        found.append((data[0] & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return found


@pytest.fixture
def server(shared: Shared) -> Server:
    return shared("--http2-cleartext", app=APP)


@pytest.fixture
def client(server: Server) -> Iterator[Http2Client]:
    with Http2Client(server.address) as client:
        yield client


# --- The handshake ---


def test_the_head_accepts_without_a_key(client: Http2Client) -> None:
    """RFC 8441 section 5: 200, and neither Connection, Upgrade nor Sec-WebSocket-Accept."""
    assert client.offers_tunnels()
    fields = client.fields(StreamWebSocket(client).stream)
    assert fields[b":status"] == b"200"
    assert not {b"connection", b"upgrade", b"sec-websocket-accept", b"content-length"} & fields.keys()


@pytest.mark.plain
def test_the_scope_names_the_version(client: Http2Client) -> None:
    socket = StreamWebSocket(client, "/scope?a=1")
    scope = json.loads(socket.frames(1)[0][1])
    assert (scope["type"], scope["http_version"], scope["scheme"]) == ("websocket", "2", "ws")
    assert (scope["path"], scope["query_string"]) == ("/scope", "a=1")


def test_a_subprotocol_is_negotiated(client: Http2Client) -> None:
    socket = StreamWebSocket(client, "/accept?subprotocol=chat", (b"sec-websocket-protocol", b"chat, other"))
    assert client.fields(socket.stream)[b"sec-websocket-protocol"] == b"chat"


@pytest.mark.parametrize(("path", "status"), [("/refuse", 403), ("/deny", 401), ("/raise-early", 500)])
def test_a_refusal_ends_the_stream_alone(client: Http2Client, path: str, status: int) -> None:
    refused = client.connect(path)
    assert client.status(refused) == status
    client.wait_for(refused, h2.events.StreamEnded)
    assert StreamWebSocket(client).stream > refused


def test_a_handshake_of_another_version_is_answered_with_426(client: Http2Client) -> None:
    stream = client.connect("/echo", (b"sec-websocket-version", b"14"))
    assert client.status(stream) == 426
    assert client.fields(stream)[b"sec-websocket-version"] == b"13"


def test_another_protocol_is_answered_with_501(client: Http2Client) -> None:
    """RFC 9220 section 3"""
    assert client.status(client.connect("/echo", protocol=b"connect-udp")) == 501
    StreamWebSocket(client)


def test_a_websocket_for_a_host_without_a_certificate_is_refused_alone(shared: Shared, tmp_path: Path) -> None:
    certificate, key = localhost().write(tmp_path, "server")
    server = shared("--tls-host-check", "--ssl-certfile", certificate, "--ssl-keyfile", key, app=APP)
    with Http2Client(server.address, context=ssl.create_default_context(cadata=root().pem.decode())) as client:
        before = StreamWebSocket(client)
        refused = client.connect("/echo", authority=b"two.test")
        assert client.status(refused) == 421
        client.wait_for(refused, h2.events.StreamEnded)
        for socket in (before, StreamWebSocket(client)):
            socket.send(text("still"))
            assert socket.frames(1) == [(TEXT, b"still")]


def test_wsgi_offers_no_tunnel(shared: Shared) -> None:
    server = shared("--http2-cleartext", app="wsgi_apps:app")
    with Http2Client(server.address) as client:
        assert not client.offers_tunnels()
        # RFC 8441 section 3: a client must not do this then.
        stream = client.connect("/hello")
        assert client.wait_for(stream, h2.events.StreamReset).error_code == 1
        assert client.get("/hello") == b"hello\n"


def test_beside_a_wsgi_application_no_tunnel_is_offered(shared: Shared) -> None:
    """Browsers use HTTP/1.1 for the WebSockets of both then."""
    server = shared("--http2-cleartext", "--mount", "/wsgi=wsgi_apps:app", app=APP)
    with Http2Client(server.address) as client:
        assert not client.offers_tunnels()
        assert client.get("/wsgi/hello") == b"hello\n"


def test_mounted_asgi_applications_offer_tunnels(shared: Shared) -> None:
    server = shared("--http2-cleartext", "--mount", "/mounted=apps:app", app=APP)
    with Http2Client(server.address) as client:
        assert client.offers_tunnels()
        StreamWebSocket(client)


def test_without_websockets_no_tunnel_is_offered(shared: Shared) -> None:
    with Http2Client(shared("--http2-cleartext", "--ws", "none", app=APP).address) as client:
        assert not client.offers_tunnels()


# --- Messages ---


@pytest.mark.parametrize("size", [0, 1, 126, 65536, len(DATA)])
def test_messages_are_echoed(client: Http2Client, size: int) -> None:
    socket = StreamWebSocket(client)
    socket.send(frame(BINARY, DATA[:size]) + text("then"))
    assert socket.frames(2) == [(BINARY, DATA[:size]), (TEXT, b"then")]


def test_a_message_may_arrive_byte_by_byte(client: Http2Client) -> None:
    socket = StreamWebSocket(client)
    for byte in text("hello"):
        socket.send(bytes([byte]))
    assert socket.frames(1) == [(TEXT, b"hello")]


def test_bytes_before_the_acceptance_are_kept(client: Http2Client) -> None:
    stream = client.connect("/echo")
    client.send(stream, text("early"), ends=False)
    assert client.status(stream) == 200
    client.send(stream, text("late"), ends=False)
    events = client.events[stream]
    while len(read_frames(b"".join(e.data for e in events if isinstance(e, h2.events.DataReceived)))) < 2:
        client.receive()
    data = b"".join(each.data for each in events if isinstance(each, h2.events.DataReceived))
    assert read_frames(data) == [(TEXT, b"early"), (TEXT, b"late")]


def test_a_ping_is_answered(client: Http2Client) -> None:
    socket = StreamWebSocket(client)
    socket.send(frame(PING, b"are you there"))
    assert socket.frames(1) == [(PONG, b"are you there")]


def test_many_websockets_and_requests_share_a_connection(client: Http2Client) -> None:
    sockets = [StreamWebSocket(client) for _ in range(20)]
    for index, socket in enumerate(sockets):
        socket.send(text(f"message {index}"))
    assert client.get("/hello") == b"hello\n"
    for index, socket in enumerate(sockets):
        assert socket.frames(1) == [(TEXT, f"message {index}".encode())]


def test_an_application_that_does_not_read_stops_its_stream_alone(client: Http2Client) -> None:
    deaf = StreamWebSocket(client, "/deaf?http2")
    # More than its queue and the window of the stream
    flood = frame(BINARY, DATA[:65536])
    sent = 0
    while client.connection.local_flow_control_window(deaf.stream) > 0 and sent < 64:
        size = min(len(flood), client.connection.local_flow_control_window(deaf.stream))
        deaf.send(flood[:size])
        client.ping()
        sent += 1
        if size < len(flood):
            break
    rest = flood[size:]
    assert rest, "the window of the stream has no end"
    assert StreamWebSocket(client, "/listen").stream
    deaf.send(rest)
    assert deaf.frames(sent) == [(BINARY, DATA[:65536])] * sent


# --- Ends ---


def test_a_close_of_the_client_is_answered(client: Http2Client, server: Server) -> None:
    since = server.log.mark()
    socket = StreamWebSocket(client, "/echo?closed-2")
    socket.send(close(3000, b"bye"))
    assert socket.frames(1) == [(CLOSE, (3000).to_bytes(2, "big"))]
    client.wait_for(socket.stream, h2.events.StreamEnded)
    assert server.app_log("end of closed-2", since) == "3000 bye"
    assert client.get("/hello") == b"hello\n"


def test_a_close_of_the_application_ends_the_stream(client: Http2Client) -> None:
    socket = StreamWebSocket(client, "/close?4001,enough")
    socket.send(text("please"))
    assert socket.frames(1) == [(CLOSE, (4001).to_bytes(2, "big") + b"enough")]
    socket.send(close(4001), ends=True)
    client.wait_for(socket.stream, h2.events.StreamEnded)
    assert client.get("/hello") == b"hello\n"


@pytest.mark.parametrize("end", ["end", "reset", "connection"])
def test_an_end_without_a_close_frame_is_1006(server: Server, end: str) -> None:
    since = server.log.mark()
    with Http2Client(server.address) as client:
        socket = StreamWebSocket(client, f"/echo?lost-2-{end}")
        if end == "end":
            socket.send(b"", ends=True)
        elif end == "reset":
            client.reset(socket.stream)
        else:
            client.sock.close()
        assert server.app_log(f"end of lost-2-{end}", since) == "1006"


def test_a_message_over_the_limit_fails_its_websocket_alone(shared: Shared) -> None:
    server = shared("--http2-cleartext", "--ws-max-size", "1000", app=APP)
    with Http2Client(server.address) as client:
        socket = StreamWebSocket(client)
        socket.send(frame(BINARY, bytes(1001)))
        opcode, payload = socket.frames(1)[0]
        assert (opcode, payload[:2]) == (CLOSE, (1009).to_bytes(2, "big"))
        StreamWebSocket(client).send(b"")
        assert client.get("/hello") == b"hello\n"


def test_a_stop_closes_each_websocket(start_server: Callable[..., Server]) -> None:
    server = start_server("--http2-cleartext", app=APP)
    with Http2Client(server.address) as client:
        sockets = [StreamWebSocket(client, f"/echo?{number}") for number in range(3)]
        server.signal(signal.SIGTERM)
        for socket in sockets:
            assert socket.frames(1) == [(CLOSE, (1001).to_bytes(2, "big"))]
            socket.send(close(1001), ends=True)
        client.wait_for_end()
    assert server.wait() == 0
