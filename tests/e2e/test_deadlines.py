"""Slow clients, malicious or not: each wait for one has a limit, and other clients are not affected.

The limits are set far below their defaults. A test waits as long as needed for a client that a limit must stop. A
client that it must not stop takes several times the limit.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from tests.helpers import Client, Response, Server, until

LIMIT = 0.3


def drip(client: Client, data: Iterator[bytes]) -> Response:
    """Sends a little every 20 ms until there is an answer."""
    client.sock.settimeout(0.02)
    while True:
        try:
            return client.response()
        except TimeoutError:
            with contextlib.suppress(ConnectionError):
                client.send(next(data))


def endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


# --- The head (10 s from its first byte) ---


@pytest.fixture
def short_header(shared: Callable[..., Server]) -> Server:
    return shared("--timeout-request-header", str(LIMIT))


def timed_out(response: Response, client: Client) -> bool:
    client.sock.settimeout(20)
    return response.status == 408 and response.closing and client.nothing()


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nA: b"])
def test_slow_header_stalls(short_header: Server, start: bytes) -> None:
    """CVE-2007-6750 (Slowloris)."""
    with short_header.connect() as client:
        client.send(start)
        assert timed_out(client.response(), client)


def test_slow_header_drips(short_header: Server) -> None:
    """The deadline is absolute: another byte does not buy another wait."""
    with short_header.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n")
        assert timed_out(drip(client, endless(b"A: b\r\n")), client)


def test_slow_header_of_a_later_request(short_header: Server) -> None:
    with short_header.connect() as client:
        assert client.get().status == 200
        client.send(b"GET / HTT")
        assert timed_out(client.response(), client)


def test_header_deadline_starts_with_the_first_byte(short_header: Server) -> None:
    """A connection that has sent nothing yet, or nothing new, is not in a head."""
    with short_header.connect() as client:
        time.sleep(3 * LIMIT)
        assert client.get().status == 200
        time.sleep(3 * LIMIT)
        assert client.get().status == 200


def test_header_deadline_does_not_run_during_a_request(short_header: Server) -> None:
    """The next head has started to arrive, but the server was not reading."""
    mark = short_header.log.mark()
    with short_header.connect() as client:
        client.request("/wait?deadline")
        short_header.app_log("waiting", mark)
        client.send(b"GET /target?next HTTP/1.1\r\n")
        time.sleep(3 * LIMIT)
        short_header.get("/open?deadline")
        assert client.response().body == b"waited\n"
        client.send(b"Host: test\r\n\r\n")
        assert client.response().body == b"next"


def test_blocked_loop_causes_no_timeouts(short_header: Server) -> None:
    """A deadline is judged only after the socket's unread data was read: it was the server that was slow."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(short_header.connect()) for _ in range(20)]
        for client in clients:
            client.send(b"GET /target?in-time HTTP/1.1\r\n")
        assert short_header.get().status == 200  # by now these bytes have been read
        mark = short_header.log.mark()
        blocking = stack.enter_context(short_header.connect())
        blocking.request(f"/block?{3 * LIMIT}")
        short_header.app_log("blocking", mark)
        for client in clients:
            client.send(b"Host: test\r\n\r\n")
        assert blocking.response().body == b"blocked\n"
        assert [client.response().status for client in clients] == [200] * 20


# --- Between requests (75 s) ---


@pytest.fixture
def short_keep_alive(shared: Callable[..., Server]) -> Server:
    return shared("--timeout-keep-alive", str(LIMIT))


def test_connection_that_sends_nothing_is_closed_silently(short_keep_alive: Server) -> None:
    """No 408: a browser opens connections in advance, and would show it as the answer to a later request."""
    with short_keep_alive.connect() as client:
        assert client.nothing()


def test_idle_connection_is_closed_silently(short_keep_alive: Server) -> None:
    with short_keep_alive.connect() as client:
        assert client.get().status == 200
        assert client.nothing()


def test_empty_line_is_no_request(short_keep_alive: Server) -> None:
    """Some old clients send CRLF after a body."""
    with short_keep_alive.connect() as client:
        assert client.get().status == 200
        client.send(b"\r\n")
        assert client.nothing()


def test_keep_alive_does_not_end_a_request_in_flight(short_keep_alive: Server) -> None:
    mark = short_keep_alive.log.mark()
    with short_keep_alive.connect() as client:
        client.request("/wait?keep-alive")
        short_keep_alive.app_log("waiting", mark)
        time.sleep(3 * LIMIT)
        short_keep_alive.get("/open?keep-alive")
        assert client.response().body == b"waited\n"


# --- The body (30 s without a byte, 240 B/s after 10 s) ---


