"""Requests and responses of each WSGI framework, by its own means.

The applications are served in three ways: by threads that lead the reactor, in the same way with a validator of
PEP 3333 around them, and by the threads of a process whose event loop serves an ASGI application beside them.
"""

import hashlib
import json
from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.client_helpers import APPS, DISCONNECTS, expect_app_log, open_latch
from tests.frameworks.conftest import LARGE, WSGI_MODULES
from tests.helpers import Client, Server, many


@pytest.fixture(scope="session", params=WSGI_MODULES)
def module(request: pytest.FixtureRequest) -> str:
    """The module of an application."""
    return str(request.param)


@pytest.fixture
def server(serve_wsgi: Callable[[str], Server], module: str) -> Server:
    return serve_wsgi(module)


@pytest.fixture
def client(server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(server)


# --- Requests ---


def test_addresses(client: httpx.Client) -> None:
    base = str(client.base_url).rstrip("/")
    assert client.get("/who?a=b").json() == {
        "client": "127.0.0.1",
        "url": f"{base}/who?a=b",
        "echo": f"{base}/echo/you",
        "script_name": "",
        "path": "/who",
        "tokens": None,
        "cookies": {},
    }


@pytest.mark.plain
def test_address_of_another_host(server: Server) -> None:
    with server.connect() as client:
        answer = json.loads(client.get("/who").body)
        assert (answer["url"], answer["echo"]) == ("http://test/who", "http://test/echo/you")


def test_path_with_escapes(client: httpx.Client) -> None:
    assert client.get("/echo/%C3%BC%20%2520").json() == {"name": "ü %20"}


def test_repeated_headers(client: httpx.Client) -> None:
    headers = [("X-Token", "one"), ("X-Token", "two"), ("X_Token", "spoofed"), ("Cookie", "a=1"), ("Cookie", "b=2")]
    answer = client.get("/who", headers=headers).json()
    assert answer["tokens"].replace(" ", "") == "one,two"
    assert answer["cookies"] == {"a": "1", "b": "2"}


def test_repeated_headers_of_a_response(client: httpx.Client) -> None:
    response = client.get("/cookies")
    assert [line.partition(";")[0] for line in response.headers.get_list("set-cookie")] == ["one=1", "two=2"]
    assert client.get("/who").json()["cookies"] == {"one": "1", "two": "2"}


def test_methods(server: Server) -> None:
    with server.connect() as client:
        client.request("/hello", method="HEAD")
        response = client.response("HEAD")
        assert (response.status, response.header(b"content-length")) == (200, b"6")
        client.request("/hello", method="DELETE")
        # Django misses a CSRF token, Pyramid a view with that predicate.
        assert client.response().status in (403, 404, 405)
        assert client.get("/hello").body == b"hello\n"
        assert client.get("/nowhere").status == 404
        assert client.get("/hello", version="1.0").body == b"hello\n"


# --- Request bodies ---


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_body(client: httpx.Client, size: int, chunked: bool) -> None:
    """The largest lies in a temporary file."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    pieces = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
    answer = client.post("/digest", content=pieces if chunked else body).json()
    assert answer == {"size": size, "sha256": hashlib.sha256(body).hexdigest()}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 3_000_000])
def test_upload(client: httpx.Client, size: int, chunked: bool) -> None:
    content = bytes(range(256)) * (size // 256) + b"\r\n--"
    request = client.build_request(
        "POST", "/upload", files={"file": ("a b.bin", content)}, data={"note": "größer\r\nzwei"}
    )
    if chunked:
        fields = {"Content-Type": request.headers["content-type"]}
        request = client.build_request("POST", "/upload", content=iter([request.read()]), headers=fields)
        assert "content-length" not in request.headers
    assert client.send(request).json() == {
        "name": "a b.bin",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "note": "größer\r\nzwei",
    }


@DISCONNECTS
def test_client_disconnects_inside_an_upload(server: Server, disconnect: Callable[[Client], None]) -> None:
    """No application is called: its error would be unexpected in the log."""
    client = server.connect()
    client.request("/fail", b"Content-Length: 1000000")
    client.send(b"x" * 100_000)
    disconnect(client)
    assert server.get("/hello").status == 200


# --- Bodies that go out ---


def test_stream(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/stream?count=1000")
        assert response.framing == "chunked"
        assert response.body == b"".join(b"%d\n" % n for n in range(1000))
        assert client.get("/stream?count=0").body == b""
        client.request("/stream?count=1000", method="HEAD")
        assert client.response("HEAD").status in (200, 405)
        assert client.get("/hello").status == 200
        old = client.get("/stream?count=1000", version="1.0")
        assert (old.framing, old.body) == ("close", response.body)


def test_stream_arrives_block_by_block(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/news/today")
        assert client.head()[1] == 200
        assert client.chunk() == b"first\n"
        open_latch(server, "today")
        assert client.chunk() == b"second\n"
        assert client.chunk() == b""
        expect_app_log(server, "stream closed", "today", mark)
        assert client.get("/hello").status == 200


@DISCONNECTS
def test_client_disconnects_during_a_stream(server: Server, disconnect: Callable[[Client], None]) -> None:
    mark = server.log.mark()
    client = server.connect()
    client.request(f"/endless/{disconnect.__name__}")
    client.head()
    assert client.chunk() == b"first\n"
    disconnect(client)
    open_latch(server, disconnect.__name__)
    expect_app_log(server, "stream closed", disconnect.__name__, mark)


def test_file(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/file")
        assert (response.framing, response.body == LARGE) == ("length", True)
        disposition = response.header(b"content-disposition") or b""
        assert disposition.replace(b'"', b"") == b"attachment; filename=download.bin"
        client.request("/file", method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"%d" % len(LARGE)
        assert client.get("/hello").status == 200


@DISCONNECTS
def test_client_disconnects_during_a_file(server: Server, disconnect: Callable[[Client], None]) -> None:
    client = server.connect()
    client.request("/file")
    client.head()
    disconnect(client)
    assert server.get("/hello").status == 200


# --- Threads ---


def test_calls_run_together(server: Server) -> None:
    with many(4, server.connect) as clients:
        for client in clients:
            client.request("/meet")
        places = [json.loads(client.response().body)["place"] for client in clients]
        assert sorted(places) == [0, 1, 2, 3]


# --- Errors ---


def test_unexpected_errors(start_server: Callable[..., Server], module: str) -> None:
    """Before the first byte 500, from the framework or the server; after it the connection is visibly aborted."""
    server = start_server(app=f"{module}:app", app_dir=APPS)
    with server.connect() as client:
        assert client.get("/fail").status == 500
        assert client.get("/hello").status == 200
        # Django alone logs nothing: it mails its administrators, of which there are none.
        if module != "django_site":
            server.log.wait_for(r"LookupError: raised on purpose$")
        mark = server.log.mark()
        client.request("/fail-inside")
        assert client.head()[1] == 200
        assert client.chunk() == b"half"
        assert client.nothing()
    server.log.wait_for(r"GET /fail-inside$", mark)
    server.log.wait_for(r"LookupError: raised on purpose$", mark)
    assert server.get("/hello").status == 200
