"""WebSockets of WSGI applications, which use the socket of their connection: bytes, ends, slow sides, limits, stops."""

import contextlib
import functools
import random
import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import WAYS
from tests.e2e.websocket_client import (
    BINARY,
    CLOSE,
    HANDSHAKE,
    TEXT,
    WebSocket,
    close,
    frame,
    open_websocket,
    text,
)
from tests.helpers import Client, Gate, Server, until


@pytest.fixture(params=["led", pytest.param("pool", marks=pytest.mark.extended)])
def start(start_server: Callable[..., Server], request: pytest.FixtureRequest) -> Callable[..., Server]:
    return functools.partial(start_server, *WAYS[request.param], app="socket_apps:app")


@pytest.fixture
def server(shared: Callable[..., Server], way: tuple[str, ...]) -> Server:
    return shared(*way, "--threads", "32", "--timeout-write", "0.5", app="socket_apps:app")


# --- Messages ---


@pytest.mark.parametrize("size", [0, 125, 300_000, pytest.param(3_000_000, marks=pytest.mark.extended)])
def test_messages_of_any_size_are_echoed(server: Server, size: int) -> None:
    with open_websocket(server, "/ws") as client:
        client.send(frame(BINARY, bytes(size)))
        # The application writes each length above 125 in 8 bytes.
        head = bytes([0x82, size]) if size < 126 else b"\x82\x7f" + size.to_bytes(8, "big")
        assert client.exactly(len(head) + size) == head + bytes(size)
        client.send(close(1000))
        assert client.closed() == (1000, "")
        assert client.gone()


def test_frames_next_to_the_handshake_are_read(server: Server) -> None:
    with WebSocket(server.address) as client:
        fields = b"".join(line + b"\r\n" for line in (b"GET /ws HTTP/1.1", b"Host: h", *HANDSHAKE))
        client.send(fields + b"\r\n" + text("early"))
        client.accepted()
        assert client.frame() == (TEXT, b"early")


def test_the_socket_has_timeouts_and_can_be_selected(server: Server) -> None:
    with open_websocket(server, "/wait") as client:
        assert [client.frame() for _ in range(2)] == [(TEXT, b"timeout"), (TEXT, b"select")]
        client.send(text("ready"))
        # Written by another thread than that of the call.
        assert client.frame() == (TEXT, b"ready")
        client.send(text("end"))
        assert client.gone()


def test_the_access_log_has_the_status_and_the_bytes(start: Callable[..., Server]) -> None:
    server = start("--access-logfile", "-", "--access-log-format", "%(U)s %(s)s %(B)s")
    with open_websocket(server, "/ws") as client:
        client.send(text("four"))
        client.frame()
        client.send(close(1000))
        client.closed()
        assert client.gone()
    with server.connect() as refused:
        assert refused.get("/refuse", *HANDSHAKE).status == 403
    assert server.output is not None
    server.output.wait_for("^/ws 101 10$")
    server.output.wait_for("^/refuse 403 2$")


# --- Applications ---


def test_an_application_may_answer_otherwise(server: Server) -> None:
    for path, status, body in (("/answer", 200, b"plain"), ("/refuse", 403, b"no")):
        with server.connect() as client:
            response = client.get(path, *HANDSHAKE)
            assert (response.status, response.body, response.closing) == (status, body, True)
            assert client.gone()


def test_requests_without_a_handshake_are_served_as_ever(server: Server) -> None:
    with server.connect() as client:
        for _ in range(2):
            assert client.get("/hello").status == 200
            assert client.get("/hello", b"Upgrade: websocket", b"Connection: Upgrade").status == 200


@pytest.mark.parametrize(("path", "opcode", "size"), [("/respond", CLOSE, 0), ("/close", BINARY, 150_000)])
def test_the_last_bytes_of_an_application_arrive(server: Server, path: str, opcode: int, size: int) -> None:
    with open_websocket(server, path) as client:
        client.send(text("unread"))
        head = bytes([0x80 | opcode, 0]) if not size else bytes([0x80 | opcode]) + b"\x7f" + size.to_bytes(8, "big")
        assert client.exactly(len(head) + size) == head + bytes(size)
        assert client.gone()


