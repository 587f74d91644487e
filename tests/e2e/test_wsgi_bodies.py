"""Bodies of requests to WSGI applications: complete before a thread is spent on them, in memory or in a file."""

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Server, many, until

BODY = bytes(range(256)) * 400  # 102,400 bytes


def chunked(body: bytes, size: int = 1000) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def spools(server: Server) -> list[str]:
    """The server's deleted files: bodies that are too large for memory."""
    names = json.loads(server.get("/files-of-spools").body)
    return [name for name in names if name.endswith(" (deleted)") and not name.startswith("/memfd:")]


# --- Complete ---


def test_application_is_not_called_before_the_body_is_there(shared_wsgi: Callable[..., Server]) -> None:
    """With one thread, no other client could be served if it waited for the body."""
    server = shared_wsgi("--threads", "1")
    mark = server.log.mark()
    with many(5, server.connect) as slow:
        for client in slow:
            client.request("/echo", b"Content-Length: 10", method="POST")
            client.send(b"hello")
        for _ in range(3):
            assert server.get().body == b"hello\n"
        assert "called" not in server.log.since(mark)
        for number, client in enumerate(slow):
            client.send(b"worl%d" % number)
            assert client.response().body == b"helloworl%d" % number
    assert server.log.since(mark).count("called: /echo") == 5


