"""wsgi.file_wrapper: the body is that of iterating over the wrapper, however it is sent (PEP 3333)."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.helpers import Client, Response, Server, until

DATA = bytes(range(256)) * 1000 + b"the end"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    return path


def target(file: Path, **how: Any) -> str:
    """The target that sends `file`; see wsgi_apps.send_file for how."""
    return f"/file?{quote(repr({'name': str(file), **how}), safe='')}"


def get(server: Server, file: Path, **how: Any) -> Response:
    """Returns one response, on a connection that serves another request after it."""
    with server.connect() as client:
        response = client.get(target(file, **how))
        assert client.get("/hello").body == b"hello\n"
    return response


KINDS = ["file", "unbuffered", "bytes", "reader", "told", "temporary", "spooled"]


@pytest.mark.parametrize("kind", [*KINDS, "pipe"])
def test_whole(wsgi: Server, file: Path, kind: str) -> None:
    if kind == "pipe":
        file.write_bytes(b"as much as fits into a pipe")
    assert get(wsgi, file, kind=kind).body == file.read_bytes()


@pytest.mark.parametrize("start", [1, 5000, 8192, len(DATA) - 1, len(DATA)])
@pytest.mark.parametrize("kind", KINDS)
def test_partly_read(wsgi: Server, file: Path, kind: str, start: int) -> None:
    """Transmission starts at the current position, which differs from the descriptor's for buffered files."""
    assert get(wsgi, file, kind=kind, start=start).body == DATA[start:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("returned", ["iterated", "dropped"])
def test_wrapper_is_not_the_value_that_is_returned(wsgi: Server, file: Path, kind: str, returned: str) -> None:
    """Middleware reads it, or replaces it: nothing is sent of a wrapper that the server does not get."""
    body = get(wsgi, file, kind=kind, returned=returned, start=3).body
    assert body == (DATA[3:] if returned == "iterated" else b"dropped")


def test_without_sendfile(shared_wsgi: Callable[..., Server], file: Path) -> None:
    server = shared_wsgi("--no-sendfile")
    for kind in KINDS:
        assert get(server, file, kind=kind, start=3).body == DATA[3:]


@pytest.mark.parametrize("size", [(), (1,), (7,), (1 << 20,)])
@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_size_of_blocks_is_a_suggestion(wsgi: Server, file: Path, kind: str, size: tuple[int, ...]) -> None:
    file.write_bytes(DATA[:1000])
    assert get(wsgi, file, kind=kind, size=size).body == DATA[:1000]


@pytest.mark.parametrize("kind", ["file", "bytes", "reader", "temporary"])
def test_empty_file(wsgi: Server, file: Path, kind: str) -> None:
    file.write_bytes(b"")
    assert get(wsgi, file, kind=kind).body == b""


def test_file_object_that_differs_from_its_descriptor(wsgi: Server, file: Path) -> None:
    """fileno() of a GzipFile is that of the compressed file."""
    file.write_bytes(gzip.compress(DATA))
    assert get(wsgi, file, kind="gzip").body == DATA
    assert get(wsgi, file, kind="gzip", start=100).body == DATA[100:]


def test_text_is_an_error(wsgi: Server, file: Path) -> None:
    """Its blocks are str, and its descriptor's bytes may be in another encoding."""
    file.write_text("text")
    assert get(wsgi, file, kind="text").status == 500


def test_closed_file_is_an_error(wsgi: Server, file: Path) -> None:
    assert get(wsgi, file, kind="closed").status == 500


def test_file_that_has_no_name_any_more(wsgi: Server, file: Path) -> None:
    assert get(wsgi, file, unlink=True, start=1).body == DATA[1:]


def test_file_spooled_in_memory(wsgi: Server, file: Path) -> None:
    """fileno() of one would write it to disk; fully read blocks are the same."""
    assert get(wsgi, file, kind="spooled", memory=10_000_000, start=2).body == DATA[2:]


@pytest.mark.parametrize("kind", ["file", "told", "bytes"])
def test_declared_length(wsgi: Server, file: Path, kind: str) -> None:
    length = str(len(DATA))
    response = get(wsgi, file, kind=kind, headers=[("Content-Length", length)])
    assert (response.body, response.framing) == (DATA, "length")


@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_part_of_a_file(wsgi: Server, file: Path, kind: str) -> None:
    """A range: PEP 3333 lets the declared length end it, as it does with other iterables."""
    with wsgi.connect() as client:
        fields = [("Content-Length", "10"), ("Content-Range", f"bytes 5-14/{len(DATA)}")]
        client.request(target(file, kind=kind, start=5, status="206 Partial Content", headers=fields))
        assert client.head()[1] == 206
        assert client.exactly(10) == DATA[5:15]
        client.request("/target?next", b"Connection: close")
        rest = client.rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_file_is_shorter_than_declared(wsgi: Server, file: Path, kind: str) -> None:
    """The body breaks off, or nothing of it is sent."""
    with wsgi.connect() as client:
        fields = [("Content-Length", str(len(DATA) + 5))]
        client.request(target(file, kind=kind, headers=fields), b"Connection: close")
        status, _, data = client.rest().partition(b"\r\n\r\n")
        assert data == DATA or status.startswith(b"HTTP/1.1 500 ")
    assert wsgi.get().status == 200


@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_file_after_write(wsgi: Server, file: Path, kind: str) -> None:
    assert get(wsgi, file, kind=kind, write=b"first ").body == b"first " + DATA


@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_head_and_304(wsgi: Server, file: Path, kind: str) -> None:
    with wsgi.connect() as client:
        client.request(target(file, kind=kind, headers=[("Content-Length", "7")]), method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"7"
        assert client.get(target(file, kind=kind, status="304 Not Modified")).status == 304
        assert client.get("/hello").body == b"hello\n"


@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_1_0(wsgi: Server, file: Path, kind: str) -> None:
    with wsgi.connect() as client:
        assert client.get(target(file, kind=kind), version="1.0").body == DATA


def test_file_is_closed(wsgi: Server, file: Path) -> None:
    """Once, and not before it was sent: when it was, when it could not be, and when the client has left."""
    for how in ({}, {"status": "304 Not Modified"}, {"returned": "dropped"}, {"headers": [("X", "a\nb")]}):
        mark = wsgi.log.mark()
        with wsgi.connect() as client:
            client.get(target(file, kind="told", **how))
        if "headers" not in how:  # there the application failed before there was a wrapper
            wsgi.app_log("file closed", mark)
        assert wsgi.get().status == 200
        assert wsgi.log.since(mark).count("file closed") <= 1


def test_descriptors_are_given_back(start_wsgi: Callable[..., Server], file: Path) -> None:
    server = start_wsgi()
    with server.connect() as client:
        client.get(target(file))
        before = server.open_files()
        for kind in (*KINDS, "closed", "gzip", "text"):
            with server.connect() as other:
                other.request(target(file, kind=kind), b"Connection: close")
                other.gone()
        assert client.get("/hello").status == 200
        until(lambda: server.open_files() <= before, "the last connection and file to be closed")


def test_slow_client_of_a_large_file(wsgi: Server, tmp_path: Path) -> None:
    large = tmp_path / "large"
    piece = bytes(range(256)) * 4096
    with large.open("wb") as writer:
        for _ in range(20):
            writer.write(piece)
    mark = wsgi.log.mark()
    with Client(wsgi.address, buffer=4096) as client:
        client.request(target(large, kind="told", headers=[("Content-Length", str(20 * len(piece)))]))
        assert client.head()[1] == 200
        for _ in range(20):
            assert wsgi.get().status == 200
            assert client.exactly(len(piece)) == piece
    wsgi.app_log("file closed", mark)


def test_client_disconnects_during_a_large_file(wsgi: Server, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as writer:
        writer.truncate(50_000_000)
    mark = wsgi.log.mark()
    with Client(wsgi.address, buffer=4096) as client:
        client.request(target(large, kind="told"))
        client.exactly(1000)
        client.reset()
    wsgi.app_log("file closed", mark)
    assert wsgi.get().status == 200
