"""A Falcon application answers as in its ASGI tutorial, and is notified of disconnects."""

import hashlib
import json
from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.client_helpers import APPS, DISCONNECTS, expect_app_log, open_latch
from tests.frameworks.conftest import LARGE
from tests.helpers import Client, Server


@pytest.fixture
def falcon_server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("falcon_app:app", "--loop", loop)


@pytest.fixture
def falcon_client(falcon_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(falcon_server)


# --- Resources ---


def test_text(falcon_client: httpx.Client) -> None:
    response = falcon_client.get("/things", headers={"X-Token": "mine"})
    assert response.text.startswith("Two things awe me most")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert (response.headers["x-token"], response.headers["x-succeeded"]) == ("mine", "True")


def test_media(falcon_client: httpx.Client) -> None:
    created = falcon_client.post("/images", json={"name": "süß", "size": 3})
    assert (created.status_code, created.headers["location"]) == (201, "/images/s%C3%BC%C3%9F")
    assert falcon_client.get("/images/süß").json() == {"name": "süß", "size": 3}
    assert falcon_client.get("/images?limit=5&tag=a&tag=b").json() == {"images": ["süß"], "tags": ["a", "b"]}
    deleted = falcon_client.delete("/images/süß")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "content-type" not in deleted.headers
    assert falcon_client.get("/images/süß").status_code == 404


def test_addresses_and_cookies(falcon_client: httpx.Client) -> None:
    base = str(falcon_client.base_url).rstrip("/")
    for visited in (None, "yes"):
        assert falcon_client.get("/who?a=b").json() == {
            "client": "127.0.0.1",
            "url": f"{base}/who?a=b",
            "prefix": base,
            "root_path": "",
            "raw_path": "/who",
            "cookie": visited,
        }


def test_methods(falcon_server: Server) -> None:
    with falcon_server.connect() as client:
        client.request("/images", method="OPTIONS")
        response = client.response()
        assert (response.status, response.header(b"allow")) == (200, b"GET, POST")
        client.request("/images", method="DELETE")
        assert client.response().status == 405
        client.request("/static/large.bin", method="OPTIONS")
        assert client.response().header(b"allow") == b"GET"
        assert client.get("/things").status == 200


def test_cors(falcon_client: httpx.Client) -> None:
    headers = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    preflight = falcon_client.options("/images", headers=headers)
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert preflight.headers["access-control-allow-methods"] == "GET, POST"


# --- Errors ---


def test_errors(falcon_client: httpx.Client) -> None:
    response = falcon_client.get("/images/none")
    assert response.status_code == 404
    assert response.json() == {"title": "No such image", "description": "There is no none.", "code": 17}
    assert response.headers["x-succeeded"] == "False"
    assert falcon_client.get("/nowhere").json() == {"title": "404 Not Found"}
    assert falcon_client.get("/images?limit=0").json()["title"] == "Invalid parameter"
    conflict = falcon_client.get("/conflict")
    assert (conflict.status_code, conflict.json(), conflict.headers["x-name"]) == (409, {"title": "taken"}, "other")
    moved = falcon_client.get("/moved")
    assert (moved.status_code, moved.headers["location"]) == (301, "/things")


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"x", "x/y", 415),
    ],
)
def test_wrong_bodies(falcon_client: httpx.Client, body: bytes, media_type: str, status: int) -> None:
    response = falcon_client.post("/validated", content=body, headers={"Content-Type": media_type})
    assert response.status_code == status
    assert response.json()["title"]


def test_unexpected_errors(start_server: Callable[..., Server]) -> None:
    """Before the answer Falcon logs them itself and answers 500; inside of it the connection visibly breaks."""
    server = start_server(app="falcon_app:app", app_dir=APPS)
    with server.connect() as client:
        response = client.get("/fail")
        assert (response.status, json.loads(response.body)) == (500, {"title": "500 Internal Server Error"})
        client.request("/fail-inside")
        assert client.head()[1] == 200
        assert client.chunk() == b"half"
        assert client.nothing()
    server.log.wait_for(r"GET /fail-inside$")
    server.log.wait_for(r"LookupError: raised on purpose$", server.log.text.index("GET /fail-inside"))
    assert server.get("/things").status == 200


