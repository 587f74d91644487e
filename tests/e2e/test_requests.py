"""The scope of a request, request bodies, and the server's own error responses."""

import json
from ast import literal_eval
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers import Client, Server, measures_memory, until


def scope_of(client: Client, *request: bytes) -> dict[str, Any]:
    """The scope of a request of these lines."""
    client.send(b"\r\n".join([*request, b"", b""]))
    return {name: literal_eval(value) for name, value in json.loads(client.response().body).items()}


# --- The scope ---


@pytest.mark.plain
def test_scope(server: Server) -> None:
    with server.connect() as client:
        scope = scope_of(client, b"GET /scope?a=%41&b HTTP/1.1", b"Host: test:80", b"X-B: 1", b"x-a:2")
        assert scope == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/scope",
            "raw_path": b"/scope",
            "query_string": b"a=%41&b",
            "root_path": "",
            "headers": [(b"host", b"test:80"), (b"x-b", b"1"), (b"x-a", b"2")],
            "client": client.sock.getsockname(),
            "server": server.address,
            "state": {"given": "by lifespan"},
            "extensions": {"http.response.trailers": {}},
        }


FILES: dict[str, object] = {"http.response.pathsend": {}, "http.response.zerocopysend": {}}
HINTS: dict[str, object] = {"http.response.early_hint": {}}


@pytest.mark.plain
@pytest.mark.parametrize(
    ("options", "extensions", "extensions_1_0"),
    [
        (["--no-sendfile"], {}, {}),
        (["--asgi-sendfile"], FILES, FILES),
        (["--early-hints"], HINTS, {}),
        (["--early-hints", "--asgi-sendfile"], FILES | HINTS, FILES),
    ],
)
def test_scope_of_requests_with_other_methods_and_versions(
    shared: Callable[..., Server],
    options: list[str],
    extensions: dict[str, object],
    extensions_1_0: dict[str, object],
) -> None:
    """RFC 9110 15.2 and RFC 9112 7.1: 1.0 has no interim responses and no chunks."""
    with shared(*options).connect() as client:
        scope = scope_of(client, b"GET /scope HTTP/1.1", b"Host: test")
        assert scope["extensions"] == {"http.response.trailers": {}} | extensions
        assert scope_of(client, b"GET /scope HTTP/1.0")["extensions"] == extensions_1_0


@pytest.mark.plain
def test_scope_of_an_absolute_target(server: Server) -> None:
    """RFC 9112 3.2.2: its host counts, its scheme does not."""
    with server.connect() as client:
        scope = scope_of(client, b"GET https://other:1/scope HTTP/1.1", b"Host: test")
    assert (scope["scheme"], scope["path"], scope["raw_path"]) == ("http", "/scope", b"/scope")
    assert scope["headers"] == [(b"host", b"other:1")]


def test_scope_of_an_encoded_path(server: Server) -> None:
    with server.connect() as client:
        scope = scope_of(client, b"GET /%73cope HTTP/1.0")
    assert (scope["path"], scope["raw_path"], scope["http_version"]) == ("/scope", b"/%73cope", "1.0")


def test_scope_of_the_asterisk(shared: Callable[..., Server], server: Server) -> None:
    """ "*" is not a path, so the root path is not put before it."""
    for each in (server, shared("--root-path", "/api")):
        with each.connect() as client:
            scope = scope_of(client, b"OPTIONS * HTTP/1.1", b"Host: test")
        assert (scope["method"], scope["path"], scope["raw_path"]) == ("OPTIONS", "*", b"*")


def test_scope_of_a_root_path(shared: Callable[..., Server]) -> None:
    """ASGI HTTP: the path includes the prefix that the proxy has stripped; the raw path is the one in the request."""
    with shared("--root-path", "/api").connect() as client:
        scope = scope_of(client, b"GET /scope HTTP/1.1", b"Host: test")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/api", "/api/scope", b"/scope")


def test_upgrade_is_ignored(server: Server) -> None:
    """h2c, and all other protocols that are not supported (RFC 9110 7.8)."""
    with server.connect() as client:
        fields = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"]
        assert client.get("/hello", *fields).status == 200
        assert client.get("/hello").status == 200


# --- Bodies ---


def test_body(server: Server) -> None:
    body = bytes(range(256)) * 100
    with server.connect() as client:
        assert client.post("/echo", body).body == body


