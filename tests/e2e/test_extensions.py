"""ASGI extensions of HTTP: early hints, trailers, and files that the kernel sends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.e2e.test_responses import body, played, start
from tests.helpers import Client, Server, until, url_of

TE = b"TE: trailers"


@pytest.fixture
def server(shared: Callable[..., Server]) -> Server:
    return shared("--asgi-sendfile", "--early-hints")


def hint(*links: bytes) -> dict[str, Any]:
    return {"type": "http.response.early_hint", "links": list(links)}


def start_with_trailers(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {**start(200, *headers), "trailers": True}


def trailers(*headers: tuple[bytes, bytes], more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.trailers", "headers": list(headers), "more_trailers": more}


# --- Early hints (RFC 8297) ---


@pytest.mark.parametrize("before", [True, False], ids=["before the start", "behind the start"])
def test_hints_are_sent_before_the_head(server: Server, before: bool) -> None:
    hints = hint(b"</a.css>; rel=preload", b"</b.js>; rel=preload")
    messages = (hints, start()) if before else (start(), hints)
    with server.connect() as client:
        early = client.get(played(*messages, body(b"text")))
        assert (early.status, early.reason) == (103, "Early Hints")
        assert early.headers == [(b"link", b"</a.css>; rel=preload"), (b"link", b"</b.js>; rel=preload")]
        assert client.response().body == b"text"
        assert client.get("/hello").body == b"hello\n"


def test_hints_are_sent_while_the_application_works(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/hint-and-wait")
        assert client.response().status == 103
        server.app_log("hinted", mark)
        client.reset()


def test_several_hints(server: Server) -> None:
    with server.connect() as client:
        client.request(played(hint(b"<a>"), hint(b"<b>"), start(), body()))
        assert [client.response().status for _ in range(3)] == [103, 103, 200]


def test_no_hints_for_1_0(server: Server) -> None:
    """RFC 9110 15.2: a client of 1.0 would take it for the response."""
    with server.connect() as client:
        assert client.get(played(hint(b"<a>"), start(), body(b"text")), version="1.0").status == 200


def test_no_hints_unless_the_operator_wants_them(shared: Callable[..., Server]) -> None:
    """An application that sends them all the same need not know."""
    with shared().connect() as client:
        assert client.get(played(hint(b"<a>"), start(), hint(b"<b>"), body(b"text"))).body == b"text"
        assert client.get(played(hint(b"<a>\n"), start(), body())).status == 500


def test_hints_after_the_head_are_refused(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request(played(start(), body(b"a", more=True), hint(b"<a>")))
        assert client.head()[1] == 200
        assert client.gone()
    assert server.app_log("refused", mark).startswith("RuntimeError: early hints must precede")


@pytest.mark.parametrize("link", [b"<a>\r\nx: y", b"<a>\n", b"a\0"])
def test_hints_cannot_split_the_response(server: Server, link: bytes) -> None:
    mark = server.log.mark()
    assert server.get(played(hint(link), start(), body())).status == 500
    assert server.app_log("refused", mark).startswith("ValueError: ")


@pytest.mark.parametrize("message", [{"type": "http.response.early_hint"}, hint("<a>")])  # type: ignore[arg-type]
def test_malformed_hints(server: Server, message: dict[str, Any]) -> None:
    assert server.get(played(message, start(), body())).status == 500


def test_python_requests_gets_the_response_of_an_application_that_gives_hints(shared: Callable[..., Server]) -> None:
    """It takes a 103 for the response."""
    address = shared().address
    assert isinstance(address, tuple)
    path = played(hint(b"</a.css>; rel=preload"), start(), body(b"text"))
    response = requests.get(url_of(address, path), timeout=20)
    assert (response.status_code, response.content) == (200, b"text")


# --- Trailers (RFC 9110 6.5) ---


def test_trailers(server: Server) -> None:
    with server.connect() as client:
        response = client.get(
            played(start_with_trailers((b"trailer", b"x-sum")), body(b"a", more=True), body(b"b"),
                   trailers((b"x-sum", b"1"), more=True), trailers((b"x-more", b"2"))),
            TE,
        )  # fmt: skip
        assert (response.body, response.framing) == (b"ab", "chunked")
        assert response.header(b"trailer") == b"x-sum"
        assert response.trailers == [(b"x-sum", b"1"), (b"x-more", b"2")]
        assert client.get("/hello").body == b"hello\n"


def test_trailers_of_one_piece(server: Server) -> None:
    """The body would have a Content-Length if there were no trailers."""
    response = server.get(played(start_with_trailers(), body(b"all"), trailers((b"x", b"y"))), TE)
    assert (response.body, response.trailers) == (b"all", [(b"x", b"y")])


@pytest.mark.parametrize("te", [b"TE: trailers", b"te: deflate;q=0.5, Trailers", b"TE: gzip, trailers"])
def test_trailers_are_asked_for(server: Server, te: bytes) -> None:
    assert server.get(played(start_with_trailers(), body(b"a"), trailers((b"x", b"y"))), te).trailers


@pytest.mark.parametrize(
    ("headers", "fields", "version", "framing"),
    [
        ([], [], "1.1", "length"),
        ([], [b"TE: gzip"], "1.1", "length"),
        ([], [b"TE: nottrailers"], "1.1", "length"),
        ([(b"content-length", b"2")], [TE], "1.1", "length"),
        ([], [TE], "1.0", "length"),
    ],
)
def test_trailers_that_are_not_sent(
    server: Server, headers: list[tuple[bytes, bytes]], fields: list[bytes], version: str, framing: str
) -> None:
    """The application need not know: they are taken and dropped."""
    mark = server.log.mark()
    with server.connect() as client:
        path = played(start_with_trailers(*headers), body(b"ab"), trailers((b"x", b"y")))
        response = client.get(path, *fields, version=version)
        assert (response.body, response.framing, response.trailers) == (b"ab", framing, [])
        assert response.header(b"x") is None
    server.app_log("played", mark)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_trailers_of_no_body(server: Server, method: str) -> None:
    status = 200 if method == "HEAD" else 204
    with server.connect() as client:
        path = played({**start(status), "trailers": True}, body(), trailers((b"x", b"y")))
        client.request(path, TE, method=method)
        assert client.response(method).framing == "none"
        assert client.get("/hello").body == b"hello\n"


@pytest.mark.parametrize(
    "header",
    [
        (b"content-length", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"set-cookie", b"a"),
        (b"x", b"a\r\nb: c"),
        (b"x y", b""),
    ],
)
def test_fields_that_are_no_trailers(server: Server, header: tuple[bytes, bytes]) -> None:
    """RFC 9110 6.5.1, and nothing may split the response."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request(played(start_with_trailers(), body(b"a"), trailers(header)), TE)
        client.head()
        assert client.gone()
    assert server.app_log("refused", mark).startswith("ValueError: ")