def test_a_client_that_still_sends_gets_the_last_bytes_of_an_application(server: Server) -> None:
    with open_websocket(server, "/close") as client:
        for _ in range(10):
            client.send(frame(BINARY, bytes(60_000)))
        assert client.exactly(150_010) == b"\x82\x7f" + (150_000).to_bytes(8, "big") + bytes(150_000)
        assert client.gone()


def test_an_exception_in_a_websocket_is_logged_and_ends_it(start: Callable[..., Server]) -> None:
    server = start()
    with open_websocket(server, "/fail") as client:
        assert client.frame() == (TEXT, b"last")
        assert client.gone()
    server.log.wait_for(r"ERROR exception in application: GET /fail$")
    assert "RuntimeError: failed in a WebSocket" in server.log.text


# --- Clients that disconnect, or do not read ---


@pytest.mark.parametrize("disconnect", [Client.close, Client.reset, Client.finish], ids=["closed", "reset", "finished"])
def test_a_client_that_disconnects_ends_the_application(server: Server, disconnect: Callable[[Client], None]) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/ws") as client:
        client.send(text("first"))
        client.frame()
        disconnect(client)
        server.log.wait_for(r"^app: echo ended: by the end of the input$", mark)


def test_a_client_that_does_not_read_is_disconnected(server: Server) -> None:
    """After --timeout-write. Until then the application waits, and little is held for the client."""
    mark = server.log.mark()
    with open_websocket(server, "/flood", buffer=4096):
        server.log.wait_for(r"^app: flood ended: (BrokenPipe|ConnectionReset)Error$", mark)
    assert "Traceback" not in server.log.since(mark)


def test_an_application_that_floods_a_client_that_floods_it(start: Callable[..., Server]) -> None:
    """It never reads the end of its input, so its socket is closed after --ws-close-timeout."""
    server = start("--ws-close-timeout", "0.3")
    with open_websocket(server, "/flood") as client:
        client.sock.settimeout(0.3)
        send_until_blocked(client)
    server.log.wait_for(r"^app: flood ended: (BrokenPipe|ConnectionReset)Error$")


def test_a_flood_waits_for_an_application_that_does_not_read(server: Server) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/read-later") as client:
        server.log.wait_for(r"^app: not reading$", mark)
        client.sock.settimeout(0.3)
        sent = send_until_blocked(client)
        # The buffers of the kernel, and 320 KiB in the server.
        assert sent < 64 << 20
        client.close()
        assert server.get("/read-now").status == 200
        assert int(server.log.wait_for(r"^app: read: (\d+)$", mark)[1]) == sent


def send_until_blocked(client: Client) -> int:
    """Returns the number of bytes that were sent before no buffer took more."""
    sent = 0
    while sent < 64 << 20:
        try:
            sent += client.sock.send(frame(BINARY, bytes(65000)))
        except TimeoutError:
            break
    return sent


# --- Limits ---


def test_websockets_leave_threads_to_requests(start: Callable[..., Server]) -> None:
    server = start("--threads", "4")
    with open_websocket(server, "/ws"), open_websocket(server, "/ws"), open_websocket(server, "/ws") as last:
        with server.connect() as client:
            response = client.get("/ws", *HANDSHAKE)
            assert (response.status, response.header(b"retry-after"), response.closing) == (503, b"1", True)
        assert server.get("/hello").status == 200
        mark = server.log.mark()
        last.send(close(1000))
        last.closed()
        server.log.wait_for("^app: echo ended", mark)
        until(lambda: accepts(server), "a place for a WebSocket")
    assert re.search(
        r"rejected \d+ request\(s\) with 503: threads for WebSockets \(3; raise --threads", server.log.text
    )


def accepts(server: Server) -> bool:
    with server.connect() as client:
        client.request("/ws", *HANDSHAKE)
        return client.head()[1] == 101


def test_a_websocket_is_one_connection_for_the_limit(start: Callable[..., Server]) -> None:
    server = start("--limit-connections", "2")
    with open_websocket(server, "/ws"), server.connect() as client:
        assert client.get("/hello").status == 200


