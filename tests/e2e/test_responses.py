"""Responses as sent: framing, fields, and which of them the application may set."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import pytest

from tests.helpers import Client, Server

LENGTH_OF_5 = [(b"content-length", b"5")]


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def played(*messages: object) -> str:
    """The path of an application that sends these messages."""
    return f"/play?{quote(repr(messages))}"


# --- Framing (RFC 9112 6) ---


def test_declared_length(server: Server) -> None:
    response = server.get("/hello")
    assert (response.version, response.status, response.reason) == ("1.1", 200, "OK")
    assert (response.body, response.framing) == (b"hello\n", "length")


def test_pieces_are_chunked(server: Server) -> None:
    response = server.get("/stream")
    assert (response.body, response.framing) == (b"one\ntwo\nthree\n", "chunked")
    assert response.chunks == [b"one\n", b"two\n", b"three\n"]


def test_one_piece_gets_a_length(server: Server) -> None:
    """The length is known when the head is sent, so chunks are not needed."""
    response = server.get(played(start(), body(b"all of it")))
    assert (response.body, response.framing) == (b"all of it", "length")


def test_no_body_gets_a_length(server: Server) -> None:
    response = server.get(played(start(), body()))
    assert (response.body, response.framing) == (b"", "length")


def test_empty_pieces_end_nothing(server: Server) -> None:
    """An empty chunk would be the end of the body (RFC 9112 7.1)."""
    response = server.get(played(start(), body(b"a", more=True), body(more=True), body(b"b", more=True), body()))
    assert response.chunks == [b"a", b"b"]


def test_declared_length_in_pieces(server: Server) -> None:
    response = server.get(played(start(200, *LENGTH_OF_5), body(b"he", more=True), body(b"llo", more=True), body()))
    assert (response.body, response.framing) == (b"hello", "length")


def test_large_body(server: Server) -> None:
    response = server.get("/large?5000000")
    assert response.body == b"x" * 5_000_000


def test_pieces_in_1_0_end_with_the_connection(server: Server) -> None:
    """RFC 9112 6.1: no Transfer-Encoding for a client of 1.0, even if it asks for keep-alive."""
    with server.connect() as client:
        response = client.get("/stream", b"Connection: keep-alive", version="1.0")
    assert (response.body, response.framing) == (b"one\ntwo\nthree\n", "close")
    assert response.closing
    assert response.header(b"transfer-encoding") is None


@pytest.mark.parametrize("path", ["/hello", "/stream", "/large?100000", played(start(), body(b"text"))])
def test_head_has_no_body(server: Server, path: str) -> None:
    with server.connect() as client:
        client.request(path, method="HEAD")
        assert client.response("HEAD").status == 200
        assert client.get("/hello").body == b"hello\n"


def test_head_keeps_the_length(server: Server) -> None:
    """RFC 9110 8.6: it is that of the answer to a GET."""
    with server.connect() as client:
        client.request("/hello", method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"6"


@pytest.mark.parametrize("headers", [[], LENGTH_OF_5, [(b"transfer-encoding", b"chunked")]])
@pytest.mark.parametrize("pieces", [[body()], [body(b"hello")], [body(b"he", more=True), body(b"llo")]])
@pytest.mark.parametrize("status", [204, 304])
def test_no_body_by_status(
    server: Server, status: int, headers: list[tuple[bytes, bytes]], pieces: list[dict[str, Any]]
) -> None:
    """RFC 9112 6.3, rule 1: a body from the application is discarded."""
    with server.connect() as client:
        response = client.get(played(start(status, *headers), *pieces))
        assert response.status == status
        assert response.header(b"transfer-encoding") is None
        if status == 204:
            assert response.header(b"content-length") is None  # RFC 9110 8.6
        assert client.get("/hello").body == b"hello\n"


def test_304_keeps_the_length(server: Server) -> None:
    response = server.get(played(start(304, *LENGTH_OF_5), body()))
    assert response.header(b"content-length") == b"5"


@pytest.mark.parametrize(("status", "reason"), [(200, "OK"), (404, "Not Found"), (503, "Service Unavailable")])
def test_reason(server: Server, status: int, reason: str) -> None:
    assert server.get(played(start(status), body())).reason == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [(413, "Content Too Large"), (414, "URI Too Long"), (416, "Range Not Satisfiable"), (422, "Unprocessable Content")],
)
def test_reason_of_rfc_9110(server: Server, status: int, reason: str) -> None:
    """Python's own phrases are those of RFC 2616 up to 3.12."""
    assert server.get(played(start(status), body())).reason == reason