def test_response_without_its_trailers_breaks_off(server: Server) -> None:
    with server.connect() as client:
        client.request(played(start_with_trailers(), body(b"a")), TE)
        client.head()
        assert client.chunk() == b"a"
        with pytest.raises(ConnectionError):
            client.chunk()


@pytest.mark.parametrize(
    "messages", [(start(), body(b"a"), trailers()), (start(), trailers()), (start_with_trailers(), trailers())]
)
def test_trailers_out_of_order(server: Server, messages: tuple[dict[str, Any], ...]) -> None:
    """After a complete response they are ignored like every message; at other times they are an error."""
    status = 200 if len(messages) == 3 else 500
    assert server.get(played(*messages)).status == status


def test_body_message_after_the_last_body_message(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request(played(start_with_trailers(), body(b"a"), body(b"b")), TE)
        client.head()
        assert client.gone()
    server.log.wait_for("^app: refused: .*expected 'http.response.trailers'", mark)


# --- Files ---


@pytest.fixture(scope="module")
def content() -> bytes:
    return b"".join(b"%07d\n" % line for line in range(250_000))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> Path:
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(content)
    return path


def by_path(path: Path) -> dict[str, Any]:
    return {"type": "http.response.pathsend", "path": str(path)}


def by_file(path: Path, *, more: bool = False, **rest: int | bool) -> dict[str, Any]:
    return {"type": "http.response.zerocopysend", "file": str(path), "more_body": more, **rest}


def files(*messages: object) -> str:
    return f"/files?{quote(repr(messages))}"


def length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size


@pytest.mark.parametrize("message", [by_path, by_file])
@pytest.mark.parametrize("declared", [True, False])
def test_file(server: Server, file: Path, content: bytes, message: Callable[[Path], Any], declared: bool) -> None:
    """The body's size is known when the head is sent, declared or not."""
    headers = [length(len(content))] if declared else []
    with server.connect() as client:
        response = client.get(files(start(200, *headers), message(file)))
        assert response.body == content
        assert response.framing == "length"
        assert client.get("/hello").body == b"hello\n"


@pytest.mark.parametrize("message", [by_path, by_file])
def test_file_for_1_0(server: Server, file: Path, content: bytes, message: Callable[[Path], Any]) -> None:
    with server.connect() as client:
        assert client.get(files(start(), message(file)), version="1.0").body == content


@pytest.mark.parametrize("message", [by_path, by_file])
def test_file_and_head(server: Server, file: Path, content: bytes, message: Callable[[Path], Any]) -> None:
    with server.connect() as client:
        client.request(files(start(), message(file)), method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"%d" % len(content)
        assert client.get("/hello").body == b"hello\n"


def test_relative_path(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """The extension wants an absolute one. The error names that, even if the file would be found."""
    (tmp_path / "here").write_bytes(b"found")
    server = start_server()
    assert server.get(files(start(), by_path(Path("here")))).status == 500
    server.log.wait_for("needs an absolute path .* not 'here'")


@pytest.mark.parametrize("message", [by_path, by_file])
def test_empty_file(server: Server, tmp_path: Path, message: Callable[[Path], Any]) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with server.connect() as client:
        assert client.get(files(start(), message(empty))).header(b"content-length") == b"0"
        assert client.get("/hello").body == b"hello\n"


def test_files_are_pipelined(server: Server, file: Path, content: bytes) -> None:
    with server.connect() as client:
        for message in (by_path(file), by_file(file)):
            client.request(files(start(), message))
            client.request("/hello")
        for _ in range(2):
            assert client.response().body == content
            assert client.response().body == b"hello\n"


def test_file_and_a_slow_reader(start_server: Callable[..., Server], tmp_path: Path, content: bytes) -> None:
    """Others are served meanwhile, and send() of a lent file does not return before it has left."""
    large = tmp_path / "large"
    large.write_bytes(content * 10)  # more than the kernel holds for a connection
    server = start_server()
    with server.connect() as slow:
        slow.request(files(start(), by_file(large)))
        slow.head()
        assert server.get("/hello").status == 200
        assert "played" not in server.log.text
        assert slow.exactly(10 * len(content)) == content * 10
    server.app_log("played")


def test_parts_of_files_among_pieces(server: Server, file: Path, content: bytes) -> None:
    """RFC 9112 7.1: each part is a chunk; the position of the file moves on."""
    with server.connect() as client:
        response = client.get(
            files(start(), body(b"<", more=True), by_file(file, more=True, offset=8, count=16), body(b"|", more=True),
                  by_file(file, more=True, seek=80, count=8), by_file(file, offset=len(content) - 8), )
        )  # fmt: skip
        assert response.chunks == [b"<", content[8:24], b"|", content[80:88], content[-8:]]
        assert client.get("/hello").body == b"hello\n"


def test_declared_length_of_parts(server: Server, file: Path, content: bytes) -> None:
    response = server.get(files(start(200, length(17)), body(b"<", more=True), by_file(file, count=16)))
    assert (response.body, response.framing) == (b"<" + content[:16], "length")


def test_position_of_a_lent_file(start_server: Callable[..., Server], file: Path) -> None:
    """As that of os.sendfile(): moved on without an offset, left alone with one."""
    server = start_server()
    mark = server.log.mark()
    server.get(files(start(), by_file(file, seek=8, count=16)))
    assert server.app_log("position", mark) == "24"
    mark = server.log.mark()
    server.get(files(start(), by_file(file, seek=8, offset=0, count=16)))
    assert server.app_log("position", mark) == "8"
    mark = server.log.mark()
    server.get(files(start(), by_file(file, number=True, count=16)))
    assert server.app_log("position", mark) == "16"


def test_count_beyond_the_end(server: Server, file: Path, content: bytes) -> None:
    assert server.get(files(start(), by_file(file, offset=len(content) - 5, count=100))).body == content[-5:]


def test_file_with_trailers(server: Server, file: Path, content: bytes) -> None:
    response = server.get(files(start_with_trailers(), by_file(file), trailers((b"x", b"y"))), TE)
    assert (response.body, response.trailers) == (content, [(b"x", b"y")])


def test_file_that_has_grown(server: Server, file: Path, content: bytes) -> None:
    """The declared length is sent; a log file that is being written to is not an error."""
    assert server.get(files(start(200, length(1000)), by_path(file))).body == content[:1000]


def test_file_that_is_too_short(server: Server, file: Path, content: bytes) -> None:
    response = server.get(files(start(200, length(len(content) + 1)), by_path(file)))
    assert response.status == 500


def test_file_that_becomes_shorter(server: Server, tmp_path: Path) -> None:
    """The connection is reset, so that a truncated body cannot be mistaken for a complete one."""
    path = tmp_path / "shrinking"
    path.write_bytes(bytes(50_000_000))
    mark = server.log.mark()
    with Client(server.address, buffer=4096) as client:
        client.request(files(start(), by_path(path)))
        client.head()
        path.write_bytes(b"")
        with pytest.raises(ConnectionError):
            client.rest()
    server.log.wait_for("file shrank", mark)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"type": "http.response.pathsend", "path": "does/not/exist"}, "ValueError"),
        ({"type": "http.response.pathsend", "path": "/does/not/exist"}, "FileNotFoundError"),
        ({"type": "http.response.pathsend", "path": "/dev/zero"}, "ValueError"),
        ({"type": "http.response.pathsend", "path": "/"}, "ValueError"),
        ({"type": "http.response.pathsend", "path": 3}, "TypeError"),
        ({"type": "http.response.pathsend", "path": "/a\0b"}, "ValueError"),
        ({"type": "http.response.pathsend"}, "ValueError"),
        ({"type": "http.response.zerocopysend", "file": b"no file"}, "TypeError"),
        ({"type": "http.response.zerocopysend", "file": 987654}, "OSError"),
        ({"type": "http.response.zerocopysend", "file": 0, "offset": -1}, "ValueError"),
        ({"type": "http.response.zerocopysend"}, "ValueError"),
    ],
)
def test_a_file_that_cannot_be_sent(server: Server, message: dict[str, Any], error: str) -> None:
    """The application gets an error, and nothing was sent: the response is a 500."""
    mark = server.log.mark()
    assert server.get(played(start(), message)).status == 500
    assert server.app_log("refused", mark).startswith(f"{error}: ")


