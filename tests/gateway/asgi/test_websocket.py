"""The messages of an ASGI application for WebSocket: the handshake, the conversation, and its end."""

import logging
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import pytest

from ianus.codec.websocket.recording import close_frame, frame
from ianus.exchange.disconnect import ClientDisconnected
from ianus.exchange.recording import (
    RecordingConnection,
    drain,
    drain_service,
    end_conversation,
    end_streams,
    expects_input,
    expire,
    has_conversation,
    is_busy,
    read_deadline,
    wants_read,
)
from tests.codec.websocket import feeding
from tests.codec.websocket.feeding import BINARY, PING, PONG, TEXT
from tests.exchange.conversation import get
from tests.gateway.asgi.stepping import App, AsgiConversation, Message, is_waiting, value_of

Converse = Callable[..., AsgiConversation]

# The example of RFC 6455 section 1.3
KEY = b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="
FIELDS = (b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-version: 13", KEY)
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"%sconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
)
ACCEPT = {"type": "websocket.accept"}
CONNECT = {"type": "websocket.connect"}
CLOSE = {"type": "websocket.close"}


def handshake(*fields: bytes) -> bytes:
    return get("/chat?room=1", *FIELDS, *fields)


def text(content: Any) -> Message:
    return {"type": "websocket.send", "text": content}


def binary(content: Any) -> Message:
    return {"type": "websocket.send", "bytes": content}


def end(code: int, reason: str = "") -> Message:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


@pytest.fixture(autouse=True)
def _all_records(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO):
        yield


@pytest.fixture
def app(client: AsgiConversation) -> App:
    """An application that has got a handshake and has not answered it."""
    app = client.request(handshake())
    assert app.received() == CONNECT
    return app


@pytest.fixture
def opened(client: AsgiConversation, app: App) -> App:
    """An application with an open WebSocket."""
    app.sends(ACCEPT)
    client.run()
    assert client.receives() == ACCEPTED % b""
    return app


# ---------------------------------------------------------------- the handshake


def test_a_handshake_is_answered_when_it_is_accepted(client: AsgiConversation) -> None:
    app = client.request(handshake())
    assert client.receives() == b""
    assert app.scope["type"] == "websocket"
    assert app.received() == CONNECT
    assert is_waiting(app.receive())
    app.sends(ACCEPT)
    client.run()
    assert client.receives() == ACCEPTED % b""
    assert client.service.in_flight.websockets == 1


def test_a_subprotocol_of_the_client_can_be_accepted(client: AsgiConversation) -> None:
    app = client.request(handshake(b"sec-websocket-protocol: chat, superchat"))
    assert app.scope["subprotocols"] == ["chat", "superchat"]
    with pytest.raises(ValueError, match=r"^subprotocol 'other' is not among those that the client offers$"):
        value_of(app.send({**ACCEPT, "subprotocol": "other"}))
    app.sends({**ACCEPT, "subprotocol": "superchat", "headers": [(b"x-some", b"1")]})
    client.run()
    assert client.receives() == ACCEPTED % b"sec-websocket-protocol: superchat\r\nx-some: 1\r\n"


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        ({"headers": [(b"Sec-WebSocket-Protocol", b"chat")]}, ValueError,
         "header b'Sec-WebSocket-Protocol' is the server's to send"),
        ({"headers": [(b"content-length", b"0")]}, ValueError, "a 101 has no content-length"),
        ({"headers": [(b"a b", b"0")]}, ValueError, "is not a token"),
        ({"subprotocol": "chat"}, ValueError, "not among those that the client offers"),
    ],
)  # fmt: skip
def test_a_refused_accept_can_be_repeated(
    client: AsgiConversation, app: App, message: Message, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        value_of(app.send({**ACCEPT, **message}))
    app.sends(ACCEPT)
    client.run()
    assert client.receives() == ACCEPTED % b""


def test_fields_that_accept_while_they_are_read(client: AsgiConversation, app: App) -> None:
    def fields() -> Iterator[tuple[bytes, bytes]]:
        app.sends(ACCEPT)
        yield b"x-some", b"1"

    with pytest.raises(
        RuntimeError, match=r"^unexpected ASGI message 'websocket.accept', expected 'websocket.send' or"
    ):
        value_of(app.send({**ACCEPT, "headers": fields()}))
    client.run()
    assert client.receives() == ACCEPTED % b""


def test_a_message_may_be_any_mapping(client: AsgiConversation, app: App) -> None:
    app.sends(MappingProxyType(ACCEPT))  # type: ignore[arg-type]
    client.run()
    assert client.receives() == ACCEPTED % b""


def test_compression_is_negotiated(client: AsgiConversation) -> None:
    app = client.request(handshake(b"sec-websocket-extensions: permessage-deflate"))
    app.sends(ACCEPT)
    client.run()
    assert client.receives() == ACCEPTED % b"sec-websocket-extensions: permessage-deflate\r\n"
    app.sends(text("x" * 1000))
    client.run()
    assert len(client.receives()) < 100


def test_compression_can_be_switched_off(converse: Converse) -> None:
    client = converse(ws_per_message_deflate=False)
    app = client.request(handshake(b"sec-websocket-extensions: permessage-deflate"))
    app.sends(ACCEPT)
    client.run()
    assert client.receives() == ACCEPTED % b""


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ((*FIELDS[:2], b"sec-websocket-version: 12", KEY), b"426 Upgrade Required", b"sec-websocket-version: 13"),
        ((*FIELDS[:3], b"sec-websocket-key: short"), b"400 Bad Request", b""),
        ((*FIELDS, b"sec-websocket-protocol: a b"), b"400 Bad Request", b""),
    ],
)
def test_a_wrong_handshake_is_answered_without_the_application(
    client: AsgiConversation, fields: tuple[bytes, ...], status: bytes, field: bytes
) -> None:
    client.connection.receive(get("/", *fields))
    client.run()
    assert client.app.calls == 0
    page = client.receives()
    assert page.startswith(b"HTTP/1.1 " + status)
    assert field in page
    assert b"connection: close\r\n" in page


