"""Django Channels' tutorial chat works, by its layer in memory and by Redis, and over two servers by Redis."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.frameworks.client_helpers import APPS, DISCONNECTS, expect_app_log, refused, upgraded, websocket
from tests.frameworks.conftest import check_log
from tests.helpers import WAIT_SECONDS, Client, Server, stop_all, until

ORIGIN = "http://127.0.0.1"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a Redis server that keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    folder = tmp_path_factory.mktemp("redis")
    path = folder / "socket"
    options = ("--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *options], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until(lambda: path.is_socket() or process.poll() is not None, "Redis")
        assert process.poll() is None, (folder / "log").read_text()
        yield path
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def serving(layer: str, folder: Path) -> Iterator[Server]:
    """A server of the chat with this layer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHANNEL_LAYER", layer)
        server = Server("channels_app:application", cwd=folder, app_dir=APPS)
    try:
        yield server
    finally:
        stop_all([server], check_log)


@pytest.fixture(scope="module")
def memory_server(folder: Path) -> Iterator[Server]:
    with serving("memory", folder) as server:
        yield server


@pytest.fixture(scope="module")
def redis_server(redis: Path, folder: Path) -> Iterator[Server]:
    with serving(str(redis), folder) as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def server(request: pytest.FixtureRequest) -> Server:
    server = request.getfixturevalue(f"{request.param}_server")
    assert isinstance(server, Server)
    return server


@pytest.fixture
def client(server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(server)


def join(server: Server, path: str, **options: Any) -> AbstractContextManager[ClientConnection]:
    """A WebSocket from a page of this host, since Channels refuses a handshake without an Origin."""
    return websocket(server, path, origin=ORIGIN, **options)


def say(socket: ClientConnection, message: str) -> None:
    socket.send(json.dumps({"message": message}))


def heard(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(WAIT_SECONDS))


# --- The chat ---


@pytest.mark.parametrize("chat", ["chat", "sync-chat"])
def test_chat(server: Server, chat: str) -> None:
    """A client in a group receives all messages of the group, in order, and nothing else."""
    with (
        join(server, f"/ws/{chat}/lobby/") as one,
        join(server, f"/ws/{chat}/lobby/") as two,
        join(server, f"/ws/{chat}/elsewhere/") as three,
    ):
        for number in range(20):
            say(one, f"grüße {number}")
        for socket in (one, two):
            assert [heard(socket) for _ in range(20)] == [{"user": "", "message": f"grüße {n}"} for n in range(20)]
        say(three, "alone")
        assert heard(three) == {"user": "", "message": "alone"}


@pytest.mark.parametrize("chat", ["chat", "sync-chat"])
def test_leaving_a_room(server: Server, chat: str) -> None:
    mark = server.log.mark()
    with join(server, f"/ws/{chat}/leaving/") as stays:
        with join(server, f"/ws/{chat}/leaving/") as leaves:
            leaves.close(1001)
        expect_app_log(server, "left", "leaving 1001", mark)
        say(stays, "still here")
        assert heard(stays) == {"user": "", "message": "still here"}


@pytest.mark.parametrize("chat", ["chat", "sync-chat"])
@DISCONNECTS
def test_client_is_lost(server: Server, disconnect: Callable[[Client], None], chat: str) -> None:
    mark = server.log.mark()
    room = f"{disconnect.__name__}_{chat[:4]}"
    disconnect(upgraded(server, f"/ws/{chat}/{room}/", b"Origin: %b" % ORIGIN.encode()))
    expect_app_log(server, "left", f"{room} 1006", mark)


def test_two_servers(redis_server: Server, redis: Path, folder: Path) -> None:
    """Redis connects the groups of both servers."""
    with (
        serving(str(redis), folder) as other,
        join(redis_server, "/ws/chat/both/") as one,
        join(other, "/ws/chat/both/") as two,
    ):
        say(one, "to the other")
        assert heard(two) == heard(one) == {"user": "", "message": "to the other"}


# --- Authentication ---


def test_user_of_the_session(server: Server, client: httpx.Client) -> None:
    """A user logged in by HTTP is known to the WebSocket."""
    assert client.get("/chat/lobby/").text == "<h1>lobby</h1>"
    assert client.post("/login/").status_code == 204
    cookie = {"Cookie": f"sessionid={client.cookies['sessionid']}"}
    with join(server, "/ws/chat/named/", additional_headers=cookie) as socket:
        say(socket, "it is me")
        assert heard(socket) == {"user": "jane", "message": "it is me"}
    with join(server, "/ws/picky/", additional_headers=cookie, subprotocols=["other", "picky"]) as socket:
        assert socket.subprotocol == "picky"
        socket.send('"go on"')
        assert heard(socket) == {"path": "/ws/picky/", "received": "go on"}
        socket.send('"stop"')
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT_SECONDS)
    assert (socket.close_code, socket.close_reason) == (4000, "as you said")


def test_refused(server: Server) -> None:
    """By the consumer, and by the validator of origins before it."""
    assert refused(server, "/ws/picky/", origin=ORIGIN).status_code == 403
    assert refused(server, "/ws/chat/lobby/", origin="http://elsewhere.example").status_code == 403
    assert refused(server, "/ws/chat/lobby/").status_code == 403
