"""The opening handshake of a WebSocket: accepted and refused requests, and the application's messages."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.websocket_client import BINARY, HANDSHAKE, KEY, TEXT, WebSocket, close, frame, open_websocket, text
from tests.helpers import Response, Server

APP = "websocket_apps:app"


@pytest.fixture
def server(shared: Callable[..., Server]) -> Server:
    return shared(app=APP)


def handshake(server: Server, path: str, *fields: bytes, **how: Any) -> Response:
    """The answer to a handshake that is not accepted."""
    with server.connect() as client:
        client.request(path, *fields, **how)
        return client.response(how.get("method", "GET"))


def replaced(name: bytes, *values: bytes) -> list[bytes]:
    """The handshake with other lines of one field."""
    return [line for line in HANDSHAKE if not line.startswith(name)] + [name + b": " + value for value in values]


# --- Accepted ---


@pytest.mark.plain
def test_the_scope(server: Server) -> None:
    with open_websocket(server, "/scope?a=%20b", b"Sec-WebSocket-Protocol: chat, superchat") as client:
        opcode, payload = client.frame()
        assert opcode == TEXT
        scope = json.loads(payload)
        client.send(close(1000))
        assert client.closed() == (1000, "")
        assert client.nothing()
    assert scope["type"] == "websocket"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert (scope["scheme"], scope["http_version"]) == ("ws", "1.1")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/scope", "/scope", "a=%20b")
    assert scope["root_path"] == ""
    assert scope["subprotocols"] == ["chat", "superchat"]
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert "method" not in scope


def test_accepting_with_subprotocol_and_headers(server: Server) -> None:
    path = "/accept?subprotocol=b&header=x-one=1&header=set-cookie=c"
    with open_websocket(server, path, b"Sec-WebSocket-Protocol: a, b") as client:
        assert client.fields[b"sec-websocket-protocol"] == b"b"
        assert client.fields[b"x-one"] == b"1"
        assert client.fields[b"set-cookie"] == b"c"
        assert b"sec-websocket-extensions" not in client.fields


def test_accepting_without_anything(server: Server) -> None:
    with open_websocket(server, "/accept", b"Sec-WebSocket-Protocol: a, b") as client:
        assert b"sec-websocket-protocol" not in client.fields


@pytest.mark.parametrize(
    "query",
    [
        "subprotocol=c",
        "header=sec-websocket-accept=x",
        "header=Sec-WebSocket-Protocol=a",
        "header=content-length=0",
        "header=x=a%0D%0Ab",
        "header=x%20y=1",
    ],
)
def test_an_invalid_accept_message_is_an_error_of_the_application(server: Server, query: str) -> None:
    mark = server.log.mark()
    answer = handshake(server, f"/accept?{query}", *HANDSHAKE, b"Sec-WebSocket-Protocol: a, b")
    assert answer.status == 403
    assert server.app_log("refused", mark).startswith("ValueError: ")


def test_names_in_other_cases_and_other_tokens_beside(server: Server) -> None:
    fields = [b"upgrade: h2c, WebSocket", b"connection: keep-alive, upgrade", *HANDSHAKE[2:]]
    with WebSocket(server.address) as client:
        client.request("/echo", *fields)
        client.accepted()
        client.echo()


def test_frames_sent_right_after_the_handshake_are_not_lost(server: Server) -> None:
    with WebSocket(server.address) as client:
        lines = [b"GET /echo HTTP/1.1", b"Host: test", *HANDSHAKE, b"", b""]
        client.send(b"\r\n".join(lines) + text("early") + frame(BINARY, b"bird"))
        client.accepted()
        assert client.frame() == (TEXT, b"early")
        assert client.frame() == (BINARY, b"bird")


def test_upgrade_after_other_requests_of_the_connection(server: Server) -> None:
    with WebSocket(server.address) as client:
        assert client.get("/hello").body == b"hello\n"
        client.shake_hands("/echo")
        client.echo()


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (b"permessage-deflate; client_max_window_bits", b"permessage-deflate; client_max_window_bits=12"),
        (b"permessage-deflate; server_max_window_bits=8", None),
        (b"x-unknown", None),
    ],
)
def test_compression(server: Server, offer: bytes, answer: bytes | None) -> None:
    with open_websocket(server, "/echo", b"Sec-WebSocket-Extensions: " + offer) as client:
        assert client.fields.get(b"sec-websocket-extensions") == answer
        client.echo()


def test_compression_that_is_switched_off(shared: Callable[..., Server]) -> None:
    server = shared("--no-ws-per-message-deflate", app=APP)
    with open_websocket(server, "/echo", b"Sec-WebSocket-Extensions: permessage-deflate") as client:
        assert b"sec-websocket-extensions" not in client.fields
        client.echo("x" * 1000)


# --- Refused ---


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (426, replaced(b"Sec-WebSocket-Version")),
        (426, replaced(b"Sec-WebSocket-Version", b"8")),
        (426, replaced(b"Sec-WebSocket-Version", b"13", b"13")),
        (400, replaced(b"Sec-WebSocket-Key")),
        (400, replaced(b"Sec-WebSocket-Key", b"short")),
        (400, replaced(b"Sec-WebSocket-Key", KEY, KEY)),
        (400, [*HANDSHAKE, b"Sec-WebSocket-Protocol: caf\xc3\xa9"]),
        (400, [*HANDSHAKE, b"Sec-WebSocket-Extensions: permessage-deflate; ="]),
    ],
)
def test_a_handshake_that_is_wrong(server: Server, status: int, fields: list[bytes]) -> None:
    answer = handshake(server, "/echo", *fields)
    assert answer.status == status
    assert answer.header(b"sec-websocket-version") == (b"13" if status == 426 else None)
    with open_websocket(server) as client:
        client.echo()


def test_another_method(server: Server) -> None:
    answer = handshake(server, "/echo", *HANDSHAKE, method="POST")
    assert answer.status == 405
    assert answer.header(b"allow") == b"GET"


@pytest.mark.parametrize("field", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_body(server: Server, field: bytes) -> None:
    answer = handshake(server, "/echo", *HANDSHAKE, field)
    assert answer.status == 400
    assert answer.closing


@pytest.mark.parametrize("fields", [replaced(b"Upgrade"), replaced(b"Upgrade", b"h2c"), replaced(b"Connection")])
def test_a_request_without_a_valid_upgrade_is_plain_http(server: Server, fields: list[bytes]) -> None:
    assert handshake(server, "/hello", *fields).body == b"hello\n"


@pytest.mark.parametrize("fields", [HANDSHAKE, replaced(b"Upgrade"), replaced(b"Connection", b"close")])
def test_a_handshake_over_http_1_0_is_refused_and_the_log_names_the_setting(
    server: Server, fields: list[bytes]
) -> None:
    """The request is from a proxy without a configuration for WebSockets."""
    mark = server.log.mark()
    answer = handshake(server, "/hello?a", *fields, version="1.0")
    assert (answer.status, answer.closing) == (400, True)
    assert b"WebSocket handshake over HTTP/1.0" in answer.body
    server.log.wait_for(
        r" WARNING WebSocket handshake over HTTP/1\.0: .*proxy_http_version 1\.1.*: GET /hello\?a$", mark
    )


def test_a_plain_request_over_http_1_0_is_served(server: Server) -> None:
    fields = [b"Upgrade: websocket", b"Connection: upgrade"]
    assert handshake(server, "/hello", *fields, version="1.0").body == b"hello\n"


def test_a_handshake_whose_upgrade_a_proxy_has_removed_is_logged(server: Server) -> None:
    mark = server.log.mark()
    assert handshake(server, "/hello?b", *replaced(b"Upgrade")).body == b"hello\n"
    server.log.wait_for(r" WARNING WebSocket handshake without an upgrade.*proxy_set_header.*: GET /hello\?b$", mark)


def test_with_websockets_disabled_a_handshake_is_plain_http(shared: Callable[..., Server]) -> None:
    assert handshake(shared("--ws", "none", app=APP), "/hello", *HANDSHAKE).body == b"hello\n"


def test_for_a_wsgi_application_it_is_a_request(shared: Callable[..., Server]) -> None:
    answer = handshake(shared(app="wsgi_apps:app"), "/hello", *HANDSHAKE)
    assert (answer.status, answer.body) == (200, b"hello\n")


def test_one_too_many(shared: Callable[..., Server]) -> None:
    server = shared("--limit-websockets", "1", app=APP)
    mark = server.log.mark()
    with open_websocket(server, "/echo?first") as client:
        answer = handshake(server, "/echo", *HANDSHAKE)
        assert answer.status == 503
        assert answer.header(b"retry-after") is not None
        assert server.get().body == b"hello\n"
        client.send(close(1000))
        server.app_log("end of first", mark)
        assert client.closed() == (1000, "")
        assert client.nothing()
    with open_websocket(server) as client:
        client.echo()


# --- Not accepted by the application ---


def test_closing_before_accepting(server: Server) -> None:
    assert handshake(server, "/refuse", *HANDSHAKE).status == 403


def test_a_response_of_the_applications(server: Server) -> None:
    answer = handshake(server, "/deny", *HANDSHAKE)
    assert (answer.status, answer.body) == (401, b"not you\n")
    assert answer.header(b"www-authenticate") == b"Basic"


def test_a_denial_that_is_thrown_away_lets_others_run(start_server: Callable[..., Server]) -> None:
    server = start_server(app=APP)
    with server.connect() as client:
        client.request("/deny-without-end?204", *HANDSHAKE)
        assert client.head()[1] == 204
        assert handshake(server, "/deny", *HANDSHAKE).status == 401
        client.reset()


@pytest.mark.parametrize("path", ["/deny", "/refuse"])
def test_nothing_is_read_after_a_denial(server: Server, path: str) -> None:
    """A proxy that takes the connection for a tunnel would let it pass without a look."""
    with server.connect() as client:
        client.request(path, *HANDSHAKE)
        client.request("/echo")
        assert client.response().status in (401, 403)
        assert client.gone()


@pytest.mark.parametrize("path", ["/no-answer", "/raise-early"])
def test_an_application_that_ends_without_an_answer(server: Server, path: str) -> None:
    mark = server.log.mark()
    assert handshake(server, path, *HANDSHAKE).status == 500
    server.log.wait_for("RuntimeError: early" if path == "/raise-early" else "without answering", mark)


@pytest.mark.parametrize("path", ["/no-answer", "/raise-early", "/refuse", "/deny"])
def test_every_answer_in_place_of_a_websocket_closes_the_connection(server: Server, path: str) -> None:
    """A proxy may take the connection for a tunnel."""
    with server.connect() as client:
        client.request(path, *HANDSHAKE)
        client.request("/hello")
        response = client.response()
        assert response.status in (401, 403, 500)
        assert response.closing
        assert client.nothing()


@pytest.mark.parametrize("how", ["finish", "reset"])
def test_a_client_that_disconnects_before_the_answer(server: Server, how: str) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/never?left", *HANDSHAKE)
        server.app_log("waiting", mark)
        getattr(client, how)()
        assert server.app_log("end of left", mark) == "1006"
        server.app_log("send raised", mark)
