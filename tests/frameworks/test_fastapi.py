"""A FastAPI application answers as in its tutorial."""

import gzip
import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.frameworks.client_helpers import APPS, DISCONNECTS, expect_app_log, open_latch, refused, upgraded, websocket
from tests.frameworks.conftest import LARGE
from tests.helpers import WAIT_SECONDS, Client, Server, many

# --- Parameters and JSON ---


def test_hello(fastapi_client: httpx.Client) -> None:
    response = fastapi_client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"message": "Hello World"}


def test_path_and_query_parameters(fastapi_client: httpx.Client) -> None:
    response = fastapi_client.get("/items/3", params={"q": "süß & größer", "short": "yes"})
    assert response.json() == {"item_id": 3, "q": "süß & größer", "short": True}
    assert fastapi_client.get("/models/resnet").json() == {"model_name": "resnet"}
    assert fastapi_client.get("/files/home/ü/a%20b.txt").json() == {"file_path": "home/ü/a b.txt"}
    assert fastapi_client.get("/tags?tag=a&tag=b").json() == ["a", "b"]


@pytest.mark.parametrize(
    "path",
    ["/items/zero", "/items/0", "/items/1?q=" + "x" * 21, "/items/1?short=perhaps", "/models/lenet", "/tags"],
)
def test_wrong_parameters(fastapi_client: httpx.Client, path: str) -> None:
    response = fastapi_client.get(path)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"]