@pytest.mark.parametrize("path", ["/echo", "/size"])
def test_large_body(server: Server, path: str) -> None:
    body = b"0123456789abcdef" * 300_000
    with server.connect() as client:
        answer = client.post(path, body).body
        assert answer == (body if path == "/echo" else b"%d" % len(body))
        assert client.get("/hello").body == b"hello\n"


def test_chunked_body(server: Server) -> None:
    with server.connect() as client:
        client.request("/echo", b"Transfer-Encoding: chunked", method="POST")
        for data in (b"5\r\nhello\r\n", b"1;ext=1\r\n \r\n", b"5\r\nworld\r\n0\r\nX-Trailer: 1\r\n\r\n"):
            client.send(data)
        assert client.response().body == b"hello world"


def test_messages_of_a_body(server: Server) -> None:
    """Each piece is passed to the application when it arrives; the last one is marked as the last."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/messages", b"Content-Length: 6", method="POST")
        client.send(b"abc")
        server.log.wait_for("message: .*b'abc'.*'more_body', True", mark)
        client.send(b"def")
        server.log.wait_for("message: .*b'def'.*'more_body', False", mark)
        assert client.response().body == b"told\n"


def test_messages_without_a_body(server: Server) -> None:
    mark = server.log.mark()
    assert server.get("/messages").body == b"told\n"
    assert server.app_log("message", mark) == repr([("body", b""), ("more_body", False), ("type", "http.request")])


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_truncated_body_is_a_disconnect(server: Server, framing: bytes) -> None:
    """RFC 9112 8, benoitc/gunicorn#3382: never the end of a body, and no news for the log of errors."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/messages", framing, method="POST")
        client.send(b"5\r\nhel")
        server.app_log("message", mark)
        client.finish()
        server.log.wait_for("^app: message: .*http.disconnect", mark)
        client.gone()
    assert "'more_body', False" not in server.log.since(mark)
    assert "Traceback" not in server.log.since(mark)


def test_truncated_body_in_a_framework(server: Server) -> None:
    """The framework raises an exception of its own from it, which is not logged as an error."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/echo", b"Content-Length: 10", method="POST")
        client.send(b"half")
        client.finish()
        client.gone()
    server.log.wait_for("POST /echo", mark)
    assert "Traceback" not in server.log.since(mark)


def test_broken_chunk_is_a_disconnect_and_a_400(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/messages", b"Transfer-Encoding: chunked", method="POST")
        client.send(b"5\r\nhello\r\n")
        server.log.wait_for("^app: message: .*b'hello'", mark)
        client.send(b"x\r\n" + b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.response().status == 400
        assert client.nothing()
    server.log.wait_for("^app: message: .*http.disconnect", mark)
    assert "'more_body', False" not in server.log.since(mark)


def test_refused_body_in_a_framework(shared: Callable[..., Server]) -> None:
    """Here too: a client's mistake is not an error of the application, whichever exception it raises from it."""
    server = shared("--max-request-body-size", "1000")
    for rest, status in ((b"x\r\n", 400), (b"3e8\r\n", 413)):
        mark = server.log.mark()
        with server.connect() as client:
            client.request("/echo", b"Transfer-Encoding: chunked", method="POST")
            client.send(b"5\r\nhello\r\n")
            assert server.get("/hello").status == 200  # by now the application waits for the rest
            client.send(rest)
            assert client.response().status == status
            assert client.nothing()
        server.log.wait_for("POST /echo", mark)
        assert "Traceback" not in server.log.since(mark)
        assert "ERROR" not in server.log.since(mark)


