"""A Litestar application answers as in its guides, and is notified of disconnects."""

import hashlib
import json
from collections.abc import Callable
from functools import partial

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.frameworks.client_helpers import APPS, DISCONNECTS, expect_app_log, open_latch, refused, upgraded, websocket
from tests.frameworks.conftest import LARGE
from tests.helpers import WAIT_SECONDS, Client, Server, many, until


@pytest.fixture
def litestar_server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("litestar_app:app", "--loop", loop)


@pytest.fixture
def litestar_client(litestar_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(litestar_server)


# --- Handlers ---


def test_hello(litestar_client: httpx.Client) -> None:
    response = litestar_client.get("/")
    assert (response.status_code, response.text) == (200, "Hello, world!")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_parameters(litestar_client: httpx.Client) -> None:
    response = litestar_client.get("/books/3?q=süß&tag=a&tag=b", headers={"X-Token": "mine"})
    assert response.json() == {"book_id": 3, "q": "süß", "tags": ["a", "b"], "token": "mine"}
    assert litestar_client.get("/books/three").status_code == 404
    refused = litestar_client.get("/books/3?q=too+long")
    assert refused.status_code == 400
    assert [problem["key"] for problem in refused.json()["extra"]] == ["q"]


@pytest.mark.plain
def test_addresses(litestar_server: Server) -> None:
    with litestar_server.connect() as client:
        assert json.loads(client.get("/who?a=b").body) == {
            "client": list(client.sock.getsockname()),
            "url": "http://test/who?a=b",
            "book": "http://test/books/7",
            "root_path": "",
            "raw_path": "/who",
        }


def test_session(litestar_client: httpx.Client) -> None:
    assert [litestar_client.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]


def test_redirect(litestar_client: httpx.Client) -> None:
    assert litestar_client.get("/old", follow_redirects=True).json()["book_id"] == 1


def test_lifespan_state(litestar_client: httpx.Client) -> None:
    assert litestar_client.get("/state").json() == {"model": "answers everything"}


def test_transfer_objects(litestar_client: httpx.Client) -> None:
    """Excluded fields are neither sent nor accepted."""
    done = {"title": "Start writing list", "done": True, "id": 1}
    assert litestar_client.get("/todos", params={"done": True}).json() == [done]
    response = litestar_client.post("/todos", json={"title": "New", "done": False, "id": 99, "secret": "x"})
    assert (response.status_code, response.json()) == (201, {"title": "New", "done": False, "id": 3})
    assert litestar_client.put("/todos/2", json={"title": "Profit", "done": True}).json()["done"] is True
    missing = litestar_client.put("/todos/9", json={"title": "Profit", "done": True})
    assert (missing.status_code, missing.json()["detail"]) == (404, "TODO 9 not found")
    deleted = litestar_client.delete("/todos/1")
    assert (deleted.status_code, deleted.content) == (204, b"")


@pytest.mark.parametrize("body", [b'{"title": "New"}', b'{"title": 1, "done": true}', b"{", b""])
def test_wrong_bodies(litestar_client: httpx.Client, body: bytes) -> None:
    response = litestar_client.post("/todos", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["status_code"]) == (400, 400)


def test_dependency_with_yield(litestar_server: Server, litestar_client: httpx.Client) -> None:
    mark = litestar_server.log.mark()
    assert litestar_client.get("/query?name=one").text == "session of one"
    expect_app_log(litestar_server, "session closed", "one", mark)


def test_documentation(litestar_client: httpx.Client) -> None:
    page = litestar_client.get("/schema")
    assert page.headers["content-type"].startswith("text/html")
    assert "SwaggerUIBundle" in page.text
    schema = litestar_client.get("/schema/openapi.json").json()
    assert schema["info"]["title"] == "Todo"
    assert "/todos/{item_id}" in schema["paths"]


# --- Errors ---


def test_errors(litestar_client: httpx.Client) -> None:
    response = litestar_client.get("/refuse")
    assert (response.status_code, response.json()["detail"], response.headers["x-pot"]) == (418, "no coffee", "tea")
    assert litestar_client.get("/nowhere").json() == {"status_code": 404, "detail": "Not Found"}
    assert litestar_client.post("/who").status_code == 405


def test_unexpected_errors(start_server: Callable[..., Server]) -> None:
    """Before the answer Litestar answers 500; inside of it the connection visibly breaks."""
    server = start_server(app="litestar_app:app", app_dir=APPS)
    with server.connect() as client:
        response = client.get("/fail")
        assert response.status == 500
        assert json.loads(response.body) == {"status_code": 500, "detail": "Internal Server Error"}
        client.request("/fail-inside")
        assert client.head()[1] == 200
        assert client.chunk() == b"half"
        assert client.nothing()
    server.log.wait_for(r"GET /fail-inside$")
    server.log.wait_for(r"LookupError: raised on purpose$", server.log.text.index("GET /fail-inside"))
    assert server.get("/").status == 200


# --- Request bodies ---


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_upload(litestar_client: httpx.Client, size: int) -> None:
    content = b"x" * size
    response = litestar_client.post("/upload", files={"file": ("fïle.bin", content)}, data={"note": "größer"})
    assert response.json() == {"name": "fïle.bin", "sha256": hashlib.sha256(content).hexdigest(), "note": "größer"}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 5_000_000])