@pytest.mark.parametrize("buffer", ["1M", "1K"], ids=["memory", "file"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_body(shared_wsgi: Callable[..., Server], buffer: str, framing: str) -> None:
    server = shared_wsgi("--request-buffer", buffer)
    with server.connect() as client:
        for body in (BODY, b"", b"x", BODY[:1024], BODY[:1025]):
            field = b"Transfer-Encoding: chunked" if framing == "chunked" else b"Content-Length: %d" % len(body)
            client.request("/echo", field, method="POST")
            client.send(chunked(body) if framing == "chunked" else body)
            assert client.response().body == body
    until(lambda: not spools(server), "the files to be closed")


@pytest.mark.parametrize("buffer", ["1M", "4"], ids=["memory", "file"])
def test_chunked_body_has_a_length(shared_wsgi: Callable[..., Server], buffer: str) -> None:
    """Django reads nothing without it. The coding is gone, so is its field (PEP 3333, "Other HTTP Features")."""
    with shared_wsgi("--request-buffer", buffer).connect() as client:
        client.request("/environ", b"Transfer-Encoding: chunked", method="POST")
        client.send(chunked(b"hello", 2))
        environ = json.loads(client.response().body)
    assert environ["CONTENT_LENGTH"] == "5"
    assert "HTTP_TRANSFER_ENCODING" not in environ
    assert environ["wsgi.input_terminated"] is True


def test_trailers_are_dropped(wsgi: Server) -> None:
    with wsgi.connect() as client:
        client.request("/environ", b"Transfer-Encoding: chunked", b"X-A: head", method="POST")
        client.send(b"1\r\nx\r\n0\r\nX-A: trailer\r\nX-B: trailer\r\n\r\n")
        environ = json.loads(client.response().body)
    assert environ["HTTP_X_A"] == "head"
    assert "HTTP_X_B" not in environ


def test_body_byte_by_byte(wsgi: Server) -> None:
    with wsgi.connect() as client:
        client.request("/echo", b"Transfer-Encoding: chunked", method="POST")
        for byte in chunked(b"hello", 2):
            client.send(bytes([byte]))
        assert client.response().body == b"hello"


def test_body_and_next_request_in_one_piece(shared_wsgi: Callable[..., Server]) -> None:
    """The body is read as the body, and the request after it as a request."""
    for buffer in ("1M", "4"):
        with shared_wsgi("--request-buffer", buffer).connect() as client:
            post = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello"
            codes = b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"again", 3)
            client.send(post + codes + b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n" + post)
            assert [client.response().body for _ in range(4)] == [b"hello", b"again", b"hello\n", b"hello"]


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_100_is_sent_when_buffering_starts(shared_wsgi: Callable[..., Server], framing: bytes) -> None:
    """RFC 9110 10.1.1: the client waits for it, while no application was called."""
    server = shared_wsgi("--threads", "1")
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/echo", framing, b"Expect: 100-continue", method="POST")
        assert client.response().status == 100
        assert server.get().status == 200
        assert "called" not in server.log.since(mark)
        client.send(chunked(b"hello") if b"chunked" in framing else b"hello")
        response = client.response()
        assert (response.status, response.body) == (200, b"hello")
        assert client.get("/hello").body == b"hello\n"


def test_no_100_for_a_body_that_is_there(wsgi: Server) -> None:
    with wsgi.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
        response = client.response()
        while response.status == 100:
            response = client.response()
        assert response.body == b"hello"


def test_100_waits_for_the_answers_before_it(wsgi: Server) -> None:
    """RFC 9112 9.3.2: it belongs to the second request, and would be taken for an answer to the first."""
    with wsgi.connect() as client:
        client.request("/wait?before-100")
        client.request("/echo", b"Content-Length: 5", b"Expect: 100-continue", method="POST")
        wsgi.log.wait_for("waiting: before-100")
        assert wsgi.get("/open?before-100").status == 200
        assert client.response().body == b"waited\n"
        assert client.response().status == 100
        client.send(b"hello")
        assert client.response().body == b"hello"


# --- Too slow, too large, broken ---


def test_body_that_never_arrives(shared_wsgi: Callable[..., Server]) -> None:
    server = shared_wsgi("--timeout-request-body", "0.3", "--request-buffer", "1K")
    mark = server.log.mark()
    with many(3, server.connect) as clients:
        for client, start in zip(clients, (b"", b"x", b"x" * 5000), strict=True):
            client.request("/echo", b"Content-Length: 10000", method="POST")
            client.send(start)
        for client in clients:
            assert client.response().status == 408
    assert "called" not in server.log.since(mark)
    until(lambda: not spools(server), "the files to be closed")


def test_body_over_the_limit(shared_wsgi: Callable[..., Server]) -> None:
    server = shared_wsgi("--max-request-body-size", "1000", "--request-buffer", "100")
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/echo", b"Content-Length: 1001", method="POST")
        assert client.response().status == 413
    with server.connect() as client:
        client.request("/echo", b"Transfer-Encoding: chunked", method="POST")
        client.send(chunked(b"x" * 1001, 100))
        assert client.response().status == 413
    with server.connect() as client:
        assert client.post("/size", b"x" * 1000).body == b"1000"
    assert "called" not in server.log.since(mark)
    until(lambda: not spools(server), "the files to be closed")


@pytest.mark.parametrize("buffer", ["1M", "4"], ids=["memory", "file"])
def test_body_that_breaks(shared_wsgi: Callable[..., Server], buffer: str) -> None:
    """The application never hears of it: a request that is not whole is none."""
    server = shared_wsgi("--request-buffer", buffer)
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/echo", b"Transfer-Encoding: chunked", method="POST")
        client.send(b"a\r\n0123456789\r\nZZ\r\n")
        assert client.response().status == 400
        assert client.nothing()
    assert "called" not in server.log.since(mark)
    until(lambda: not spools(server), "the files to be closed")


@pytest.mark.parametrize("buffer", ["1M", "1K"], ids=["memory", "file"])
@pytest.mark.parametrize("leave", ["reset", "finish", "close"])
def test_client_disconnects_during_its_body(shared_wsgi: Callable[..., Server], buffer: str, leave: str) -> None:
    server = shared_wsgi("--request-buffer", buffer)
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/echo", b"Content-Length: 10000", method="POST")
        client.send(b"x" * 5000)
        assert server.get().status == 200
        getattr(client, leave)()
        if leave == "finish":
            assert client.gone()
    until(lambda: not spools(server), "the files to be closed")
    assert server.get().status == 200
    assert "called" not in server.log.since(mark)


# --- Files ---


def test_file_has_no_name(start_wsgi: Callable[..., Server], tmp_path: Path) -> None:
    """The file has no name, and does not remain if the server is killed."""
    folder = tmp_path / "spool"
    folder.mkdir()
    server = start_wsgi("--request-buffer", "1K", "--spool-dir", str(folder))
    with server.connect() as client:
        client.request("/echo", b"Content-Length: %d" % len(BODY), method="POST")
        client.send(BODY[:-1])
        until(lambda: spools(server), "a file to be used")
        (name,) = spools(server)
        assert name.startswith(str(folder))
        assert not list(folder.iterdir())
        client.send(BODY[-1:])
        assert client.response().body == BODY
    until(lambda: not spools(server), "the file to be closed")


def full(server: Server, mark: int) -> None:
    """Asserts that a body does not fit on the disk, that this is logged, and that other clients are served."""
    with server.connect() as other:
        assert other.get("/hello").status == 200
        with server.connect() as client:
            client.request("/echo", b"Content-Length: %d" % len(BODY), method="POST")
            client.send(BODY)
            assert client.response().status == 503
        server.log.wait_for("(ERROR|WARNING) .*", mark)
        assert "Traceback" not in server.log.since(mark)
        assert "called" not in server.log.since(mark)
        assert other.get("/hello").status == 200
        assert other.post("/echo", b"small").body == b"small"
    until(lambda: not spools(server), "the file to be closed")


def test_all_files_together_have_a_limit(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi("--request-buffer", "1K", "--limit-spool", "150K")
    with server.connect() as first, server.connect() as second:
        first.request("/echo", b"Content-Length: %d" % len(BODY), method="POST")
        first.send(BODY[:-1])
        until(lambda: spools(server), "a file to be used")
        second.request("/echo", b"Content-Length: %d" % len(BODY), method="POST")
        second.send(BODY[:-1])
        assert second.response().status == 503
        server.log.wait_for(r"(ERROR|WARNING) .*limit.spool")
        first.send(BODY[-1:])
        assert first.response().body == BODY
    for _ in range(5):  # the space used is freed
        with server.connect() as client:
            assert client.post("/echo", BODY).body == BODY
            client.request("/echo", b"Content-Length: %d" % len(BODY), method="POST")
            client.send(BODY[:-1])
            until(lambda: spools(server), "a file to be used")
            client.reset()
        until(lambda: not spools(server), "the file to be closed")


def test_one_body_is_over_the_limit_of_all(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi("--request-buffer", "1K", "--limit-spool", "50K")
    for _ in range(3):
        full(server, server.log.mark())


def test_disk_is_full(start_wsgi: Callable[..., Server]) -> None:
    """A file must not grow beyond 50 KB, which is an OSError like that of a full disk."""
    server = start_wsgi("--request-buffer", "1K")
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
    for _ in range(3):
        full(server, server.log.mark())


def test_folder_is_gone(start_wsgi: Callable[..., Server], tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    server = start_wsgi("--request-buffer", "1K", "--spool-dir", str(folder))
    folder.rmdir()
    full(server, server.log.mark())
    folder.mkdir()
    with server.connect() as client:
        assert client.post("/echo", BODY).body == BODY


def test_no_descriptor_is_left_for_a_file(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi("--request-buffer", "1K", "--no-access-log")
    with server.connect() as client:
        assert client.get("/hello").status == 200
        room = server.open_files()
        limit = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (room, limit[1]))
        client.request("/echo", b"Content-Length: %d" % len(BODY), method="POST")
        client.send(BODY)
        assert client.response().status == 503
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limit)
    assert server.get().status == 200
