"""A Starlette application answers as in its documentation, and notices disconnects."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.frameworks.client_helpers import APPS, DISCONNECTS, expect_app_log, open_latch, refused, upgraded, websocket
from tests.helpers import WAIT_SECONDS, Client, Server, many, until, url_of

# --- Plain answers ---


def test_homepage(starlette_client: httpx.Client) -> None:
    response = starlette_client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text == "<html><body><h1>Hello, world!</h1></body></html>"


def test_methods_of_an_endpoint(starlette_server: Server) -> None:
    with starlette_server.connect() as client:
        assert client.get("/echo/you").body == b"Hello, you"
        client.request("/echo/you", b"Content-Length: 5", b"Content-Type: text/x", method="PUT")
        client.send(b"12345")
        response = client.response()
        assert (response.body, response.header(b"content-type")) == (b"12345", b"text/x; charset=utf-8")
        client.request("/echo/you", method="DELETE")
        response = client.response()
        assert (response.status, response.header(b"allow")) == (405, b"GET, HEAD, PUT")


def test_head_of_a_route(starlette_server: Server) -> None:
    """Starlette answers HEAD with GET's function; its body must not get on the wire."""
    with starlette_server.connect() as client:
        whole = client.get("/")
        client.request("/", method="HEAD")
        response = client.response("HEAD")
        assert response.header(b"content-length") == b"%d" % len(whole.body)
        assert client.get("/").body == whole.body


@pytest.mark.plain
def test_addresses(starlette_server: Server) -> None:
    with starlette_server.connect() as client:
        assert json.loads(client.get("/who?a=1&a=%C3%BC&b").body) == {
            "client": list(client.sock.getsockname()),
            "url": "http://test/who?a=1&a=%C3%BC&b",
            "echo": "http://test/echo/you",
            "nested": "http://test/nested/where",
            "root_path": "",
            "raw_path": "/who",
            "query": [["a", "1"], ["a", "ü"], ["b", ""]],
        }
        assert json.loads(client.get("/nested/where").body) == {
            "root_path": "/nested",
            "url": "http://test/nested/where",
        }


def test_cookie_and_redirect(starlette_client: httpx.Client) -> None:
    response = starlette_client.get("/cookie", follow_redirects=True)
    assert "Hello, world!" in response.text
    assert response.history[0].status_code == 303
    assert dict(starlette_client.cookies) == {"session": "abc"}


def test_error_handlers(starlette_client: httpx.Client) -> None:
    response = starlette_client.get("/refuse")
    assert (response.status_code, response.text, response.headers["x-pot"]) == (418, "no coffee", "tea")
    response = starlette_client.get("/nowhere")
    assert (response.status_code, response.text) == (404, "nowhere")


def test_unexpected_errors(start_server: Callable[..., Server], loop: str) -> None:
    """Before the answer: 500 and the connection lives on. Inside of it: the connection ends, visibly broken."""
    server = start_server("--loop", loop, app="starlette_app:app", app_dir=APPS)
    with server.connect() as client:
        assert client.get("/fail").status == 500
        assert client.get("/").status == 200
        client.request("/fail-inside")
        assert client.head()[1] == 200
        assert client.chunk() == b"half"
        assert client.nothing()
    server.log.wait_for(r"GET /fail-inside$")
    server.log.wait_for(r"LookupError: raised on purpose$", server.log.text.index("GET /fail-inside"))
    assert server.log.text.count(" ERROR ") == 2
    assert server.get("/").status == 200


