"""Files, hints and trailers through Starlette's middleware are the same with the server's extensions and without.

With http.response.pathsend the server sends the file itself; GZip then does not change it.
"""

import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.frameworks.client_helpers import DISCONNECTS, expect_app_log
from tests.frameworks.conftest import LARGE
from tests.helpers import Client, Response, Server, until

PATHSEND = "http.response.pathsend"
WITHOUT = b"X-Without: http.response.pathsend"

STACKS = pytest.mark.parametrize("stack", ["plain", "gzip", "base", "gzip-base", "base-gzip", "base-base"])
FIELDS = pytest.mark.parametrize("fields", [(), (WITHOUT,)], ids=["with", "without"])


@pytest.fixture
def files_server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("files_app:app", "--loop", loop, "--asgi-sendfile", "--early-hints")


def content(response: Response) -> bytes:
    return gzip.decompress(response.body) if response.header(b"content-encoding") == b"gzip" else response.body


def holds(server: Server, path: Path) -> bool:
    """Whether the server has this file open."""
    for descriptor in Path(f"/proc/{server.pid}/fd").iterdir():
        try:
            if descriptor.readlink() == path:
                return True
        except FileNotFoundError:
            pass  # Closed since it was listed.
    return False


@STACKS
@FIELDS
@pytest.mark.parametrize("coding", [b"identity", b"gzip"])
def test_file(files_server: Server, stack: str, fields: tuple[bytes, ...], coding: bytes) -> None:
    """The head describes the body; after it the connection is kept, and the application continues."""
    mark = files_server.log.mark()
    with files_server.connect() as client:
        response = client.get(f"/{stack}/file", b"Accept-Encoding: " + coding, *fields)
        assert response.status == 200
        assert content(response) == LARGE
        compressed = coding == b"gzip" and "gzip" in stack and bool(fields)
        assert response.header(b"content-encoding") == (b"gzip" if compressed else None)
        assert response.framing == ("chunked" if compressed else "length")
        assert response.header(b"x-seen") == (b"yes" if "base" in stack else None)
        assert client.get(f"/{stack}/small", *fields).body == b"small\n"
    sent = "http.response.body" if fields else PATHSEND
    expect_app_log(files_server, "sent", f"/{stack}/file http.response.start {sent}", mark)
    expect_app_log(files_server, "sent", f"/{stack}/small http.response.start {sent}", mark)
    assert files_server.log.since(mark).count("app: behind the file\n") == 1


@STACKS
@FIELDS
def test_head_of_a_file(files_server: Server, stack: str, fields: tuple[bytes, ...]) -> None:
    with files_server.connect() as client:
        client.request(f"/{stack}/file", b"Accept-Encoding: gzip", *fields, method="HEAD")
        response = client.response("HEAD")
        assert (response.status, response.header(b"content-length")) == (200, b"%d" % len(LARGE))
        assert client.get(f"/{stack}/small", *fields).body == b"small\n"


@STACKS
@FIELDS
def test_ranges_of_a_file(files_server: Server, stack: str, fields: tuple[bytes, ...]) -> None:
    """The application reads these itself: pathsend knows no range."""
    with files_server.connect() as client:
        for path in ("file", "static/large.bin"):
            part = client.get(f"/{stack}/{path}", b"Accept-Encoding: gzip", b"Range: bytes=1000000-1999999", *fields)
            assert (part.status, part.body == LARGE[1_000_000:2_000_000]) == (206, True)
            assert part.header(b"content-range") == b"bytes 1000000-1999999/%d" % len(LARGE)
            assert part.header(b"content-length") == b"1000000"
        parts = client.get(f"/{stack}/file", b"Range: bytes=0-9, 100-109", *fields)
        assert parts.status == 206
        assert LARGE[:10] in parts.body
        assert LARGE[100:110] in parts.body
        assert client.get(f"/{stack}/file", b"Range: bytes=%d-" % len(LARGE), *fields).status == 416