def test_a_websocket_is_not_reported_as_stuck(start: Callable[..., Server], gate: Gate) -> None:
    server = start("--stuck-report-after", "0.05", "--threads", "4")
    with open_websocket(server, "/ws") as client, server.connect() as other:
        # A request that takes as long is reported, and so shows that a report was due.
        client.echo()
        other.request(gate.target)
        server.log.wait_for("WSGI call has not returned after .*: GET /hold")
        gate.open()
        assert other.response().status == 200
    assert "GET /ws" not in server.log.text


# --- Stops ---


@pytest.mark.parametrize("inside", [False, True], ids=["idle", "inside of a frame"])
def test_a_stop_closes_websockets(start: Callable[..., Server], inside: bool) -> None:
    server = start()
    with open_websocket(server, "/ws") as client:
        client.echo()
        if inside:
            client.send(text("message")[:7])
            # A later event, so that these bytes have been read.
            assert server.get("/hello").status == 200
        mark = server.log.mark()
        server.signal(signal.SIGTERM)
        server.log.wait_for(r"stopping; requests in flight: \d, WebSockets: 1 ", mark)
        if inside:
            client.send(text("message")[7:])
            assert client.frame() == (TEXT, b"message")
        assert client.closed() == (1001, "")
        client.send(close(1001))
        assert client.gone()
    assert server.wait() == 0
    assert "app: echo ended: by a close frame" in server.log.text
    assert "Traceback" not in server.log.text


def test_an_application_that_ignores_a_stop_is_disconnected(start: Callable[..., Server]) -> None:
    server = start("--ws-close-timeout", "0.2")
    with open_websocket(server, "/ignore") as client:
        server.log.wait_for("^app: ignoring$")
        server.signal(signal.SIGTERM)
        assert client.gone()
    assert server.wait() == 0
    assert "still running" not in server.log.text


def test_a_reload_closes_websockets_with_1012(start: Callable[..., Server]) -> None:
    server = start("--workers", "1", "--timeout-drain-idle", "0.1")
    with open_websocket(server, "/ws") as client:
        client.echo()
        server.signal(signal.SIGHUP)
        assert client.closed() == (1012, "")
        client.send(close(1012))
        assert client.gone()


# --- Many ---


def test_many_websockets_open_and_close(server: Server) -> None:
    files = server.open_files()

    def converse(number: int) -> None:
        with open_websocket(server, "/ws") as client:
            client.echo(str(number))
            if number % 3 == 0:
                client.send(close(1000))
                client.closed()
            elif number % 3 == 1:
                client.reset()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(converse, range(60)))
    until(lambda: server.open_files() <= files, "closed sockets")


@pytest.mark.extended
@pytest.mark.parametrize("seed", range(3))
def test_random_clients_leave_nothing_behind(start: Callable[..., Server], seed: int) -> None:
    """They reset, flood, send nonsense, or close, in the middle of anything. The fixture checks that nothing leaks."""
    server = start("--threads", "24", "--timeout-write", "0.3", "--ws-close-timeout", "1")
    paths = ("/ws", "/ws", "/close", "/respond", "/flood", "/fail", "/refuse", "/answer", "/hello")

    def act(client: WebSocket, action: int, choice: random.Random) -> None:
        match action:
            case 0:
                client.reset()
            case 1:
                client.send(text("cut")[: choice.randrange(1, 9)])
            case 2:
                client.send(frame(BINARY, bytes(choice.randrange(200_000))))
            case 3:
                client.send(b"\xff" * choice.randrange(1, 200))
            case 4:
                client.send(text("message") * choice.randrange(1, 30) + close(1000))
                client.gone()
            case 5:
                client.finish()
                client.gone()

    def converse(number: int) -> None:
        choice = random.Random(seed << 16 | number)
        path = choice.choice(paths)
        with WebSocket(server.address) as client, contextlib.suppress(ConnectionError):
            client.request(path, *HANDSHAKE)
            if choice.random() < 0.9 and client.head()[1] != 101:
                return
            # A flood has no end for a client that reads.
            act(client, choice.randrange(4 if path == "/flood" else 6), choice)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(converse, range(300)))
    assert server.get("/hello").status == 200
    assert "internal error" not in server.log.text
