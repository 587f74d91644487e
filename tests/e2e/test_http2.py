"""HTTP/2 end to end, on a socket and over TLS: requests and responses of both interfaces, streams that share a
connection, resets, stops, and other clients."""

import ast
import json
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h2.events
import pytest

from tests.certificates import localhost, root
from tests.e2e.http2_client import Http2Client
from tests.helpers import Server

BODY = bytes(range(256)) * 4000

Shared = Callable[..., Server]


@pytest.fixture
def server(shared: Shared) -> Server:
    return shared("--http2-cleartext", "--asgi-sendfile", "--early-hints")


@pytest.fixture
def wsgi(shared: Shared) -> Server:
    return shared("--http2-cleartext", "--threads", "4", app="wsgi_apps:app")


@pytest.fixture
def client(server: Server) -> Iterator[Http2Client]:
    with Http2Client(server.address) as client:
        yield client


@pytest.fixture
def wsgi_client(wsgi: Server) -> Iterator[Http2Client]:
    with Http2Client(wsgi.address) as client:
        yield client


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return localhost().write(tmp_path_factory.mktemp("http2"), "server")


def shown(text: bytes) -> dict[str, Any]:
    """Parses a scope or an environ, whose values are shown by repr()."""
    values = {}
    for name, value in json.loads(text).items():
        try:
            values[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            values[name] = value
    return values


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=root().pem.decode())


# --- Requests and responses ---


def test_a_request_without_a_body_is_answered(client: Http2Client) -> None:
    stream = client.open("/hello")
    assert client.status(stream) == 200
    assert client.body(stream) == b"hello\n"
    assert b"connection" not in client.fields(stream)


def test_a_connection_serves_one_request_after_the_other(client: Http2Client) -> None:
    assert [client.get("/hello") for _ in range(5)] == [b"hello\n"] * 5


def test_the_scope_names_the_version(client: Http2Client) -> None:
    scope = shown(client.get("/scope?a=1", (b"x-own", b"1")))
    assert scope["http_version"] == "2"
    assert scope["method"] == "GET"
    assert scope["path"] == "/scope"
    assert scope["query_string"] == b"a=1"
    assert [pair for pair in scope["headers"] if pair[0] in (b"host", b"x-own")] == [
        (b"host", b"localhost"), (b"x-own", b"1"),
    ]  # fmt: skip


def test_the_environ_names_the_version(wsgi_client: Http2Client) -> None:
    environ = shown(wsgi_client.get("/environ"))
    assert environ["SERVER_PROTOCOL"] == "HTTP/2.0"
    assert environ["HTTP_HOST"] == "localhost"


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
@pytest.mark.parametrize("size", [0, 1, 16384, 65535, 65536, len(BODY)])
def test_a_body_of_any_size_is_echoed(client: Http2Client, wsgi_client: Http2Client, interface: str, size: int) -> None:
    each = client if interface == "asgi" else wsgi_client
    stream = each.open("/echo", method="POST", body=BODY[:size])
    assert each.body(stream) == BODY[:size]


def test_streams_are_answered_independently(client: Http2Client, server: Server) -> None:
    since = server.log.mark()
    waiting = client.open("/wait?independent")
    server.app_log("waiting", since)
    assert client.get("/hello") == b"hello\n"
    assert client.get("/open?independent") == b"opened\n"
    assert client.body(waiting) == b"waited\n"


def test_wsgi_streams_of_one_connection_run_at_once(wsgi_client: Http2Client) -> None:
    streams = [wsgi_client.open("/hello") for _ in range(100)]
    assert {wsgi_client.body(stream) for stream in streams} == {b"hello\n"}


# Responds with the paths of all calls so far. Each waits until there is the file gate.
HELD_APP = """
import pathlib, time

GATE = pathlib.Path(__file__).with_name("gate")
calls = []

def app(environ, start_response):
    calls.append(environ["PATH_INFO"])
    so_far = " ".join(calls)
    while not GATE.exists():
        time.sleep(0.005)
    start_response("200 OK", [])
    return [so_far.encode()]
"""


def test_many_streams_of_a_connection_do_not_keep_another_one_from_the_threads(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """A connection has at most as many calls in the queue of the threads as there are threads."""
    (tmp_path / "heldapp.py").write_text(HELD_APP)
    server = start_server("--http2-cleartext", "--threads", "2", app="heldapp:app", app_dir=tmp_path)
    with Http2Client(server.address) as busy, Http2Client(server.address) as other:
        streams = [busy.open("/busy") for _ in range(100)]
        busy.ping()
        stream = other.open("/other")
        other.ping()
        (tmp_path / "gate").touch()
        assert other.body(stream).decode().split().count("/busy") <= 4
        for each in streams:
            assert busy.status(each) == 200


def received_segments(client: Http2Client) -> int:
    """The packets with data that the client has received: tcpi_data_segs_in of the kernel's struct tcp_info."""
    return int.from_bytes(client.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)[152:156], sys.byteorder)


