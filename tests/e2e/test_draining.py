"""How a process leaves when a successor serves on the same listening socket: nobody is refused, reset or cut off.

The test holds that socket, as a supervisor does.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.websocket_client import WebSocket, close, open_websocket
from tests.helpers import Server, until

# Longer than any test waits: nothing in it ends because this has passed.
FOREVER = ("--timeout-drain-idle", "600", "--timeout-graceful-shutdown", "0")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def start_worker(start_any: Callable[..., Server], listening: socket.socket) -> Callable[..., Server]:
    """start_worker(*options, **how): as start_any, on the socket that the test holds."""
    fd = listening.fileno()

    def start(*options: str, **how: object) -> Server:
        return start_any(*options, bind=[f"fd://{fd}"], pass_fds=[fd], **how)

    return start


asgi = pytest.mark.parametrize("start_any", ["asgi"], indirect=True)


def hand_over(server: Server, listening: socket.socket) -> None:
    """Has the server leave, and waits until it has let go of the listening socket."""
    name = f"socket:[{os.fstat(listening.fileno()).st_ino}]"

    def has_let_go() -> bool:
        for file in Path(f"/proc/{server.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if str(file.readlink()) == name:
                    return False
        return True

    server.signal(signal.SIGUSR2)
    until(has_let_go, "the listener to be closed")


def test_what_is_in_flight_is_finished_and_what_is_queued_is_the_successors(
    start_worker: Callable[..., Server], listening: socket.socket
) -> None:
    server = start_worker(*FOREVER)
    with server.connect() as busy, server.connect() as used, server.connect() as unused:
        mark = server.log.mark()
        busy.request("/wait?x")
        server.log.wait_for("app: waiting", mark)
        assert used.get().status == 200
        hand_over(server, listening)
        with server.connect() as new:
            new.request()
            start_worker()
            response = new.response()
            assert (response.body, response.closing) == (b"hello\n", False)
        for client in (unused, used):
            response = client.get("/target?last" if client is unused else "/open?x")
            assert response.status == 200
            assert response.closing
            assert client.nothing()
        response = busy.response()
        assert (response.body, response.closing) == (b"waited\n", True)
        assert busy.nothing()
    assert server.wait() == 0
    assert "WARNING" not in server.log.text


@asgi
def test_an_idle_connection_is_left_open_for_a_while(
    start_worker: Callable[..., Server], listening: socket.socket
) -> None:
    """Its client may have sent the next request a moment ago."""
    server = start_worker(*FOREVER)
    with server.connect() as client:
        assert client.get().status == 200
        time.sleep(1.1)  # as long as a connection counts as in use when nobody takes over
        hand_over(server, listening)
        assert client.get().closing
        assert client.nothing()
    assert server.wait() == 0


def test_idle_connections_are_closed_in_the_end(start_worker: Callable[..., Server], listening: socket.socket) -> None:
    server = start_worker("--timeout-drain-idle", "0.1")
    with server.connect() as used, server.connect() as unused:
        assert used.get().status == 200
        server.signal(signal.SIGUSR2)
        assert used.nothing()
        assert unused.nothing()
    assert server.wait() == 0


def test_pipelined_requests_behind_the_last_answer_reset_nothing(
    start_worker: Callable[..., Server], listening: socket.socket
) -> None:
    """A reset would destroy the answer, had the client not read it yet."""
    server = start_worker(*FOREVER)
    with server.connect() as client:
        assert client.get().status == 200
        hand_over(server, listening)
        request = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10000\r\n\r\n" + b"x" * 10000
        client.send(request * 10)
        # Some of it comes when the answer has left, and before it is read.
        for _ in range(10):
            client.send(request)
        response = client.response()
        assert response.closing
        assert len(response.body) == 10000
        client.send(request)
        assert client.nothing()
    assert server.wait() == 0


@asgi
def test_a_promise_that_was_given_before_holds_for_one_more_request(
    start_worker: Callable[..., Server], listening: socket.socket
) -> None:
    """The head of a stream has said that the connection persists, so it does for a while behind the stream's end."""
    server = start_worker("--timeout-drain-idle", "1")
    with server.connect() as client, server.connect() as idle:
        client.request("/slow-pieces", b"Transfer-Encoding: chunked", method="POST")
        client.send(b"1\r\na\r\n")
        client.head()
        assert client.chunk() == b"a"
        hand_over(server, listening)
        assert idle.nothing()
        # From here on an idle connection of the beginning has no time any more.
        client.send(b"0\r\n\r\n")
        assert [client.chunk(), client.chunk()] == [b"end", b""]
        response = client.get()
        assert (response.body, response.closing) == (b"hello\n", True)
        assert client.nothing()
    assert server.wait() == 0


