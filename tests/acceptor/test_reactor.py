"""The reactor by itself: no event loop watches it here, dispatch() is called."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptor.serving import Serving, nothing_left

REQUEST = b"GET /%d HTTP/1.1\r\nHost: test\r\n\r\n"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["raw_path"]})


def new(listener: socket.socket | None = None, **options: Any) -> Serving:
    serving = Serving(listener, **options)
    serving.reactor.listen(serving.listener, serving.sessions(app))
    return serving


@pytest.fixture
def serving() -> Iterator[Serving]:
    with nothing_left():
        running = new()
        yield running
        running.close()


def test_serves_without_an_event_loop(serving: Serving) -> None:
    with serving.connect() as client:
        for number in range(3):
            client.sendall(REQUEST % number)
            assert serving.read(client, b"/%d" % number).startswith(b"HTTP/1.1 200 OK\r\n")


def test_pipelined_requests_are_answered_in_order(serving: Serving) -> None:
    with serving.connect() as client:
        client.sendall(b"".join(REQUEST % number for number in range(40)))
        data = serving.read(client, b"/39")
    assert [part.rpartition(b"\r\n\r\n")[2] for part in data.split(b"HTTP/1.1 200 OK\r\n")[1:]] == [
        b"/%d" % number for number in range(40)
    ]


def test_number_of_connections(serving: Serving) -> None:
    clients = [serving.connect() for _ in range(20)]
    serving.until(lambda: serving.reactor.connections == 20)
    for client in clients:
        client.close()
    serving.until(lambda: serving.reactor.connections == 0)


def test_a_slot_is_used_again_by_another_connection(serving: Serving) -> None:
    """Events of the one before it in the slot do not reach it."""
    for number in range(50):
        with serving.connect() as client:
            client.sendall(REQUEST % number)
            assert serving.read(client, b"/%d" % number)
    serving.until(lambda: serving.reactor.connections == 0)


def test_drain_takes_connections_that_the_kernel_has_accepted(serving: Serving) -> None:
    """Closing the listener would reset it."""
    drained: list[bool] = []
    with serving.connect() as client:
        client.sendall(REQUEST % 1)
        serving.reactor.drain(lambda: drained.append(True))
        serving.listener.close()
        assert b"connection: close\r\n" in serving.read(client, b"/1")
    serving.until(lambda: drained)
    assert serving.reactor.connections == 0


def test_drain_keeps_queued_connections_for_a_successor(serving: Serving) -> None:
    drained: list[bool] = []
    with serving.connect() as client:
        client.sendall(REQUEST % 1)
        serving.reactor.drain(lambda: drained.append(True), handover=True)
        assert drained == [True]
        successor = new(serving.listener)
        assert b"connection: close\r\n" not in successor.read(client, b"/1")
    successor.close()


def test_drain_of_nothing_is_done_at_once(serving: Serving) -> None:
    drained: list[bool] = []
    serving.reactor.drain(lambda: drained.append(True))
    assert drained == [True]


def test_closed_reactor_stays_closed(serving: Serving) -> None:
    with serving.connect() as client:
        serving.until(lambda: serving.reactor.connections)
        serving.reactor.close()
        client.setblocking(True)
        assert client.recv(1) == b""
    serving.reactor.close()
    serving.reactor.on_ready()
    assert serving.reactor.connections == 0


def test_listener_that_is_paused_at_the_limit() -> None:
    serving = new(limit_connections=2)
    first, second, third = (serving.connect() for _ in range(3))
    third.sendall(REQUEST % 3)
    serving.until(lambda: serving.reactor.connections == 2)
    for _ in range(5):
        serving.turn()
    with pytest.raises(BlockingIOError):
        third.recv(1)
    first.close()
    assert serving.read(third, b"/3")
    second.close()
    third.close()
    serving.close()