def test_wsgi_responses_of_one_connection_are_sent_together(wsgi_client: Http2Client) -> None:
    """Each send would cost more than the call of the application."""
    head = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"localhost"), (b":path", b"/hello")]
    counts: list[int] = []
    # They are not, if another process keeps a call from its end for a millisecond.
    while not counts or (min(counts) >= 10 and len(counts) < 50):
        before = received_segments(wsgi_client)
        streams = []
        for _ in range(10):
            streams.append(wsgi_client.connection.get_next_available_stream_id())
            wsgi_client.connection.send_headers(streams[-1], head, end_stream=True)
        wsgi_client.flush()
        assert {wsgi_client.body(stream) for stream in streams} == {b"hello\n"}
        counts.append(received_segments(wsgi_client) - before)
    assert min(counts) < 10


def test_a_response_in_pieces_has_no_length(client: Http2Client) -> None:
    stream = client.open("/stream")
    assert client.body(stream) == b"one\ntwo\nthree\n"
    assert b"content-length" not in client.fields(stream)


def test_a_large_response_waits_for_the_window_of_its_stream_alone(server: Server) -> None:
    with Http2Client(server.address, window=1000) as client:
        large = client.open("/large?100000")
        client.ping()
        client.connection.increment_flow_control_window(100000)
        assert client.status(large) == 200
        assert client.get("/hello") == b"hello\n"
        client.connection.increment_flow_control_window(100000, large)
        client.flush()
        assert len(client.body(large)) == 100000


def test_trailers_end_a_response(client: Http2Client) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.response.start", "status": 200, "headers": [], "trailers": True},
        {"type": "http.response.body", "body": b"body"},
        {"type": "http.response.trailers", "headers": [(b"x-sum", b"4")]},
    ]
    stream = client.open("/play?" + quote(repr(messages)), (b"te", b"trailers"))
    assert client.body(stream) == b"body"
    event = client.wait_for(stream, h2.events.TrailersReceived)
    assert list(event.headers) == [(b"x-sum", b"4")]


def test_early_hints_precede_the_response(client: Http2Client) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.response.early_hint", "links": [b"</a.css>"]},
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body", "body": b"body"},
    ]
    stream = client.open("/play?" + quote(repr(messages)))
    assert client.body(stream) == b"body"
    event = client.wait_for(stream, h2.events.InformationalResponseReceived)
    assert dict(event.headers)[b"link"] == b"</a.css>"


def test_a_file_is_sent(client: Http2Client, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BODY)
    messages: list[dict[str, Any]] = [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.zerocopysend", "file": str(path), "count": 100000, "more_body": True},
        {"type": "http.response.zerocopysend", "file": str(path), "offset": 100000},
    ]
    assert client.get("/files?" + quote(repr(messages))) == BODY


def test_a_head_without_a_body_is_answered(client: Http2Client) -> None:
    stream = client.open("/hello", method="HEAD")
    assert client.body(stream) == b""
    assert client.fields(stream)[b"content-length"] == b"6"


# --- Ends of streams ---


def test_a_reset_disconnects_the_application(client: Http2Client, server: Server) -> None:
    since = server.log.mark()
    stream = client.open("/events")
    assert client.status(stream) == 200
    client.reset(stream)
    server.app_log("events closed", since)
    assert client.get("/hello") == b"hello\n"


def test_an_application_that_fails_ends_its_stream_alone(client: Http2Client) -> None:
    assert client.status(client.open("/raise")) == 500
    failed = client.open("/raise-inside")
    assert client.wait_for(failed, h2.events.StreamReset).error_code == 2
    assert client.get("/hello") == b"hello\n"


def test_an_upload_that_is_not_read_ends_with_its_response(client: Http2Client) -> None:
    stream = client.open("/ignore", method="POST", body=b"x" * 60000, ends=False)
    assert client.status(stream) == 200
    client.wait_for(stream, h2.events.StreamEnded)
    # RFC 9113 section 8.1: the client need not send the rest.
    assert client.wait_for(stream, h2.events.StreamReset).error_code == 0
    assert client.get("/hello") == b"hello\n"


def test_streams_that_were_reset_count_until_their_applications_return(shared: Shared) -> None:
    server = shared("--http2-cleartext", "--http2-max-concurrent-streams", "2")
    with Http2Client(server.address) as client:
        since = server.log.mark()
        for name in ("one", "two"):
            stream = client.open(f"/wait?{name}")
            server.app_log("waiting", since)
            since = server.log.mark()
            client.reset(stream)
        refused = client.open("/hello")
        assert client.wait_for(refused, h2.events.StreamReset).error_code == 7
        for name in ("one", "two"):
            server.get(f"/open?{name}")
        client.ping()
        assert client.get("/hello") == b"hello\n"