def test_stream_of_a_request(litestar_client: httpx.Client, size: int, chunked: bool) -> None:
    body = b"abcd\n" * (size // 5)
    pieces = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
    answer = litestar_client.post("/digest", content=pieces if chunked else body).json()
    assert answer == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


# --- Threads and background work ---


def test_handlers_in_threads_run_together(litestar_server: Server) -> None:
    with many(4, litestar_server.connect) as clients:
        for client in clients:
            client.request("/meet")
        assert sorted(json.loads(client.response().body)["place"] for client in clients) == [0, 1, 2, 3]


def test_background_task(litestar_server: Server) -> None:
    mark = litestar_server.log.mark()
    with litestar_server.connect() as client:
        assert client.get("/later/work").body == b"soon"
        assert client.get("/").status == 200
        assert "done later" not in litestar_server.log.since(mark)
        open_latch(litestar_server, "work")
        expect_app_log(litestar_server, "done later", "work", mark)


# --- Bodies that go out ---


@pytest.mark.parametrize("threads", ["", "&threads=1"], ids=["coroutines", "threads"])
def test_stream(litestar_server: Server, threads: str) -> None:
    with litestar_server.connect() as client:
        response = client.get(f"/stream?count=100{threads}")
        assert response.framing == "chunked"
        assert response.body.decode() == "".join(f"{n}\n" for n in range(100))
        assert client.get("/").status == 200
        old = client.get(f"/stream?count=100{threads}", version="1.0")
        assert (old.framing, old.body) == ("close", response.body)


@pytest.mark.parametrize("path", ["/file", "/static/large.bin"])
def test_file(litestar_server: Server, path: str) -> None:
    with litestar_server.connect() as client:
        response = client.get(path)
        assert (response.framing, response.body == LARGE) == ("length", True)
        if path == "/file":
            assert response.header(b"content-disposition") == b'attachment; filename="download.bin"'
        assert client.get("/").status == 200


def test_events(litestar_server: Server) -> None:
    with litestar_server.connect() as client:
        client.request("/events/first")
        _, status, _, headers = client.head()
        assert (status, dict(headers)[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
        open_latch(litestar_server, "first")
        assert client.chunk() == b"id: 1\r\nevent: news\r\ndata: first\r\n\r\n"


@pytest.mark.parametrize("events", [0, 1])
@DISCONNECTS
def test_client_disconnects_from_idle_events(
    litestar_server: Server, events: int, disconnect: Callable[[Client], None]
) -> None:
    """Litestar uses a thread before it starts the generator; one that has not started is not closed."""
    name = f"{events}-{disconnect.__name__}"
    mark = litestar_server.log.mark()
    client = litestar_server.connect()
    client.request(f"/events/{name}")
    client.head()
    expect_app_log(litestar_server, "stream opened", name, mark)
    if events:
        open_latch(litestar_server, name)
        assert client.chunk()
        expect_app_log(litestar_server, "idle", name, mark)
    disconnect(client)
    expect_app_log(litestar_server, "stream closed", name, mark)


# --- WebSockets ---


def test_listener(litestar_server: Server) -> None:
    mark = litestar_server.log.mark()
    with websocket(litestar_server, "/talk/one") as socket:
        expect_app_log(litestar_server, "joined", "one", mark)
        for data in ({"a": "süß"}, {}):
            socket.send(json.dumps(data))
            assert json.loads(socket.recv(WAIT_SECONDS)) == {"name": "one", "data": data}
    expect_app_log(litestar_server, "left", "one", mark)


@DISCONNECTS
def test_client_disconnects_from_a_listener(litestar_server: Server, disconnect: Callable[[Client], None]) -> None:
    mark = litestar_server.log.mark()
    disconnect(upgraded(litestar_server, f"/talk/{disconnect.__name__}"))
    expect_app_log(litestar_server, "left", disconnect.__name__, mark)


def test_websocket_stream(litestar_server: Server) -> None:
    with websocket(litestar_server, "/ticks/one") as socket:
        assert socket.recv(WAIT_SECONDS) == "ready"
        open_latch(litestar_server, "one")
        assert socket.recv(WAIT_SECONDS) == "tick"


@DISCONNECTS
def test_client_disconnects_during_a_stream(litestar_server: Server, disconnect: Callable[[Client], None]) -> None:
    """Litestar listens to the client while the generator waits."""
    mark = litestar_server.log.mark()
    client = upgraded(litestar_server, f"/ticks/{disconnect.__name__}")
    assert client.exactly(7) == b"\x81\x05ready"
    disconnect(client)
    expect_app_log(litestar_server, "ticks ended", disconnect.__name__, mark)


@pytest.mark.plain
def test_raw_socket(litestar_server: Server) -> None:
    with websocket(litestar_server, "/raw?q=a+b", subprotocols=["raw", "other"]) as socket:
        assert socket.response is not None
        assert (socket.subprotocol, socket.response.headers["X-Greeting"]) == ("raw", "salve")
        host, port = socket.remote_address
        assert json.loads(socket.recv(WAIT_SECONDS)) == {"url": f"ws://{host}:{port}/raw?q=a+b", "q": "a b"}
        socket.send("süß")
        assert socket.recv(WAIT_SECONDS) == "süß".encode()
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT_SECONDS)
    assert (socket.close_code, socket.close_reason) == (4001, "enough")


def test_channels(litestar_server: Server, litestar_client: httpx.Client) -> None:
    """A message published by a request reaches the subscribers."""
    with websocket(litestar_server, "/channels/news") as one, websocket(litestar_server, "/channels/other") as two:
        # A subscription starts after the handshake.
        for socket, channel in ((one, "news"), (two, "other")):
            heard = until(partial(published, litestar_client, channel, socket), "the subscription")
            assert json.loads(heard) == {"in": channel}


def published(client: httpx.Client, channel: str, socket: ClientConnection) -> str | bytes:
    """Publishes something, and returns the socket's next message, of this or an earlier call, or nothing."""
    assert client.post(f"/publish/{channel}", json={"in": channel}).status_code == 204
    try:
        return socket.recv(0.05)
    except TimeoutError:
        return ""


def test_refused_websockets(litestar_server: Server) -> None:
    for path in ("/guarded", "/nowhere"):
        assert refused(litestar_server, path).status_code == 403
