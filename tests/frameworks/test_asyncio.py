"""receive() and send() behave like the coroutine functions that frameworks take them for."""

import hashlib
import json
from collections.abc import Callable

import pytest

from tests.frameworks.client_helpers import APPS, DISCONNECTS, expect_app_log
from tests.helpers import Client, Server

# --- Waiting for a message ---


def test_time_limits_around_receive(asyncio_server: Server) -> None:
    """None of the waiting styles loses the message that arrives afterwards."""
    mark = asyncio_server.log.mark()
    with asyncio_server.connect() as client:
        client.request("/timeouts?limits")
        client.head()
        assert json.loads(client.chunk()) == [
            "asyncio.timeout",
            "asyncio.wait_for",
            "anyio.move_on_after",
            "asyncio.wait",
        ]
    expect_app_log(asyncio_server, "left", "limits", mark)


def test_time_limits_inside_of_a_body(asyncio_server: Server) -> None:
    mark = asyncio_server.log.mark()
    with asyncio_server.connect() as client:
        client.request("/timeout-in-body?body", b"Content-Length: 8", method="POST")
        expect_app_log(asyncio_server, "given up", "body", mark)
        client.send(b"four")
        client.send(b"more")
        assert json.loads(client.response().body) == [True, "fourmore"]


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        ("receive-in-task", "http.disconnect"),
        ("two-listeners", "['http.disconnect', 'http.disconnect']"),
    ],
)
@DISCONNECTS
def test_listening_tasks(
    asyncio_server: Server, path: str, messages: str, disconnect: Callable[[Client], None]
) -> None:
    mark = asyncio_server.log.mark()
    client = asyncio_server.connect()
    client.request(f"/{path}?{disconnect.__name__}")
    client.head()
    assert client.chunk() == b"open"
    disconnect(client)
    expect_app_log(asyncio_server, "left", f"{disconnect.__name__} {messages}", mark)


def test_listening_beyond_the_response(asyncio_server: Server) -> None:
    """receive() gives http.disconnect when the response is complete, and does not take the next request."""
    mark = asyncio_server.log.mark()
    with asyncio_server.connect() as client:
        for name in ("one", "two"):
            assert client.get(f"/listen-while-answering?{name}").body == b'"whole"'
            asyncio_server.log.wait_for(f"^app: over: {name} http.disconnect$", mark)


@pytest.mark.parametrize("disconnect", [Client.close, Client.finish, Client.reset], ids=["closed", "finished", "reset"])
def test_client_disconnects_after_the_declared_length(
    start_server: Callable[..., Server], loop: str, disconnect: Callable[[Client], None]
) -> None:
    """The whole body was sent, not yet the message that ends it; that message is not an error."""
    server = start_server("--loop", loop, app="asyncio_app:app", app_dir=APPS)
    client = server.connect()
    client.request(f"/late-end?{disconnect.__name__}")
    assert client.response().body == b"whole"
    disconnect(client)
    server.log.wait_for(r"^app: ended|ERROR")
    client.close()
    assert server.get("/context?next").status == 200
    assert " ERROR " not in server.log.text


def test_echo_piece_by_piece(asyncio_server: Server) -> None:
    """Each piece of the response arrives while the request is still being sent."""
    with asyncio_server.connect() as client:
        client.request("/echo-pieces", b"Transfer-Encoding: chunked", method="POST")
        assert client.head()[1] == 200
        for piece in (b"one", b"two", b"three"):
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert client.chunk() == piece
        client.send(b"0\r\n\r\n")
        assert client.chunk() == b""
        assert client.get("/context?next").status == 200


def test_cancelled_application(start_server: Callable[..., Server], loop: str) -> None:
    """It gets no answer out, so the server gives one."""
    server = start_server("--loop", loop, app="asyncio_app:app", app_dir=APPS)
    with server.connect() as client:
        assert client.get("/cancel-oneself").status == 500
        assert client.get("/context?next").status == 200
    server.log.wait_for("cancelled.*GET /cancel-oneself")


# --- Task groups and contexts ---


def test_task_groups(asyncio_server: Server) -> None:
    """They start receive and send themselves, and cancel them."""
    with asyncio_server.connect() as client:
        for _ in range(2):
            assert client.get("/task-group").body == b"from groups"
            assert json.loads(client.get("/failing-group").body) == ["raised on purpose"]


def test_contexts(asyncio_server: Server) -> None:
    """A context variable reaches the tasks and threads of its request, and never the next request."""
    with asyncio_server.connect() as client:
        for name in ("one", "two"):
            assert json.loads(client.get(f"/context?{name}").body) == ["unset", name, name, name]
        client.send(b"".join(b"GET /context?%d HTTP/1.1\r\nHost: test\r\n\r\n" % number for number in range(5)))
        for number in range(5):
            assert json.loads(client.response().body) == ["unset", *[str(number)] * 3]


# --- Threads ---


@pytest.mark.parametrize("path", ["/receive-in-thread", "/from-thread"])
@pytest.mark.parametrize("size", [0, 3_000_000])
def test_exchange_driven_by_a_thread(asyncio_server: Server, path: str, size: int) -> None:
    with asyncio_server.connect() as client:
        for _ in range(2):
            assert client.post(path, b"x" * size).body == b"%d" % size


def test_thread_calls_back_into_the_loop(asyncio_server: Server) -> None:
    with asyncio_server.connect() as client:
        assert json.loads(client.post("/there-and-back", b"body and ").body) == "body and view"


@pytest.mark.parametrize("adapter", ["a2wsgi", "asgiref"])
def test_wsgi_adapters(asyncio_server: Server, fastapi_server: Server, adapter: str) -> None:
    """WSGI applications in ASGI adapters: their threads call receive() and send() through the loop."""
    server = fastapi_server if adapter == "a2wsgi" else asyncio_server
    body = bytes(range(256)) * 10_000
    with server.connect() as client:
        assert client.post("/wsgi/digest", body).body == hashlib.sha256(body).hexdigest().encode()
        assert client.post("/wsgi/digest", b"").body == hashlib.sha256().hexdigest().encode()
        assert json.loads(client.get("/wsgi/environ?a=b").body) == {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "/wsgi",
            "PATH_INFO": "/environ",
            "QUERY_STRING": "a=b",
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        assert client.get("/wsgi/stream?1000").body == b"".join(b"%d\n" % number for number in range(1000))
        assert client.get("/wsgi/nowhere").status == 404


def test_client_disconnects_inside_an_upload_to_wsgi(fastapi_server: Server) -> None:
    mark = fastapi_server.log.mark()
    for disconnect in (Client.close, Client.reset):
        client = fastapi_server.connect()
        client.request("/wsgi/digest", b"Content-Length: 1000000", method="POST")
        client.send(b"x" * 100_000)
        disconnect(client)
    with fastapi_server.connect() as client:
        assert client.get("/wsgi/environ").status == 200
    assert "Traceback" not in fastapi_server.log.since(mark)