@pytest.mark.parametrize("status", [299, 418, 599, 999])
def test_any_final_status(server: Server, status: int) -> None:
    assert server.get(played(start(status), body())).status == status


# --- Fields ---


def test_date_and_server_are_added(server: Server) -> None:
    response = server.get()
    date = response.header(b"date")
    assert date is not None
    assert date.endswith(b" GMT")
    assert abs(datetime.now(UTC) - parsedate_to_datetime(date.decode())) < timedelta(minutes=1)
    assert response.header(b"server") == b"ianus"


def test_date_and_server_of_the_application(server: Server) -> None:
    response = server.get("/own-fields")
    assert response.header(b"date") == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert response.header(b"server") == b"own"


def test_date_and_server_of_error_answers(server: Server) -> None:
    with server.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        response = client.response()
    assert response.status == 400
    assert response.header(b"date")
    assert response.header(b"server") == b"ianus"


def test_fields_as_settings(shared: Callable[..., Server]) -> None:
    server = shared("--no-date-header", "--no-server-header", "--header", "X-Added: a b", "--header", "X-Two: 2")
    for path in ("/hello", "/stream", "/raise", "/missing"):
        response = server.get(path)
        assert response.header(b"date") is None
        assert response.header(b"server") is None
        assert response.header(b"x-added") == b"a b"
        assert response.header(b"x-two") == b"2"
    with server.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.response().header(b"x-added") == b"a b"


def test_fields_keep_order_and_repetition(server: Server) -> None:
    fields = [(b"x-b", b"1"), (b"set-cookie", b"a=1"), (b"x-a", b"2"), (b"set-cookie", b"b=2")]
    response = server.get(played(start(200, *fields), body()))
    assert [field for field in response.headers if field in fields] == fields


def test_values_of_any_valid_bytes(server: Server) -> None:
    """RFC 9110 5.5: visible characters, obs-text, blanks inside."""
    value = b"a\tb c\xff\x80"
    assert server.get(played(start(200, (b"x-value", value)), body())).header(b"x-value") == value


def test_many_fields(server: Server) -> None:
    """More fields than fit into the server's preallocated space."""
    fields = [(b"x-%d" % number, b"v" * 100) for number in range(500)]
    response = server.get("/many-fields?500")
    assert [field for field in response.headers if field[0].startswith(b"x-")] == fields