def test_model(fastapi_client: httpx.Client) -> None:
    response = fastapi_client.post("/items", json={"name": "Foo", "price": 50.5, "tags": ["a", "a"]})
    assert response.status_code == 201
    assert response.json() == {"name": "Foo", "price": 50.5, "tags": ["a"], "description": None}


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (b'{"name": "Foo"}', ["body", "price"]),
        (b'{"name": "Foo", "price": -1}', ["body", "price"]),
        (b'{"name": "Foo", ', ["body", 16]),
        (b"", ["body"]),
        (b"[]", ["body"]),
    ],
)
def test_wrong_model(fastapi_client: httpx.Client, body: bytes, location: list[Any]) -> None:
    response = fastapi_client.post("/items", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert [error["loc"] for error in response.json()["detail"]] == [location]


def test_requests_share_a_connection(fastapi_server: Server) -> None:
    """One after the other, and pipelined; good ones and bad ones."""
    item = b'{"name": "Foo", "price": 1}'
    requests = [
        (b"GET /items/1 HTTP/1.1\r\nHost: test\r\n\r\n", 200),
        (b"GET /items/zero HTTP/1.1\r\nHost: test\r\n\r\n", 422),
        (
            b"POST /items HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(item), item),
            201,
        ),
        (b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"GET /missing HTTP/1.1\r\nHost: test\r\n\r\n", 404),
    ]
    with fastapi_server.connect() as client:
        for request, status in requests:
            client.send(request)
            assert client.response().status == status
        client.send(b"".join(request for request, _ in requests))
        assert [client.response().status for _ in requests] == [status for _, status in requests]


def test_headers(fastapi_client: httpx.Client) -> None:
    headers = [("User-Agent", "tutorial"), ("X-Token", "one"), ("X-Token", "two")]
    response = fastapi_client.get("/agent", headers=headers)
    assert response.json() == {"User-Agent": "tutorial", "X-Token": ["one", "two"]}


def test_cookies(fastapi_client: httpx.Client) -> None:
    assert [fastapi_client.get("/visits").json() for _ in range(3)] == [{"visits": n} for n in range(3)]
    assert dict(fastapi_client.cookies) == {"visits": "3", "seen": "yes"}


def test_redirect(fastapi_client: httpx.Client) -> None:
    response = fastapi_client.get("/old", follow_redirects=True)
    assert response.json()["item_id"] == 1
    assert [step.status_code for step in response.history] == [307]


def test_redirect_to_the_path_without_slash(fastapi_client: httpx.Client) -> None:
    """FastAPI builds the whole address, for which it needs Host and scheme."""
    response = fastapi_client.get("/items/1/")
    assert response.status_code == 307
    assert response.headers["location"] == str(fastapi_client.base_url.join("/items/1"))


# --- Forms and files ---


def test_form(fastapi_client: httpx.Client) -> None:
    response = fastapi_client.post("/login", data={"username": "jané", "password": "a&b=c"})
    assert response.json() == {"username": "jané", "password": "*****"}
    assert fastapi_client.post("/login", data={"username": "jané"}).status_code == 422


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_upload(fastapi_client: httpx.Client, size: int) -> None:
    """Several files in one form; the large ones go through temporary files and threads."""
    contents = [bytes([n]) * (size + n) for n in range(3)]
    files = [("files", (f"fïle {n}.bin", content, "image/x-test")) for n, content in enumerate(contents)]
    response = fastapi_client.post("/upload", files=files, data={"note": "three"})
    assert response.status_code == 200
    assert response.json() == [
        {
            "name": f"fïle {n}.bin",
            "type": "image/x-test",
            "sha256": hashlib.sha256(content).hexdigest(),
            "note": "three",
        }
        for n, content in enumerate(contents)
    ]


def test_upload_without_length(fastapi_client: httpx.Client) -> None:
    """A body that is sent in chunks."""
    encoded = httpx.Request("POST", "http://test", files={"files": ("a.txt", b"abc" * 50_000)})
    body = encoded.read()
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
    response = fastapi_client.post("/upload", content=pieces, headers={"content-type": encoded.headers["content-type"]})
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.json()[0]["sha256"] == hashlib.sha256(b"abc" * 50_000).hexdigest()


def test_client_disconnects_inside_an_upload(fastapi_server: Server) -> None:
    """FastAPI does not report it; the server continues and logs nothing."""
    mark = fastapi_server.log.mark()
    for disconnect in (Client.close, Client.reset):
        client = fastapi_server.connect()
        client.request(
            "/upload",
            b"Content-Type: multipart/form-data; boundary=x",
            b"Content-Length: 1000000",
            method="POST",
        )
        client.send(b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + b"a" * 100_000)
        disconnect(client)
    assert fastapi_server.get("/").status == 200
    assert "Traceback" not in fastapi_server.log.since(mark)


# --- Middleware ---


def test_middleware(fastapi_client: httpx.Client) -> None:
    """The middleware's context variable is its own for each request."""
    for name in ("one", "two"):
        assert fastapi_client.get("/", headers={"X-Request-ID": name}).headers["x-request-id"] == name
    assert fastapi_client.get("/").headers["x-request-id"] == "none"


def test_cors(fastapi_client: httpx.Client) -> None:
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    preflight = fastapi_client.options("/items", headers=headers)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://example.org"
    assert fastapi_client.get("/", headers=headers).headers["access-control-allow-origin"] == "https://example.org"
    assert fastapi_client.options("/items", headers=headers | {"Origin": "https://x.org"}).status_code == 400


def test_gzip(fastapi_server: Server, fastapi_client: httpx.Client) -> None:
    """A whole answer has the length of the compressed body; a stream has none."""
    plain = fastapi_client.get("/list?count=100", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with fastapi_server.connect() as client:
        response = client.get("/list?count=100", b"Accept-Encoding: gzip")
        assert response.header(b"content-encoding") == b"gzip"
        assert len(response.body) < len(plain.content)
        assert gzip.decompress(response.body) == plain.content
        stream = client.get("/numbers?count=10000", b"Accept-Encoding: gzip")
        assert stream.framing == "chunked"
        assert gzip.decompress(stream.body).decode() == "".join(f"{n}\n" for n in range(10_000))


# --- Errors ---


def test_error_handlers(fastapi_client: httpx.Client) -> None:
    response = fastapi_client.get("/unicorns/yolo")
    assert (response.status_code, response.json()) == (418, {"message": "yolo did something"})
    response = fastapi_client.get("/missing")
    assert (response.status_code, response.json()) == (404, {"detail": "Item not found"})
    assert response.headers["x-error"] == "There goes my error"


@pytest.mark.parametrize("path", ["/broken", "/broken-in-thread"])
def test_unexpected_error(start_server: Callable[..., Server], loop: str, path: str) -> None:
    """Starlette answers 500 and raises on; the server logs it once, and the connection lives on."""
    server = start_server("--loop", loop, app="fastapi_app:app", app_dir=APPS)
    with server.connect() as client:
        response = client.get(path)
        assert (response.status, response.body) == (500, b"Internal Server Error")
        assert client.get("/").status == 200
    server.log.wait_for(r"^ +LookupError: raised on purpose$")
    assert f"GET {path}" in server.log.text
    assert server.log.text.count("Traceback (most recent call last)") == 1


# --- Dependencies and background tasks ---


def test_dependency_with_yield(fastapi_server: Server, fastapi_client: httpx.Client) -> None:
    mark = fastapi_server.log.mark()
    assert fastapi_client.get("/query?name=one").json()["session"] == "one"
    for what in ("session opened", "cursor closed", "session closed"):
        expect_app_log(fastapi_server, what, "one", mark)
    response = fastapi_client.get("/query?name=two&fail=1")
    assert (response.status_code, response.json()) == (409, {"detail": "rolled back"})
    expect_app_log(fastapi_server, "session rolled back", "two", mark)


def test_background_tasks(fastapi_server: Server) -> None:
    """They run when the response is complete; its connection serves other requests meanwhile."""
    mark = fastapi_server.log.mark()
    with fastapi_server.connect() as client:
        response = client.post("/notify/background", b"", b"X-Request-ID: mine")
        assert json.loads(response.body) == {"message": "Notification sent in the background"}
        assert client.get("/", b"X-Request-ID: other").status == 200
        assert "notified" not in fastapi_server.log.since(mark)
        assert client.post("/open/background", b"").status == 204
        expect_app_log(fastapi_server, "notified", "background", mark)
        assert client.post("/open/background-thread", b"").status == 204
        expect_app_log(fastapi_server, "notified in thread", "background mine", mark)
        assert client.get("/").status == 200


def test_background_tasks_of_a_client_that_left(fastapi_server: Server) -> None:
    """The response was sent completely, so the background task runs."""
    mark = fastapi_server.log.mark()
    with fastapi_server.connect() as client:
        assert client.post("/notify/left", b"").status == 200
    for name in ("left", "left-thread"):
        with fastapi_server.connect() as client:
            assert client.post(f"/open/{name}", b"").status == 204
    expect_app_log(fastapi_server, "notified in thread", "left none", mark)


# --- Threads ---


def test_views_in_threads_run_together(fastapi_server: Server) -> None:
    with many(4, fastapi_server.connect) as clients:
        for client in clients:
            client.request("/meet")
        places = [json.loads(client.response().body)["place"] for client in clients]
    assert sorted(places) == [0, 1, 2, 3]


def test_blocking_view_does_not_block_other_requests(fastapi_server: Server) -> None:
    mark = fastapi_server.log.mark()
    with fastapi_server.connect() as blocked, fastapi_server.connect() as other:
        blocked.request("/block/thread", b"X-Request-ID: blocked")
        expect_app_log(fastapi_server, "blocking", "thread", mark)
        assert other.get("/", b"X-Request-ID: other").status == 200
        assert other.post("/open/thread", b"").status == 204
        assert json.loads(blocked.response().body) == {"request_id": "blocked"}


def test_many_clients_at_once(fastapi_server: Server, client_of: Callable[[Server], httpx.Client]) -> None:
    """A pool of connections, coroutines and threads mixed, each response to its own client."""
    client = client_of(fastapi_server)

    def ask(number: int) -> bool:
        if number % 2:
            answer = client.get(f"/items/{number}?q={number}").json()
            return bool(answer["item_id"] == number and answer["q"] == str(number))
        return bool(client.get(f"/query?name={number}").json()["session"] == str(number))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(1, 101)))