def test_a_window_that_is_opened_byte_by_byte_does_not_keep_a_response(shared: Shared) -> None:
    server = shared("--http2-cleartext", "--timeout-write", "0.3")
    with Http2Client(server.address, window=0) as client:
        stream = client.open("/large?100000")
        assert client.status(stream) == 200
        while not any(isinstance(event, h2.events.StreamReset) for event in client.events[stream]):
            client.connection.increment_flow_control_window(1, stream)
            # Waits for a round trip, so that the budget for frames suffices.
            client.ping()
            time.sleep(0.02)
        assert client.wait_for(stream, h2.events.StreamReset).error_code == 8


def test_output_that_comes_later_has_a_deadline(shared: Shared) -> None:
    """Of it nothing is sent at all."""
    server = shared("--http2-cleartext", "--threads", "4", "--timeout-write", "0.3", app="wsgi_apps:app")
    steps: list[tuple[Any, ...]] = [
        ("start", "200 OK", []),
        ("iterate",),
        ("yield", b"one"),
        ("wait", "http2"),
        ("yield", b"two"),
    ]
    since = server.log.mark()
    with Http2Client(server.address, window=3) as client:
        stream = client.open("/play?" + quote(repr(steps)))
        client.wait_for(stream, h2.events.DataReceived)
        server.app_log("waiting", since)
        server.get("/open?http2")
        assert client.wait_for(stream, h2.events.StreamReset).error_code == 8
        server.app_log("closed", since)


# --- The end of the connection ---


def test_a_stop_lets_streams_finish(start_server: Callable[..., Server]) -> None:
    server = start_server("--http2-cleartext")
    with Http2Client(server.address) as client:
        stream = client.open("/nap?0.5")
        client.ping()
        server.signal(signal.SIGTERM)
        assert client.body(stream) == b"slept\n"
        client.wait_for_end()
    assert server.wait() == 0
    ends = [each for each in client.events[0] if isinstance(each, h2.events.ConnectionTerminated)]
    assert [each.error_code for each in ends][:1] == [0]


def test_an_idle_connection_ends_with_goaway(shared: Shared) -> None:
    server = shared("--http2-cleartext", "--timeout-keep-alive", "0.2")
    with Http2Client(server.address) as client:
        assert client.get("/hello") == b"hello\n"
        client.wait_for(0, h2.events.ConnectionTerminated)
        client.wait_for_end()


def test_connection_close_of_the_application_drains_the_connection(client: Http2Client) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]},
        {"type": "http.response.body", "body": b"last"},
    ]
    assert client.get("/play?" + quote(repr(messages))) == b"last"
    client.wait_for(0, h2.events.ConnectionTerminated)


def test_the_access_log_has_the_version(start_server: Callable[..., Server]) -> None:
    server = start_server("--http2-cleartext", "--access-logfile", "-")
    with Http2Client(server.address) as client:
        client.get("/hello?logged")
    assert server.output is not None
    server.output.wait_for(r'"GET /hello\?logged HTTP/2" 200 6')


def test_a_violation_is_logged_with_its_reason(server: Server) -> None:
    since = server.log.mark()
    with Http2Client(server.address) as client:
        client.get("/hello")
        # DATA on a stream that was never opened
        client.sock.sendall(b"\0\0\1\0\0\0\0\0\x63x")
        client.wait_for(0, h2.events.ConnectionTerminated)
        client.wait_for_end()
    server.log.wait_for(r"closed connection: client 127\.0\.0\.1:\d+: ", since)


# --- HTTP/1 beside it ---


def test_http1_is_served_on_the_same_port(server: Server) -> None:
    assert server.get("/hello").body == b"hello\n"


def test_without_the_option_the_preface_is_an_invalid_request_whose_log_line_names_the_option(shared: Shared) -> None:
    server = shared()
    since = server.log.mark()
    with server.connect() as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.head()[1] == 505
    server.log.wait_for("rejected request: .*; see --http2-cleartext", since)


def test_http1_on_an_address_with_http2_alone_has_a_log_line_that_names_the_option(shared: Shared) -> None:
    server = shared("--http", "2", "--log-level", "info")
    since = server.log.mark()
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.rest()
    server.log.wait_for("no preface of HTTP/2, as from a client of HTTP/1; see --http", since)


@pytest.mark.parametrize("engine", ["openssl", "python"])
def test_clients_choose_by_alpn(shared: Shared, certificate: tuple[str, str], engine: str) -> None:
    options = ("--ssl-certfile", certificate[0], "--ssl-keyfile", certificate[1], "--tls-engine", engine)
    server = shared(*options)
    with Http2Client(server.address, context=trusting()) as client:
        scope = shown(client.get("/scope"))
        assert (scope["http_version"], scope["scheme"]) == ("2", "https")
        stream = client.open("/echo", method="POST", body=BODY)
        assert client.body(stream) == BODY
