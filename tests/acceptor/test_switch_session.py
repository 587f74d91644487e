"""A session that is chosen by the first bytes of its connection, as by ALPN, a preface or a PROXY line."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from ianus.acceptor.recording import GreetedSessions
from tests.acceptor.serving import Serving, nothing_left

GET = b"GET /%s HTTP/1.1\r\nHost: test\r\n\r\n"


def answering(name: bytes) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name + scope["raw_path"]})

    return app


def new() -> Serving:
    serving = Serving()
    greetings = {name + b"\n": serving.sessions(answering(name)) for name in (b"hello", b"bye")}
    serving.reactor.listen(serving.listener, GreetedSessions(greetings))
    return serving


@pytest.fixture
def serving() -> Iterator[Serving]:
    with nothing_left():
        running = new()
        yield running
        running.close()


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
