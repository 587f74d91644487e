"""A Quart application answers as in its tutorials, and is notified of disconnects."""

import hashlib
import json
from collections.abc import Callable

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.frameworks.client_helpers import APPS, DISCONNECTS, expect_app_log, open_latch, refused, upgraded, websocket
from tests.frameworks.conftest import LARGE
from tests.helpers import WAIT_SECONDS, Client, Server


@pytest.fixture
def quart_server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("quart_app:app", "--loop", loop)


@pytest.fixture
def quart_client(quart_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(quart_server)


# --- Routes ---


def test_hello(quart_client: httpx.Client) -> None:
    response = quart_client.get("/")
    assert (response.status_code, response.text) == (200, "Hello, World!")
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_json(quart_client: httpx.Client) -> None:
    response = quart_client.post("/echo", json={"a": ["ü", 1]})
    assert response.json() == {"input": {"a": ["ü", 1]}, "extra": True}
    assert quart_client.post("/echo", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400


def test_template(quart_client: httpx.Client) -> None:
    response = quart_client.get("/blog/3/", params={"title": "<süß>"})
    assert response.text == '<h1>Post 3</h1><a href="/blog/4/">&lt;süß&gt;</a>'
    redirected = quart_client.get("/blog/3")
    assert redirected.status_code == 308
    assert redirected.headers["location"] == str(quart_client.base_url.join("/blog/3/"))


@pytest.mark.plain
def test_addresses(quart_server: Server) -> None:
    with quart_server.connect() as client:
        shown = json.loads(client.get("/who?a=%C3%BC", b"X-Token: one", b"X-Token: two").body)
    assert shown == {
        "client": "127.0.0.1",
        "url": "http://test/who?a=ü",
        "path": "/who",
        "root_path": "",
        "raw_path": "/who",
        "post": "/blog/7/",
        "external": "http://test/blog/7/",
        "headers": ["one", "two"],
    }


def test_session_and_flashed_messages(quart_client: httpx.Client) -> None:
    assert [quart_client.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]
    assert quart_client.get("/flash", follow_redirects=True).json() == {"messages": ["You were logged in"]}
    assert quart_client.get("/flashed").json() == {"messages": []}


def test_head_and_options(quart_server: Server) -> None:
    with quart_server.connect() as client:
        client.request("/", method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"13"
        client.request("/", method="OPTIONS")
        allowed = client.response().header(b"allow")
        assert allowed is not None
        assert sorted(allowed.split(b", ")) == [b"GET", b"HEAD", b"OPTIONS"]
        assert client.post("/", b"body").status == 405
        assert client.get("/").body == b"Hello, World!"


def test_function_in_a_thread(quart_client: httpx.Client) -> None:
    assert quart_client.get("/in-thread").text == "/in-thread in a thread"


# --- Lifespan ---


def test_serving_hooks(start_server: Callable[..., Server]) -> None:
    server = start_server(app="quart_app:app", app_dir=APPS)
    assert json.loads(server.get("/config").body) == {"answer": 42}
    server.stop()
    printed = [line.split(": ")[1] for line in server.log.text.splitlines() if line.startswith("app: ")]
    assert printed == ["before serving", "alive", "after serving"]


# --- Errors ---


def test_error_handler(quart_client: httpx.Client) -> None:
    for path in ("/missing", "/nowhere"):
        response = quart_client.get(path)
        assert (response.status_code, response.json()) == (404, {"error": "nowhere"})


def test_unexpected_errors(start_server: Callable[..., Server]) -> None:
    """Before the answer Quart logs them itself and answers 500; inside of it the connection visibly breaks."""
    server = start_server(app="quart_app:app", app_dir=APPS)
    with server.connect() as client:
        response = client.get("/fail")
        assert response.status == 500
        assert b"Internal Server Error" in response.body
        server.log.wait_for("ERROR in app: Exception on request GET /fail$")
        client.request("/fail-inside")
        assert client.head()[1] == 200
        assert client.chunk() == b"half"
        assert client.nothing()
    server.log.wait_for(r"GET /fail-inside$")
    server.log.wait_for(r"LookupError: raised on purpose$", server.log.text.index("GET /fail-inside"))
    assert server.log.text.count("ERROR") == 2  # each is logged once
    assert server.get("/").status == 200


# --- Request bodies ---


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_upload(quart_client: httpx.Client, size: int) -> None:
    content = b"x" * size
    response = quart_client.post("/upload", files={"file": ("fïle.bin", content)}, data={"note": "größer"})
    assert response.json() == {"name": "fïle.bin", "sha256": hashlib.sha256(content).hexdigest(), "note": "größer"}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 5_000_000])
def test_stream_of_a_request(quart_client: httpx.Client, size: int, chunked: bool) -> None:
    body = b"abcd\n" * (size // 5)
    pieces = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
    answer = quart_client.post("/digest", content=pieces if chunked else body).json()
    assert answer == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def test_body_beyond_the_limit(quart_client: httpx.Client) -> None:
    """MAX_CONTENT_LENGTH, by default 16 MiB."""
    assert quart_client.post("/digest", content=b"x" * ((16 << 20) + 1)).status_code == 413
    assert quart_client.get("/").status_code == 200


@DISCONNECTS
def test_client_disconnects_inside_an_upload(quart_server: Server, disconnect: Callable[[Client], None]) -> None:
    name = disconnect.__name__
    mark = quart_server.log.mark()
    client = quart_server.connect()
    client.request(f"/begun/{name}", b"Content-Length: 1000000", method="POST")
    client.send(b"x" * 100_000)
    expect_app_log(quart_server, "upload begun", name, mark)
    disconnect(client)
    expect_app_log(quart_server, "upload broken off", name, mark)


# --- Background tasks ---


def test_background_tasks(quart_server: Server) -> None:
    mark = quart_server.log.mark()
    with quart_server.connect() as client:
        assert client.post("/jobs/two", b"").status == 202
        assert client.get("/").status == 200
        assert "job done" not in quart_server.log.since(mark)
        assert client.post("/open/two", b"").status == 204
    expect_app_log(quart_server, "job done", "two for /jobs/two", mark)
    expect_app_log(quart_server, "job done in thread", "two", mark)


# --- Bodies that go out ---


def test_stream(quart_server: Server) -> None:
    with quart_server.connect() as client:
        response = client.get("/stream?count=1000")
        assert response.framing == "chunked"
        assert response.body == b"".join(b"%d\n" % n for n in range(1000))
        assert client.get("/").status == 200
        old = client.get("/stream?count=1000", version="1.0")
        assert (old.framing, old.body) == ("close", response.body)


def test_file(quart_server: Server) -> None:
    with quart_server.connect() as client:
        response = client.get("/file")
        assert (response.framing, response.body == LARGE) == ("length", True)
        part = client.get("/file", b"Range: bytes=1000000-1000099")
        assert (part.status, part.body) == (206, LARGE[1_000_000:1_000_100])
        assert part.header(b"content-range") == b"bytes 1000000-1000099/%d" % len(LARGE)
        etag = response.header(b"etag")
        assert etag is not None
        assert client.get("/file", b"If-None-Match: " + etag).status == 304
        assert client.get("/file", b"Range: bytes=%d-" % len(LARGE)).status == 416
        client.request("/file", method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"%d" % len(LARGE)
        assert client.get("/").status == 200


def test_events(quart_server: Server) -> None:
    """The guide sets Transfer-Encoding by hand; the server, whose business that is, sets it once."""
    with quart_server.connect() as client:
        client.request("/events/first")
        _, status, _, headers = client.head()
        assert status == 200
        assert dict(headers)[b"content-type"] == b"text/event-stream"
        assert [value for name, value in headers if name == b"transfer-encoding"] == [b"chunked"]
        open_latch(quart_server, "first")
        assert client.chunk() == b"data: first\r\n\r\n"


@pytest.mark.parametrize("events", [0, 1])
@DISCONNECTS
def test_client_disconnects_from_idle_events(
    quart_server: Server, events: int, disconnect: Callable[[Client], None]
) -> None:
    name = f"{events}-{disconnect.__name__}"
    mark = quart_server.log.mark()
    client = quart_server.connect()
    client.request(f"/events/{name}")
    client.head()
    if events:
        open_latch(quart_server, name)
        assert client.chunk() == b"data: first\r\n\r\n"
        expect_app_log(quart_server, "idle", name, mark)
    disconnect(client)
    expect_app_log(quart_server, "stream closed", name, mark)


def test_long_poll(quart_server: Server) -> None:
    with quart_server.connect() as client:
        client.request("/poll/answered")
        open_latch(quart_server, "answered")
        assert client.response().body == b"news"


@DISCONNECTS
def test_client_disconnects_during_a_long_poll(quart_server: Server, disconnect: Callable[[Client], None]) -> None:
    mark = quart_server.log.mark()
    client = quart_server.connect()
    client.request(f"/poll/{disconnect.__name__}")
    expect_app_log(quart_server, "polling", disconnect.__name__, mark)
    disconnect(client)
    expect_app_log(quart_server, "left", disconnect.__name__, mark)


# --- WebSockets ---


def test_chat(quart_server: Server) -> None:
    with websocket(quart_server, "/chat/one") as one, websocket(quart_server, "/chat/two") as two:
        # The welcome is sent before the subscription, the first echo after it.
        assert (one.recv(WAIT_SECONDS), two.recv(WAIT_SECONDS)) == ("welcome one", "welcome two")
        two.send("is anybody here?")
        assert two.recv(WAIT_SECONDS) == "is anybody here?"
        one.send("grüße")
        assert two.recv(WAIT_SECONDS) == "grüße"


def test_first_word_accepts(quart_server: Server) -> None:
    with websocket(quart_server, "/talk") as socket:
        socket.send("süß")
        assert socket.recv(WAIT_SECONDS) == "ßüs"
        socket.send(b"12")
        assert socket.recv(WAIT_SECONDS) == b"21"


def test_accepted_with_protocol_and_fields(quart_server: Server) -> None:
    with websocket(quart_server, "/protocols?q=a+b", subprotocols=["one", "two"]) as socket:
        assert socket.response is not None
        assert (socket.subprotocol, socket.response.headers["X-Greeting"]) == ("two", "salve")
        expected = {"offered": ["one", "two"], "client": socket.local_address[0], "q": "a b"}
        socket.send("tell me")
        assert json.loads(socket.recv(WAIT_SECONDS)) == expected
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT_SECONDS)
    assert (socket.close_code, socket.close_reason) == (4001, "enough")


def test_refused_websockets(quart_server: Server) -> None:
    """Quart answers with the response that the handler returns, or that of an error."""
    response = refused(quart_server, "/refused")
    assert (response.status_code, json.loads(response.body or b"")) == (401, {"error": "not you"})
    for path in ("/aborted", "/nowhere"):
        response = refused(quart_server, path)
        assert (response.status_code, json.loads(response.body or b"")) == (404, {"error": "nowhere"})


@DISCONNECTS
def test_client_disconnects_from_a_chat(quart_server: Server, disconnect: Callable[[Client], None]) -> None:
    """Quart cancels the handler."""
    mark = quart_server.log.mark()
    disconnect(upgraded(quart_server, f"/chat/{disconnect.__name__}"))
    expect_app_log(quart_server, "left the chat", disconnect.__name__, mark)
