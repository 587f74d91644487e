"""A Bottle application answers as in its tutorial."""

from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.conftest import LARGE
from tests.helpers import Server


@pytest.fixture
def bottle_client(serve_wsgi: Callable[[str], Server], client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(serve_wsgi("bottle_app"))


def test_template(bottle_client: httpx.Client) -> None:
    page = bottle_client.get("/list?item=%C3%BC&item=%3Cb%3E")
    assert page.text == "<ul>\n  <li>ü</li>\n  <li>&lt;b&gt;</li>\n</ul>"
    assert page.headers["x-hook"] == "called"


def test_signed_cookies(bottle_client: httpx.Client) -> None:
    assert [bottle_client.get("/visits").json()["visits"] for _ in range(3)] == [1, 2, 3]
    assert bottle_client.get("/visits", headers={"Cookie": "visits=forged"}).json() == {"visits": 1}


@pytest.mark.parametrize("chunked", [False, True])
def test_json(bottle_client: httpx.Client, chunked: bool) -> None:
    """Bottle would decode chunks itself, if the environ had a Transfer-Encoding."""
    body = '{"name": "größer"}'.encode()
    headers = {"Content-Type": "application/json"}
    response = bottle_client.post("/json", content=iter([body]) if chunked else body, headers=headers)
    assert response.json() == {"input": {"name": "größer"}}


def test_static_files(bottle_client: httpx.Client) -> None:
    whole = bottle_client.get("/static/large.bin")
    assert whole.content == LARGE
    part = bottle_client.get("/static/large.bin", headers={"Range": "bytes=1000000-1000099"})
    assert (part.status_code, part.content) == (206, LARGE[1_000_000:1_000_100])
    again = bottle_client.get("/static/large.bin", headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert bottle_client.get("/static/none").status_code == 404


@pytest.mark.parametrize("start", [0, 2, 6])
def test_open_file(bottle_client: httpx.Client, start: int) -> None:
    assert bottle_client.get("/opened", params={"start": start}).text == "small\n"[start:]


def test_errors(bottle_client: httpx.Client) -> None:
    missing = bottle_client.get("/nowhere")
    assert (missing.status_code, missing.json()) == (404, {"missing": "/nowhere"})
    teapot = bottle_client.get("/teapot")
    assert teapot.status_code == 418
    assert "short and stout" in teapot.text
    moved = bottle_client.get("/old")
    assert (moved.status_code, moved.headers["location"]) == (303, f"{bottle_client.base_url}/hello")


def test_mounted_application(bottle_client: httpx.Client) -> None:
    environ = bottle_client.get("/inner/environ").json()
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/inner", "/environ")