@pytest.fixture
def short_body(shared: Callable[..., Server]) -> Server:
    return shared("--timeout-request-body", str(LIMIT))


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_slow_body_stalls(short_body: Server, framing: bytes) -> None:
    """R.U.D.Y.: the application learns it as a disconnect."""
    mark = short_body.log.mark()
    with short_body.connect() as client:
        client.request("/messages", framing, method="POST")
        client.send(b"2\r\nab")
        assert timed_out(client.response(), client)
    short_body.log.wait_for("^app: message: .*http.disconnect", mark)


def test_slow_body_after_a_started_response(short_body: Server) -> None:
    """It is too late for an answer: the connection is closed inside the body."""
    with short_body.connect() as client:
        client.request("/slow-pieces", b"Content-Length: 10", method="POST")
        client.send(b"ab")
        assert client.head()[1] == 200
        assert client.chunk() == b"ab"
        assert client.rest() == b""


def test_body_that_never_arrives_after_its_answer(short_body: Server) -> None:
    with short_body.connect() as client:
        client.request("/ignore", b"Content-Length: 10", method="POST")
        assert client.response().body == b"ignored\n"
        assert client.gone()


def test_expected_body_that_never_arrives_after_its_answer(short_body: Server) -> None:
    """The client waits for a 100 that the application did not ask for, or has forgotten its body."""
    with short_body.connect() as client:
        client.request("/ignore", b"Content-Length: 10", b"Expect: 100-continue", method="POST")
        assert client.response().body == b"ignored\n"
        assert client.gone()


def test_body_with_pauses(short_body: Server) -> None:
    """Each pause is short enough, all of them together are not."""
    with short_body.connect() as client:
        client.request("/size", b"Content-Length: 10", method="POST")
        for _ in range(10):
            client.send(b"x")
            time.sleep(LIMIT / 5)
        assert client.response().body == b"10"


def test_application_may_take_its_time_for_a_body(short_body: Server) -> None:
    """The limit is the client's: while the server does not read, the client cannot send."""
    with short_body.connect() as client:
        assert client.post(f"/late?{3 * LIMIT}", b"x" * 1_000_000).body == b"1000000"


def test_expected_body_may_wait_for_the_application(short_body: Server) -> None:
    with short_body.connect() as client:
        client.request(f"/late?{3 * LIMIT}", b"Content-Length: 5", b"Expect: 100-continue", method="POST")
        assert client.response().status == 100
        client.send(b"hello")
        assert client.response().body == b"5"


def test_body_below_the_rate(shared: Callable[..., Server]) -> None:
    """A byte now and then keeps every pause short, but not the body."""
    server = shared("--limit-body-rate", "1000", "--limit-body-rate-grace", str(LIMIT))
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/messages", b"Content-Length: 100000", method="POST")
        assert timed_out(drip(client, endless(b"x")), client)
    server.log.wait_for("^app: message: .*http.disconnect", mark)


def test_body_above_the_rate(shared: Callable[..., Server]) -> None:
    """It takes longer than the grace, and is fast enough."""
    server = shared("--limit-body-rate", "1000", "--limit-body-rate-grace", str(LIMIT))
    with server.connect() as client:
        client.request("/size", b"Content-Length: 100000", method="POST")
        for _ in range(10):
            client.send(b"x" * 10_000)
            time.sleep(LIMIT / 3)
        assert client.response().body == b"100000"


# --- The response (60 s without progress) ---


@pytest.fixture
def short_write(shared: Callable[..., Server]) -> Server:
    return shared("--timeout-write", str(LIMIT))


def test_slow_reader(short_write: Server) -> None:
    """The application gets the same error as for a lost client."""
    mark = short_write.log.mark()
    with Client(short_write.address, buffer=4096) as client:
        client.request("/flood")
        assert short_write.app_log("flood ended", mark).endswith(" True")
    assert "Traceback" not in short_write.log.since(mark)


def test_slow_reader_of_a_whole_response(short_write: Server) -> None:
    """The application has returned long ago; the server discards the rest of the body, and so does its kernel."""
    files = short_write.open_files()
    with Client(short_write.address, buffer=4096) as client:
        client.request("/large?20000000")
        client.exactly(100)
        until(lambda: short_write.open_files() <= files, "the connection to be closed")
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_slow_reader_that_makes_progress(short_write: Server) -> None:
    """Progress is enough, however long the whole takes."""
    with Client(short_write.address, buffer=65536) as client:
        client.request("/large?8000000")
        client.head()
        for _ in range(10):
            assert client.exactly(800_000)
            time.sleep(LIMIT / 3)


def test_write_deadline_runs_only_while_output_waits(short_write: Server) -> None:
    mark = short_write.log.mark()
    with short_write.connect() as client:
        client.request("/wait?write")
        short_write.app_log("waiting", mark)
        time.sleep(3 * LIMIT)
        short_write.get("/open?write")
        assert client.response().body == b"waited\n"
