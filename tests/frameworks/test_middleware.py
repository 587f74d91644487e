"""FastAPI below middleware: several BaseHTTPMiddleware, which raise an exception of the endpoint again `from` itself,
and middleware that compresses or captures the bodies of files."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.frameworks.client_helpers import APPS, upgraded
from tests.helpers import Server

# Lines of a report with the tracebacks of three layers of middleware.
MANY_LINES = 600


@pytest.fixture(scope="module", params=["functions", "classes", "three"])
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[Server]:
    server = Server(f"middleware_app:{request.param}", cwd=folder, app_dir=APPS)
    yield server
    server.stop()


def one_report(server: Server, mark: int, request: str) -> None:
    server.log.wait_for(rf" ERROR exception in application: {re.escape(request)}$", mark)
    assert server.get("/hello").status == 200
    log = server.log.since(mark)
    assert log.count(" ERROR ") == 1
    assert "RuntimeError: raised on purpose" in log
    assert "never retrieved" not in log
    assert log.count("\n") < MANY_LINES


def test_http_exceptions(server: Server) -> None:
    assert server.get("/refuse").status == 418
    with server.connect() as client:
        assert [client.get("/refuse").body for _ in range(3)] == [b'{"detail":"no coffee"}'] * 3


def test_streams(server: Server) -> None:
    assert server.get("/stream").body == b"0\n1\n2\n"


@pytest.mark.parametrize("path", ["/fail", "/fail-with-cause"])
def test_an_exception_is_a_500_and_one_report(server: Server, path: str) -> None:
    mark = server.log.mark()
    response = server.get(path)
    assert (response.status, response.body) == (500, b"Internal Server Error")
    one_report(server, mark, f"GET {path}")


def test_an_exception_in_a_stream_ends_the_response_and_is_one_report(server: Server) -> None:
    """BaseHTTPMiddleware completes the response of a stream that has failed, and raises after that."""
    mark = server.log.mark()
    with server.connect() as client:
        assert client.get("/fail-in-stream").body == b"half"
        one_report(server, mark, "GET /fail-in-stream")
        assert client.get("/hello").status == 200


def test_an_exception_closes_a_websocket(server: Server) -> None:
    mark = server.log.mark()
    with upgraded(server, "/fail-in-websocket") as client:
        assert client.exactly(4) == b"\x88\x02\x03\xf3"
    one_report(server, mark, "GET /fail-in-websocket")


# --- Files through middleware that knows only bodies ---

TEXT = b"a line of text that can be compressed\n" * 1000


@pytest.fixture(scope="module")
def files(folder: Path) -> Iterator[Callable[[str], Server]]:
    (folder / "text.txt").write_bytes(TEXT)
    servers: dict[str, Server] = {}

    def get(name: str) -> Server:
        if name not in servers:
            servers[name] = Server(f"middleware_app:{name}", cwd=folder, app_dir=APPS)
        return servers[name]

    yield get
    for server in servers.values():
        server.stop()


@pytest.mark.parametrize("path", ["/file", "/static/text.txt"])
@pytest.mark.parametrize(
    ("name", "coding"),
    [("brotli", b"br"), ("zstd", b"zstd"), ("gzip", b"gzip"), ("capturing", None), ("capturing_base", None)],
)
def test_middleware_gets_the_bodies_of_files(
    files: Callable[[str], Server], name: str, coding: bytes | None, path: str
) -> None:
    with files(name).connect() as client:
        response = client.get(path, b"Accept-Encoding: br, gzip, zstd")
        assert (response.status, response.header(b"content-encoding")) == (200, coding)
        if coding is None:
            assert response.header(b"x-captured") == b"yes"
            assert response.body == TEXT
        else:
            assert 0 < len(response.body) < len(TEXT) / 10
        assert client.get("/hello").status == 200