# --- Lifespan ---


def test_lifespan_state(fastapi_client: httpx.Client) -> None:
    """Each request has a copy: the next request does not see changes of one."""
    for _ in range(2):
        assert fastapi_client.get("/state").json() == {"model": "answers everything", "touched": 1}


# --- Addresses and documentation ---


@pytest.mark.plain
def test_addresses(fastapi_server: Server) -> None:
    with fastapi_server.connect() as client:
        answer = json.loads(client.get("/who?a=b").body)
        assert answer == {
            "client": list(client.sock.getsockname()),
            "url": "http://test/who?a=b",
            "item": "http://test/items/7",
            "root_path": "",
            "raw_path": "/who",
        }


def test_documentation(fastapi_client: httpx.Client) -> None:
    page = fastapi_client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "url: '/openapi.json'" in page.text
    schema = fastapi_client.get("/openapi.json").json()
    assert schema["info"]["title"] == "Tutorial"
    assert "servers" not in schema
    assert "/items/{item_id}" in schema["paths"]


def test_mounted_application(fastapi_client: httpx.Client) -> None:
    base = str(fastapi_client.base_url)
    assert fastapi_client.get("/subapi/where").json() == {
        "root_path": "/subapi",
        "url": f"{base}/subapi/where",
    }
    assert "url: '/subapi/openapi.json'" in fastapi_client.get("/subapi/docs").text
    assert fastapi_client.get("/subapi/openapi.json").json()["servers"] == [{"url": "/subapi"}]


