"""A Django application answers as in its tutorial and guides: views in coroutines and in threads, errors, streams."""

import hashlib
import json
import re
from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.client_helpers import APPS, DISCONNECTS, expect_app_log, open_latch
from tests.frameworks.conftest import LARGE
from tests.helpers import Client, Server, many


@pytest.fixture
def django_server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("django_app:application", "--loop", loop)


@pytest.fixture
def django_client(django_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(django_server)


# --- Views ---


def test_views(django_client: httpx.Client) -> None:
    response = django_client.get("/polls/")
    assert (response.status_code, response.text) == (200, "Hello, world. You're at the polls index.")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert django_client.get("/polls/34/").json() == {"question": 34, "results": "/polls/34/results/"}


def test_missing_slash(django_client: httpx.Client) -> None:
    """CommonMiddleware sends to the address with it."""
    response = django_client.get("/polls/34?a=b")
    assert (response.status_code, response.headers["location"]) == (301, "/polls/34/?a=b")
    assert django_client.get("/polls/34", follow_redirects=True).json()["question"] == 34


def test_head_of_a_view(django_server: Server) -> None:
    with django_server.connect() as client:
        client.request("/polls/", method="HEAD")
        response = client.response("HEAD")
        assert (response.status, response.header(b"content-length")) == (200, b"40")
        assert client.get("/polls/").body == b"Hello, world. You're at the polls index."


@pytest.mark.plain
def test_addresses(django_server: Server) -> None:
    with django_server.connect() as client:
        assert json.loads(client.get("/who/?a=%C3%BC").body) == {
            "client": list(client.sock.getsockname()),
            "host": "test",
            "url": "http://test/who/?a=%C3%BC",
            "detail": "http://test/polls/7/",
            "secure": False,
            "path": "/who/",
            "path_info": "/who/",
            "script_name": "",
            "raw_path": "/who/",
        }


def test_headers(django_client: httpx.Client) -> None:
    headers = [("X-Token", "one"), ("X-Token", "two"), ("X_Token", "spoofed"), ("Accept-Language", "de")]
    shown = django_client.get("/headers/", headers=headers).json()
    assert (shown["X-Token"], shown["Accept-Language"]) == ("one,two", "de")
    assert "spoofed" not in shown.values()


def test_database(django_client: httpx.Client) -> None:
    """Threads and coroutines see the same tables."""
    before = django_client.get("/polls/questions/count/").json()["count"]
    answer = django_client.get("/polls/questions/", params={"new": "What's new?"}).json()
    assert answer["questions"][-1] == "What's new?"
    assert django_client.get("/polls/questions/count/").json() == {"count": before + 1}


def test_views_in_threads_run_together(django_server: Server) -> None:
    """Each request has a thread of its own (asgiref's ThreadSensitiveContext)."""
    with many(4, django_server.connect) as clients:
        for client in clients:
            client.request("/meet/")
        assert sorted(client.response().body for client in clients) == [b"0", b"1", b"2", b"3"]


# --- Sessions, messages, forms ---


def test_session(django_client: httpx.Client) -> None:
    assert [django_client.get("/visits/").json()["visits"] for _ in range(3)] == [1, 2, 3]
    assert list(django_client.cookies) == ["sessionid"]


def test_messages(django_client: httpx.Client) -> None:
    """One is shown once, on the page that a redirect leads to."""
    response = django_client.get("/messages/add/", follow_redirects=True)
    assert response.json() == {"messages": ["Profile details updated."]}
    assert [step.status_code for step in response.history] == [302]
    assert django_client.get("/messages/").json() == {"messages": []}


@pytest.mark.plain
def test_form_with_csrf_token(django_client: httpx.Client) -> None:
    page = django_client.get("/your-name/")
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert found is not None
    fields = {"csrfmiddlewaretoken": found[1], "your_name": "Jané & Co"}
    assert django_client.post("/your-name/", data=fields).text == "Hello, Jané & Co"
    again = django_client.post("/your-name/", data=fields | {"your_name": "x" * 11})
    assert "at most 10 characters" in again.text
    refused = django_client.post("/your-name/", data={"your_name": "Jané"})
    assert refused.status_code == 403
    assert "CSRF verification failed" in refused.text


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_upload(django_client: httpx.Client, size: int) -> None:
    content = b"x" * size + b"end"
    files = {"file": ("fïle.bin", content)}
    response = django_client.post("/upload/", files=files, data={"note": "größer"})
    assert response.json() == {"name": "fïle.bin", "sha256": hashlib.sha256(content).hexdigest(), "note": "größer"}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1_000_000])