@pytest.mark.parametrize("rest", [{"offset": -1}, {"count": -1}, {"offset": "0"}, {"count": 1.5}, {"count": True}])
def test_parts_that_cannot_be_meant(server: Server, file: Path, rest: dict[str, Any]) -> None:
    assert server.get(files(start(), by_file(file, **rest))).status == 500


def test_file_after_a_piece(server: Server, file: Path) -> None:
    """pathsend is the whole body."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request(played(start(), body(b"a", more=True), by_path(file)))
        client.head()
        assert client.gone()
    assert server.app_log("refused", mark).startswith("RuntimeError: ")


def test_no_file_stays_open(start_server: Callable[..., Server], tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    server = start_server()
    server.get()
    before = server.open_files()
    for message in (by_path(path), by_file(path)):
        server.get(files(start(), message))
        with Client(server.address, buffer=4096) as client:
            client.request(files(start(), message))
            client.head()
            client.reset()
        server.get(files(start(204), message))
    until(lambda: server.open_files() <= before, "files to be closed")


def test_file_of_a_request_that_gave_up(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """The number of a closed file belongs to the next one that is opened, whose bytes must not follow."""
    path = tmp_path / "large"
    path.write_bytes(bytes(30_000_000))
    server = start_server()
    with server.connect() as client:
        client.request(f"/file-until-cancelled?{path}")
        client.head()
        assert server.app_log("reused") == "True"
        client.finish()
        assert b"secret" not in client.rest()


@pytest.fixture
def five(tmp_path: Path) -> Path:
    path = tmp_path / "five"
    path.write_bytes(b"01234")
    return path


@pytest.mark.parametrize("offset", [2**63, 2**70])
def test_offset_out_of_range_keeps_no_file_open(server: Server, five: Path, offset: int) -> None:
    message = {"type": "http.response.zerocopysend", "file": str(five), "offset": offset}
    path = "/files?" + quote(repr([start(), message]))
    server.get(path)
    before = server.open_files()
    for _ in range(5):
        server.get(path)
    assert server.open_files() <= before + 1


def test_seek_that_fails_keeps_no_file_open(server: Server, five: Path) -> None:
    path = "/seek-fails?" + quote(str(five))
    server.get(path)
    before = server.open_files()
    for _ in range(5):
        assert server.get(path).status == 500
    assert server.open_files() <= before + 1


def test_another_body_in_place_of_a_refused_file(server: Server, five: Path) -> None:
    with server.connect() as client:
        assert client.get("/file-or-text?" + quote(str(five))).body == b"x" * 10