def test_a_handshake_over_http_1_0_names_the_remedy(client: AsgiConversation, caplog: pytest.LogCaptureFixture) -> None:
    client.connection.receive(get("/", *FIELDS, version="1.0"))
    client.run()
    assert client.app.calls == 0
    assert client.receives().startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert caplog.messages[0].startswith("WebSocket handshake over HTTP/1.0: the proxy has to use HTTP/1.1")


def test_a_handshake_without_an_upgrade_is_a_plain_request(
    client: AsgiConversation, caplog: pytest.LogCaptureFixture
) -> None:
    app = client.request(get("/", *FIELDS[2:]))
    assert app.scope["type"] == "http"
    assert caplog.messages[0].startswith("WebSocket handshake without an upgrade, served as a plain request")


def test_without_websockets_a_handshake_is_a_plain_request(converse: Converse) -> None:
    app = converse(gateway={"ws": "none"}).request(handshake())
    assert app.scope["type"] == "http"


def test_websockets_over_the_limit_are_answered_503(converse: Converse, caplog: pytest.LogCaptureFixture) -> None:
    client = converse(limit_websockets=1)
    app = client.request(handshake())
    app.sends(ACCEPT)
    client.connection.lose()
    other = RecordingConnection(client.sessions)
    other.receive(handshake())
    page = other.take_output()
    assert page.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"connection: close\r\n" in page
    assert caplog.messages == ["rejected 1 request(s) with 503: limit-websockets (1) reached"]
    app.returns()
    client.run()
    third = RecordingConnection(client.sessions)
    third.receive(handshake())
    client.run()
    assert client.app.calls == 2
    other.lose()
    third.lose()


# ---------------------------------------------------------------- a handshake that is denied


def test_a_close_denies_with_403(client: AsgiConversation, app: App) -> None:
    app.sends(CLOSE)
    client.run()
    page = client.receives()
    assert page.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"connection: close\r\n" in page
    app.sends(CLOSE)
    with pytest.raises(RuntimeError, match=r"after 'websocket.close' or a complete response"):
        value_of(app.send(text("late")))
    assert app.received() == end(1006)
    with pytest.raises(ClientDisconnected):
        value_of(app.send(text("late")))
    assert client.ends == [(b"/chat?room=1", 403, 14)]


