"""WhiteNoise serves files in front of an application: whole, in part, compressed, or not again."""

import gzip
import json
from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.conftest import LARGE
from tests.helpers import Server

SCRIPT = b"console.log('hello');\n" * 1000


@pytest.fixture
def whitenoise_server(serve_wsgi: Callable[[str], Server]) -> Server:
    return serve_wsgi("whitenoise_app")


@pytest.fixture
def whitenoise_client(whitenoise_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(whitenoise_server)


def test_files(whitenoise_server: Server) -> None:
    with whitenoise_server.connect() as client:
        response = client.get("/assets/app.js")
        assert (response.framing, response.body) == ("length", SCRIPT)
        assert response.header(b"content-type") == b'text/javascript; charset="utf-8"'
        assert client.get("/more/large.bin").body == LARGE
        empty = client.get("/assets/empty.txt")
        assert (empty.status, empty.header(b"content-length"), empty.body) == (200, b"0", b"")
        client.request("/more/large.bin", method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"%d" % len(LARGE)
        assert client.get("/assets/none.js").status == 404


def test_compressed(whitenoise_server: Server) -> None:
    with whitenoise_server.connect() as client:
        response = client.get("/assets/app.js", b"Accept-Encoding: gzip, deflate")
        assert (response.header(b"content-encoding"), response.header(b"vary")) == (b"gzip", b"Accept-Encoding")
        assert response.framing == "length"
        assert gzip.decompress(response.body) == SCRIPT


@pytest.mark.parametrize(
    ("asked", "start", "end"), [("1000-1999", 1000, 1999), ("3000000-", 3_000_000, None), ("-100", -100, None)]
)
def test_parts(whitenoise_client: httpx.Client, asked: str, start: int, end: int | None) -> None:
    """A part is a file that has been read to some place, and is not read to its end."""
    part = whitenoise_client.get("/more/large.bin", headers={"Range": f"bytes={asked}"})
    first = start % len(LARGE)
    last = len(LARGE) - 1 if end is None else end
    assert (part.status_code, part.content) == (206, LARGE[first : last + 1])
    assert part.headers["content-range"] == f"bytes {first}-{last}/{len(LARGE)}"


def test_without_content_type(serve: Callable[..., Server]) -> None:
    """Answers that the validator would not let pass."""
    with serve("whitenoise_app:app").connect() as client:
        outside = client.get("/more/large.bin", b"Range: bytes=%d-" % len(LARGE))
        assert (outside.status, outside.header(b"content-range")) == (416, b"bytes */%d" % len(LARGE))
        moved = client.get("/assets/index.html")
        assert (moved.status, moved.header(b"location")) == (302, b"./")
        client.request("/assets/app.js", method="DELETE")
        assert client.response().status == 405


def test_not_modified(whitenoise_client: httpx.Client) -> None:
    whole = whitenoise_client.get("/assets/app.js")
    for headers in ({"If-None-Match": whole.headers["etag"]}, {"If-Modified-Since": whole.headers["last-modified"]}):
        again = whitenoise_client.get("/assets/app.js", headers=headers)
        assert (again.status_code, again.content) == (304, b"")


def test_caching(whitenoise_client: httpx.Client) -> None:
    assert whitenoise_client.get("/assets/app.js").headers["cache-control"] == "max-age=60, public"
    forever = whitenoise_client.get("/assets/app.0123456789ab.css").headers["cache-control"]
    assert forever == "max-age=315360000, public, immutable"


def test_index(whitenoise_client: httpx.Client) -> None:
    assert whitenoise_client.get("/assets/").text == "<p>index</p>\n"


def test_application_below_the_middleware(whitenoise_server: Server) -> None:
    with whitenoise_server.connect() as client:
        environ = json.loads(client.get("/environ?a=b").body)
        assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/environ", "a=b")
        assert client.get("/stream?3").body == b"0\n1\n2\n"