@STACKS
@FIELDS
def test_static_file(files_server: Server, stack: str, fields: tuple[bytes, ...]) -> None:
    with files_server.connect() as client:
        response = client.get(f"/{stack}/static/small.txt", *fields)
        assert (response.body, response.header(b"content-length")) == (b"small\n", b"6")
        etag = response.header(b"etag")
        assert etag is not None
        unchanged = client.get(f"/{stack}/static/small.txt", b"If-None-Match: " + etag, *fields)
        assert (unchanged.status, unchanged.framing) == (304, "none")
        assert client.get(f"/{stack}/static/none.txt", *fields).status == 404


@FIELDS
def test_empty_file(files_server: Server, folder: Path, fields: tuple[bytes, ...]) -> None:
    (folder / "empty.txt").touch()
    with files_server.connect() as client:
        response = client.get("/plain/static/empty.txt", *fields)
        assert (response.status, response.framing, response.body) == (200, "length", b"")
        assert client.get("/plain/small", *fields).body == b"small\n"


@FIELDS
def test_pipelined_files(files_server: Server, fields: tuple[bytes, ...]) -> None:
    """Responses are in order, though all were requested at once."""
    with files_server.connect() as client:
        for path in ("file", "small", "file", "stream", "small"):
            client.request(f"/base/{path}", *fields)
        assert client.response().body == LARGE
        assert client.response().body == b"small\n"
        assert client.response().body == LARGE
        assert client.response().body == b"".join(b"%d\n" % n for n in range(1000))
        assert client.response().body == b"small\n"


@FIELDS
def test_file_for_an_old_client(files_server: Server, fields: tuple[bytes, ...]) -> None:
    with files_server.connect() as client:
        response = client.get("/plain/file", *fields, version="1.0")
        assert (response.framing, response.body == LARGE, client.nothing()) == ("length", True, True)


@DISCONNECTS
@FIELDS
@pytest.mark.parametrize("stack", ["plain", "base"])
def test_client_disconnects_inside_a_file(
    files_server: Server, folder: Path, stack: str, fields: tuple[bytes, ...], disconnect: Callable[[Client], None]
) -> None:
    """The file is closed, and the application's task ends."""
    endless = folder / "endless.bin"
    with endless.open("wb") as file:
        os.truncate(file.fileno(), 1 << 33)
    mark = files_server.log.mark()
    client = files_server.connect()
    client.request(f"/{stack}/static/endless.bin", *fields)
    assert client.head()[1] == 200
    assert client.exactly(100_000) == bytes(100_000)
    disconnect(client)
    until(lambda: not holds(files_server, endless), "the file is closed")
    assert files_server.get(f"/{stack}/small").body == b"small\n"
    assert "Traceback" not in files_server.log.since(mark)


# --- Other extensions ---


@STACKS
def test_early_hints(files_server: Server, stack: str) -> None:
    with files_server.connect() as client:
        client.request(f"/{stack}/hints")
        hints = client.response()
        assert hints.status == 103
        assert [value for name, value in hints.headers if name == b"link"] == [
            b"</style.css>; rel=preload; as=style",
            b"</script.js>; rel=preload; as=script",
        ]
        response = client.response()
        assert (response.status, response.body) == (200, b"with hints")
        assert client.get(f"/{stack}/hints", b"X-Without: http.response.early_hint").status == 200


def test_trailers(files_server: Server) -> None:
    """Trailers reach a client that asks for them, after the last chunk; other clients get none."""
    body = b"".join(b"%d\n" % n for n in range(1000))
    with files_server.connect() as client:
        for field in (b"Accept: */*", b"X-Without: http.response.trailers"):
            assert client.get("/checksum/stream", field).body == body
        client.request("/checksum/stream", b"TE: trailers", b"Connection: close, TE")
        assert client.head()[1] == 200
        assert client.rest().endswith(b"\r\n0\r\nx-checksum: %08x\r\n\r\n" % zlib.crc32(body))
