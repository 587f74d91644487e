"""An application of Werkzeug's parts answers as in its tutorial."""

import json
from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.client_helpers import expect_app_log
from tests.frameworks.conftest import LARGE
from tests.helpers import Server


@pytest.fixture
def werkzeug_server(serve_wsgi: Callable[[str], Server]) -> Server:
    return serve_wsgi("werkzeug_app")


@pytest.fixture
def werkzeug_client(werkzeug_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(werkzeug_server)


def test_redirects(werkzeug_client: httpx.Client) -> None:
    missing_slash = werkzeug_client.get("/folder?a=b")
    assert (missing_slash.status_code, missing_slash.headers["location"]) == (
        308,
        f"{werkzeug_client.base_url}/folder/?a=b",
    )
    moved = werkzeug_client.get("/folder/")
    assert (moved.status_code, moved.headers["location"]) == (302, "/echo/from%20folder")


def test_form(werkzeug_client: httpx.Client) -> None:
    form = {"one": ["größer", "&="], "two": [""]}
    assert werkzeug_client.post("/form?a=%C3%BC&a=", data=form).json() == {"form": form, "query": {"a": ["ü", ""]}}
    assert werkzeug_client.post("/form", content=b"").status_code == 422


def test_json(werkzeug_client: httpx.Client) -> None:
    assert werkzeug_client.post("/json", json={"name": "größer"}).json() == {"input": {"name": "größer"}}
    assert werkzeug_client.post("/json", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert werkzeug_client.post("/json", content=b"{}").status_code == 415


@pytest.mark.parametrize("size", [0, 5])
def test_body_that_is_not_read(werkzeug_server: Server, size: int) -> None:
    """The connection is kept for the next request, unless much of a body is left that arrives during the call."""
    with werkzeug_server.connect() as client:
        assert client.post(f"/rest/{size}", b"hello" + b"x" * 200_000).body == b"hello"[:size]
        response = client.post(f"/rest/{size}", b"hello" + b"x" * 3_000_000)
        assert response.body == b"hello"[:size]
        if not response.closing:
            assert client.get("/hello").body == b"hello\n"


def test_conditional(werkzeug_client: httpx.Client) -> None:
    whole = werkzeug_client.get("/cached")
    for headers in (
        {"If-None-Match": whole.headers["etag"]},
        {"If-Modified-Since": whole.headers["last-modified"]},
    ):
        again = werkzeug_client.get("/cached", headers=headers)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", whole.headers["etag"])
    part = werkzeug_client.get("/cached", headers={"Range": "bytes=7-12"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"cached", "bytes 7-12/7000")
    assert werkzeug_client.get("/cached", headers={"Range": "bytes=7000-"}).status_code == 416


def test_written(werkzeug_client: httpx.Client) -> None:
    assert werkzeug_client.get("/written").text == "0\n1\n2\n"


def test_shared_data(werkzeug_client: httpx.Client) -> None:
    whole = werkzeug_client.get("/shared/large.bin")
    assert whole.content == LARGE
    again = werkzeug_client.get("/shared/large.bin", headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_dispatched_application(werkzeug_client: httpx.Client) -> None:
    assert werkzeug_client.get("/inner/where?a=b").json() == {
        "script_name": "/inner",
        "path": "/where",
        "url": f"{werkzeug_client.base_url}/inner/where?a=b",
    }


def test_closing_iterator(werkzeug_server: Server) -> None:
    """close() is called after every body, also one that is not sent."""
    for method in ("GET", "HEAD"):
        mark = werkzeug_server.log.mark()
        with werkzeug_server.connect() as client:
            client.request("/echo/once", method=method)
            response = client.response(method)
            assert response.body == (b"" if method == "HEAD" else json.dumps({"name": "once"}).encode())
        expect_app_log(werkzeug_server, "closed", "/echo/once", mark)