def test_hop_by_hop_fields_are_dropped_and_warned_of_once(start_server: Callable[..., Server]) -> None:
    """RFC 9110 7.6.1: they are about this connection, which is the server's."""
    server = start_server()
    for _ in range(3):
        response = server.get("/hop-by-hop")
        assert (response.body, response.framing) == (b"hello\n", "length")
        assert response.header(b"x-kept") == b"1"
        names = {name for name, _ in response.headers}
        assert names.isdisjoint({b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
        assert response.header(b"connection") in (None, b"close")
    for name in ("connection", "proxy-connection", "transfer-encoding", "upgrade"):
        assert server.log.text.count(f"'{name}'") == 1


def test_connection_fields_of_the_application_are_dropped_silently(start_server: Callable[..., Server]) -> None:
    """The server does it anyway."""
    server = start_server()
    usual = [(b"Connection", b"keep-alive"), (b"Keep-Alive", b"timeout=5"), (b"Transfer-Encoding", b"chunked")]
    response = server.get(played(start(200, *usual), body(b"text")))
    assert (response.body, response.framing) == (b"text", "length")
    assert "dropped" not in server.log.text


@pytest.mark.parametrize("value", [b"close", b"Close", b"x, close"])
def test_connection_close_of_the_application(server: Server, value: bytes) -> None:
    with server.connect() as client:
        response = client.get(played(start(200, (b"connection", value)), body(b"last")))
        assert response.body == b"last"
        assert response.closing
        assert client.nothing()


# --- Invalid fields ---


INJECTIONS = {
    "CRLF in a value": (b"x-a", b"b\r\nset-cookie: evil=1"),
    "LF in a value": (b"x-a", b"b\nset-cookie: evil=1"),
    "CR in a value": (b"x-a", b"b\rset-cookie: evil=1"),
    "NUL in a value": (b"x-a", b"b\0c"),
    "escape in a value": (b"x-a", b"\x1b[31m"),
    "CRLF after a value": (b"x-a", b"b\r\n"),
    "empty line in a value": (b"location", b"/\r\n\r\n<script>"),
    "CRLF in a name": (b"x-a\r\nset-cookie", b"evil=1"),
    "colon in a name": (b"x-a: b", b"c"),
    "space in a name": (b"x a", b"b"),
    "NUL in a name": (b"x\0a", b"b"),
    "name beyond ASCII": (b"x-\xe9", b"b"),
    "empty name": (b"", b"b"),
    "name of a pseudo-header": (b":status", b"200"),
}


@pytest.mark.parametrize("field", INJECTIONS.values(), ids=INJECTIONS.keys())
def test_response_splitting(server: Server, field: tuple[bytes, bytes]) -> None:
    """CVE-2018-1000164 (gunicorn), CVE-2020-7695 (uvicorn): an exception in the application, and a 500."""
    mark = server.log.mark()
    with server.connect() as client:
        response = client.get(played(start(200, (b"x-first", b"1"), field), body(b"text")))
        assert server.app_log("refused", mark).startswith("ValueError")
        assert (response.status, response.header(b"x-first")) == (500, None)
        assert {name for name, _ in response.headers}.isdisjoint({b"set-cookie", b"location"})
        if not response.closing:
            assert client.get("/hello").body == b"hello\n"


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([body(b"x")], id="body first"),
        pytest.param([start(), start()], id="start twice"),
        pytest.param([{"type": "http.response.trailers"}], id="unknown type"),
        pytest.param([{"type": "websocket.accept"}], id="of another protocol"),
        pytest.param([{}], id="no type"),
        pytest.param([{"type": None}], id="type is no string"),
        pytest.param([[]], id="message is no dictionary"),
        pytest.param([{"type": "http.response.start"}], id="no status"),
        pytest.param([{"type": "http.response.start", "status": "200"}], id="status as text"),
        pytest.param([{"type": "http.response.start", "status": None}], id="status is None"),
        pytest.param([start(100)], id="interim status"),
        pytest.param([start(101)], id="switching protocols"),
        pytest.param([start(0)], id="status of zero"),
        pytest.param([start(-200)], id="negative status"),
        pytest.param([start(1000)], id="status of four digits"),
        pytest.param([{**start(), "headers": None}], id="headers are None"),
        pytest.param([{**start(), "headers": 1}], id="headers are a number"),
        pytest.param([{**start(), "headers": [b"ab"]}], id="field is bytes"),
        pytest.param([{**start(), "headers": [(b"a",)]}], id="field of one part"),
        pytest.param([{**start(), "headers": [(b"a", b"b", b"c")]}], id="field of three parts"),
        pytest.param([{**start(), "headers": [("a", "b")]}], id="field of text"),
        pytest.param([{**start(), "headers": [(b"a", None)]}], id="value is None"),
        pytest.param([start(), {"type": "http.response.body", "body": "text"}], id="body of text"),
        pytest.param([start(), {"type": "http.response.body", "body": None}], id="body is None"),
        pytest.param([start(200, *LENGTH_OF_5, *LENGTH_OF_5), body(b"hello")], id="two lengths"),
        pytest.param([start(200, (b"content-length", b"+5")), body(b"hello")], id="length with a sign"),
        pytest.param([start(200, (b"content-length", b"")), body(b"hello")], id="empty length"),
        pytest.param([start(200, (b"content-length", b"5, 5")), body(b"hello")], id="list of lengths"),
        pytest.param([start(200, (b"content-length", b"9" * 30)), body(b"hello")], id="very large length"),
    ],
)
def test_wrong_message(server: Server, messages: list[object]) -> None:
    """An exception in the application; nothing has left, so the client gets a 500."""
    mark = server.log.mark()
    response = server.get(played(*messages))
    assert response.status == 500
    assert server.app_log("refused", mark).startswith(("TypeError", "ValueError", "RuntimeError"))