def test_an_event_source_that_comes_back_is_sent_to_the_successor(
    start_worker: Callable[..., Server], listening: socket.socket
) -> None:
    """Answered, it would keep the process for as long as its stream lasts."""
    server = start_worker(*FOREVER)
    with server.connect() as client:
        assert client.get("/stream").status == 200
        hand_over(server, listening)
        client.request("/stream", b"Accept: text/event-stream")
        assert client.nothing()
    assert server.wait() == 0


def test_a_stop_behind_it_is_final(start_worker: Callable[..., Server], listening: socket.socket) -> None:
    """Those who would serve who comes again stop as well."""
    server = start_worker(*FOREVER)
    with server.connect() as used, server.connect() as unused:
        assert used.get().status == 200
        hand_over(server, listening)
        server.signal(signal.SIGTERM)
        assert used.nothing()
        assert unused.nothing()
    assert server.wait() == 0


@asgi
def test_a_quick_stop_behind_it_is_quick(start_worker: Callable[..., Server], listening: socket.socket) -> None:
    server = start_worker(*FOREVER)
    with server.connect() as client:
        client.request("/wait?for-ever")
        server.log.wait_for("app: waiting")
        hand_over(server, listening)
        server.signal(signal.SIGQUIT)
        assert client.gone()
    assert server.wait() == 0


# --- WebSockets ---


@pytest.fixture
def start_sockets(start_server: Callable[..., Server], listening: socket.socket) -> Callable[..., Server]:
    def start(*options: str) -> Server:
        fd = listening.fileno()
        return start_server(*options, app="websocket_apps:app", bind=[f"fd://{fd}"], pass_fds=[fd])

    return start


def test_websockets_are_served_on_for_a_while(start_sockets: Callable[..., Server], listening: socket.socket) -> None:
    server = start_sockets("--timeout-drain-idle", "1")
    with open_websocket(server) as before, WebSocket(server.address) as behind:
        hand_over(server, listening)
        behind.shake_hands("/echo")
        for client in (before, behind):
            client.echo()
        for client in (before, behind):
            assert client.closed() == (1012, "")
            client.send(close(1012))
            assert client.nothing()
        assert server.said("end of ").startswith("1012")
    assert server.wait() == 0


def test_websockets_are_closed_at_once_by_a_final_stop_behind_it(
    start_sockets: Callable[..., Server], listening: socket.socket
) -> None:
    server = start_sockets(*FOREVER)
    with open_websocket(server) as client:
        hand_over(server, listening)
        client.echo()
        server.signal(signal.SIGTERM)
        assert client.closed() == (1001, "")
        client.send(close(1001))
        assert client.nothing()
    assert server.wait() == 0


def test_a_websocket_that_has_time_for_its_farewell(
    start_sockets: Callable[..., Server], listening: socket.socket
) -> None:
    """The wait never takes all of the time that a stop may last."""
    server = start_sockets("--timeout-drain-idle", "600", "--timeout-graceful-shutdown", "2")
    with open_websocket(server) as client:
        hand_over(server, listening)
        assert client.closed() == (1012, "")
        client.send(close(1012))
        assert client.nothing()
    assert server.wait() == 0
    assert "connections closed" not in server.log.text
