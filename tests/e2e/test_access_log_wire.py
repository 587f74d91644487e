"""The access log reports the data sent to the client: bytes, duration and 499 are those of the socket."""

import http.client
import itertools
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.conftest import WAYS
from tests.e2e.test_responses import start
from tests.e2e.websocket_client import open_websocket
from tests.helpers import Client, Gate, Server

# More than the kernel buffers for a client that does not read.
LARGE = 60_000_000
# Seconds that a client waits before it continues to read, or disconnects.
PAUSE = 0.3

numbers = itertools.count(1)


@pytest.fixture(params=["asgi", *WAYS])
def any_server(shared: Callable[..., Server], request: pytest.FixtureRequest) -> Server:
    """A server of apps:app or wsgi_apps:app, which answer alike here."""
    return shared() if request.param == "asgi" else shared(*WAYS[request.param], app="wsgi_apps:app")


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(b"x")  # A file without any block would not be sent by the kernel.
        file.truncate(LARGE)
    return path


def line_of(server: Server, request: str, mark: int = 0) -> tuple[int, int, float]:
    """Status, bytes and seconds that a request was logged with; request: a pattern of its request line."""
    assert server.output is not None
    found = server.output.wait_for(rf'"{request}" (\d+) (\d+) "[^"]*" "[^"]*" ([\d.]+)$', mark)
    return int(found[1]), int(found[2]), float(found[3])


def large() -> str:
    """A path whose answer is large, and its own."""
    return f"/large?{LARGE + next(numbers)}"


def pathsend(path: Path) -> str:
    message = {"type": "http.response.pathsend", "path": str(path)}
    return f"/play?{quote(repr([start(), message]))}"


def zerocopysend(path: Path) -> str:
    message = {"type": "http.response.zerocopysend", "file": str(path)}
    return f"/files?{quote(repr([start(200, (b'content-length', b'%d' % LARGE)), message]))}"


def file_wrapper(path: Path) -> str:
    return f"/file?{quote(repr({'name': str(path)}))}"


def read_a_part_and_leave(server: Server, target: str, size: int = 500_000) -> None:
    with Client(server.address, buffer=65536) as client:
        client.request(target)
        assert client.head()[1] == 200
        client.exactly(size)
        time.sleep(PAUSE)
        client.reset()


def assert_a_part(logged: tuple[int, int, float], status: int = 499, size: int = 500_000) -> None:
    assert logged[0] == status
    assert size <= logged[1] < LARGE // 2
    assert PAUSE <= logged[2] < 10


# --- Clients that disconnect during the response ---


def test_client_that_disconnects_after_a_part_of_a_large_body(any_server: Server) -> None:
    target = large()
    read_a_part_and_leave(any_server, target)
    assert_a_part(line_of(any_server, f"GET {re.escape(target)} HTTP/1.1"))


@pytest.mark.parametrize("make", [pathsend, zerocopysend])
def test_client_that_disconnects_after_a_part_of_a_file(
    shared: Callable[..., Server], large_file: Path, make: Callable[[Path], str]
) -> None:
    server = shared("--asgi-sendfile")
    target = make(large_file)
    read_a_part_and_leave(server, target)
    assert_a_part(line_of(server, f"GET {re.escape(target)} HTTP/1.1"))


def test_client_that_disconnects_after_a_part_of_a_wrapped_file(wsgi: Server, large_file: Path) -> None:
    target = file_wrapper(large_file)
    read_a_part_and_leave(wsgi, target)
    assert_a_part(line_of(wsgi, f"GET {re.escape(target)} HTTP/1.1"))


def test_client_that_closes_after_a_part_of_a_large_body(any_server: Server) -> None:
    """The client sends FIN, and RST only for data sent after it."""
    target = large()
    with Client(any_server.address, buffer=65536) as client:
        client.request(target)
        client.head()
        client.exactly(500_000)
    status, size, _ = line_of(any_server, f"GET {re.escape(target)} HTTP/1.1")
    assert status == 499
    assert 500_000 <= size < LARGE // 2


def test_client_that_aborts_a_download_in_blocks_of_declared_length(wsgi: Server, large_file: Path) -> None:
    """The application still produces: each block waits for the client."""
    target = file_wrapper(large_file).replace("%7D", quote(f", 'returned': 'iterated', 'headers': [{length()}]}}"))
    read_a_part_and_leave(wsgi, target)
    assert_a_part(line_of(wsgi, f"GET {re.escape(target)} HTTP/1.1"))


def length() -> str:
    return repr(("Content-Length", str(LARGE)))