def test_wrong_message_after_the_head(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request(played(start(), body(b"half", more=True), start()))
        _cut_off(client)
    assert server.app_log("refused", mark).startswith("RuntimeError")


def test_messages_after_the_end_are_ignored(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        response = client.get(played(start(), body(b"whole"), body(b"more"), start(500), {"type": "nonsense"}))
        assert response.body == b"whole"
        server.app_log("played", mark)
        assert client.get("/hello").body == b"hello\n"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([body(b"hello!")], id="too much at once"),
        pytest.param([body(b"hello", more=True), body(b"!")], id="too much at last"),
        pytest.param([body(b"hel", more=True), body(b"lo!", more=True), body()], id="too much in pieces"),
        pytest.param([body(b"hell")], id="too little at once"),
        pytest.param([body(b"hell", more=True), body()], id="too little in pieces"),
        pytest.param([body()], id="nothing"),
    ],
)
def test_body_of_another_length_than_declared(server: Server, pieces: list[dict[str, Any]]) -> None:
    """An exception in the application and a closed connection: nothing is taken for something else."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request(played(start(200, *LENGTH_OF_5), *pieces))
        client.request("/target?smuggled")
        data = client.rest()
    assert server.app_log("refused", mark).startswith(("ValueError", "RuntimeError"))
    assert b"smuggled" not in data
    if data.startswith(b"HTTP/1.1 200"):
        assert len(data.partition(b"\r\n\r\n")[2]) <= 5
    else:
        assert data.startswith(b"HTTP/1.1 500")


# --- An application that fails ---


def test_exception_before_the_start(start_server: Callable[..., Server]) -> None:
    """A plain 500, and one traceback in the log with the request line."""
    server = start_server()
    with server.connect() as client:
        response = client.get("/raise?a=%0a")
        assert response.status == 500
        assert response.body.startswith(b"500 Internal Server Error")
        assert b"purpose" not in response.body
        assert response.header(b"content-type") == b"text/plain; charset=utf-8"
    server.log.wait_for("LookupError: raised on purpose")
    assert server.log.text.count("Traceback") == 1
    assert "GET /raise?a=%0a" in server.log.text


def test_exception_in_answer_to_head(server: Server) -> None:
    with server.connect() as client:
        client.request("/raise", method="HEAD")
        assert client.response("HEAD").status == 500
        assert client.get("/hello").body == b"hello\n"


@pytest.mark.parametrize("path", ["/raise-before-body", "/return", "/exit"])
def test_end_before_anything_has_left(server: Server, path: str) -> None:
    """The head of a started response waits for its body, so it can still be replaced."""
    response = server.get(path)
    assert response.status == 500
    assert response.header(b"x-lost") is None


@pytest.mark.parametrize("path", ["/raise-inside", "/raise-later", "/return-inside"])
def test_end_inside_the_body(server: Server, path: str) -> None:
    """The connection is closed without an end of the body, which the client notices."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request(path)
        client.request("/target?next")
        _cut_off(client)
    server.log.wait_for(f"GET {path}", mark)


@pytest.mark.parametrize("path", ["/raise-inside", "/raise-later"])
def test_end_inside_the_body_in_1_0(server: Server, path: str) -> None:
    """If only the close ends a body, a close in order would complete it: the connection is reset."""
    with server.connect() as client:
        client.request(path, version="1.0")
        with pytest.raises(ConnectionResetError):
            client.response()


def test_exception_after_the_response(server: Server) -> None:
    """It is logged; the client has its answer and keeps its connection."""
    mark = server.log.mark()
    with server.connect() as client:
        assert client.get("/raise-behind").body == b"whole\n"
        assert client.get("/hello").body == b"hello\n"
    server.log.wait_for("LookupError: raised on purpose", mark)


def _cut_off(client: Client) -> None:
    """Asserts that a chunked body ends without its last chunk, and that nothing follows."""
    _, status, _, _ = client.head()
    assert status == 200
    data = client.rest()
    assert data.startswith(b"4\r\nhalf\r\n")
    assert not data.endswith(b"0\r\n\r\n")
    assert b"HTTP/1.1" not in data


def test_date_and_server_of_the_header_option_replace_ours(shared: Callable[..., Server]) -> None:
    server = shared("--header", "Server: mine", "--header", "Date: today", "--header", "X-More: more")
    for path in ("/hello", "/raise"):
        headers = server.get(path).headers
        assert [value for name, value in headers if name.lower() == b"server"] == [b"mine"]
        assert [value for name, value in headers if name.lower() == b"date"] == [b"today"]
        assert [value for name, value in headers if name.lower() == b"x-more"] == [b"more"]
