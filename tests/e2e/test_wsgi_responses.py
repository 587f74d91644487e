"""Responses of WSGI applications, and the bytes that reach the client (PEP 3333)."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.test_responses import INJECTIONS
from tests.helpers import Client, Server

TEXT = [("Content-Type", "text/plain")]
FIVE = [*TEXT, ("Content-Length", "5")]
OK = ("start", "200 OK", TEXT)
ITERATE = ("iterate",)


def played(*steps: object, path: str = "/play") -> str:
    """The target of an application that takes these steps; see wsgi_apps.Player."""
    return f"{path}?{quote(repr(steps), safe='')}"


# --- Framing ---


def test_declared_length(wsgi: Server) -> None:
    response = wsgi.get("/hello")
    assert (response.version, response.status, response.reason) == ("1.1", 200, "OK")
    assert (response.body, response.framing) == (b"hello\n", "length")


@pytest.mark.parametrize("value", [[b"all"], (b"all",)])
def test_one_block_gets_a_length(wsgi: Server, value: object) -> None:
    """PEP 3333, "Handling the Content-Length Header"."""
    response = wsgi.get(played(OK, ("return", value)))
    assert (response.body, response.framing) == (b"all", "length")


@pytest.mark.parametrize("value", [[], (), [b""], [b"", b""]])
def test_no_body_gets_a_length(wsgi: Server, value: object) -> None:
    response = wsgi.get(played(OK, ("return", value)))
    assert (response.body, response.framing, response.status) == (b"", "length", 200)


def test_list_of_blocks(wsgi: Server) -> None:
    assert wsgi.get(played(OK, ("return", [b"a", b"", b"b", b"c" * 1000]))).body == b"ab" + b"c" * 1000


def test_list_after_write(wsgi: Server) -> None:
    """Its one block is not the whole body."""
    assert wsgi.get(played(OK, ("write", b"first "), ("return", [b"second"]))).body == b"first second"
    assert wsgi.get(played(OK, ("write", b"only"), ("return", []))).body == b"only"
    assert wsgi.get(played(OK, ("write", b""), ("return", [b"second"]))).body == b"second"


@pytest.mark.parametrize("path", ["/stream", "/write", "/write-only", "/late-start"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_blocks(wsgi: Server, path: str, version: str) -> None:
    """Blocks are sent as they are, but for empty ones, which would end a chunked body (RFC 9112 7.1)."""
    expected = {
        "/stream": [b"one\n", b"two\n", b"three\n"],
        "/write": [b"one\n", b"two\n", b"three\n", b"four\n"],
        "/write-only": [b"one\n", b"two\n"],
        "/late-start": [b"late\n"],
    }[path]
    with wsgi.connect() as client:
        response = client.get(path, version=version)
        assert response.body == b"".join(expected)
        if response.framing == "chunked":
            assert response.chunks == expected
        if response.framing == "close":
            assert version == "1.0"
            assert response.closing
        if version == "1.1":
            assert client.get("/hello").body == b"hello\n"


def test_keep_alive_of_1_0(wsgi: Server) -> None:
    with wsgi.connect() as client:
        for _ in range(3):
            response = client.get("/hello", b"Connection: keep-alive", version="1.0")
            assert (response.body, response.header(b"connection")) == (b"hello\n", b"keep-alive")
        assert client.get("/hello", version="1.0").body == b"hello\n"
        assert client.nothing()


def test_blocks_are_sent_one_by_one(wsgi: Server) -> None:
    """PEP 3333, "Buffering and Streaming": no block waits for the next one."""
    with wsgi.connect() as client:
        client.request("/blocks?one-by-one")
        assert client.head()[1] == 200
        for block, gate in ((b"one", "one-by-one1"), (b"two", "one-by-one2")):
            assert client.chunk() == block
            assert wsgi.get(f"/open?{gate}").status == 200
        assert [client.chunk(), client.chunk()] == [b"three", b""]
        assert client.get("/hello").body == b"hello\n"


def test_written_data_is_sent_at_once(wsgi: Server) -> None:
    """PEP 3333, "The write() Callable": treated as though it had been yielded."""
    steps = (OK, ("write", b"one"), ("wait", "write1"), ("write", b"two"), ("wait", "write2"), ITERATE)
    with wsgi.connect() as client:
        client.request(played(*steps, ("yield", b"three"), path="/play-by-the-rules"))
        assert client.head()[1] == 200
        for block, gate in ((b"one", "write1"), (b"two", "write2")):
            assert client.chunk() == block
            assert wsgi.get(f"/open?{gate}").status == 200
        assert [client.chunk(), client.chunk()] == [b"three", b""]


def test_head_waits_for_the_first_block(wsgi: Server) -> None:
    """PEP 3333: response headers must not be sent until there is actual body data available."""
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        client.request(played(OK, ITERATE, ("yield", b""), ("wait", "head"), ("yield", b"body")))
        wsgi.app_log("waiting", mark)
        assert client.silent()
        wsgi.get("/open?head")
        assert client.response().body == b"body"


def test_large_block(wsgi: Server) -> None:
    assert wsgi.get("/large?5000000").body == b"x" * 5_000_000


def test_many_blocks(wsgi: Server) -> None:
    mark = wsgi.log.mark()
    assert len(wsgi.get("/pieces?100").body) == 100 * 65536
    wsgi.app_log("closed", mark)
    assert len(wsgi.get("/write-pieces?100").body) == 100 * 65536


@pytest.mark.parametrize(
    "path", ["/hello", "/stream", "/large?100000", "/write", "/late-start", played(OK, ("return", [b"text"]))]
)
def test_head_has_no_body(wsgi: Server, path: str) -> None:
    with wsgi.connect() as client:
        client.request(path, method="HEAD")
        assert client.response("HEAD").status == 200
        assert client.get("/hello").body == b"hello\n"


def test_head_keeps_the_length(wsgi: Server) -> None:
    """RFC 9110 8.6: it is that of the answer to a GET."""
    with wsgi.connect() as client:
        client.request("/large?1000", method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"1000"
        client.request(played(("start", "200 OK", [*TEXT, ("Content-Length", "1000")]), ("return", [])), method="HEAD")
        assert client.response("HEAD").header(b"content-length") == b"1000"
        assert client.get("/hello").body == b"hello\n"


@pytest.mark.parametrize("fields", [[], [("Content-Length", "5")], [("Transfer-Encoding", "chunked")]])
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([("return", [])], id="nothing"),
        pytest.param([("return", [b"hello"])], id="list"),
        pytest.param([ITERATE, ("yield", b"he"), ("yield", b"llo")], id="blocks"),
        pytest.param([("write", b"hello"), ITERATE], id="write"),
    ],
)
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body_by_status(wsgi: Server, status: str, steps: list[Any], fields: list[tuple[str, str]]) -> None:
    """RFC 9112 6.3, rule 1: a body from the application is discarded."""
    with wsgi.connect() as client:
        response = client.get(played(("start", status, fields), *steps))
        assert response.status == int(status[:3])
        assert response.header(b"transfer-encoding") is None
        if response.status == 204:
            assert response.header(b"content-length") is None  # RFC 9110 8.6
        assert client.get("/hello").body == b"hello\n"


def test_304_keeps_the_length(wsgi: Server) -> None:
    response = wsgi.get(played(("start", "304 Not Modified", [("Content-Length", "5")]), ("return", [])))
    assert response.header(b"content-length") == b"5"


@pytest.mark.parametrize(
    ("method", "status", "fields", "body"),
    [
        pytest.param("HEAD", "200 OK", TEXT, b"", id="HEAD"),
        pytest.param("GET", "204 No Content", [], b"", id="204"),
        pytest.param("GET", "304 Not Modified", [], b"", id="304"),
        pytest.param("GET", "200 OK", FIVE, b"12345", id="enough"),
    ],
)
def test_iteration_stops_when_nothing_more_is_sent(
    wsgi: Server, method: str, status: str, fields: list[tuple[str, str]], body: bytes
) -> None:
    """PEP 3333: it should stop iterating when enough data has been sent. This application would never stop."""
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        client.request(f"/endless?{quote(repr((status, fields)))}", method=method)
        assert client.response(method).body == body
        wsgi.app_log("closed", mark)
    assert wsgi.get().status == 200


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "299 What I Like", "999 \xe9\t!"])
def test_status_and_reason(wsgi: Server, status: str) -> None:
    with wsgi.connect() as client:
        client.request(played(("start", status, []), ("return", [b"body"])))
        client.exactly(len(b"HTTP/1.1 "))
        assert client.exactly(len(status) + 2) == status.encode("latin-1") + b"\r\n"
        list(client._fields())
        assert client.exactly(4) == b"body"


# --- Fields ---


def test_date_and_server(wsgi: Server) -> None:
    response = wsgi.get()
    assert response.header(b"date")
    assert response.header(b"server") == b"ianus"
    response = wsgi.get("/own-fields")
    assert response.header(b"date") == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert response.header(b"server") == b"own"


def test_fields_keep_order_repetition_and_bytes(wsgi: Server) -> None:
    fields = [("X-B", "1"), ("Set-Cookie", "a=1"), ("x-a", "\xff\t\x80 b"), ("Set-Cookie", "b=2"), ("X-Empty", "")]
    response = wsgi.get(played(("start", "200 OK", fields), ("return", [])))
    expected = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
    assert [field for field in response.headers if field in expected] == expected


def test_hop_by_hop_fields_are_dropped_and_warned_of_once(start_wsgi: Callable[..., Server]) -> None:
    """RFC 9110 7.6.1: they are about this connection, which is the server's."""
    server = start_wsgi()
    for _ in range(3):
        response = server.get("/hop-by-hop")
        assert (response.body, response.framing) == (b"hello\n", "length")
        assert response.header(b"x-kept") == b"1"
        assert {name for name, _ in response.headers}.isdisjoint(
            {b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
        )
    for name in ("proxy-connection", "transfer-encoding", "upgrade"):
        (line,) = [line for line in server.log.text.splitlines() if f"'{name}'" in line]
        assert "wsgi_apps:app" in line


def test_connection_close_of_the_application(wsgi: Server) -> None:
    with wsgi.connect() as client:
        response = client.get(played(("start", "200 OK", [("Connection", "close")]), ("return", [b"last"])))
        assert response.body == b"last"
        assert response.closing
        assert client.nothing()


# --- start_response, used and misused ---


REFUSED = {
    "twice": [OK, OK],
    "twice with None": [OK, ("start", "200 OK", TEXT, None)],
    "no headers": [("start", "200 OK")],
    "nothing": [("start",)],
    "too much": [("start", "200 OK", TEXT, None, None)],
    "status is bytes": [("start", b"200 OK", TEXT)],
    "status is a number": [("start", 200, TEXT)],
    "status is None": [("start", None, TEXT)],
    "status is empty": [("start", "", TEXT)],
    "status is text": [("start", "abc def", TEXT)],
    "status is short": [("start", "20 OK", TEXT)],
    "status is long": [("start", "2000 OK", TEXT)],
    "status is glued": [("start", "200OK", TEXT)],
    "status is signed": [("start", "+20 OK", TEXT)],
    "status starts with a space": [("start", " 200 OK", TEXT)],
    "status has foreign digits": [("start", "\u0662\u0660\u0660 OK", TEXT)],
    "status below 100": [("start", "099 OK", TEXT)],
    "status is not final": [("start", "103 Early Hints", TEXT)],
    "status switches": [("start", "101 Switching Protocols", TEXT)],
    "status splits": [("start", "200 OK\r\nSet-Cookie: evil=1", TEXT)],
    "status has LF": [("start", "200 OK\n", TEXT)],
    "status has CR": [("start", "200 O\rK", TEXT)],
    "status has NUL": [("start", "200 O\0K", TEXT)],
    "status beyond latin-1": [("start", "200 \u20ac", TEXT)],
    "headers are None": [("start", "200 OK", None)],
    "headers are a dict": [("start", "200 OK", {"X-A": "b"})],
    "headers are text": [("start", "200 OK", "X-A: b")],
    "a header is text": [("start", "200 OK", ["ab"])],
    "a header is None": [("start", "200 OK", [None])],
    "a header is one": [("start", "200 OK", [("X-A",)])],
    "a header is three": [("start", "200 OK", [("X-A", "b", "c")])],
    "name is bytes": [("start", "200 OK", [(b"X-A", "b")])],
    "name is a number": [("start", "200 OK", [(1, "b")])],
    "value is bytes": [("start", "200 OK", [("X-A", b"b")])],
    "value is a number": [("start", "200 OK", [("X-A", 1)])],
    "value is None": [("start", "200 OK", [("X-A", None)])],
    "value beyond latin-1": [("start", "200 OK", [("X-A", "\u20ac")])],
    "name beyond latin-1": [("start", "200 OK", [("X-\u20ac", "b")])],
    "length is text": [("start", "200 OK", [("Content-Length", "abc")])],
    "length is negative": [("start", "200 OK", [("Content-Length", "-1")])],
    "length is signed": [("start", "200 OK", [("Content-Length", "+5")])],
    "length is empty": [("start", "200 OK", [("Content-Length", "")])],
    "length is given twice": [("start", "200 OK", [("Content-Length", "5"), ("Content-Length", "6")])],
    "exc_info is text": [OK, ("start", "500 Oops", TEXT, "error")],
    "exc_info is True": [OK, ("start", "500 Oops", TEXT, True)],
    **{
        name: [("start", "200 OK", [(field[0].decode("latin-1"), field[1].decode("latin-1"))])]
        for name, field in INJECTIONS.items()
    },
}


@pytest.mark.parametrize("steps", REFUSED.values(), ids=REFUSED.keys())
def test_start_response_refuses(wsgi: Server, steps: list[Any]) -> None:
    """An error in the application, while it is still running; and nothing has left, so the client gets a 500."""
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        response = client.get(played(*steps, ("return", [b"hello"])))
        assert response.status == 500
        assert b"evil" not in response.body
        assert client.get("/hello").body == b"hello\n"
    assert wsgi.app_log("raised", mark).startswith("start ")


def test_start_response_after_it_refused(wsgi: Server) -> None:
    """PEP 3333: even if the first call raised, a second one needs exc_info. An error handler gives it."""
    with wsgi.connect() as client:
        response = client.get("/start-after-refusal")
        assert (response.status, response.body) == (500, b"refused twice, replaced\n")
        assert client.get("/hello").body == b"hello\n"


EMPTY = {
    "nothing": [("return", [])],
    "no start": [ITERATE],
    "block before start": [ITERATE, ("yield", b"hello")],
    "block before start, in a list": [("return", [b"hello"])],
    "start after a block": [ITERATE, ("yield", b"hello"), OK, ("yield", b"hello")],
    "None": [OK, ("return", None)],
    "a number": [OK, ("return", 5)],
    "text": [OK, ("return", "hello")],
    "text in a list": [OK, ("return", ["hello"])],
    "bytes": [OK, ("return", b"hello")],
    "numbers": [OK, ("return", [1, 2])],
    "None in a list": [OK, ("return", [None])],
    "text from an iterable": [OK, ITERATE, ("yield", "hello")],
    "None from an iterable": [OK, ITERATE, ("yield", None)],
    "empty text": [OK, ITERATE, ("yield", "")],
    "text to write": [OK, ("write", "hello")],
    "None to write": [OK, ("write", None)],
    "raised": [("raise", "LookupError")],
    "raised after start": [OK, ("raise", "LookupError")],
    "raised in the iteration": [OK, ITERATE, ("raise", "LookupError")],
    "raised after an empty block": [OK, ITERATE, ("yield", b""), ("raise", "LookupError")],
    "raised after an empty write": [OK, ("write", b""), ("raise", "LookupError")],
    "timeout": [("raise", "TimeoutError")],
    "broken pipe": [("raise", "BrokenPipeError")],
    "reset": [OK, ITERATE, ("raise", "ConnectionResetError")],
    "would block": [OK, ITERATE, ("raise", "BlockingIOError")],
    "exit": [("raise", "SystemExit")],
    "exit in the iteration": [OK, ITERATE, ("raise", "SystemExit")],
    "interrupt": [("raise", "KeyboardInterrupt")],
    "interrupt in the iteration": [OK, ITERATE, ("raise", "KeyboardInterrupt")],
    "generator exit": [("raise", "GeneratorExit")],
    "stop iteration": [("raise", "StopIteration")],
    "memory": [("raise", "MemoryError")],
}


@pytest.mark.parametrize("steps", EMPTY.values(), ids=EMPTY.keys())
def test_failure_before_anything_has_left(wsgi: Server, steps: list[Any]) -> None:
    """A plain 500, one traceback or message with the request line, and the server continues."""
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        target = played(*steps)
        response = client.get(target)
        assert response.status == 500
        assert response.body.startswith(b"500 Internal Server Error")
        assert response.header(b"content-type") == b"text/plain; charset=utf-8"
        assert client.get("/hello").body == b"hello\n"
    wsgi.log.wait_for(r"ERROR .*GET /play", mark)


INSIDE = {
    "raised": [("raise", "LookupError")],
    "exit": [("raise", "SystemExit")],
    "interrupt": [("raise", "KeyboardInterrupt")],
    "generator exit": [("raise", "GeneratorExit")],
    "reset": [("raise", "ConnectionResetError")],
    "text": [("yield", "text")],
    "None": [("yield", None)],
    "start again": [OK],
    "start again with exc_info": [("start", "500 Oops", TEXT, "exc_info")],
}


@pytest.mark.parametrize("steps", INSIDE.values(), ids=INSIDE.keys())
@pytest.mark.parametrize(
    "first_steps", [[OK, ITERATE, ("yield", b"half")], [OK, ("write", b"half"), ITERATE]], ids=["block", "write"]
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_failure_inside_the_body(wsgi: Server, first_steps: list[Any], steps: list[Any], version: str) -> None:
    """A truncated body is recognisable: if the head was sent, the response is aborted; the iterable is closed."""
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        client.request(played(*first_steps, *steps, ("yield", b"more")), b"Connection: close", version=version)
        _broken(client)
    wsgi.app_log("closed", mark)
    wsgi.log.wait_for(r"ERROR .*GET /play", mark)
    assert wsgi.get().status == 200


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_failure_when_a_part_has_arrived(wsgi: Server, version: str) -> None:
    """The connection closes without an end of the body; if only the close ends one (1.0), it is reset."""
    with wsgi.connect() as client:
        name = f"arrived{version}{time.monotonic_ns()}"
        steps = (OK, ITERATE, ("yield", b"half"), ("wait", name), ("raise", "LookupError"))
        client.request(played(*steps), version=version)
        assert client.head()[1] == 200
        assert client.exactly(4 if version == "1.0" else 9).strip(b"\r\n4").startswith(b"half")
        assert wsgi.get(f"/open?{name}").status == 200
        if version == "1.0":
            with pytest.raises(ConnectionResetError):
                client.rest()
        else:
            assert client.rest() == b""


def _broken(client: Client) -> None:
    """Asserts that a response starts and is aborted, or is a whole 500 because nothing of it was sent."""
    try:
        data = client.rest()
    except ConnectionResetError:
        return
    if data.startswith(b"HTTP/1.1 500 "):
        assert data.endswith(b"500 Internal Server Error\n")
    else:
        assert data.endswith(b"\r\n\r\n4\r\nhalf\r\n")
    assert data.count(b"HTTP/1.1") == 1


def test_exc_info_replaces_an_unsent_head(wsgi: Server) -> None:
    """PEP 3333: thus allowing the application to "change its mind"."""
    first = ("start", "200 OK", [("Content-Length", "100"), ("X-Lost", "1"), ("Connection", "close")])
    second = ("start", "500 Oops", [*TEXT, ("X-Kept", "1")], "exc_info")
    for steps in (
        [first, second, ("return", [b"oops"])],
        [first, ITERATE, ("yield", b""), second, ("yield", b"oops")],
        [first, second, second, ITERATE, ("yield", b"oops")],
        [first, second, ("write", b"oops"), ITERATE],
        [second, ("return", [b"oops"])],
    ):
        with wsgi.connect() as client:
            response = client.get(played(*steps))
            assert (response.status, response.reason, response.body) == (500, "Oops", b"oops")
            assert response.header(b"x-lost") is None
            assert response.header(b"x-kept") == b"1"
            assert client.get("/hello").body == b"hello\n"


def test_exc_info_is_raised_again_when_the_head_has_left(wsgi: Server) -> None:
    """PEP 3333: it must raise an error, and should use the exc_info tuple."""
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        steps = (OK, ITERATE, ("yield", b"half"), ("start", "500 Oops", TEXT, "exc_info"))
        client.request(played(*steps), b"Connection: close")
        _broken(client)
    assert wsgi.app_log("raised", mark) == "start LookupError: raised on purpose"


def test_exc_info_is_not_kept(wsgi: Server) -> None:
    """PEP 3333: no reference is held beyond the call, which would be a circle through all frames."""
    for _ in range(3):
        assert wsgi.get("/exc-info").body == b"oops\n"
        assert wsgi.get("/witness").body == b"released"


# --- Declared lengths ---


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([("return", [b"hello!"])], id="too much at once"),
        pytest.param([("return", [b"hello", b"!"])], id="too much at last"),
        pytest.param([ITERATE, ("yield", b"hel"), ("yield", b"lo!"), ("yield", b"!")], id="too much in pieces"),
        pytest.param([("write", b"hello!"), ITERATE], id="too much written"),
        pytest.param([("write", b"hello"), ("write", b"!"), ITERATE], id="too much written after the end"),
        pytest.param([("return", [b"hell"])], id="too little at once"),
        pytest.param([ITERATE, ("yield", b"hell")], id="too little in pieces"),
        pytest.param([("write", b"hell"), ITERATE], id="too little written"),
        pytest.param([("return", [])], id="nothing"),
    ],
)
def test_body_of_another_length_than_declared(wsgi: Server, steps: list[Any]) -> None:
    """Nothing is taken for something else: either the declared bytes arrive, or the body breaks off."""
    with wsgi.connect() as client:
        client.request(played(("start", "200 OK", FIVE), *steps))
        client.request("/target?next", b"Connection: close")
        data = client.rest()
    head, _, rest = data.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 200"):
        assert rest == b"hell"[: len(rest)] or rest[:5] == b"hello"
        assert rest[5:].startswith(b"HTTP/1.1 200") or rest[5:] == b""
    else:
        assert head.startswith(b"HTTP/1.1 500")
    assert wsgi.get().status == 200