# --- Request bodies ---


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 65_537, 8_000_000])
def test_stream_of_a_request(starlette_client: httpx.Client, size: int, chunked: bool) -> None:
    """A large body passes through in pieces that fit into the server's buffers."""
    body = b"abcdefg\n" * (size // 8) + b"x" * (size % 8)
    pieces = (body[start : start + 100_000] for start in range(0, size, 100_000))
    answer = starlette_client.post("/digest", content=pieces if chunked else body).json()
    assert (answer["size"], answer["sha256"]) == (size, hashlib.sha256(body).hexdigest())
    assert answer["largest"] <= 1 << 20


def test_forms(starlette_client: httpx.Client) -> None:
    assert starlette_client.post("/form", data={"a": "1", "b": "ü&"}).json() == {"a": "1", "b": "ü&"}
    files = {"file": ("name.bin", b"x" * 2_000_000)}
    answer = starlette_client.post("/form", data={"a": "1"}, files=files).json()
    assert answer == {"a": "1", "file": "name.bin of 2000000 bytes"}
    assert (
        starlette_client.post("/form", content=b"--x--", headers={"content-type": "multipart/form-data"}).status_code
        == 400
    )


@DISCONNECTS
def test_client_disconnects_inside_an_upload(starlette_server: Server, disconnect: Callable[[Client], None]) -> None:
    """The application gets its own exception for it, and may let it pass."""
    name = disconnect.__name__
    for path in ("/digest", "/form"):
        mark = starlette_server.log.mark()
        client = starlette_server.connect()
        fields = (b"Content-Type: multipart/form-data; boundary=x", b"Content-Length: 1000000")
        client.request(f"{path}?name={name}", *fields, method="POST")
        client.send(b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"a" * 100_000)
        expect_app_log(starlette_server, "upload begun", name, mark)
        disconnect(client)
        expect_app_log(starlette_server, "upload broken off", name, mark)
    assert starlette_server.get("/").status == 200


# --- Bodies that go out ---


@pytest.mark.parametrize("threads", ["", "&threads"], ids=["coroutines", "threads"])
def test_stream_of_a_response(starlette_server: Server, threads: str) -> None:
    with starlette_server.connect() as client:
        response = client.get(f"/stream?count=100{threads}")
        assert response.framing == "chunked"
        assert response.body == b"".join(b"%d\n" % n for n in range(100))
        assert client.get("/").status == 200
        old = client.get(f"/stream?count=100{threads}", version="1.0")
        assert (old.framing, old.body) == ("close", response.body)


def test_large_stream(starlette_client: httpx.Client) -> None:
    """More than all buffers together, so that send() has to wait for the reader."""
    with starlette_client.stream("GET", "/stream?count=50&size=65536") as response:
        digest = hashlib.sha256()
        for piece in response.iter_raw():
            digest.update(piece)
    expected = b"".join(b"%d\n" % n * 65536 for n in range(50))
    assert digest.digest() == hashlib.sha256(expected).digest()


def test_file(starlette_server: Server, folder: Path) -> None:
    content = (folder / "large.bin").read_bytes()
    with starlette_server.connect() as client:
        response = client.get("/file")
        assert response.body == content
        assert response.framing == "length"
        assert response.header(b"content-disposition") == b'attachment; filename="download.bin"'
        client.request("/static/small.txt", method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"6"
        part = client.get("/file", b"Range: bytes=1000000-1000099")
        assert (part.status, part.body) == (206, content[1_000_000:1_000_100])
        parts = client.get("/file", b"Range: bytes=0-9, 100-109")
        assert parts.status == 206
        assert content[:10] in parts.body
        assert content[100:110] in parts.body
        etag = response.header(b"etag")
        assert etag is not None
        client.get("/")


def test_static_files(starlette_server: Server) -> None:
    with starlette_server.connect() as client:
        response = client.get("/static/small.txt")
        assert (response.body, response.header(b"content-type")) == (b"small\n", b"text/plain; charset=utf-8")
        etag = response.header(b"etag")
        assert etag is not None
        unchanged = client.get("/static/small.txt", b"If-None-Match: " + etag)
        assert (unchanged.status, unchanged.framing) == (304, "none")
        assert client.get("/static/%2e%2e/etc/passwd").status == 404
        assert client.get("/static/small.txt").body == b"small\n"


@DISCONNECTS
def test_client_disconnects_from_a_stream_that_is_never_idle(
    starlette_server: Server, disconnect: Callable[[Client], None]
) -> None:
    mark = starlette_server.log.mark()
    client = starlette_server.connect()
    client.request(f"/endless/{disconnect.__name__}")
    client.head()
    assert client.chunk()
    disconnect(client)
    expect_app_log(starlette_server, "endless ended", disconnect.__name__, mark)


# --- Event streams ---

STREAMS = pytest.mark.parametrize("stream", ["events", "pushed-events"])


@STREAMS
def test_events_open_before_the_first_one(starlette_server: Server, stream: str) -> None:
    with starlette_server.connect() as client:
        client.request(f"/{stream}/first-{stream}")
        _, status, _, headers = client.head()
        assert (status, dict(headers)[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
        open_latch(starlette_server, f"first-{stream}")
        assert client.chunk().rstrip() == b"data: first"


@STREAMS
@pytest.mark.parametrize("events", [0, 1])
@DISCONNECTS
def test_client_disconnects_from_idle_events(
    starlette_server: Server, stream: str, events: int, disconnect: Callable[[Client], None]
) -> None:
    """Nothing is sent any more that could fail; http.disconnect ends the stream, before and after an event."""
    name = f"{stream}-{events}-{disconnect.__name__}"
    mark = starlette_server.log.mark()
    client = starlette_server.connect()
    client.request(f"/{stream}/{name}")
    client.head()
    if events:
        open_latch(starlette_server, name)
        assert client.chunk().rstrip() == b"data: first"
        expect_app_log(starlette_server, "idle", name, mark)
    disconnect(client)
    expect_app_log(starlette_server, "stream closed", name, mark)


def test_background_task_after_events(starlette_server: Server) -> None:
    """Starlette runs it when the client has left, too."""
    mark = starlette_server.log.mark()
    with starlette_server.connect() as client:
        client.request("/events/left")
        client.head()
    expect_app_log(starlette_server, "background", "left", mark)


def test_many_clients_disconnect_from_idle_events(starlette_server: Server) -> None:
    mark = starlette_server.log.mark()
    with many(50, starlette_server.connect) as clients:
        for number, client in enumerate(clients):
            client.request(f"/events/many-{number}")
        for client in clients:
            assert client.head()[1] == 200
    until(lambda: starlette_server.log.since(mark).count("stream closed") == 50, "all streams are closed")


@DISCONNECTS
def test_polling_for_the_disconnect(starlette_server: Server, disconnect: Callable[[Client], None]) -> None:
    """is_disconnected() asks receive() without any time to answer, many times over."""
    mark = starlette_server.log.mark()
    client = starlette_server.connect()
    client.request(f"/poll/{disconnect.__name__}")
    expect_app_log(starlette_server, "polled", disconnect.__name__, mark)
    disconnect(client)
    expect_app_log(starlette_server, "left", disconnect.__name__, mark)


# --- Threads and background work ---


@pytest.mark.parametrize("path", ["/meet", "/meet-in-pool"])
def test_threads_run_together(starlette_server: Server, path: str) -> None:
    with many(4, starlette_server.connect) as clients:
        for client in clients:
            client.request(path)
        assert sorted(client.response().body for client in clients) == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("work", ["later", "detached"])
def test_work_after_the_response(starlette_server: Server, work: str) -> None:
    """A request pipelined after it on the same connection: a request that is answered while the work still waits."""
    mark = starlette_server.log.mark()
    with starlette_server.connect() as client:
        client.send(
            b"GET /%b/%b HTTP/1.1\r\nHost: test\r\n\r\nGET /echo/next HTTP/1.1\r\nHost: test\r\n\r\n"
            % (work.encode(), work.encode())
        )
        assert client.response().status == 200
        assert client.response().body == b"Hello, next"
        assert f"done {work}" not in starlette_server.log.since(mark)
        assert client.post(f"/open/{work}", b"").status == 204
        expect_app_log(starlette_server, f"done {work}", work, mark)


def test_graceful_stop_waits_for_background_work(start_server: Callable[..., Server], loop: str) -> None:
    server = start_server("--loop", loop, app="starlette_app:app", app_dir=APPS)
    with server.connect() as client, server.connect() as opener:
        assert client.get("/later/stop").status == 200
        opener.request("/open/stop", b"Content-Length: 1", method="POST")
        expect_app_log(server, "opening", "stop")
        server.process.terminate()
        server.log.wait_for("stopping")
        opener.send(b"x")
        assert opener.response().status == 204
        expect_app_log(server, "done later", "stop")


# --- WebSockets ---


@pytest.mark.parametrize("compression", ["deflate", None])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1_000_000])
def test_websocket(starlette_server: Server, size: int, compression: str | None) -> None:
    """Of each size of a frame's header, whole and in fragments."""
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    with websocket(starlette_server, "/websocket", compression=compression) as socket:
        assert (socket.protocol.extensions != []) == (compression is not None)
        socket.send(data)
        assert socket.recv(WAIT_SECONDS) == data
        socket.send([data[: size // 3], data[size // 3 :], b""])
        assert socket.recv(WAIT_SECONDS) == data


def test_websocket_endpoint(starlette_server: Server) -> None:
    mark = starlette_server.log.mark()
    with websocket(starlette_server, "/rooms/one", subprotocols=["chat", "superchat"]) as socket:
        assert socket.response is not None
        assert socket.response.headers["X-Chat"] == "one"
        assert socket.subprotocol == "superchat"
        for text in ('{"a": "süß"}', "[]"):
            socket.send(text)
            assert json.loads(socket.recv(WAIT_SECONDS)) == {"received": json.loads(text)}
        socket.close(4321)
    assert socket.close_code == 4321
    expect_app_log(starlette_server, "left the chat", "one 4321", mark)


def test_json_in_binary(starlette_server: Server) -> None:
    with websocket(starlette_server, "/rooms/binary?mode=binary") as socket:
        assert socket.subprotocol is None
        socket.send(b"1")
        assert socket.recv(WAIT_SECONDS) == b'{"received":1}'


def test_scope_of_a_websocket(starlette_server: Server) -> None:
    fields = {"X-Token": "mine", "Cookie": "a=1; b=2"}
    with websocket(starlette_server, "/who-connects?a=1&a=%C3%BC&b", additional_headers=fields) as socket:
        client = list(socket.local_address)
        socket.send("tell me")
        assert json.loads(socket.recv(WAIT_SECONDS)) == {
            "client": client,
            "url": url_of(starlette_server.address, "/who-connects?a=1&a=%C3%BC&b", "ws"),
            "chat": url_of(starlette_server.address, "/rooms/you", "ws"),
            "root_path": "",
            "query": [["a", "1"], ["a", "ü"], ["b", ""]],
            "cookies": {"a": "1", "b": "2"},
            "token": "mine",
            "state": True,
        }
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT_SECONDS)
    assert (socket.close_code, socket.close_reason) == (3000, "told you so")


def test_refused_websockets(starlette_server: Server) -> None:
    """By a response of its own, by an exception that becomes one, and because the client is gone."""
    denied = refused(starlette_server, "/deny")
    assert (denied.status_code, denied.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert json.loads(denied.body or b"") == {"detail": "who are you?"}
    pot = refused(starlette_server, "/refuse")
    assert (pot.status_code, pot.headers["X-Pot"], pot.body) == (418, "tea", b"no coffee")
    assert refused(starlette_server, "/nowhere").status_code == 403


def test_websocket_exception(starlette_server: Server) -> None:
    with websocket(starlette_server, "/violate") as socket, pytest.raises(ConnectionClosed):
        socket.recv(WAIT_SECONDS)
    assert (socket.close_code, socket.close_reason) == (1008, "not like this")


def test_unexpected_errors_of_websockets(start_server: Callable[..., Server], loop: str) -> None:
    """Before it accepts: 500. Later: 1011."""
    server = start_server("--loop", loop, app="starlette_app:app", app_dir=APPS)
    assert refused(server, "/fail-to-accept").status_code == 500
    with websocket(server, "/fail-in-a-websocket") as socket, pytest.raises(ConnectionClosed):
        socket.recv(WAIT_SECONDS)
    assert socket.close_code == 1011
    assert server.log.text.count("LookupError: raised on purpose\n") == 2
    assert server.get("/").status == 200


def test_websocket_that_sends_and_listens(starlette_server: Server) -> None:
    mark = starlette_server.log.mark()
    with websocket(starlette_server, "/feed/both") as socket:
        open_latch(starlette_server, "both")
        assert socket.recv(WAIT_SECONDS) == "news"
        socket.close(1001, "going home")
    expect_app_log(starlette_server, "feed ended", "both 1001 'going home'", mark)


@DISCONNECTS
def test_client_disconnects_from_a_websocket(starlette_server: Server, disconnect: Callable[[Client], None]) -> None:
    """While the application listens."""
    mark = starlette_server.log.mark()
    disconnect(upgraded(starlette_server, f"/feed/{disconnect.__name__}"))
    expect_app_log(starlette_server, "feed ended", f"{disconnect.__name__} 1006 ''", mark)


@DISCONNECTS
def test_client_disconnects_from_a_flood(starlette_server: Server, disconnect: Callable[[Client], None]) -> None:
    """While the application sends."""
    mark = starlette_server.log.mark()
    client = upgraded(starlette_server, f"/flood/{disconnect.__name__}")
    client.exactly(100_000)
    disconnect(client)
    expect_app_log(starlette_server, "flood ended", f"{disconnect.__name__} 1006", mark)


def test_same_path_without_websocket(starlette_server: Server) -> None:
    """An upgrade to something else is the plain request that it also is (RFC 9110 7.8)."""
    with starlette_server.connect() as client:
        assert json.loads(client.get("/websocket").body) == {"type": "http", "upgrade": None}
        response = client.get("/websocket", b"Connection: Upgrade", b"Upgrade: irc/6.9")
        assert json.loads(response.body) == {"type": "http", "upgrade": "irc/6.9"}