# --- Request bodies ---


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_upload(falcon_client: httpx.Client, size: int) -> None:
    content = b"x" * size
    response = falcon_client.post("/upload", files={"file": ("a.bin", content)}, data={"note": "größer"})
    assert response.json() == {"a.bin": hashlib.sha256(content).hexdigest(), "note": "größer"}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 5_000_000])
def test_stream_of_a_request(falcon_client: httpx.Client, size: int, chunked: bool) -> None:
    body = b"abcd\n" * (size // 5)
    pieces = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
    answer = falcon_client.post("/digest", content=pieces if chunked else body).json()
    assert answer == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


@DISCONNECTS
def test_client_disconnects_inside_an_upload(falcon_server: Server, disconnect: Callable[[Client], None]) -> None:
    name = disconnect.__name__
    mark = falcon_server.log.mark()
    client = falcon_server.connect()
    client.request(f"/begun/{name}", b"Content-Length: 1000000", method="POST")
    client.send(b"x" * 100_000)
    expect_app_log(falcon_server, "upload begun", name, mark)
    disconnect(client)
    falcon_server.log.wait_for(f"^app: upload (ended|broken off): {name}", mark)


# --- Background work ---


def test_background_work(falcon_server: Server) -> None:
    mark = falcon_server.log.mark()
    with falcon_server.connect() as client:
        assert client.get("/later/work").body == b"soon"
        assert client.get("/things").status == 200
        assert "done" not in falcon_server.log.since(mark)
        open_latch(falcon_server, "work")
    expect_app_log(falcon_server, "done later", "work", mark)
    expect_app_log(falcon_server, "done in thread", "work", mark)


# --- Bodies that go out ---


def test_stream(falcon_server: Server) -> None:
    with falcon_server.connect() as client:
        response = client.get("/stream?count=1000")
        assert response.framing == "chunked"
        assert response.body == b"".join(b"%d\n" % n for n in range(1000))
        assert client.get("/things").status == 200
        old = client.get("/stream?count=1000", version="1.0")
        assert (old.framing, old.body) == ("close", response.body)


def test_static_files(falcon_server: Server) -> None:
    with falcon_server.connect() as client:
        response = client.get("/static/large.bin")
        assert (response.framing, response.body == LARGE) == ("length", True)
        part = client.get("/static/large.bin", b"Range: bytes=1000000-1000099")
        assert (part.status, part.body) == (206, LARGE[1_000_000:1_000_100])
        assert client.get("/static/large.bin", b"Range: bytes=%d-" % len(LARGE)).status == 416
        assert client.get("/static/none").status == 404
        assert client.get("/things").status == 200


def test_events(falcon_server: Server) -> None:
    with falcon_server.connect() as client:
        client.request("/events/first")
        _, status, _, headers = client.head()
        assert (status, dict(headers)[b"content-type"]) == (200, b"text/event-stream")
        open_latch(falcon_server, "first")
        assert client.chunk() == b"event: news\nid: 1\ndata: first\n\n"
        assert client.chunk() == b": ping\n\n"


@DISCONNECTS
def test_client_disconnects_from_events(falcon_server: Server, disconnect: Callable[[Client], None]) -> None:
    name = disconnect.__name__
    mark = falcon_server.log.mark()
    client = falcon_server.connect()
    client.request(f"/events/{name}")
    client.head()
    open_latch(falcon_server, name)
    assert client.chunk()
    expect_app_log(falcon_server, "idle", name, mark)
    disconnect(client)
    expect_app_log(falcon_server, "stream closed", name, mark)
