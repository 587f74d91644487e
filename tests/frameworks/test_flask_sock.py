"""Flask-Sock and Flask-SocketIO in threading mode, which use the socket of their WSGI call, with real clients."""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import simple_websocket
import socketio
from websockets.exceptions import ConnectionClosed

from tests.frameworks.client_helpers import APPS, expect_app_log, refused, websocket
from tests.helpers import WAIT_SECONDS, Server, until, url_of

# The client of Socket.IO does not close the socket of a connection that the server has ended.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TRANSPORTS = pytest.mark.parametrize(
    "transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids=["polling", "websocket", "upgraded"]
)

BESIDE = {"led": (), "pooled": ("--mount", "/asgi=asyncio_app:app")}


@pytest.fixture(autouse=True)
def free_sockets() -> Iterator[None]:
    """Has the sockets of clients freed in the test that has made them."""
    yield
    gc.collect()


@pytest.fixture(params=BESIDE)
def server(serve: Callable[..., Server], request: pytest.FixtureRequest) -> Server:
    return serve("flask_sock_app:app", *BESIDE[request.param])


# --- Flask-Sock ---


def test_echo(server: Server) -> None:
    """Compressed, in text and bytes, and in pieces."""
    mark = server.log.mark()
    with websocket(server, "/echo", compression="deflate") as client:
        for message in ("süß", b"\0" * 100_000, "a" * 300_000):
            client.send(message)
            assert client.recv(WAIT_SECONDS) == message
        client.send(["in ", "pieces"])
        assert client.recv(WAIT_SECONDS) == "in pieces"
    assert client.close_code == 1000
    expect_app_log(server, "closed", json.dumps([1000, ""]), mark)


def test_the_own_client_of_simple_websocket(server: Server) -> None:
    assert isinstance(server.address, tuple)
    client = simple_websocket.Client.connect(url_of(server.address, "/echo", "ws"))
    client.send("one")
    assert client.receive(WAIT_SECONDS) == "one"
    client.close()


def test_the_application_ends_the_websocket(server: Server) -> None:
    with websocket(server, "/news/weather?unit=K") as client:
        assert [client.recv(WAIT_SECONDS) for _ in range(3)] == [f"weather {number} K" for number in range(3)]
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(WAIT_SECONDS)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1000


def test_the_application_chooses_the_code(server: Server) -> None:
    with websocket(server, "/echo") as client:
        client.send("close")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(WAIT_SECONDS)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "asked to")


def test_subprotocol(server: Server) -> None:
    with websocket(server, "/protocol", subprotocols=["other", "chat"]) as client:
        assert client.subprotocol == "chat"
        assert client.recv(WAIT_SECONDS) == "chat"


def test_other_paths(server: Server) -> None:
    """Of an unknown path the handshake, of a WebSocket's path the request without one, are answered by Flask."""
    assert refused(server, "/nowhere").status_code == 404
    assert server.get("/hello").body == b"hello\n"
    assert server.get("/echo").status == 400


def test_a_broken_view_is_logged(start_server: Callable[..., Server]) -> None:
    server = start_server(app="flask_sock_app:app", app_dir=APPS)
    with websocket(server, "/broken") as client, pytest.raises(ConnectionClosed):
        client.recv(WAIT_SECONDS)
    server.log.wait_for("LookupError: broken on purpose$")


# --- Flask-SocketIO ---


@contextmanager
def client_of_socketio(server: Server, name: str, transports: list[str]) -> Iterator[socketio.SimpleClient]:
    """A client, which the server calls by this name."""
    assert isinstance(server.address, tuple)
    simple = socketio.SimpleClient(reconnection=False, ssl_verify=False)
    try:
        simple.connect(url_of(server.address), auth=name, transports=transports, wait_timeout=int(WAIT_SECONDS))
        yield simple
    finally:
        simple.disconnect()


@TRANSPORTS
def test_acknowledgements(server: Server, transports: list[str]) -> None:
    with client_of_socketio(server, "jane", transports) as jane:
        for data in ("süß", {"bytes": b"\0" * 100_000}):
            assert jane.call("ask", data, timeout=WAIT_SECONDS) == ["jane", transports[-1], data]


@TRANSPORTS
def test_rooms_and_background_work(server: Server, transports: list[str]) -> None:
    with (
        client_of_socketio(server, "one", transports) as one,
        client_of_socketio(server, "two", ["websocket"]) as two,
    ):
        for member in (one, two):
            member.call("enter", "lobby", timeout=WAIT_SECONDS)
        one.emit("tell", ("lobby", "both hear"))
        for member in (one, two):
            assert member.receive(WAIT_SECONDS) == ["told", "both hear"]
        one.emit("work", "task")
        assert one.receive(WAIT_SECONDS) == ["done", "task"]


def test_leaving(server: Server) -> None:
    mark = server.log.mark()
    with client_of_socketio(server, "leaver", ["websocket"]):
        pass
    expect_app_log(server, "disconnected", "leaver", mark)


def test_refused(server: Server) -> None:
    with (
        pytest.raises(socketio.exceptions.ConnectionError, match="failed to connect"),
        client_of_socketio(server, "stranger", ["websocket"]),
    ):
        pass


# --- Ends ---


def test_a_stop_closes_websockets_of_both(start_server: Callable[..., Server]) -> None:
    server = start_server(app="flask_sock_app:app", app_dir=APPS)
    with client_of_socketio(server, "jane", ["websocket"]) as jane, websocket(server, "/echo") as client:
        jane.call("enter", "lobby", timeout=WAIT_SECONDS)
        server.process.terminate()
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(WAIT_SECONDS)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
        until(lambda: not jane.connected, "the end of Socket.IO")
    assert server.wait() == 0
    assert "still running" not in server.log.text
    server.app_log("disconnected")
