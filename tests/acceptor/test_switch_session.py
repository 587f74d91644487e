"""A session that is chosen by the first bytes of its connection, as by ALPN, a preface or a PROXY line."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ianus.acceptor.recording import GreetedSessions
from ianus.exchange.base import SessionFactory
from ianus.gateway.loading.loader import Application
from ianus.process.worker.stack import build_asgi_gateway, build_reactor, build_sessions
from ianus.runtime.live_objects import live_objects
from tests.engine import service, unchecked_settings

GET = b"GET /%s HTTP/1.1\r\nHost: test\r\n\r\n"


class Serving:
    """A reactor with one listener, whose sessions are chosen by a first line. It is turned by hand."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.settings = unchecked_settings()
        self.reactor = build_reactor(self.settings)
        self.listener = socket.create_server(("127.0.0.1", 0))
        sessions = {b"hello\n": self.sessions(b"hello"), b"bye\n": self.sessions(b"bye")}
        self.reactor.listen(self.listener, GreetedSessions(sessions))

    def sessions(self, name: bytes) -> SessionFactory:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": name + scope["raw_path"]})

        gateway = build_asgi_gateway(Application(app, "asgi3", "application"), self.settings, self.loop)
        return build_sessions(service(gateway), self.settings)

    def turn(self) -> None:
        self.reactor.dispatch(0.001)
        self.loop.run_until_complete(asyncio.sleep(0))

    def until(self, condition: Callable[[], Any]) -> None:
        for _ in range(5000):
            if condition():
                return
            self.turn()
        raise AssertionError("the condition has not become true")

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.listener.getsockname())
        client.setblocking(False)
        return client

    def read(self, client: socket.socket, end: bytes) -> bytes:
        data = b""

        def done() -> bool:
            nonlocal data
            with contextlib.suppress(BlockingIOError):
                data += client.recv(65536)
            return data.endswith(end)

        self.until(done)
        return data

    def close(self) -> None:
        self.reactor.close()
        self.listener.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


@pytest.fixture
def serving() -> Iterator[Serving]:
    before = live_objects()
    running = Serving()
    yield running
    running.close()
    after = live_objects()
    if before is not None and after is not None:
        assert (after["connections"], after["exchanges"]) == (before["connections"], before["exchanges"])


@pytest.mark.parametrize("name", [b"hello", b"bye"])
def test_the_first_line_chooses_the_session(serving: Serving, name: bytes) -> None:
    with serving.connect() as client:
        client.sendall(name + b"\n")
        serving.turn()
        for path in (b"a", b"b"):
            client.sendall(GET % path)
            assert serving.read(client, name + b"/" + path).startswith(b"HTTP/1.1 200 OK\r\n")


def test_bytes_after_the_first_line_are_the_new_sessions(serving: Serving) -> None:
    with serving.connect() as client:
        client.sendall(b"hello\n" + GET % b"a" + GET % b"b")
        assert serving.read(client, b"hello/b").count(b"HTTP/1.1 200 OK") == 2


def test_bytes_one_by_one(serving: Serving) -> None:
    with serving.connect() as client:
        for byte in b"hello\n" + GET % b"a":
            client.sendall(bytes([byte]))
            serving.turn()
        assert serving.read(client, b"hello/a").count(b"HTTP/1.1 200 OK") == 1


def test_another_first_line_is_refused(serving: Serving) -> None:
    with serving.connect() as client:
        client.sendall(b"other\n")

        def closed() -> bool:
            with contextlib.suppress(BlockingIOError):
                assert client.recv(100) == b""
                return True
            return False

        serving.until(closed)
        serving.until(lambda: serving.reactor.connections == 0)


def test_a_client_that_closes_before_its_first_line_leaves_nothing(serving: Serving) -> None:
    client = serving.connect()
    client.sendall(b"hel")
    serving.until(lambda: serving.reactor.connections == 1)
    client.close()
    serving.until(lambda: serving.reactor.connections == 0)