def test_a_response_denies(client: AsgiConversation, app: App) -> None:
    app.sends(
        {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-some", b"1")]},
        {"type": "websocket.http.response.body", "body": b"no ", "more_body": True},
    )
    with pytest.raises(RuntimeError, match=r"expected 'websocket.http.response.body'"):
        value_of(app.send(ACCEPT))
    app.sends({"type": "websocket.http.response.body", "body": b"entry"}, CLOSE)
    app.returns()
    client.run()
    assert client.receives() == (
        b"HTTP/1.1 401 Unauthorized\r\nx-some: 1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        b"3\r\nno \r\n5\r\nentry\r\n0\r\n\r\n"
    )
    assert client.connection.state == "finished"


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        ({}, ValueError, "ASGI message has no 'type' string"),
        ({"type": 1}, ValueError, "ASGI message has no 'type' string"),
        (
            text("early"),
            RuntimeError,
            "unexpected ASGI message 'websocket.send', expected 'websocket.accept', 'websocket.close' or",
        ),
        ({"type": "http.response.start"}, RuntimeError, "unexpected ASGI message 'http.response.start'"),
        ({"type": "websocket.http.response.start"}, ValueError, "has no 'status'"),
    ],
)
def test_wrong_messages_before_the_answer_raise(app: App, message: Message, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        value_of(app.send(message))


def test_a_return_without_an_answer_is_a_500(
    client: AsgiConversation, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.returns()
    client.run()
    assert client.receives().startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert caplog.messages == ["application returned without answering a WebSocket handshake: GET /chat?room=1"]


def test_an_exception_before_the_answer_is_a_500(
    client: AsgiConversation, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.raises(ValueError("mistake"))
    client.run()
    assert client.receives().startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert caplog.messages == ["exception in application: GET /chat?room=1"]


def test_a_client_that_leaves_before_the_answer_is_a_disconnect(client: AsgiConversation, app: App) -> None:
    waiting = app.receive()
    assert is_waiting(waiting)
    client.connection.lose()
    assert value_of(waiting) == end(1006)
    for message in (ACCEPT, {"type": "websocket.http.response.start", "status": 200}):
        with pytest.raises(ClientDisconnected):
            value_of(app.send(message))
    app.returns()
    client.run()
    assert client.ends == [(b"/chat?room=1", 499, 0)]


def test_a_half_closed_client_before_the_answer_is_a_disconnect(client: AsgiConversation, app: App) -> None:
    client.connection.finish_input()
    assert app.received() == end(1006)
    with pytest.raises(ClientDisconnected):
        value_of(app.send(ACCEPT))
    app.returns()
    client.run()
    assert client.receives() == b""
    assert client.connection.state == "finished"


# ---------------------------------------------------------------- messages


def test_messages_are_received(client: AsgiConversation, opened: App) -> None:
    waiting = opened.receive()
    assert is_waiting(waiting)
    client.connection.receive(feeding.text("one") + feeding.frame(BINARY, b"two"))
    assert value_of(waiting) == {"type": "websocket.receive", "text": "one"}
    assert opened.received() == {"type": "websocket.receive", "bytes": b"two"}
    assert is_waiting(opened.receive())


def test_messages_with_the_handshake_are_received_after_it(client: AsgiConversation) -> None:
    app = client.request(handshake() + feeding.text("early"))
    app.received()
    app.sends(ACCEPT)
    client.run()
    assert app.received() == {"type": "websocket.receive", "text": "early"}


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (text("text"), frame(TEXT, b"text")),
        (text(type("Text", (str,), {})("text")), frame(TEXT, b"text")),
        ({**text("text"), "bytes": None}, frame(TEXT, b"text")),
        (binary(b"bytes"), frame(BINARY, b"bytes")),
        (binary(bytearray(b"bytes")), frame(BINARY, b"bytes")),
        (binary(memoryview(b"bytes")), frame(BINARY, b"bytes")),
        ({**binary(b"bytes"), "text": None}, frame(BINARY, b"bytes")),
        ({**text("text"), "other": 1}, frame(TEXT, b"text")),
        # Keys that are not the objects of the literals
        ({b"type".decode(): "websocket.send", b"text".decode(): "é"}, frame(TEXT, b"\xc3\xa9")),
        ({**text("text"), "type": type("Kind", (str,), {})("websocket.send")}, frame(TEXT, b"text")),
    ],
)
def test_messages_are_sent(client: AsgiConversation, opened: App, message: Message, sent: bytes) -> None:
    opened.sends(message)
    assert client.receives() == b"", "messages of one step are sent together"
    client.run()
    assert client.receives() == sent


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        ({"type": "websocket.send"}, ValueError, "'websocket.send' has either 'text' or 'bytes'"),
        ({**text("a"), **binary(b"b")}, ValueError, "'websocket.send' has either 'text' or 'bytes'"),
        (text("\ud800"), UnicodeEncodeError, "surrogates not allowed"),
        (text(b"bytes"), TypeError, "'text' is a str, not bytes"),
        (binary("text"), TypeError, "'bytes' is bytes, not str"),
        (
            ACCEPT,
            RuntimeError,
            "unexpected ASGI message 'websocket.accept', expected 'websocket.send' or 'websocket.close'$",
        ),
        ({**CLOSE, "code": 999}, ValueError, "close code 999 cannot be sent"),
    ],
)
def test_wrong_messages_of_a_conversation_raise(
    client: AsgiConversation, opened: App, message: Message, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        value_of(opened.send(message))
    opened.sends(text("fine"))
    client.run()
    assert client.receives() == frame(TEXT, b"fine")


def test_pings_are_answered_without_the_application(client: AsgiConversation, opened: App) -> None:
    client.connection.receive(feeding.frame(PING, b"x"))
    client.run()
    assert client.receives() == frame(PONG, b"x")


def test_the_socket_is_not_read_while_the_queue_is_full(converse: Converse) -> None:
    client = converse(ws_max_queue=1)
    app = client.request(handshake())
    app.received()
    app.sends(ACCEPT)
    client.run()
    client.connection.receive(feeding.text("1") + feeding.text("2"))
    assert not wants_read(client.connection)
    assert client.connection.unread == feeding.text("2")
    assert app.received()["text"] == "1"
    client.run()
    assert app.received()["text"] == "2"
    assert wants_read(client.connection)


def test_send_waits_while_the_client_does_not_read(client: AsgiConversation, opened: App) -> None:
    client.connection.stop_reading()
    waiting = opened.send(binary(b"x" * 300000))
    assert is_waiting(waiting)
    client.connection.read()
    assert value_of(waiting) is None


def test_a_send_that_waits_raises_when_the_client_is_lost(client: AsgiConversation, opened: App) -> None:
    client.connection.stop_reading()
    waiting = opened.send(binary(b"x" * 300000))
    assert is_waiting(waiting)
    client.connection.lose()
    with pytest.raises(ClientDisconnected):
        waiting.send(None)


# ---------------------------------------------------------------- the end


def test_a_close_of_the_application_waits_for_that_of_the_client(client: AsgiConversation, opened: App) -> None:
    waiting = opened.receive()
    assert is_waiting(waiting)
    opened.sends({**CLOSE, "code": 3001, "reason": "bye"})
    assert value_of(waiting) == end(3001, "bye")
    client.run()
    assert client.receives() == close_frame(3001, "bye")
    assert client.connection.state == "open"
    assert not is_busy(client.connection)
    client.connection.receive(feeding.close(3001))
    assert client.connection.state == "finished"
    assert not expects_input(client.connection)
    assert client.ends == [(b"/chat?room=1", 101, 0)]


def test_a_close_without_a_code_is_normal(client: AsgiConversation, opened: App) -> None:
    opened.sends({**CLOSE, "code": None, "reason": None})
    client.run()
    assert client.receives() == close_frame(1000, "")
    opened.sends(CLOSE)
    with pytest.raises(ClientDisconnected):
        value_of(opened.send(text("late")))


def test_a_close_of_the_client_is_a_disconnect(client: AsgiConversation, opened: App) -> None:
    client.connection.receive(feeding.text("last") + feeding.close(1001, b"leaving"))
    client.run()
    assert client.receives() == close_frame(1001, "")
    assert client.connection.state == "finished"
    assert opened.received()["text"] == "last"
    assert opened.received() == end(1001, "leaving")
    with pytest.raises(ClientDisconnected):
        value_of(opened.send(text("late")))
    opened.sends(CLOSE)


def test_a_violation_ends_the_connection(client: AsgiConversation, opened: App) -> None:
    client.connection.receive(feeding.frame(3))
    client.run()
    assert client.connection.state == "finished"
    assert expects_input(client.connection), "the client may still be sending"
    assert opened.received()["code"] == 1002


@pytest.mark.parametrize("how", ["lose", "finish_input"])
def test_a_lost_connection_is_a_disconnect(client: AsgiConversation, opened: App, how: str) -> None:
    waiting = opened.receive()
    assert is_waiting(waiting)
    getattr(client.connection, how)()
    assert value_of(waiting) == end(1006)
    with pytest.raises(ClientDisconnected):
        value_of(opened.send(text("late")))


def test_a_close_after_the_loss_is_ignored(client: AsgiConversation, opened: App) -> None:
    client.connection.lose()
    opened.sends(CLOSE)
    opened.returns()
    client.run()
    assert client.ends == [(b"/chat?room=1", 101, 0)]


def test_a_return_closes_normally(client: AsgiConversation, opened: App) -> None:
    opened.returns()
    client.run()
    assert client.receives() == close_frame(1000, "")
    client.connection.receive(feeding.close(1000))
    assert client.connection.state == "finished"


@pytest.mark.parametrize(("draining", "code"), [(False, 1011), (True, 1001)])
def test_an_exception_closes_with_an_error(
    client: AsgiConversation, opened: App, caplog: pytest.LogCaptureFixture, draining: bool, code: int
) -> None:
    if draining:
        drain_service(client.service, 1000.0)
    opened.raises(ValueError("mistake"))
    client.run()
    assert client.receives() == close_frame(code, "")
    assert caplog.messages == ["exception in application: GET /chat?room=1"]


def test_a_client_that_does_not_close_is_closed(client: AsgiConversation, opened: App) -> None:
    opened.sends(CLOSE)
    client.run()
    assert read_deadline(client.connection) > 0
    expire(client.connection)
    assert client.connection.state == "finished"
    assert expects_input(client.connection)


# ---------------------------------------------------------------- the server stops


def test_a_stop_closes_with_going_away(client: AsgiConversation, opened: App) -> None:
    waiting = opened.receive()
    assert is_waiting(waiting)
    assert is_busy(client.connection)
    drain_service(client.service, 1000.0)
    drain(client.connection)
    client.run()
    assert client.receives() == close_frame(1001, "")
    assert value_of(waiting) == end(1001)
    assert not is_busy(client.connection)


def test_a_receive_waits_for_the_close_of_a_stop(client: AsgiConversation, opened: App) -> None:
    drain_service(client.service, 1000.0, handover=True)
    end_streams(client.service)
    waiting = opened.receive()
    assert is_waiting(waiting)
    client.connection.receive(feeding.text("last"))
    assert value_of(waiting)["text"] == "last"


def test_a_handover_closes_later_with_service_restart(converse: Converse) -> None:
    client = converse(timeout_drain_idle=10.0, timeout_stop=0.0, ws_ping_interval=0.0)
    app = client.request(handshake())
    app.received()
    app.sends(ACCEPT)
    client.run()
    client.receives()
    drain_service(client.service, 1.0, handover=True)
    drain(client.connection)
    client.run()
    assert client.receives() == b""
    assert read_deadline(client.connection) == 11.0
    expire(client.connection)
    assert client.receives() == close_frame(1012, "")
    assert app.received() == end(1012)


@pytest.mark.parametrize(("handover", "code"), [(False, 1001), (True, 1012)])
def test_with_a_spread_a_websocket_is_open_until_its_turn(converse: Converse, handover: bool, code: int) -> None:
    client = converse(ws_drain_spread=10.0, ws_ping_interval=0.0)
    app = client.request(handshake())
    app.received()
    app.sends(ACCEPT)
    client.run()
    client.receives()
    drain_service(client.service, 1.0, handover=handover)
    end_streams(client.service)
    drain(client.connection)
    client.run()
    assert client.receives() == b""
    assert read_deadline(client.connection) == 0
    assert has_conversation(client.connection)
    end_conversation(client.connection)
    client.run()
    assert client.receives() == close_frame(code, "")
    assert not has_conversation(client.connection)
    assert app.received() == end(code)


@pytest.mark.parametrize(("handover", "code"), [(False, 1001), (True, 1012)])
def test_at_the_end_of_a_spread_each_websocket_closes(converse: Converse, handover: bool, code: int) -> None:
    client = converse(ws_drain_spread=10.0, ws_ping_interval=0.0)
    app = client.request(handshake())
    app.received()
    app.sends(ACCEPT)
    client.run()
    client.receives()
    drain_service(client.service, 1.0, handover=handover)
    client.service.end_spread()
    drain(client.connection)
    if handover:
        assert read_deadline(client.connection) > 0
        expire(client.connection)
    client.run()
    assert client.receives() == close_frame(code, "")


def test_a_handshake_that_is_accepted_during_a_stop_is_closed(client: AsgiConversation, app: App) -> None:
    drain_service(client.service, 1000.0)
    app.sends(ACCEPT)
    client.run()
    assert client.receives() == ACCEPTED % b"" + close_frame(1001, "")


def test_pings_of_the_server_have_their_deadline(converse: Converse) -> None:
    client = converse(ws_ping_interval=20.0)
    app = client.request(handshake())
    app.received()
    app.sends(ACCEPT)
    client.run()
    client.receives()
    assert read_deadline(client.connection) > 0
    expire(client.connection)
    assert client.receives() == frame(PING, b"")
