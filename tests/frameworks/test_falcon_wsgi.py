"""A Falcon application answers as in its WSGI tutorial."""

from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.conftest import LARGE
from tests.helpers import Server


@pytest.fixture
def falcon_client(serve_wsgi: Callable[[str], Server], client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(serve_wsgi("falcon_wsgi_app"))


def test_media(falcon_client: httpx.Client) -> None:
    response = falcon_client.get("/quote")
    assert (response.headers["content-type"], response.json()["author"]) == ("application/json", "Hopper")


def test_resources(falcon_client: httpx.Client) -> None:
    created = falcon_client.put("/images/süß", json={"size": 3})
    assert (created.status_code, created.headers["location"]) == (201, "/images/s%C3%BC%C3%9F")
    assert falcon_client.get("/images/süß").json() == {"size": 3}
    deleted = falcon_client.delete("/images/süß")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert falcon_client.get("/images/süß").status_code == 404


def test_errors(falcon_client: httpx.Client) -> None:
    refused = falcon_client.put("/images/7", json={})
    assert (refused.status_code, refused.json()) == (400, {"title": "Bad name", "description": "Letters only."})
    assert falcon_client.get("/nowhere").json() == {"title": "404 Not Found"}
    response = falcon_client.delete("/quote")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, OPTIONS")


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [(b"{", "application/json", 400), (b"", "application/json", 400), (b"x", "x/y", 415)],
)
def test_wrong_bodies(falcon_client: httpx.Client, body: bytes, media_type: str, status: int) -> None:
    response = falcon_client.put("/images/one", content=body, headers={"Content-Type": media_type})
    assert response.status_code == status


def test_etag(falcon_client: httpx.Client) -> None:
    assert falcon_client.get("/etag").text == "whole"
    again = falcon_client.get("/etag", headers={"If-None-Match": '"one"'})
    assert (again.status_code, again.headers["etag"], again.content) == (304, '"one"', b"")


def test_static_files(falcon_client: httpx.Client) -> None:
    assert falcon_client.get("/static/large.bin").content == LARGE
    part = falcon_client.get("/static/large.bin", headers={"Range": "bytes=1000000-1000099"})
    assert (part.status_code, part.content) == (206, LARGE[1_000_000:1_000_100])
    assert falcon_client.get("/static/none").status_code == 404


def test_sink(falcon_client: httpx.Client) -> None:
    assert falcon_client.get("/proxy/any/where?a=%20b").json() == {"rest": "any/where", "query": "a=%20b"}