def test_client_that_aborts_a_stream_of_unknown_length(server: Server) -> None:
    """It may have had all that it wanted, as with an event stream: the status stays, the bytes are those sent.

    One piece is one chunk, so nearly all of the unsent bytes are of the body.
    """
    target = f"/large-piece?{LARGE + next(numbers)}"
    with Client(server.address, buffer=65536) as client:
        client.request(target)
        client.head()
        client.exactly(500_000)
        time.sleep(PAUSE)
        client.reset()
    assert_a_part(line_of(server, f"GET {re.escape(target)} HTTP/1.1"), 200, 499_000)


def test_event_stream_whose_client_disconnects_is_not_a_499(server: Server) -> None:
    assert server.output is not None
    mark = server.output.mark()
    with server.connect() as client:
        client.request("/events")
        client.head()
    assert line_of(server, "GET /events HTTP/1.1", mark)[:2] == (200, 0)


def test_websocket_messages_that_were_not_taken_are_not_counted(shared: Callable[..., Server]) -> None:
    server = shared(app="websocket_apps:app")
    pieces = LARGE // 65536 + next(numbers)
    with open_websocket(server, f"/flood?{pieces}", buffer=65536) as client:
        for _ in range(5):
            client.frame()
        time.sleep(PAUSE)
        client.reset()
    assert_a_part(line_of(server, rf"GET /flood\?{pieces} HTTP/1.1"), 101, 5 * 65536)


# --- Clients that take their time ---


def test_duration_ends_with_the_last_byte(any_server: Server) -> None:
    target = large()
    with Client(any_server.address, buffer=65536) as client:
        client.request(target)
        client.head()
        time.sleep(PAUSE)
        client.exactly(int(target.partition("?")[2]))
    status, size, seconds = line_of(any_server, f"GET {re.escape(target)} HTTP/1.1")
    assert (status, size) == (200, int(target.partition("?")[2]))
    assert PAUSE <= seconds < 10


def test_duration_starts_with_the_first_byte(any_server: Server) -> None:
    target = f"/target?begin{next(numbers)}"
    with any_server.connect() as client:
        client.send(f"GET {target} HTTP/1.1\r\n".encode())
        time.sleep(PAUSE)
        client.send(b"Host: test\r\n\r\n")
        client.response()
    # The coarse clock is a few milliseconds late.
    assert line_of(any_server, f"GET {re.escape(target)} HTTP/1.1")[2] >= PAUSE - 0.05


def test_close_of_the_response_is_no_part_of_its_duration(wsgi: Server, gate: Gate) -> None:
    """Background work of a WSGI application after its response is not part of the duration."""
    target = f"/slow-close?{quote(gate.path)}"
    with wsgi.connect() as client:
        assert client.get(target).body == b"body\n"
        # Before the gate is opened: the line is there while close() still runs.
        status, size, seconds = line_of(wsgi, f"GET {re.escape(target)} HTTP/1.1")
        gate.open()
        assert client.get("/hello").status == 200
    assert (status, size) == (200, 5)
    assert seconds < 10


