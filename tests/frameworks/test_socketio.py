"""Socket.IO: its own client speaks to python-socketio's server, by polling, by WebSocket, and from one to the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import socketio

from tests.frameworks.client_helpers import expect_app_log
from tests.helpers import WAIT_SECONDS, Server, until, url_of

TRANSPORTS = pytest.mark.parametrize(
    "transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids=["polling", "websocket", "upgraded"]
)
# A polling client waits for its last poll when it disconnects, and the server answers that after a timeout.
DISCONNECTING_TRANSPORTS = pytest.mark.parametrize(
    "transports", [["websocket"], ["polling", "websocket"]], ids=["websocket", "upgraded"]
)


@pytest.fixture
def server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("socketio_app:app", "--loop", loop)


@contextmanager
def client(server: Server, name: str, transports: list[str]) -> Iterator[socketio.SimpleClient]:
    """A client, which the server calls by this name."""
    assert isinstance(server.address, tuple)
    simple = socketio.SimpleClient(ssl_verify=False)
    try:
        simple.connect(url_of(server.address), auth=name, transports=transports, wait_timeout=int(WAIT_SECONDS))
        yield simple
        if transports == ["polling"]:
            simple.emit("leave")
            until(lambda: not simple.connected, "the server's farewell")
    finally:
        simple.disconnect()


@TRANSPORTS
def test_acknowledgements(server: Server, transports: list[str]) -> None:
    """Of text and of bytes, which are frames of their own."""
    with client(server, "jane", transports) as jane:
        for data in ("süß", {"bytes": b"\0" * 100_000}):
            assert jane.call("ask", data, timeout=WAIT_SECONDS) == ["jane", transports[-1], data]


@TRANSPORTS
def test_rooms(server: Server, transports: list[str]) -> None:
    with client(server, "one", transports) as one, client(server, "two", ["websocket"]) as two:
        for member in (one, two):
            member.call("enter", "lobby", timeout=WAIT_SECONDS)
        one.emit("tell", ("nowhere", "nobody hears"))
        one.emit("tell", ("lobby", "both hear"))
        for member in (one, two):
            assert member.receive(WAIT_SECONDS) == ["told", "both hear"]


@TRANSPORTS
def test_background_work(server: Server, transports: list[str]) -> None:
    name = "-".join(transports)
    with client(server, "jane", transports) as jane:
        jane.call("work", name, timeout=WAIT_SECONDS)
        jane.emit("finish", name)
        assert jane.receive(WAIT_SECONDS) == ["done", name]


@DISCONNECTING_TRANSPORTS
def test_leaving(server: Server, transports: list[str]) -> None:
    name = "leaver by " + "-".join(transports)
    mark = server.log.mark()
    with client(server, name, transports):
        pass
    expect_app_log(server, "disconnected", name, mark)


@DISCONNECTING_TRANSPORTS
def test_refused(server: Server, transports: list[str]) -> None:
    with (
        pytest.raises(socketio.exceptions.ConnectionError, match="failed to connect"),
        client(server, "stranger", transports),
    ):
        pass
