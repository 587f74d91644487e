"""WebSockets of WSGI applications, without sockets: the test is the client, and uses the socket of the application."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ianus.exchange.base import SessionFactory
from ianus.exchange.recording import (
    RecordingConnection,
    drain,
    drain_service,
    end_conversation,
    expire,
    has_conversation,
    read_deadline,
    wants_input,
    wants_read,
)
from ianus.gateway.threads.recording import RecordingExecutor, collect, make_call
from tests.codec.websocket.feeding import close, frame, text
from tests.engine import wsgi_gateway
from tests.exchange.conversation import Conversation, get

KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = get("/ws", b"upgrade: websocket", b"connection: upgrade", b"sec-websocket-version: 13", KEY)

# As libraries write it, and as the client gets it.
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nX-Token: 1\r\n\r\n"
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nX-Token: 1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
)  # fmt: skip

Start = Callable[..., object]


class Peer(Conversation):
    """A client and an application.

    use: the application, called with its end of the relay in place of its environ, and with start_response().
    """

    def __init__(self, use: Callable[[RecordingConnection, Start], Any] = lambda relay, start: [], **values: Any):
        self.relays: list[RecordingConnection] = []
        self.environs: list[dict[str, Any]] = []
        self.executor = RecordingExecutor(on_notify=collect, on_wait=lambda: None)

        def app(environ: dict[str, Any], start_response: Start) -> Any:
            self.environs.append(environ)
            return use(self.relays[-1] if self.relays else None, start_response)  # type: ignore[arg-type]

        values = {"ws_close_timeout": 10.0, **values}
        super().__init__(gateway=wsgi_gateway(app, self.executor, self._add_connection, **values), **values)

    def _add_connection(self, sock: socket.socket, sessions: SessionFactory) -> None:
        sock.close()
        self.relays.append(RecordingConnection(sessions))

    @property
    def relay(self) -> RecordingConnection:
        return self.relays[-1]

    def shake_hands(self) -> None:
        """Opens the WebSocket. The call stays in the queue, as if its thread were in the application."""
        self.connection.receive(HANDSHAKE)
        self.relay.receive(ACCEPTED)
        assert self.receives() == SWITCHED

    def receives(self) -> bytes:
        self.connection.resume()
        return super().receives()

    def call(self) -> None:
        """Makes the queued call."""
        make_call(self.executor, self.executor.submitted.pop())

    def close(self) -> None:
        super().close()
        for relay in self.relays:
            relay.lose()
        while self.executor.submitted:
            self.call()


@pytest.fixture
def start() -> Iterator[Callable[..., Peer]]:
    """start(use, **settings): a Peer, closed after the test."""
    peers: list[Peer] = []

    def get(*use: Any, **values: Any) -> Peer:
        peers.append(Peer(*use, **values))
        return peers[-1]

    yield get
    for peer in peers:
        peer.close()


@pytest.fixture
def peer(start: Callable[..., Peer]) -> Peer:
    opened = start()
    opened.shake_hands()
    return opened


# --- The socket in the environ ---


def test_a_handshake_has_a_blocking_socket(start: Callable[..., Peer]) -> None:
    socket.setdefaulttimeout(5.0)
    try:
        peer = start()
        peer.connection.receive(HANDSHAKE)
    finally:
        socket.setdefaulttimeout(None)
    peer.call()
    application_socket = peer.environs[0]["gunicorn.socket"]
    assert application_socket.gettimeout() is None
    assert application_socket.recv(1) == b""
    # Libraries treat that server differently.
    assert "werkzeug.socket" not in peer.environs[0]


def test_the_socket_is_closed_without_a_warning(start: Callable[..., Peer], recwarn: pytest.WarningsRecorder) -> None:
    peer = start()
    peer.connection.receive(HANDSHAKE)
    peer.call()
    descriptor = peer.environs[0]["gunicorn.socket"].fileno()
    assert descriptor >= 0
    peer.environs.clear()
    with pytest.raises(OSError, match="Bad file descriptor"):
        socket.socket(fileno=descriptor)
    assert not list(recwarn)


@pytest.mark.parametrize(
    "request_head",
    [
        get("/"),
        get("/", b"upgrade: h2c", b"connection: upgrade"),
        get("/", b"upgrade: websocket", b"sec-websocket-version: 13", KEY),
        get("/", b"upgrade: websocket", b"connection: upgrade", b"sec-websocket-version: 12", KEY),
        get("/", b"upgrade: websocket", b"connection: upgrade", b"sec-websocket-version: 13"),
    ],
    ids=["GET", "h2c", "no connection", "version", "no key"],
)
def test_other_requests_have_none(start: Callable[..., Peer], request_head: bytes) -> None:
    peer = start(lambda relay, start_response: start_response("204 No Content", []) and ())
    peer.connection.receive(request_head)
    peer.call()
    assert "gunicorn.socket" not in peer.environs[0]
    assert peer.receives() == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert peer.connection.state == "open"


def test_no_request_has_one_without_websockets(start: Callable[..., Peer]) -> None:
    peer = start(ws="none")
    peer.connection.receive(HANDSHAKE)
    peer.call()
    assert "gunicorn.socket" not in peer.environs[0]


def test_lack_of_descriptors_is_answered_503(start: Callable[..., Peer], caplog: pytest.LogCaptureFixture) -> None:
    def fail(sock: socket.socket, sessions: SessionFactory) -> None:
        sock.close()
        raise OSError(24, "Too many open files")

    broken = Conversation(gateway=wsgi_gateway(print, start().executor, fail))
    broken.connection.receive(HANDSHAKE)
    assert broken.receives().startswith(b"HTTP/1.1 503 ")
    assert "rejected a WebSocket with 503, a socket cannot be opened: GET /ws: [Errno 24]" in caplog.text
    assert broken.service.in_flight.websockets == 0
    broken.close()


# --- The response ---


def test_the_head_is_read_in_pieces(start: Callable[..., Peer]) -> None:
    peer = start(header=[(b"X-Frame-Options", b"DENY")])
    peer.connection.receive(HANDSHAKE)
    for i in range(len(ACCEPTED)):
        assert peer.receives() == b""
        peer.relay.receive(ACCEPTED[i : i + 1])
    assert peer.receives() == SWITCHED.replace(b"1\r\nconn", b"1\r\nX-Frame-Options: DENY\r\nconn")


def test_bytes_pass_in_both_directions(peer: Peer) -> None:
    peer.connection.receive(b"\x81\x85")
    peer.connection.receive(b"abc")
    assert peer.relay.take_output() == b"\x81\x85abc"
    peer.relay.receive(b"\x81\x01")
    assert peer.receives() == b"\x81\x01"
    assert has_conversation(peer.connection)


def test_bytes_next_to_the_heads_are_passed_on(start: Callable[..., Peer]) -> None:
    peer = start()
    peer.connection.receive(HANDSHAKE + text("early"))
    peer.relay.receive(ACCEPTED + b"\x81\x02hi")
    assert peer.receives() == SWITCHED + b"\x81\x02hi"
    peer.connection.resume()
    assert peer.relay.take_output() == text("early")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (b"\x81\x02hi\r\n\r\n", "the first line is not a status line"),
        (b"HTTP/2 101 OK\r\n\r\n", "the first line is not a status line"),
        (b"HTTP/1.1 101 OK\r\nno colon\r\n\r\n", "a line has no colon"),
        (b"HTTP/1.1 101 OK\r\nbad name: x\r\n\r\n", "name"),
        (b"HTTP/1.1 101 OK\r\nx: a\nb\r\n\r\n", "x"),
        (b"HTTP/1.1 101 OK\r\ncontent-length: 0\r\n\r\n", "a 101 has no content-length"),
        (b"HTTP/1.1 102 Processing\r\n\r\n", "102"),
        (b"HTTP/1.1 403 No\r\ntransfer-encoding: chunked\r\n\r\n", "transfer-encoding"),
        (b"x" * 65536, "the first line is not a status line"),
    ],
    ids=["frame", "version", "no colon", "name", "value", "length", "interim", "chunked", "long"],
)
def test_an_invalid_head_is_answered_500(
    start: Callable[..., Peer], caplog: pytest.LogCaptureFixture, written: bytes, reason: str
) -> None:
    peer = start()
    peer.connection.receive(HANDSHAKE)
    peer.relay.receive(written)
    assert peer.receives().startswith(b"HTTP/1.1 500 ")
    assert peer.relay.state == "finished"
    assert caplog.text.count("invalid response head on the socket of a WebSocket (") == 1
    assert reason in caplog.text
    assert peer.ends[0][1] == 500


def test_a_websocket_is_refused_on_the_socket(start: Callable[..., Peer]) -> None:
    peer = start()
    peer.connection.receive(HANDSHAKE)
    peer.relay.receive(b"HTTP/1.1 403 Not here\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nno")
    peer.relay.receive(b"pe")
    peer.relay.finish_input()
    assert peer.receives() == b"HTTP/1.1 403 Not here\r\nContent-Length: 4\r\nconnection: close\r\n\r\nnope"
    assert (peer.connection.state, peer.ends) == ("finished", [(b"/ws", 403, 4)])


def test_a_refusal_of_another_length_is_aborted(start: Callable[..., Peer], caplog: pytest.LogCaptureFixture) -> None:
    peer = start()
    peer.connection.receive(HANDSHAKE)
    peer.relay.receive(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno")
    peer.relay.finish_input()
    assert not peer.receives().endswith(b"nope")
    assert (peer.connection.state, peer.relay.state) == ("finished", "finished")
    assert "invalid response on the socket of a WebSocket" in caplog.text


def test_an_application_may_answer_without_the_socket(start: Callable[..., Peer]) -> None:
    peer = start(lambda relay, start_response: start_response("200 OK", []) and [b"plain"])
    peer.connection.receive(HANDSHAKE)
    peer.call()
    assert peer.receives() == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nplain"
    assert (peer.connection.state, peer.relay.state) == ("finished", "closed")
    assert peer.ends == [(b"/ws", 200, 5)]


@pytest.mark.parametrize(
    ("error", "message"),
    [(StopIteration(), "application ended without answering a WebSocket handshake"), (KeyError(), "exception in")],
)
def test_an_application_without_an_answer_is_reported(
    start: Callable[..., Peer], caplog: pytest.LogCaptureFixture, error: Exception, message: str
) -> None:
    def use(relay: RecordingConnection, start_response: Start) -> Any:
        raise error

    peer = start(use)
    peer.connection.receive(HANDSHAKE)
    peer.call()
    assert peer.receives().startswith(b"HTTP/1.1 500 ")
    assert [record.getMessage().partition(":")[0][: len(message)] for record in caplog.records] == [message]
    assert peer.service.in_flight.websockets == 0


# --- The end of the call ---


@pytest.mark.parametrize("way", ["stop", "response"])
def test_output_beside_the_socket_is_dropped(
    start: Callable[..., Peer], caplog: pytest.LogCaptureFixture, way: str
) -> None:
    def use(relay: RecordingConnection, start_response: Start) -> Any:
        relay.receive(ACCEPTED + b"\x88\x00")
        if way == "stop":
            raise StopIteration
        start_response("200 OK", [])
        return [b"dropped"]

    peer = start(use)
    peer.connection.receive(HANDSHAKE)
    peer.call()
    assert peer.receives() == SWITCHED + b"\x88\x00"
    assert (peer.connection.state, peer.relay.state) == ("finished", "closed")
    assert peer.ends == [(b"/ws", 101, 2)]
    assert caplog.text == ""


def test_a_thread_may_answer_the_close_frame_after_the_call(start: Callable[..., Peer]) -> None:
    """The thread of simple-websocket does, and the call has returned by then."""
    peer = start(lambda relay, start_response: relay.receive(ACCEPTED))
    peer.connection.receive(HANDSHAKE)
    peer.connection.receive(close(1000))
    peer.call()
    assert peer.relay.output_ended
    assert peer.connection.state == "open"
    assert peer.service.in_flight.websockets == 0
    peer.relay.receive(b"\x88\x02\x03\xe8")
    assert peer.receives() == SWITCHED + b"\x88\x02\x03\xe8"
    assert peer.connection.state == "finished"


def test_a_call_that_leaves_the_socket_open_is_not_waited_for(start: Callable[..., Peer]) -> None:
    peer = start(lambda relay, start_response: relay.receive(ACCEPTED))
    peer.connection.receive(HANDSHAKE)
    peer.call()
    assert read_deadline(peer.connection) > 0
    peer.relay.receive(b"\x81\x04last")
    expire(peer.connection)
    assert peer.receives() == SWITCHED + b"\x81\x04last"
    assert (peer.connection.state, peer.relay.state) == ("finished", "closed")


def test_the_client_gets_all_output_of_a_call_that_has_returned(start: Callable[..., Peer]) -> None:
    peer = start(lambda relay, start_response: relay.receive(ACCEPTED))
    peer.connection.receive(HANDSHAKE)
    peer.call()
    peer.receives()
    peer.connection.stop_reading()
    peer.relay.receive(b"\x82\x7f" + (100_000).to_bytes(8, "big") + b"x" * 99_999)
    expire(peer.connection)
    assert not wants_read(peer.relay)
    peer.connection.read()
    peer.relay.receive(b"x")
    expire(peer.connection)
    assert len(peer.receives()) == 100_010


# --- The end of a side ---


def test_the_end_of_the_application_ends_the_connection(peer: Peer) -> None:
    peer.relay.receive(b"\x88\x00")
    peer.relay.finish_input()
    assert peer.receives() == b"\x88\x00"
    assert (peer.connection.state, peer.relay.state) == ("finished", "finished")
    assert peer.ends == [(b"/ws", 101, 2)]
    # The call has not returned.
    assert peer.service.in_flight.websockets == 1
    peer.call()
    assert peer.service.in_flight.websockets == 0


def test_a_lost_client_ends_the_application_after_its_bytes(peer: Peer) -> None:
    peer.relay.stop_reading()
    peer.connection.receive(text("last"))
    peer.connection.lose()
    assert peer.relay.state == "finishing"
    peer.relay.receive(b"\x81\x01x")
    peer.relay.read()
    assert (peer.relay.take_output(), peer.relay.state) == (text("last"), "finished")
    assert peer.ends == [(b"/ws", 101, 0)]


def test_a_client_that_finishes_ends_the_application(peer: Peer) -> None:
    peer.connection.finish_input()
    assert (peer.connection.state, peer.relay.state) == ("finished", "finished")


def test_a_client_that_finishes_after_its_close_frame_gets_the_answer(peer: Peer) -> None:
    peer.connection.receive(close(1000))
    peer.connection.finish_input()
    assert (peer.connection.state, peer.relay.state) == ("open", "open")
    peer.relay.receive(b"\x88\x02\x03\xe8")
    peer.relay.finish_input()
    assert peer.receives() == b"\x88\x02\x03\xe8"
    assert peer.connection.state == "finished"


def test_an_application_that_has_closed_shows_when_it_is_written_to(peer: Peer) -> None:
    peer.relay.break_on_send()
    peer.connection.receive(text("lost"))
    assert peer.connection.state == "finished"


def test_a_client_that_leaves_before_the_answer_ends_the_application(start: Callable[..., Peer]) -> None:
    peer = start()
    peer.connection.receive(HANDSHAKE)
    peer.connection.lose()
    assert peer.relay.state == "finished"
    peer.relay.receive(ACCEPTED)
    assert peer.ends[0][1] == 499


@pytest.mark.parametrize("error", [BrokenPipeError(), ConnectionResetError()])
def test_errors_of_the_socket_of_a_lost_client_are_not_logged(
    start: Callable[..., Peer], caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def use(relay: RecordingConnection, start_response: Start) -> Any:
        relay.receive(ACCEPTED)
        lost.connection.lose()
        raise error

    lost = start(use)
    lost.connection.receive(HANDSHAKE)
    lost.call()
    assert caplog.text == ""


# --- Sides that do not read ---


def test_an_application_waits_for_its_client(peer: Peer) -> None:
    peer.connection.stop_reading()
    peer.relay.receive(b"x" * 65537)
    assert not wants_read(peer.relay)
    peer.connection.read()
    assert wants_read(peer.relay)
    assert peer.relay.calls[-1] == "reconsider"


def test_a_client_waits_for_its_application(peer: Peer) -> None:
    peer.relay.stop_reading()
    peer.connection.receive(frame(2, bytes(65536)))
    assert not wants_input(peer.connection)
    peer.relay.read()
    assert wants_input(peer.connection)
    assert peer.connection.resume_scheduled


# --- The stop ---

GOING_AWAY = b"\x88\x82\0\0\0\0" + (1001).to_bytes(2, "big")
RESTART = b"\x88\x82\0\0\0\0" + (1012).to_bytes(2, "big")


def test_a_stop_closes_as_a_client_would(peer: Peer) -> None:
    peer.connection.receive(text("first"))
    drain_service(peer.service, 1000.0)
    drain(peer.connection)
    assert peer.relay.take_output() == text("first") + GOING_AWAY
    assert not has_conversation(peer.connection)
    # Nothing follows a close frame (RFC 6455 section 5.5.1).
    peer.connection.receive(text("second"))
    peer.relay.receive(b"\x88\x02\x03\xe9")
    peer.relay.finish_input()
    assert peer.relay.take_output() == b""
    assert (peer.receives(), peer.connection.state) == (b"\x88\x02\x03\xe9", "finished")


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_stop_within_a_frame_follows_its_end(peer: Peer, cut: int) -> None:
    message = text("message")[:13]
    assert len(message) == 13
    peer.connection.receive(message[:cut])
    drain_service(peer.service, 1000.0)
    drain(peer.connection)
    if cut < len(message):
        assert peer.relay.take_output() == message[:cut]
        peer.connection.receive(message[cut:] + text("after"))
        assert peer.relay.take_output() == message[cut:] + GOING_AWAY
    else:
        assert peer.relay.take_output() == message + GOING_AWAY


def test_an_application_that_ignores_the_stop_is_disconnected(peer: Peer) -> None:
    drain_service(peer.service, 1000.0)
    drain(peer.connection)
    assert read_deadline(peer.connection) > 0
    expire(peer.connection)
    assert (peer.connection.state, peer.relay.state) == ("finished", "finished")


def test_a_handover_closes_later(start: Callable[..., Peer]) -> None:
    peer = start(timeout_drain_idle=10.0, timeout_stop=0.0)
    peer.shake_hands()
    drain_service(peer.service, 1000.0, handover=True)
    drain(peer.connection)
    assert (peer.relay.take_output(), read_deadline(peer.connection)) == (b"", 1010.0)
    expire(peer.connection)
    assert peer.relay.take_output() == RESTART


def test_a_spread_closes_in_its_turn(start: Callable[..., Peer]) -> None:
    peer = start(ws_drain_spread=5.0)
    peer.shake_hands()
    drain_service(peer.service, 1000.0)
    drain(peer.connection)
    assert peer.relay.take_output() == b""
    end_conversation(peer.connection)
    assert peer.relay.take_output() == GOING_AWAY


def test_a_websocket_of_the_stop_is_closed_after_its_handshake(start: Callable[..., Peer]) -> None:
    peer = start()
    peer.connection.receive(HANDSHAKE)
    drain_service(peer.service, 1000.0)
    peer.relay.receive(ACCEPTED)
    assert peer.relay.take_output() == GOING_AWAY


# --- Limits ---


@pytest.mark.parametrize(
    ("values", "admitted", "limit"),
    [
        ({"threads": 4}, 3, "threads for WebSockets (3; raise --threads or --max-threads)"),
        ({"threads": 1}, 0, "threads for WebSockets (0; raise --threads or --max-threads)"),
        ({"max_threads": 8}, 6, "threads for WebSockets (6; raise --threads or --max-threads)"),
        ({"limit_websockets": 2}, 2, "limit-websockets (2)"),
    ],
)
def test_websockets_leave_threads_to_requests(
    start: Callable[..., Peer], caplog: pytest.LogCaptureFixture, values: dict[str, Any], admitted: int, limit: str
) -> None:
    peer = start(**values)
    clients = [RecordingConnection(peer.sessions) for _ in range(admitted + 1)]
    for client in clients:
        client.receive(HANDSHAKE)
    answer = clients[-1].take_output()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in answer
    assert b"\r\nconnection: close\r\n" in answer
    assert clients[-1].state == "finished"
    assert [record.getMessage() for record in caplog.records] == [f"rejected 1 request(s) with 503: {limit} reached"]
    assert len(peer.relays) == peer.service.in_flight.websockets == admitted
    # Requests are served.
    peer.connection.receive(get("/"))
    assert len(peer.executor.submitted) == admitted + 1
    for client in clients:
        client.lose()