def test_answers_in_front_of_one_that_is_not_taken(any_server: Server) -> None:
    """Each pipelined answer is logged when it has left, for itself."""
    first, second = f"/target?first{next(numbers)}", large()
    with Client(any_server.address, buffer=65536) as client:
        client.send(f"GET {first} HTTP/1.1\r\nHost: a\r\n\r\nGET {second} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        client.response()
        client.head()
        assert line_of(any_server, f"GET {re.escape(first)} HTTP/1.1")[0] == 200
        time.sleep(PAUSE)
        client.exactly(500_000)
        client.reset()
    assert_a_part(line_of(any_server, f"GET {re.escape(second)} HTTP/1.1"))


def test_pipelined_answers_after_one_that_is_not_read(server: Server) -> None:
    """They wait with it, and are lost with it: no byte of them has left."""
    assert server.output is not None
    first = f"/large?{3_000_000 + next(numbers)}"
    names = [f"/target?behind{next(numbers)}" for _ in range(3)]
    with Client(server.address, buffer=4096) as client:
        client.send("".join(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n" for path in (first, *names)).encode())
        client.head()
        client.exactly(100)
        time.sleep(PAUSE)
        client.reset()
    status, size, _ = line_of(server, f"GET {re.escape(first)} HTTP/1.1")
    assert status == 499 or size > 3_000_000
    server.get(end := f"/target?end{next(numbers)}")
    line_of(server, f"GET {re.escape(end)} HTTP/1.1")
    for name in names:
        found = re.search(rf'"GET {re.escape(name)} HTTP/1.1" (\d+) (\d+)', server.output.text)
        assert found is None or found.groups() == ("499", "0")


# --- Clients that disconnect while their request runs ---


def test_client_that_closes_while_its_request_runs(any_server: Server) -> None:
    """As `curl --max-time` and every client with a timeout do: they send FIN, and the response is too late."""
    told, name = any_server.log.mark(), f"late{next(numbers)}"
    client = http.client.HTTPConnection(*any_server.address, timeout=20)  # type: ignore[misc]
    client.request("GET", f"/wait?{name}")
    any_server.app_log("waiting", told)
    client.close()
    # Other requests are served only after the server has seen the FIN.
    for _ in range(3):
        any_server.get("/hello")
    any_server.get(f"/open?{name}")
    assert line_of(any_server, rf"GET /wait\?{name} HTTP/1.1")[0] == 499


# --- Responses of the server itself ---


@pytest.fixture
def limited(shared: Callable[..., Server]) -> Server:
    return shared("--limit-request-fields", "3", "--max-request-body-size", "10", "--limit-request-line", "600")


REFUSED = {
    b"POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n": (413, "POST /big", " HTTP/1.1"),
    b"POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n": (413, "POST /chunks", " HTTP/1.1"),
    b"GET /expects HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n": (417, "GET /expects", " HTTP/1.1"),
    b"GET /many HTTP/1.0\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n": (431, "GET /many", " HTTP/1.0"),
    b"POST /coding HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n": (501, "POST /coding", " HTTP/1.1"),
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n": (501, "CONNECT a:1", " HTTP/1.1"),
    b"GET /no-host?x HTTP/1.1\r\n\r\n": (400, r"GET /no-host\?x", " HTTP/1.1"),
    b"GET /bad-field HTTP/1.1\r\nHost : a\r\n\r\n": (400, "GET /bad-field", " HTTP/1.1"),
    b"GET /chunk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n": (400, "GET /chunk", " HTTP/1.1"),
    b"GET /version HTTP/2.0\r\nHost: a\r\n\r\n": (505, "GET /version", " HTTP/2.0"),
    b"GET /" + b"l" * 700 + b" HTTP/1.1\r\nHost: a\r\n\r\n": (414, "GET /l{5,}", ""),
    b"GET /" + b"m" * 700: (414, "GET /m{5,}", ""),
}  # fmt: skip


@pytest.mark.parametrize("request_", REFUSED, ids=[f"{value[0]} {value[1]}" for value in REFUSED.values()])
def test_answers_of_the_server_are_logged_with_the_request(limited: Server, request_: bytes) -> None:
    """In the access log, and in the line of the error log."""
    status, target, version = REFUSED[request_]
    assert limited.output is not None
    mark, told = limited.output.mark(), limited.log.mark()
    with limited.connect() as client:
        client.send(request_)
        assert client.response().status == status
    assert line_of(limited, target + version, mark)[0] == status
    limited.log.wait_for(rf"rejected request: status {status}, client 127\.0\.0\.1:\d+: .*: {target}$", told)


def test_head_that_arrives_too_slowly_is_logged_with_its_request(shared: Callable[..., Server]) -> None:
    server = shared("--timeout-request-header", "0.3")
    with server.connect() as client:
        client.send(b"GET /slow-head HTTP/1.1\r\nHo")
        assert client.response().status == 408
    status, _, seconds = line_of(server, "GET /slow-head HTTP/1.1")
    assert status == 408
    assert 0.25 <= seconds < 10


def test_json_of_a_request_line_that_is_too_long(shared: Callable[..., Server]) -> None:
    """The version has not been seen."""
    server = shared("--log-format", "json", "--limit-request-line", "600")
    assert server.output is not None
    with server.connect() as client:
        client.send(b"GET /" + b"x" * 3000)
        client.response()
    entry = json.loads(server.output.wait_for(r"^.*\"status\":414.*$")[0])
    assert (entry["method"], entry["protocol"]) == ("GET", None)
    assert entry["target"].startswith("/xxx")


def test_request_that_idles_before_it_is_refused(server: Server) -> None:
    """The time before it, on a connection that was kept alive, is not its own."""
    assert server.output is not None
    with server.connect() as client:
        client.get()
        time.sleep(PAUSE)
        mark = server.output.mark()
        client.send(b"GET /idled HTTP/1.1\r\n\r\n")
        assert client.response().status == 400
    assert line_of(server, "GET /idled HTTP/1.1", mark)[2] < PAUSE


def test_one_line_for_each_request_however_its_client_disconnects(any_server: Server) -> None:
    assert any_server.output is not None
    mark = any_server.output.mark()
    count = 20
    for number in range(count):
        with any_server.connect() as client:
            client.request(f"/large?{LARGE + number}")
            client.head()
            if number % 2:
                client.reset()
    for number in range(count):
        line_of(any_server, rf"GET /large\?{LARGE + number} HTTP/1.1", mark)
    assert len(re.findall(r"GET /large", any_server.output.since(mark))) == count
