"""A worker drains when a successor serves on the same listening sockets: no client is refused or reset."""

import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.websocket_client import WebSocket, close, open_websocket
from tests.helpers import Server, is_running, until

# Longer than any test waits: nothing in it ends because this has passed.
FOREVER = ("--timeout-drain-idle", "600", "--timeout-stop", "0")

WEBSOCKETS = "websocket_apps:app"

# For tests in which the gateway does not matter.
asgi = pytest.mark.parametrize("start_any", ["asgi"], indirect=True)


def sockets(pid: int) -> set[str]:
    """Returns the open files of a process."""
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.add(str(file.readlink()))
    return {name for name in found if name.startswith("socket:")}


def hand_over(server: Server) -> int:
    """Has the worker replaced, and waits until it has let go of the listening socket. Returns its pid."""
    before = server.pid
    server.signal(signal.SIGHUP)
    server.log.wait_for(rf", replaces pid {before}$")
    until(lambda: not sockets(before) & sockets(server.process.pid), "the listener to be closed")
    return before


def wait_for_end(worker: int) -> None:
    until(lambda: not is_running(worker), "the worker to end")


def test_requests_in_flight_are_finished_and_idle_connections_get_one_more_request(
    start_any: Callable[..., Server],
) -> None:
    server = start_any(*FOREVER)
    with server.connect() as busy, server.connect() as unused, server.connect() as used:
        busy.request("/wait?x")
        server.log.wait_for("app: waiting")
        assert used.get().status == 200
        worker = hand_over(server)
        with server.connect() as new:
            assert not new.get().closing, "it is the successor's"
        for client, path in ((unused, "/hello"), (used, "/open?x")):
            response = client.get(path)
            assert response.status == 200
            assert response.closing
            assert client.nothing()
        response = busy.response()
        assert (response.body, response.closing) == (b"waited\n", True)
        assert busy.nothing()
    wait_for_end(worker)
    assert "WARNING" not in server.log.text


@asgi
def test_an_idle_connection_is_left_open_for_a_while(start_any: Callable[..., Server]) -> None:
    """Its client may have sent the next request a moment ago."""
    server = start_any(*FOREVER)
    with server.connect() as client:
        assert client.get().status == 200
        time.sleep(1.1)  # the time that a connection counts as in use without a successor
        worker = hand_over(server)
        assert client.get().closing
        assert client.nothing()
    wait_for_end(worker)


def test_idle_connections_are_closed_in_the_end(start_any: Callable[..., Server]) -> None:
    server = start_any("--timeout-drain-idle", "0.1")
    with server.connect() as unused, server.connect() as used:
        assert used.get().status == 200
        server.signal(signal.SIGHUP)
        assert used.nothing()
        assert unused.nothing()


def test_pipelined_requests_after_the_last_answer_reset_nothing(start_any: Callable[..., Server]) -> None:
    """A reset would destroy the answer, had the client not read it yet."""
    server = start_any(*FOREVER)
    request = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10000\r\n\r\n" + b"x" * 10000
    with server.connect() as client:
        assert client.get().status == 200
        worker = hand_over(server)
        client.send(request * 10)
        # Some of it arrives when the response was sent, and before it is read.
        for _ in range(10):
            client.send(request)
        response = client.response()
        assert response.closing
        assert len(response.body) == 10000
        client.send(request)
        assert client.nothing()
    wait_for_end(worker)


@asgi
def test_a_promise_that_was_given_before_holds_for_one_more_request(start_any: Callable[..., Server]) -> None:
    """The head of a stream announced that the connection persists, so it does for a while after the stream's end."""
    server = start_any("--timeout-drain-idle", "3")
    with server.connect() as idle, server.connect() as client:
        client.request("/slow-pieces", b"Transfer-Encoding: chunked", method="POST")
        client.send(b"1\r\na\r\n")
        client.head()
        assert client.chunk() == b"a"
        worker = hand_over(server)
        assert idle.nothing()
        # From here on an idle connection that was open at the start has no time left.
        client.send(b"0\r\n\r\n")
        assert [client.chunk(), client.chunk()] == [b"end", b""]
        response = client.get()
        assert (response.body, response.closing) == (b"hello\n", True)
        assert client.nothing()
    wait_for_end(worker)


def test_an_event_source_that_reconnects_is_sent_to_the_successor(start_any: Callable[..., Server]) -> None:
    """Answered, it would keep the worker for as long as its stream lasts."""
    server = start_any(*FOREVER)
    with server.connect() as client:
        assert client.get("/stream").status == 200
        worker = hand_over(server)
        client.request("/stream", b"Accept: text/event-stream")
        assert client.nothing()
    wait_for_end(worker)


def test_a_stop_after_draining_is_final(start_any: Callable[..., Server]) -> None:
    """The successors of reconnecting clients stop as well."""
    server = start_any(*FOREVER)
    with server.connect() as unused, server.connect() as used:
        assert used.get().status == 200
        hand_over(server)
        server.signal(signal.SIGTERM)
        assert used.nothing()
        assert unused.nothing()
    assert server.wait() == 0


@asgi
def test_a_quick_stop_after_draining_is_quick(start_any: Callable[..., Server]) -> None:
    server = start_any(*FOREVER)
    with server.connect() as client:
        client.request("/wait?for-ever")
        server.log.wait_for("app: waiting")
        hand_over(server)
        server.signal(signal.SIGQUIT)
        assert client.gone()
    assert server.wait() == 0


# --- WebSockets ---


def test_websockets_are_served_on_for_a_while(start_server: Callable[..., Server]) -> None:
    server = start_server("--timeout-drain-idle", "3", app=WEBSOCKETS)
    with WebSocket(server.address) as late, open_websocket(server) as early:
        worker = hand_over(server)
        late.shake_hands("/echo")
        for client in (early, late):
            client.echo()
        for client in (early, late):
            assert client.closed() == (1012, "")
            client.send(close(1012))
            assert client.nothing()
        assert server.app_log("end of ").startswith("1012")
    wait_for_end(worker)


def test_websockets_are_closed_at_once_by_a_final_stop_after_draining(start_server: Callable[..., Server]) -> None:
    server = start_server(*FOREVER, app=WEBSOCKETS)
    with open_websocket(server) as client:
        hand_over(server)
        client.echo()
        server.signal(signal.SIGTERM)
        assert client.closed() == (1001, "")
        client.send(close(1001))
        assert client.nothing()
    assert server.wait() == 0


def test_websockets_have_time_for_their_farewell(start_server: Callable[..., Server]) -> None:
    """The wait never takes all of the time that a stop may last."""
    server = start_server("--timeout-drain-idle", "600", "--timeout-stop", "4", app=WEBSOCKETS)
    with open_websocket(server) as client:
        worker = hand_over(server)
        assert client.closed() == (1012, "")
        client.send(close(1012))
        assert client.nothing()
    wait_for_end(worker)
    assert "connections closed" not in server.log.text