def test_too_little_is_an_error_of_the_application(wsgi: Server) -> None:
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        client.request(played(("start", "200 OK", FIVE), ITERATE, ("yield", b"hell")), b"Connection: close")
        data = client.rest()
    assert data.partition(b"\r\n\r\n")[2] == b"hell" or data.startswith(b"HTTP/1.1 500 ")
    wsgi.log.wait_for(r"ERROR .*GET /play", mark)


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_iterable_that_lies_about_its_length(wsgi: Server, length: int) -> None:
    """PEP 3333 lets the server rely on it; nothing may be taken for something else all the same."""
    with wsgi.connect() as client:
        client.request(f"/liar?{length}")
        client.request("/target?next", b"Connection: close")
        data = client.rest()
    assert data.count(b"HTTP/1.1 ") <= 2
    body = data.partition(b"\r\n\r\n")[2]
    assert body.startswith(
        (b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP", b"onetwoHTTP", b"oneHTTP", b"500 Internal")
    ) or body in (
        b"one",
        b"3\r\none\r\n",
        b"",
    )


def test_iterable_of_old(wsgi: Server) -> None:
    assert wsgi.get("/sequence").body == b"zeroone"


# --- close() ---


CLOSED = {
    "whole": [OK, ITERATE, ("yield", b"body")],
    "empty": [OK, ITERATE],
    "raised before": [OK, ITERATE, ("raise", "LookupError")],
    "raised inside": [OK, ITERATE, ("yield", b"body"), ("raise", "LookupError")],
    "exit": [OK, ITERATE, ("raise", "SystemExit")],
    "wrong type": [OK, ITERATE, ("yield", 1)],
    "no start": [ITERATE, ("yield", b"body")],
    "too much": [("start", "200 OK", [("Content-Length", "1")]), ITERATE, ("yield", b"body")],
    "no body allowed": [("start", "204 No Content", []), ITERATE, ("yield", b"body")],
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("steps", CLOSED.values(), ids=CLOSED.keys())
def test_iterable_is_closed_once(wsgi: Server, steps: list[Any], method: str) -> None:
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        client.request(played(*steps), b"Connection: close", method=method)
        client.gone()
    wsgi.app_log("closed", mark)
    assert wsgi.get().status == 200
    assert wsgi.log.since(mark).count("app: closed") == 1


def test_iterable_is_closed_that_cannot_be_iterated(wsgi: Server) -> None:
    mark = wsgi.log.mark()
    assert wsgi.get("/without-iterator").status == 500
    wsgi.app_log("closed", mark)


@pytest.mark.parametrize("error", ["LookupError", "SystemExit", "KeyboardInterrupt"])
def test_close_that_raises(wsgi: Server, error: str) -> None:
    """It is logged; the client has its answer and keeps its connection."""
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        response = client.get(played(OK, ("at close", ("raise", error)), ITERATE, ("yield", b"body")))
        assert response.body == b"body"
        assert client.get("/hello").body == b"hello\n"
    wsgi.log.wait_for(rf"{error}.*raised on purpose", mark)


@pytest.mark.parametrize("step", [("write", b"evil"), ("start", "500 EVIL", []), ("start", "500 EVIL", [], "exc_info")])
@pytest.mark.parametrize("blocks", [[], [("yield", b"body")]], ids=["empty", "body"])
def test_close_that_continues_the_response(wsgi: Server, blocks: list[Any], step: Any) -> None:
    """The server may accept or refuse it, but nothing of it may be in the next response."""
    with wsgi.connect() as client:
        client.request(played(OK, ("write", b"a"), ("at close", step), ITERATE, *blocks))
        client.request("/target?next", b"Connection: close")
        data = client.rest()
    assert b"EVIL" not in data
    if b"next" in data:
        assert b"evil" not in data.partition(b"0\r\n\r\n")[2]
    assert wsgi.get().status == 200


# --- Objects that applications keep, change and share ---


def test_application_changes_its_arguments_and_its_response(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi()
    response = server.get("/mutate", b"Referer: sent")
    assert response.body == b"hello"
    assert response.header(b"x-first") == b"1"
    server.stop()
    assert server.output is not None
    assert '"GET /mutate HTTP/1.1" 200 5 "sent"' in server.output.text


def test_application_keeps_objects_of_a_request(shared_wsgi: Callable[..., Server]) -> None:
    """No client gets any of it, and nothing crashes."""
    wsgi = shared_wsgi("--early-hints")
    with wsgi.connect() as client, wsgi.connect() as other:
        assert client.post("/keep", b"body").body == b"kept"
        other.request("/wait?kept")
        wsgi.log.wait_for("waiting: kept")
        response = client.get("/use-kept")
        assert response.status == 200
        told = dict(line.split(": ") for line in response.body.decode().splitlines())
        assert told["start_response"] != "done"
        assert told["restart"] != "done"
        assert wsgi.get("/open?kept").status == 200
        assert other.response().body == b"waited\n"
        assert client.get("/hello").body == b"hello\n"


def test_application_writes_in_a_thread_of_its_own(wsgi: Server) -> None:
    with wsgi.connect() as client:
        assert client.get("/write-in-thread?40").body == bytes(40 * 65536) + b"end"
        assert client.get("/hello").body == b"hello\n"


def test_write_inside_the_iteration(wsgi: Server) -> None:
    """PEP 3333 forbids it; it may work or be refused."""
    with wsgi.connect() as client:
        client.request(played(OK, ITERATE, ("yield", b"one"), ("write", b"two"), ("yield", b"three")))
        client.request("/target?next", b"Connection: close")
        data = client.rest()
    whole = b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\nHTTP/1.1"
    assert whole in data or data.endswith(b"3\r\none\r\n")


# --- wsgi.early_hints ---


@pytest.fixture
def hinting(shared_wsgi: Callable[..., Server]) -> Server:
    return shared_wsgi("--early-hints")


def test_no_early_hints_unless_the_operator_wants_them(wsgi: Server) -> None:
    with wsgi.connect() as client:
        assert client.get("/hints").body == b"not hinted\n"


def test_early_hints(hinting: Server) -> None:
    """RFC 8297: 103 with Link fields, before the response."""
    with hinting.connect() as client:
        client.request("/hints")
        hints = []
        while (response := client.response()).status == 103:
            hints += [value for name, value in response.headers if name == b"link"]
        assert hints[:3] == [b"</one.css>; rel=preload", b"</two.css>; rel=preload", b"</three.js>; rel=preload"]
        assert (response.status, response.body) == (200, b"hinted\n")
        assert client.get("/hello").body == b"hello\n"


def test_no_early_hints_for_1_0(hinting: Server) -> None:
    """RFC 9110 15.2: no interim responses to a client of 1.0."""
    with hinting.connect() as client:
        assert client.get("/hints", version="1.0").body == b"not hinted\n"


@pytest.mark.parametrize("hints", [None, [("Link", "a\r\nb: c")], [("Link", b"a")], [("Link\n", "a")], ["Link"], [1]])
def test_hints_that_are_refused(hinting: Server, hints: object) -> None:
    with hinting.connect() as client:
        assert client.get(f"/bad-hint?{quote(repr(hints), safe='')}").status == 500
        assert client.get("/hello").body == b"hello\n"