def test_mounted_wsgi_application(fastapi_client: httpx.Client) -> None:
    answer = fastapi_client.get("/wsgi/environ?a=b").json()
    assert answer == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/wsgi",
        "PATH_INFO": "/environ",
        "QUERY_STRING": "a=b",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }


# --- Streams ---


def test_stream(fastapi_server: Server) -> None:
    with fastapi_server.connect() as client:
        response = client.get("/numbers?count=1000")
        assert response.framing == "chunked"
        assert response.body.decode() == "".join(f"{n}\n" for n in range(1000))
        assert client.get("/").status == 200


def test_file(fastapi_server: Server) -> None:
    with fastapi_server.connect() as client:
        response = client.get("/download", b"X-Request-ID: mine")
        assert (response.framing, response.body == LARGE) == ("length", True)
        assert response.header(b"content-disposition") == b'attachment; filename="download.bin"'
        assert response.header(b"x-request-id") == b"mine"
        part = client.get("/download", b"Range: bytes=-10", b"Accept-Encoding: gzip")
        assert (part.status, part.body) == (206, LARGE[-10:])
        assert client.get("/").status == 200


def test_json_lines(fastapi_client: httpx.Client) -> None:
    response = fastapi_client.get("/lines")
    assert response.headers["content-type"] == "application/jsonl"
    assert [json.loads(line)["name"] for line in response.iter_lines()] == ["one", "two"]


def test_events(fastapi_server: Server) -> None:
    """FastAPI's own event stream: open before its first event, each event at once, closed in order."""
    mark = fastapi_server.log.mark()
    with fastapi_server.connect() as client:
        client.request("/events/whole")
        _, status, _, headers = client.head()
        assert status == 200
        assert (b"content-type", b"text/event-stream; charset=utf-8") in headers
        open_latch(fastapi_server, "whole-first")
        assert client.chunk() == b'event: news\ndata: "first"\nid: 1\n\n'
        open_latch(fastapi_server, "whole-second")
        assert client.chunk() == b"data: second\n\n"
        assert client.chunk() == b""
        assert client.get("/").status == 200
    expect_app_log(fastapi_server, "stream closed", "whole", mark)


@DISCONNECTS
def test_client_disconnects_from_idle_events(
    fastapi_server: Server, loop: str, disconnect: Callable[[Client], None]
) -> None:
    """The generator's clean-up runs though there was nothing more to send."""
    mark = fastapi_server.log.mark()
    client = fastapi_server.connect()
    name = disconnect.__name__
    client.request(f"/events/{name}")
    client.head()
    open_latch(fastapi_server, f"{name}-first")
    assert client.chunk()
    expect_app_log(fastapi_server, "idle", name, mark)
    disconnect(client)
    expect_app_log(fastapi_server, "stream closed", name, mark)


# --- WebSockets ---


def test_chat(fastapi_server: Server) -> None:
    with websocket(fastapi_server, "/chat/1") as one:
        with websocket(fastapi_server, "/chat/2") as two:
            one.send("grüße")
            assert [one.recv(WAIT_SECONDS) for _ in range(2)] == ["You wrote: grüße", "Client #1 says: grüße"]
            assert two.recv(WAIT_SECONDS) == "Client #1 says: grüße"
        assert one.recv(WAIT_SECONDS) == "Client #2 left the chat"
    # A client that is reset is removed as well.
    with websocket(fastapi_server, "/chat/3") as three:
        upgraded(fastapi_server, "/chat/4").reset()
        assert three.recv(WAIT_SECONDS) == "Client #4 left the chat"


def test_dependencies_of_a_websocket(fastapi_server: Server) -> None:
    mark = fastapi_server.log.mark()
    with websocket(fastapi_server, "/items/foo/socket?token=secret&q=3") as socket:
        for data in ('{"a": 1}', "[]", '"text"'):
            socket.send(data)
            expected = {"credential": "secret", "resource": "resource of foo", "q": 3, "data": json.loads(data)}
            assert json.loads(socket.recv(WAIT_SECONDS)) == expected
    expect_app_log(fastapi_server, "resource closed", "foo", mark)
    with websocket(fastapi_server, "/items/bar/socket", additional_headers={"Cookie": "session=mine"}) as socket:
        socket.send("1")
        assert json.loads(socket.recv(WAIT_SECONDS))["credential"] == "mine"


@pytest.mark.parametrize("path", ["/items/foo/socket", "/items/foo/socket?token=x&q=three", "/chat/nobody", "/nowhere"])
def test_refused_websockets(fastapi_server: Server, path: str) -> None:
    """By a dependency, by a parameter, by the path."""
    assert refused(fastapi_server, path).status_code == 403
