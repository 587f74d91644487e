"""A Flask application answers as in Flask's quickstart and guides."""

from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.client_helpers import APPS, expect_app_log
from tests.frameworks.conftest import LARGE
from tests.helpers import Server


@pytest.fixture
def flask_server(serve_wsgi: Callable[[str], Server]) -> Server:
    return serve_wsgi("flask_app")


@pytest.fixture
def flask_client(flask_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(flask_server)


# --- A blog ---


def test_templates(flask_client: httpx.Client) -> None:
    page = flask_client.get("/blog/3/", params={"title": "<b> & ü"})
    assert page.text == '<h1>Post 3</h1><a href="/blog/4/">&lt;b&gt; &amp; ü</a>'
    assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_missing_slash(flask_client: httpx.Client) -> None:
    response = flask_client.get("/blog/3?a=b")
    assert (response.status_code, response.headers["location"]) == (308, f"{flask_client.base_url}/blog/3/?a=b")


def test_flashed_messages(flask_client: httpx.Client) -> None:
    """One is shown once, on the page that a redirect leads to."""
    response = flask_client.post("/blog/", data={"title": "größer"}, follow_redirects=True)
    assert response.json() == {"messages": ["Added größer"]}
    assert [step.headers["location"] for step in response.history] == ["/flashed"]
    assert flask_client.get("/flashed").json() == {"messages": []}


def test_session(flask_client: httpx.Client) -> None:
    assert [flask_client.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]
    assert flask_client.get("/visits", headers={"Cookie": "session=forged"}).json() == {"visits": 1}


# --- Files ---


def test_static_files(flask_client: httpx.Client) -> None:
    whole = flask_client.get("/static-files/large.bin")
    assert whole.content == LARGE
    part = flask_client.get("/static-files/large.bin", headers={"Range": "bytes=1000000-1000099"})
    assert (part.status_code, part.content) == (206, LARGE[1_000_000:1_000_100])
    assert part.headers["content-range"] == f"bytes 1000000-1000099/{len(LARGE)}"
    again = flask_client.get("/static-files/large.bin", headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert flask_client.get("/static-files/small.txt").text == "small\n"
    assert flask_client.get("/static-files/../secret").status_code == 404


# --- Contexts ---


def test_nothing_is_left_of_a_request(flask_client: httpx.Client) -> None:
    for _ in range(3):
        assert flask_client.get("/contexts").json() == {"g": "nothing", "variable": "nothing"}


def test_stream_of_a_request(flask_client: httpx.Client) -> None:
    assert flask_client.get("/stream-with-context?name=you").text == "Hello you!"


def test_close(flask_server: Server) -> None:
    mark = flask_server.log.mark()
    flask_server.get("/later/once")
    expect_app_log(flask_server, "closed", "once", mark)
    assert flask_server.log.since(mark).count("app: closed: once") == 1


def test_coroutine(flask_client: httpx.Client) -> None:
    """Flask runs it in an event loop of its own."""
    assert flask_client.get("/coroutine?name=you").json() == {"name": "you"}


# --- Errors ---


def test_errors(flask_client: httpx.Client) -> None:
    missing = flask_client.get("/no%20where")
    assert (missing.status_code, missing.json()) == (404, {"missing": "/no where"})
    teapot = flask_client.get("/teapot")
    assert teapot.status_code == 418
    assert "I&#39;m a teapot" in teapot.text
    response = flask_client.delete("/hello")
    assert (response.status_code, set(response.headers["allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})


@pytest.mark.parametrize("chunked", [False, True])
def test_limited_body(flask_client: httpx.Client, chunked: bool) -> None:
    for size, status in ((999, 200), (1001, 413)):
        body = b"x" * size
        assert flask_client.post("/limited", content=iter([body]) if chunked else body).status_code == status


def test_log(start_server: Callable[..., Server]) -> None:
    """Flask's own handler writes lines to wsgi.errors, which are in the server's log unchanged."""
    server = start_server(app="flask_app:app", app_dir=APPS)
    assert server.get("/log?name=Flask").status == 200
    server.log.wait_for(r"^\[[^]]+\] INFO in flask_app: said by Flask$")