@measures_memory
def test_body_is_not_read_before_the_application_reads_it(server: Server) -> None:
    """Back-pressure: a client cannot fill the memory of a server whose application is busy elsewhere."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/wait?unread-body", b"Content-Length: 100000000", method="POST")
        server.app_log("waiting", mark)
        before = server.resident()
        client.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.send(b"x" * 100_000_000)
        assert server.resident() - before < 4_000_000
        server.get("/open?unread-body")


def test_small_unread_body_is_drained(server: Server) -> None:
    """Up to 64 KiB: then the connection stays open."""
    with server.connect() as client:
        for size in (1, 1000, 60_000):
            assert client.post("/ignore", b"x" * size).body == b"ignored\n"
        assert client.get("/hello").body == b"hello\n"


def test_unread_body_that_arrives_after_the_answer_is_drained(server: Server) -> None:
    with server.connect() as client:
        client.request("/ignore", b"Content-Length: 1000", method="POST")
        assert client.response().body == b"ignored\n"
        client.send(b"x" * 1000)
        assert client.get("/hello").body == b"hello\n"


def test_large_unread_body_closes_the_connection(server: Server) -> None:
    """The answer arrives all the same; nothing of the body is taken for a request."""
    with server.connect() as client:
        smuggled = b"GET /target?smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
        client.request("/ignore", b"Content-Length: 10000000", method="POST")
        client.send(smuggled * (200_000 // len(smuggled)))
        assert client.response().body == b"ignored\n"
        assert client.nothing()


def test_broken_rest_of_an_unread_body(server: Server) -> None:
    """No error response can follow a complete response, but the connection must be closed."""
    with server.connect() as client:
        client.request("/ignore", b"Transfer-Encoding: chunked", method="POST")
        assert client.response().body == b"ignored\n"
        client.send(b"x\r\nGET /target?smuggled HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.nothing()


@pytest.mark.parametrize("method", ["get", "Post", "delete", "propFind"])
def test_method_of_the_scope_is_in_upper_case(server: Server, method: str) -> None:
    """By ASGI; the response is framed by the method that was sent."""
    with server.connect() as client:
        assert scope_of(client, f"{method} /scope HTTP/1.1".encode(), b"Host: test")["method"] == method.upper()
        client.request("/hello", method="head")
        assert client.response().body == b"hello\n"


def test_method_of_a_hundred_kilobytes(server: Server) -> None:
    with server.connect() as client:
        client.send(b"A" * 100_000 + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response().status == 501


# --- Expect: 100-continue (RFC 9110 10.1.1) ---


@pytest.mark.parametrize(
    "fields",
    [(b"Expect: 100-continue",) * 2, (b"Expect: 100-continue, 100-continue",), (b"Expect:", b"Expect: 100-continue")],
)
def test_expect_continue_as_a_list(server: Server, fields: tuple[bytes, ...]) -> None:
    with server.connect() as client:
        client.request("/echo", *fields, b"Content-Length: 5", method="POST")
        assert client.response().status == 100
        client.send(b"hello")
        assert client.response().body == b"hello"


def test_expect_continue(server: Server) -> None:
    """100 when the application asks for the body, and not a second one."""
    with server.connect() as client:
        for _ in range(2):
            client.request("/echo", b"Expect: 100-Continue", b"Content-Length: 5", method="POST")
            interim = client.response()
            assert (interim.status, interim.reason, interim.headers) == (100, "Continue", [])
            client.send(b"hello")
            assert client.response().body == b"hello"


def test_expect_continue_waits_for_the_application(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/wait?expect", b"Expect: 100-continue", b"Content-Length: 5", method="POST")
        server.app_log("waiting", mark)
        assert client.silent()
        server.get("/open?expect")
        assert client.response().body == b"waited\n"  # it never asked


def test_expect_continue_of_a_client_that_does_not_wait(server: Server) -> None:
    with server.connect() as client:
        client.request("/echo", b"Expect: 100-continue", b"Content-Length: 5", method="POST")
        client.send(b"hello")
        response = client.response()
        if response.status == 100:  # a server MAY omit it here
            response = client.response()
        assert response.body == b"hello"
        assert client.get("/hello").body == b"hello\n"


def test_expect_continue_in_1_0(server: Server) -> None:
    with server.connect() as client:
        client.request("/echo", b"Expect: 100-continue", b"Content-Length: 5", method="POST", version="1.0")
        client.send(b"hello")
        assert client.response().body == b"hello"


def test_expect_continue_without_a_body(server: Server) -> None:
    assert server.get("/echo", b"Expect: 100-continue").status == 200


def test_expect_continue_of_a_body_that_is_not_read(server: Server) -> None:
    """The final response is sent at once; a body that is sent all the same is not read as a request."""
    with server.connect() as client:
        client.request("/ignore", b"Expect: 100-continue", b"Content-Length: 46", method="POST")
        response = client.response()
        assert response.body == b"ignored\n"
        client.send(b"GET /target?smuggled HTTP/1.1\r\nHost: test\r\n\r\n\r\n")
        if not response.closing:
            assert client.get("/target?next").body == b"next"
        else:
            client.gone()


def test_other_expectation(server: Server) -> None:
    with server.connect() as client:
        client.request("/echo", b"Expect: miracles", b"Content-Length: 5", method="POST")
        assert client.response().status == 417
        assert client.nothing()


# --- Answers in place of the application ---


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\nb\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 20_000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 200, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_error_answer(server: Server, data: bytes, status: int) -> None:
    """The client gets a whole response that names the error, and the connection is closed in order."""
    with server.connect() as client:
        client.send(data)
        response = client.response()
        assert response.status == status
        assert response.closing
        assert response.header(b"content-type") == b"text/plain; charset=utf-8"
        assert response.body.startswith(f"{status} {response.reason}: ".encode())
        assert client.nothing()


def test_error_answer_does_not_repeat_the_request(server: Server) -> None:
    """No stage for scripts."""
    with server.connect() as client:
        client.send(b"GET /<script>\xff HTTP/1.1\r\nHost: <script>\r\n\r\n")
        assert b"script" not in client.rest()


@pytest.mark.parametrize("size", [1_000, 200_000])
def test_error_answer_reaches_a_client_that_still_sends(server: Server, size: int) -> None:
    """RFC 9112 9.6: unread data would make the kernel reset the connection, and the answer would be lost."""
    with server.connect() as client:
        client.send(b"nonsense\r\n\r\n" + b"x" * size)
        assert client.response().status == 400
        assert client.nothing()


def test_error_answer_reaches_a_client_that_sends_on(server: Server) -> None:
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000000\r\n\r\n")
        for _ in range(10):
            client.send(b"x" * 10_000)
        assert client.response().status == 413
        assert client.nothing()


def test_a_client_that_is_silent_after_an_error(shared: Callable[..., Server]) -> None:
    """It does not close its side. After 5 s, or the time that a body has, the server closes the connection."""
    server = shared("--timeout-request-body", "0.5")
    files = server.open_files()
    with server.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.response().status == 400
        assert client.nothing()
        until(lambda: server.open_files() <= files, "the connection to be closed")


def test_request_body_over_the_limit(shared: Callable[..., Server]) -> None:
    """413 before 100 (Continue); the log names the setting."""
    server = shared("--max-request-body-size", "1000")
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/echo", b"Content-Length: 1001", b"Expect: 100-continue", method="POST")
        assert client.response().status == 413
        assert client.nothing()
    assert "max-request-body-size" in server.log.wait_for(r"\b413\b.*", mark)[0]


def test_chunked_request_body_over_the_limit(shared: Callable[..., Server]) -> None:
    server = shared("--max-request-body-size", "1000")
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/messages", b"Transfer-Encoding: chunked", method="POST")
        client.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        server.app_log("message", mark)
        client.send(b"1\r\nx\r\n0\r\n\r\n")
        assert client.response().status == 413
        assert client.nothing()
    assert "'more_body', False" not in server.log.since(mark)
    assert "max-request-body-size" in server.log.wait_for(r"\b413\b.*", mark)[0]


def test_limits_of_the_head_are_settings(shared: Callable[..., Server]) -> None:
    options = ["--limit-request-line", "100", "--limit-request-field-size", "100"]
    server = shared(*options, "--limit-request-fields-size", "300", "--limit-request-fields", "5")
    assert server.get("/hello", b"A: b").status == 200
    assert server.get("/hello?" + "a" * 100).status == 414
    assert server.get("/hello", b"A: " + b"b" * 100).status == 431
    assert server.get("/hello", *[b"A: " + b"b" * 90] * 3).status == 431
    assert server.get("/hello", *[b"A: b"] * 5).status == 431


def test_error_answers_are_logged(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
        client.response()
        host, port = client.sock.getsockname()
    assert "Host" in server.log.wait_for(rf"rejected request: status 400, client {host}:{port}: (.*)", mark)[1]


def test_receive_and_send_are_coroutine_functions(server: Server) -> None:
    """Else asgiref's async_to_sync() warns of them, in every synchronous consumer of Channels."""
    assert server.get("/coroutine-functions").body == b"[[True, True], [True, True]]"


def test_awaiting_the_same_receive_or_send_twice_is_an_error(server: Server) -> None:
    """As with a coroutine; it waited for ever, or did nothing without a word."""
    assert server.get("/await-twice").body.decode().splitlines() == [
        "cannot reuse already awaited receive()",
        "cannot reuse already awaited send()",
        "receive() is being awaited already",
        "cannot reuse already awaited receive()",
    ]
