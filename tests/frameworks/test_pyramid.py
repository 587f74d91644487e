"""A Pyramid application answers as in its tutorial and WebOb's guides."""

from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.client_helpers import expect_app_log
from tests.frameworks.conftest import LARGE
from tests.helpers import Server


@pytest.fixture
def pyramid_server(serve_wsgi: Callable[[str], Server]) -> Server:
    return serve_wsgi("pyramid_app")


@pytest.fixture
def pyramid_client(pyramid_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(pyramid_server)


def test_predicates(pyramid_client: httpx.Client) -> None:
    assert pyramid_client.put("/method", json={"name": "größer"}).text == "put größer"
    assert pyramid_client.get("/method", headers={"X-Requested-With": "XMLHttpRequest"}).text == "for a script"
    assert pyramid_client.get("/method").status_code == 404


def test_session(pyramid_client: httpx.Client) -> None:
    assert [pyramid_client.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]


def test_flashed_messages(pyramid_client: httpx.Client) -> None:
    response = pyramid_client.get("/flash", follow_redirects=True)
    assert response.json() == {"messages": ["Your changes were saved."]}
    assert response.history[0].headers["location"] == f"{pyramid_client.base_url}/flashed"
    assert pyramid_client.get("/flashed").json() == {"messages": []}


def test_tweens_and_callbacks(pyramid_server: Server) -> None:
    mark = pyramid_server.log.mark()
    with pyramid_server.connect() as client:
        response = client.get("/later/once")
        assert (response.header(b"x-callback"), response.header(b"x-tween")) == (b"called", b"passed")
    expect_app_log(pyramid_server, "finished", "once", mark)


def test_conditional(pyramid_client: httpx.Client) -> None:
    """WebOb answers with a part or not at all, as the request asks."""
    assert pyramid_client.get("/conditional").headers["etag"] == '"one"'
    again = pyramid_client.get("/conditional", headers={"If-None-Match": '"one"'})
    assert (again.status_code, again.content) == (304, b"")
    part = pyramid_client.get("/conditional", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"hol")


def test_static_files(pyramid_client: httpx.Client) -> None:
    url = pyramid_client.get("/assets").json()["url"]
    assert url == f"{pyramid_client.base_url}/static/small.txt"
    small = pyramid_client.get(url)
    assert (small.text, small.headers["cache-control"]) == ("small\n", "max-age=3600")
    assert pyramid_client.get("/static/large.bin").content == LARGE
    again = pyramid_client.get(url, headers={"If-Modified-Since": small.headers["last-modified"]})
    assert (again.status_code, again.content) == (304, b"")


def test_errors(pyramid_client: httpx.Client) -> None:
    conflict = pyramid_client.get("/taken")
    assert (conflict.status_code, conflict.json()) == (409, {"error": "the name is taken"})
    missing = pyramid_client.get("/nowhere")
    assert (missing.status_code, missing.json()) == (404, {"missing": "/nowhere"})
    assert pyramid_client.get("/folder/?hidden=1").status_code == 404


def test_missing_slash(pyramid_client: httpx.Client) -> None:
    response = pyramid_client.get("/folder?a=b")
    assert (response.status_code, response.headers["location"]) == (307, f"{pyramid_client.base_url}/folder/?a=b")
