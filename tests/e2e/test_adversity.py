"""Races between clients and applications: each test reproduces a failure that occurred once.

Usually several events must occur at the same time. They do while /hold blocks the event loop: all that a test
does then has happened when the loop continues, and the server finds it in one batch.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from tests.helpers import WAIT_SECONDS, Client, Gate, Server, measures_memory


@contextlib.contextmanager
def loop_held(server: Server, gate: Gate) -> Iterator[None]:
    """Halts the server: it finds all events of the block at once, after the block."""
    with server.connect() as holder:
        mark = server.log.mark()
        holder.request(gate.target)
        server.app_log("holding", mark)
        yield
        gate.open()
        assert holder.response().body == b"held\n"


def occupy(client: Client, server: Server) -> None:
    """Keeps the application busy until the client disconnects."""
    mark = server.log.mark()
    client.request("/leave")
    server.app_log("waiting", mark)


def lines_of(server: Server) -> list[str]:
    """The access log of a server, which ends with this."""
    server.stop()
    assert server.output is not None
    return server.output.text.splitlines()


# --- Clients that break off ---


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_client_is_gone_when_the_last_response_of_its_connection_is_sent(
    start_server: Callable[..., Server], gate: Gate, version: str
) -> None:
    """The send in which the response ends also shows that the client is gone, so both end the connection.

    Once, the end of the response continued with a connection that the failed send had released, and the server crashed
    or, later, blamed the application.
    """
    server = start_server()
    mark = server.log.mark()
    with server.connect() as client:
        client.request(gate.target, b"Connection: close", version=version)
        server.app_log("holding", mark)
        client.reset()
    gate.open()
    assert server.app_log("received", mark) == "http.request"
    assert server.get().body == b"hello\n"
    assert "ERROR" not in server.log.text


def test_client_is_gone_when_100_continue_is_sent(server: Server, gate: Gate) -> None:
    """The application reads the body, and sending 100 fails because the client is gone.

    Once, the disconnect was reported before receive() waited for it, and the application waited for ever.
    """
    mark = server.log.mark()
    with server.connect() as client:
        client.request(gate.target, b"Content-Length: 5", b"Expect: 100-continue", method="POST")
        server.app_log("holding", mark)
        client.reset()
    gate.open()
    assert server.app_log("received", mark) == "http.disconnect"


# --- Applications that misuse the server's objects ---


@pytest.mark.parametrize("field", [[b"referer", b"forged"], (b"referer", b"forged"), (b"referer", None), (), None])
def test_application_edits_the_fields_it_was_given(start_server: Callable[..., Server], field: object) -> None:
    """The access log has the fields that the client sent.

    Once, it read the application's own list, and crashed on an element that is not a pair of bytes.
    """
    server = start_server()
    target = f"/edit-fields?{quote(repr(field), safe='')}"
    assert server.get(target, b"Referer: sent").body == b"edited\n"
    assert server.get().body == b"hello\n"
    line, _ = lines_of(server)
    assert '"sent" "-"' in line


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_forked_child_that_exits_does_not_serve_on(start_server: Callable[..., Server], loop: str) -> None:
    """The child's SystemExit is raised by a handler; in the server itself that ends one request only.

    Once, the child continued in its copy of the loop, and took an event meant to wake its parent: the end of a
    thread's work, for which the parent waits here. The child is not the server either: it does not shut it down,
    and the lines that wait to be logged are its parent's.
    """
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    server = start_server("--loop", loop)
    with server.connect() as client:
        for _ in range(3):
            assert client.get().body == b"hello\n"
            assert client.get("/fork-and-exit").body == b"7"
    assert "app: shutdown" not in server.log.text
    requests = [line.split('"')[1] for line in lines_of(server)]
    assert requests == ["GET /hello HTTP/1.1", "GET /fork-and-exit HTTP/1.1"] * 3


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_request_is_cancelled_before_its_first_step(start_server: Callable[..., Server], gate: Gate, loop: str) -> None:
    """An application that cancels all of its tasks meets one that the loop has not run yet.

    Once, the end of a task that had never started was not noticed: no answer, and no stop. (From Python 3.12 on
    a task starts when it is created, so it is answered before it can be cancelled.)
    """
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    server = start_server("--loop", loop)
    with server.connect() as canceller, server.connect() as cancelled:
        assert [client.get().status for client in (canceller, cancelled)] == [200, 200]
        with loop_held(server, gate):
            canceller.request("/cancel-others")
            cancelled.request("/hello")
        assert canceller.response().body == b"cancelled\n"
        assert cancelled.response().status == (200 if sys.version_info >= (3, 12) else 500)
        assert cancelled.get().body == b"hello\n"
    server.stop()


# --- Bodies that are waited for ---


def test_expected_body_after_an_early_head(shared: Callable[..., Server]) -> None:
    """It is too late for 100 (RFC 9110 10.1.1), which the client need not wait for."""
    server = shared("--timeout-request-body", "0.3")
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/head-first", b"Content-Length: 5", b"Expect: 100-continue", method="POST")
        assert client.head()[1] == 200
        assert client.chunk() == b"head"
        client.send(b"hello")
        assert client.chunk() == b"hello"
        assert client.chunk() == b""
    assert server.app_log("received", mark) == "http.request"


def test_expected_body_after_an_early_head_never_arrives(shared: Callable[..., Server]) -> None:
    """Once, the body counted as not asked for, since no 100 had been sent, and there was no limit to the wait."""
    server = shared("--timeout-request-body", "0.3")
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/head-first", b"Content-Length: 5", b"Expect: 100-continue", method="POST")
        assert client.head()[1] == 200
        assert client.chunk() == b"head"
        assert client.rest() == b""
    assert server.app_log("received", mark) == "http.disconnect"


def test_time_in_which_a_body_was_not_read_is_not_its_clients(shared: Callable[..., Server]) -> None:
    """As much is buffered as may be, and the application pauses for longer than a client may.

    Once, the pause counted as the client's as soon as the application continued. That this one is longer than the
    limit is shown by a client that is really slow, and that the limit was checked again after it, by another.
    """
    server = shared("--timeout-request-body", "1", "--timeout-request-header", "0.2")
    mark = server.log.mark()
    with server.connect() as client, server.connect() as slow, server.connect() as slower:
        client.request("/wait-and-size?pause", b"Content-Length: 100000", method="POST")
        client.send(b"x" * 70_000)
        server.app_log("waiting", mark)
        slow.request("/size", b"Content-Length: 10", method="POST")
        assert slow.response().status == 408
        server.get("/open?pause")
        assert int(server.app_log("taken", mark)) >= 65536
        slower.send(b"GET / HT")
        assert slower.response().status == 408
        client.send(b"x" * 30_000)
        assert client.response().body == b"100000"


# --- Clients that want more than their share ---


def test_client_with_many_requests_at_once_lets_others_in_between(server: Server, gate: Gate) -> None:
    """All requests of one client are there before the one of another.

    Once, they were all served first if a task starts when it is created (from Python 3.12 on): no pass ended.
    """
    many = 300
    with server.connect() as greedy, server.connect() as modest:
        assert [client.get().status for client in (greedy, modest)] == [200, 200]
        with loop_held(server, gate):
            greedy.send(b"GET /count HTTP/1.1\r\nHost: test\r\n\r\n" * many)
            modest.request("/count")
        numbers = [int(greedy.response().body) for _ in range(many)]
        between = int(modest.response().body)
    assert numbers == sorted(numbers)
    assert between < numbers[-1]


@pytest.mark.plain
@measures_memory
def test_client_that_does_not_read_its_refusals_has_to_wait(start_server: Callable[..., Server]) -> None:
    """At the limit of requests a refusal takes no application, so nothing else holds its client back.

    Once, the server kept reading and collected 503s without limit. All of them arrive once the client reads.
    """
    server = start_server("--no-access-log", "--limit-concurrency", "1")
    request = b"GET /hello HTTP/1.1\r\nHost: test\r\nX-Padding: " + b"x" * 100 + b"\r\n\r\n"
    last = b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    data = memoryview(request * 200_000)  # much more than fits into the buffers of the system
    with server.connect() as busy, server.connect() as client:
        occupy(busy, server)
        before = server.resident()
        sent, in_vain = 0, 0
        client.sock.setblocking(False)
        while in_vain < 3 and sent < len(data):
            in_vain += 1
            with contextlib.suppress(BlockingIOError):
                while sent < len(data):
                    sent += client.sock.send(data[sent : sent + 1_000_000])
                    in_vain = 0
            # The server has all these turns to read more.
            for _ in range(5):
                assert server.get().status == 503
        assert sent < len(data)
        assert server.resident() - before < 10_000_000
        client.sock.settimeout(WAIT_SECONDS)
        count = -(-sent // len(request))
        sender = threading.Thread(target=client.send, args=(bytes(data[sent : count * len(request)]) + last,))
        sender.start()
        answers = b"".join(iter(lambda: client.sock.recv(1 << 20), b""))
        sender.join()
        assert answers.count(b"HTTP/1.1 503 ") == count + 1
        busy.reset()


def test_refused_request_with_an_error_in_its_body_is_answered_once(start_server: Callable[..., Server]) -> None:
    """The limit of requests is reached, and the body is invalid in the segment that has the request.

    Once, a 503 and a 400 were sent, the second of which a client would take for the answer to a next request.
    """
    server = start_server("--limit-concurrency", "1")
    with server.connect() as busy, server.connect() as client:
        occupy(busy, server)
        client.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n")
        response = client.response()
        assert response.status == 400
        assert response.closing
        assert client.nothing()
        busy.finish()
        assert busy.response().body == b"farewell\n"
    assert [line.split('"')[1] for line in lines_of(server)] == ["POST /echo HTTP/1.1", "GET /leave HTTP/1.1"]


# --- The access log ---


def test_log_that_is_read_loses_nothing(start_server: Callable[..., Server]) -> None:
    """Many long lines in less time than lines are usually collected for.

    Once, the writer slept through this, and lines for a full buffer were dropped. Here it has a chance
    long before that; a writer that sleeps for half a second misses it.
    """
    server = start_server()
    assert server.output is not None
    # 16 KB of log for 4 KB, since each byte is escaped.
    long = b"\xff" * 2048
    request = b"GET /hello HTTP/1.1\r\nHost: test\r\nReferer: " + long + b"\r\nUser-Agent: " + long + b"\r\n\r\n"
    rounds, together = 14, 24
    with server.connect() as client:
        for _ in range(20):  # The writer wakes up, and sees that there is not much.
            assert client.get().status == 200
        for _ in range(rounds):
            mark = server.output.mark()
            client.send(request * together)
            for _ in range(together):
                assert client.response().status == 200
            with contextlib.suppress(AssertionError):
                server.output.wait_for(r"\n", mark, timeout=0.02)
    assert len(lines_of(server)) == 20 + rounds * together
    assert "dropped" not in server.log.text


@pytest.mark.parametrize("path", ["/message-changes", "/key-changes-message"])
def test_message_that_changes_while_it_is_read(start_server: Callable[..., Server], path: str) -> None:
    assert start_server().get(path).body == b"text"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_body_that_is_thrown_away_lets_others_run(
    start_server: Callable[..., Server], method: str, status: int
) -> None:
    server = start_server()
    with server.connect() as client:
        client.request(f"/without-end?{status}", method=method)
        assert client.head()[1] == status
        assert server.get().body == b"hello\n"
        client.reset()
    assert server.get().body == b"hello\n"