def test_body(django_client: httpx.Client, size: int, chunked: bool) -> None:
    body = bytes(range(256)) * (size // 256)
    pieces = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
    answer = django_client.post("/body/", content=pieces if chunked else body).json()
    assert answer == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


@DISCONNECTS
def test_client_disconnects_inside_an_upload(django_server: Server, disconnect: Callable[[Client], None]) -> None:
    """Django gives up in silence: no view is called."""
    client = django_server.connect()
    client.request("/body/", b"Content-Length: 1000000", method="POST")
    client.send(b"x" * 100_000)
    disconnect(client)
    assert django_server.get("/polls/").status == 200


# --- Errors ---


def test_error_pages(django_client: httpx.Client) -> None:
    """DEBUG is off: error pages reveal nothing of the application."""
    for path in ("/nowhere/", "/polls/34/results/"):
        response = django_client.get(path)
        assert response.status_code == 404
        assert "The requested resource was not found on this server." in response.text
    response = django_client.get("/polls/", headers={"Host": "elsewhere"})
    assert response.status_code == 400
    assert "Bad Request (400)" in response.text


@pytest.mark.parametrize("path", ["/fail/", "/fail-async/"])
def test_unexpected_error(django_server: Server, path: str) -> None:
    """Django answers itself, and mails its administrators, of which there are none, instead of the server's log."""
    with django_server.connect() as client:
        response = client.get(path)
        assert response.status == 500
        assert b"Server Error (500)" in response.body
        assert client.get("/polls/").status == 200


def test_error_inside_a_stream(start_server: Callable[..., Server]) -> None:
    """The connection ends without the end of the body; Django passes the error on, and the server logs it once."""
    server = start_server(app="django_app:application", app_dir=APPS)
    with server.connect() as client:
        client.request("/fail-inside/")
        assert client.head()[1] == 200
        assert client.chunk() == b"half"
        assert client.nothing()
    server.log.wait_for(r"GET /fail-inside/$")
    server.log.wait_for(r"LookupError: raised on purpose$")
    assert server.log.text.count(" ERROR ") == 1
    assert server.get("/polls/").status == 200


# --- Streams ---


@pytest.mark.parametrize("path", ["/stream/", "/stream-in-thread/"])
def test_stream(django_server: Server, path: str) -> None:
    with django_server.connect() as client:
        response = client.get(f"{path}?count=1000")
        assert response.framing == "chunked"
        assert response.body.decode() == "".join(f"{n}\n" for n in range(1000))
        assert client.get("/polls/").status == 200
        old = client.get(f"{path}?count=1000", version="1.0")
        assert (old.framing, old.body) == ("close", response.body)


def test_file(django_server: Server) -> None:
    with django_server.connect() as client:
        response = client.get("/file/")
        assert (response.framing, response.body == LARGE) == ("length", True)
        assert response.header(b"content-disposition") == b'attachment; filename="download.bin"'
        client.request("/file/", method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"%d" % len(LARGE)
        assert client.get("/polls/").status == 200


def test_events(django_server: Server) -> None:
    with django_server.connect() as client:
        client.request("/events/first")
        _, status, _, headers = client.head()
        assert (status, dict(headers)[b"content-type"]) == (200, b"text/event-stream")
        open_latch(django_server, "first")
        assert client.chunk() == b"data: first\n\n"


@pytest.mark.parametrize("events", [0, 1])
@DISCONNECTS
def test_client_disconnects_from_idle_events(
    django_server: Server, events: int, disconnect: Callable[[Client], None]
) -> None:
    name = f"{events}-{disconnect.__name__}"
    mark = django_server.log.mark()
    client = django_server.connect()
    client.request(f"/events/{name}")
    client.head()
    if events:
        open_latch(django_server, name)
        assert client.chunk() == b"data: first\n\n"
        expect_app_log(django_server, "idle", name, mark)
    disconnect(client)
    expect_app_log(django_server, "stream closed", name, mark)


def test_long_poll(django_server: Server) -> None:
    with django_server.connect() as client:
        client.request("/poll/answered")
        open_latch(django_server, "answered")
        assert client.response().body == b"news"


@DISCONNECTS
def test_client_disconnects_during_a_long_poll(django_server: Server, disconnect: Callable[[Client], None]) -> None:
    mark = django_server.log.mark()
    client = django_server.connect()
    client.request(f"/poll/{disconnect.__name__}")
    expect_app_log(django_server, "polling", disconnect.__name__, mark)
    disconnect(client)
    expect_app_log(django_server, "left", disconnect.__name__, mark)
