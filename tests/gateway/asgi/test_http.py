"""The messages of an ASGI application for HTTP, and the bytes and log lines that follow from them."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any

import pytest

from ianus.exchange.disconnect import ClientDisconnected
from ianus.exchange.recording import drain, drain_service, end_streams, expire, is_busy, read_deadline
from tests.exchange.conversation import GET, OK, get, post
from tests.gateway.asgi.stepping import (
    DISCONNECT,
    REQUEST_END,
    AsgiConversation,
    Message,
    body,
    is_waiting,
    start,
    value_of,
)

Converse = Callable[..., AsgiConversation]

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
LENGTH_2 = (b"content-length", b"2")
EVENTS = (b"content-type", b"text/event-stream")


@pytest.fixture(autouse=True)
def _all_records(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO):
        yield


# ---------------------------------------------------------------- receive


def test_a_request_without_a_body_is_one_message(client: AsgiConversation) -> None:
    app = client.request(GET)
    assert app.received() == REQUEST_END
    assert is_waiting(app.receive())


def test_a_body_is_received_as_it_arrives(client: AsgiConversation) -> None:
    app = client.request(post(5) + b"1")
    assert app.received() == {"type": "http.request", "body": b"1", "more_body": True}
    waiting = app.receive()
    assert is_waiting(waiting)
    client.connection.receive(b"23")
    client.connection.receive(b"45")
    assert value_of(waiting) == {"type": "http.request", "body": b"2345", "more_body": False}
    assert is_waiting(app.receive())


def test_the_end_of_a_body_may_be_empty(client: AsgiConversation) -> None:
    app = client.request(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
    assert app.received()["more_body"] is True
    waiting = app.receive()
    assert is_waiting(waiting)
    client.connection.receive(b"0\r\n\r\n")
    assert value_of(waiting) == REQUEST_END


def test_continue_is_sent_by_receive(client: AsgiConversation) -> None:
    app = client.request(post(1, b"expect: 100-continue"))
    assert client.receives() == b""
    assert is_waiting(app.receive())
    assert client.receives() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_complete_response_is_a_disconnect(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.received()
    waiting = app.receive()
    assert is_waiting(waiting)
    app.sends(start(), body(b"ok"))
    assert value_of(waiting) == DISCONNECT
    assert app.received() == DISCONNECT


def test_a_lost_connection_is_a_disconnect(client: AsgiConversation) -> None:
    app = client.request(post(5))
    waiting = app.receive()
    assert is_waiting(waiting)
    client.connection.lose()
    assert value_of(waiting) == DISCONNECT
    assert app.received() == DISCONNECT


def test_a_half_closed_client_is_a_disconnect_after_its_body(client: AsgiConversation) -> None:
    app = client.request(post(1) + b"1")
    client.connection.finish_input()
    assert app.received()["body"] == b"1"
    assert app.received() == DISCONNECT


def test_a_body_that_ends_early_is_a_disconnect(client: AsgiConversation) -> None:
    app = client.request(post(2) + b"1")
    client.connection.finish_input()
    assert app.received() == {"type": "http.request", "body": b"1", "more_body": True}
    assert app.received() == DISCONNECT


# ---------------------------------------------------------------- send


def test_a_whole_response(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.sends(start(), body(b"ok"))
    app.returns()
    client.run()
    assert client.receives() == OK
    assert client.ends == [(b"/", 200, 2)]


def test_a_streamed_response(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.sends(start(), body(b"1", more_body=True), body(b"2", more_body=True), body())
    client.run()
    assert client.receives() == CHUNKED + b"1\r\n1\r\n1\r\n2\r\n0\r\n\r\n"


def test_the_keys_of_a_message_have_defaults(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.sends({"type": "http.response.start", "status": 200}, {"type": "http.response.body"})
    client.run()
    assert client.receives() == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_body_has_any_type_of_bytes(client: AsgiConversation, kind: Callable[[bytes], Any]) -> None:
    app = client.request(GET)
    app.sends(start(), body(kind(b"ok")))
    client.run()
    assert client.receives() == OK


def test_messages_after_the_end_are_ignored(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.sends(start(), body(b"ok"), body(b"more"), start(500), {"type": "unknown"})
    client.run()
    assert client.receives() == OK


@pytest.mark.parametrize(
    ("messages", "error", "text"),
    [
        ([body(b"x")], RuntimeError, "unexpected ASGI message 'http.response.body', expected 'http.response.start'"),
        ([start(), start()], RuntimeError,
         "unexpected ASGI message 'http.response.start', expected 'http.response.body'"),
        ([start(), {"type": "http.response.trailers"}], RuntimeError,
         "unexpected ASGI message 'http.response.trailers', expected 'http.response.body'"),
        ([start(trailers=True), body(), body()], RuntimeError,
         "unexpected ASGI message 'http.response.body', expected 'http.response.trailers'"),
        ([{}], ValueError, "ASGI message has no 'type' string"),
        ([{"type": b"http.response.start"}], ValueError, "ASGI message has no 'type' string"),
        ([{"type": "http.response.start"}], TypeError, "response status is an int"),
        ([start("200")], TypeError, "response status is an int"),  # type: ignore[arg-type]
        ([start(100)], ValueError, "response status 100 is not a final status (200 to 999)"),
        ([start(1000)], ValueError, "response status 1000 is not a final status (200 to 999)"),
        ([start(200, (b"a b", b""))], ValueError, "response header name 'a b' is not a token"),
        ([start(), body("text")], TypeError, "response body is bytes, not str"),  # type: ignore[arg-type]
        ([start(), body(None)], TypeError, "response body is bytes, not NoneType"),  # type: ignore[arg-type]
        ([start(200, LENGTH_2), body(b"123")], ValueError, "response body has 3 bytes, its content-length is 2"),
    ],
)  # fmt: skip
def test_wrong_messages_raise(
    client: AsgiConversation, messages: list[Message], error: type[Exception], text: str
) -> None:
    app = client.request(GET)
    *before, wrong = messages
    app.sends(*before)
    with pytest.raises(error) as raised:
        value_of(app.send(wrong))
    assert str(raised.value) == text


def test_a_refused_start_can_be_repeated(client: AsgiConversation) -> None:
    app = client.request(GET)
    with pytest.raises(ValueError, match="not a token"):
        value_of(app.send(start(200, (b"a b", b""))))
    app.sends(start(), body(b"ok"))
    client.run()
    assert client.receives() == OK


@pytest.mark.parametrize("make", [MappingProxyType, lambda message: message.items(), type("Own", (dict,), {})])
def test_a_message_may_be_any_mapping(client: AsgiConversation, make: Callable[[Message], Any]) -> None:
    app = client.request(GET)
    app.sends(make(start()), make(body(b"ok")))
    client.run()
    assert client.receives() == OK


# ---------------------------------------------------------------- clients that do not read


def test_send_waits_while_the_client_does_not_read(client: AsgiConversation) -> None:
    client.connection.stop_reading()
    app = client.request(GET)
    app.sends(start(), body(b"x" * 262000, more_body=True))
    client.run()
    waiting = app.send(body(b"x", more_body=True))
    assert is_waiting(waiting)
    client.connection.read(150000)
    assert is_waiting(app.send(body(b"x", more_body=True)))
    client.connection.read()
    assert value_of(waiting) is None


def test_a_fast_client_lets_the_loop_run_after_each_mebibyte(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.sends(start())
    app.sends(body(b"x" * 1048575, more_body=True))
    yielding = app.send(body(b"x", more_body=True))
    assert yielding.send(None) is None, "a bare yield, as of asyncio.sleep(0)"
    assert value_of(yielding) is None
    app.sends(body(b"x", more_body=True))


def test_send_discards_after_a_disconnect(client: AsgiConversation) -> None:
    app = client.request(GET)
    client.connection.lose()
    app.sends(start(), body(b"x", more_body=True), body())
    assert app.received() == DISCONNECT
    app.returns()
    client.run()
    assert client.ends == [(b"/", 499, 0)]


def test_a_send_that_waits_returns_after_a_disconnect(client: AsgiConversation) -> None:
    client.connection.stop_reading()
    app = client.request(GET)
    app.sends(start())
    waiting = app.send(body(b"x" * 300000, more_body=True))
    assert is_waiting(waiting)
    client.connection.lose()
    assert value_of(waiting) is None


def test_a_sender_continues_before_another_task_is_notified(client: AsgiConversation) -> None:
    client.connection.stop_reading()
    app = client.request(GET)
    app.received()
    app.sends(start())
    receiving, sending = app.receive(), app.send(body(b"x" * 300000, more_body=True))
    notice = receiving.send(None)
    assert is_waiting(sending)
    client.connection.lose()
    client.run()
    assert value_of(sending) is None
    client.loop.now += 0.01
    client.run()
    assert not notice.done()
    client.loop.now += 0.02
    client.run()
    assert value_of(receiving) == DISCONNECT


def test_a_client_that_send_finds_lost_is_a_disconnect(client: AsgiConversation, path: Path) -> None:
    app = client.request(GET)
    app.sends(start())
    with path.open("r+b") as file:
        file.truncate(300000)
        client.connection.break_on_send()
        app.sends({"type": "http.response.zerocopysend", "file": file})
    assert client.connection.state == "closed"
    assert app.received() == DISCONNECT


def test_a_client_that_receive_finds_lost_is_a_disconnect(client: AsgiConversation) -> None:
    app = client.request(post(1, b"expect: 100-continue"))
    client.connection.break_on_send()
    assert app.received() == DISCONNECT


def test_a_message_that_is_read_while_the_client_is_lost_raises(client: AsgiConversation) -> None:
    def items() -> Iterator[tuple[str, Any]]:
        client.connection.lose()
        yield from start().items()

    app = client.request(GET)
    with pytest.raises(ClientDisconnected):
        value_of(app.send(items()))  # type: ignore[arg-type]


# ---------------------------------------------------------------- the end of the call


def test_a_return_without_a_response_is_a_500(client: AsgiConversation, caplog: pytest.LogCaptureFixture) -> None:
    client.request(GET).returns()
    client.run()
    assert client.receives().startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert caplog.messages == ["application returned without starting a response: GET /"]
    assert client.connection.state == "open"


def test_a_return_before_the_end_aborts(client: AsgiConversation, caplog: pytest.LogCaptureFixture) -> None:
    app = client.request(GET)
    app.sends(start(), body(b"1", more_body=True))
    app.returns()
    client.run()
    assert client.receives() == CHUNKED + b"1\r\n1\r\n"
    assert caplog.messages == ["application returned without completing its response: GET /"]
    assert client.connection.state == "finished"


def test_a_return_after_a_disconnect_is_no_mistake(client: AsgiConversation, caplog: pytest.LogCaptureFixture) -> None:
    app = client.request(post(5))
    client.connection.finish_input()
    assert app.received() == DISCONNECT
    app.returns()
    client.run()
    assert caplog.messages == []
    assert client.receives() == b""
    assert client.connection.state == "finished"


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_an_exception_is_logged(
    client: AsgiConversation, caplog: pytest.LogCaptureFixture, started: bool, kind: type[BaseException]
) -> None:
    error = kind("mistake")
    app = client.request(GET)
    if started:
        app.sends(start(), body(b"1", more_body=True))
        client.run()
        client.receives()
    app.raises(error)
    client.run()
    assert caplog.messages == ["exception in application: GET /"]
    assert caplog.records[0].exc_info == (kind, error, error.__traceback__)
    assert client.receives()[:12] == (b"" if started else b"HTTP/1.1 500")
    assert client.connection.state == ("finished" if started else "open")


def test_an_exception_after_the_response_is_only_logged(
    client: AsgiConversation, caplog: pytest.LogCaptureFixture
) -> None:
    app = client.request(GET)
    app.sends(start(), body(b"ok"))
    app.raises(ValueError("mistake"))
    client.run()
    assert caplog.messages == ["exception in application: GET /"]
    assert client.receives() == OK
    assert client.connection.state == "open"


def test_a_framework_s_disconnect_is_information(client: AsgiConversation, caplog: pytest.LogCaptureFixture) -> None:
    app = client.request(GET)
    client.connection.lose()
    app.raises(type("ClientDisconnect", (Exception,), {})())
    client.run()
    assert caplog.messages == ["client disconnected, application raised ClientDisconnect: GET /"]
    assert caplog.records[0].levelno == logging.INFO


@pytest.mark.parametrize("first", [[], [body(b"1", more_body=True)]], ids=["no body", "a part"])
def test_a_body_that_ends_early_after_a_disconnect_is_no_error(
    client: AsgiConversation, caplog: pytest.LogCaptureFixture, first: list[Message]
) -> None:
    """As Starlette's BaseHTTPMiddleware ends the response to a client that has closed its side."""
    app = client.request(GET)
    app.sends(start(200, LENGTH_2), *first)
    client.connection.finish_input()
    app.received()
    assert app.received() == DISCONNECT
    app.sends(body())
    app.returns()
    client.run()
    assert caplog.messages == []
    assert client.connection.state == "finished"


def test_a_body_that_ends_early_without_a_disconnect_is_an_error(client: AsgiConversation) -> None:
    """The client has closed its side, of which the application does not know."""
    app = client.request(GET)
    app.sends(start(200, LENGTH_2), body(b"1", more_body=True))
    client.connection.finish_input()
    with pytest.raises(ValueError, match=r"^response body has 1 bytes, its content-length is 2$"):
        value_of(app.send(body()))


def test_a_whole_body_after_a_disconnect_is_sent(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.sends(start(200, LENGTH_2), body(b"1", more_body=True))
    client.connection.finish_input()
    app.received()
    assert app.received() == DISCONNECT
    app.sends(body(b"2"))
    client.run()
    assert client.receives().endswith(b"12")


def test_the_server_s_own_disconnect_is_not_logged(client: AsgiConversation, caplog: pytest.LogCaptureFixture) -> None:
    app = client.request(GET)
    client.connection.lose()
    app.raises(ClientDisconnected())
    client.run()
    assert caplog.messages == []


def test_an_interrupt_ends_the_request(client: AsgiConversation, caplog: pytest.LogCaptureFixture) -> None:
    app = client.request(GET)
    app.raises(KeyboardInterrupt())
    client.run()
    assert caplog.messages == ["application was interrupted: GET /"]
    assert client.receives().startswith(b"HTTP/1.1 500")


@pytest.mark.parametrize(("draining", "text"), [
    (False, "application was cancelled: GET /"),
    (True, "application was cancelled, the server is stopping: GET /"),
])  # fmt: skip
def test_a_cancellation_is_logged(
    client: AsgiConversation, caplog: pytest.LogCaptureFixture, draining: bool, text: str
) -> None:
    client.request(GET)
    if draining:
        drain_service(client.service, 1000.0)
    client.gateway.tasks()[0].cancel()
    client.run()
    assert caplog.messages == [text]
    assert client.receives().startswith(b"HTTP/1.1 500")


def test_an_exception_whose_class_fails_is_logged(client: AsgiConversation, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(type):
        def __subclasscheck__(cls, other: type) -> bool:
            raise RuntimeError("a check that fails")

        @property
        def __mro__(cls) -> Any:
            raise RuntimeError("a property that fails")

    class FailingError(Exception, metaclass=Failing):
        pass

    app = client.request(GET)
    app.raises(FailingError())
    client.run()
    assert caplog.messages[0].startswith("exception in application: GET /")
    assert client.receives().startswith(b"HTTP/1.1 500")


# ---------------------------------------------------------------- extensions


def test_trailers_are_sent(client: AsgiConversation) -> None:
    app = client.request(get("/", b"te: trailers"))
    app.sends(
        start(200, (b"trailer", b"x-sum"), trailers=True),
        body(b"ok"),
        {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True},
        {"type": "http.response.trailers", "headers": [(b"x-end", b"2")]},
    )
    client.run()
    assert client.receives().endswith(b"2\r\nok\r\n0\r\nx-sum: 1\r\nx-end: 2\r\n\r\n")


def test_hints_are_sent_before_and_after_the_start(converse: Converse) -> None:
    client = converse(gateway={"early_hints": True})
    app = client.request(GET)
    app.sends({"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]}, start())
    app.sends({"type": "http.response.early_hint", "links": [b"</b>"]}, body(b"ok"))
    client.run()
    head = b"HTTP/1.1 103 Early Hints\r\nlink: "
    assert client.receives() == head + b"</a>; rel=preload\r\n\r\n" + head + b"</b>\r\n\r\n" + OK


def test_hints_are_checked_and_dropped_without_the_extension(converse: Converse) -> None:
    client = converse(gateway={"early_hints": False})
    app = client.request(GET)
    app.sends({"type": "http.response.early_hint", "links": [b"</a>"]})
    with pytest.raises(ValueError, match="control character"):
        value_of(app.send({"type": "http.response.early_hint", "links": [b"\n"]}))
    with pytest.raises(ValueError, match=r"^ASGI message 'http.response.early_hint' has no 'links'$"):
        value_of(app.send({"type": "http.response.early_hint"}))
    app.sends(start(), body(b"ok"))
    client.run()
    assert client.receives() == OK


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_a_file_is_sent_by_its_path(client: AsgiConversation, path: Path) -> None:
    app = client.request(GET)
    app.sends(start(), {"type": "http.response.pathsend", "path": str(path)})
    client.run()
    assert client.receives() == b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ncontent"


def test_a_file_that_has_grown_is_cut_at_its_length(client: AsgiConversation, path: Path) -> None:
    app = client.request(GET)
    app.sends(start(200, LENGTH_2), {"type": "http.response.pathsend", "path": str(path)})
    client.run()
    assert client.receives() == OK.replace(b"ok", b"co")


def test_a_path_follows_no_piece_of_the_body(client: AsgiConversation, path: Path) -> None:
    app = client.request(GET)
    app.sends(start(), body(b"x", more_body=True))
    with pytest.raises(RuntimeError, match=r"^http.response.pathsend cannot follow other pieces of the body$"):
        value_of(app.send({"type": "http.response.pathsend", "path": str(path)}))


def zerocopy(path: Path, **how: Any) -> tuple[int, Message]:
    fd = os.open(path, os.O_RDONLY)
    return fd, {"type": "http.response.zerocopysend", "file": fd, **how}


def test_send_waits_until_the_kernel_has_the_file(client: AsgiConversation, path: Path) -> None:
    client.connection.stop_reading()
    app = client.request(GET)
    app.sends(start())
    fd, message = zerocopy(path)
    waiting = app.send(message)
    assert is_waiting(waiting)
    os.close(fd)
    ignored = app.send(body(b"The file is the last piece."))
    assert is_waiting(ignored)
    client.connection.read()
    assert value_of(waiting) is None
    assert value_of(ignored) is None
    client.run()
    assert client.receives() == b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ncontent"
    assert client.connection.state == "open"


def test_parts_of_a_file_can_be_pieces(client: AsgiConversation, path: Path) -> None:
    client.connection.stop_reading()
    app = client.request(GET)
    app.sends(start())
    fd, message = zerocopy(path, offset=1, count=3, more_body=True)
    waiting = app.send(message)
    assert is_waiting(waiting)
    os.close(fd)
    client.connection.read()
    assert value_of(waiting) is None
    app.sends(body(b"!"))
    client.run()
    assert client.receives() == CHUNKED + b"3\r\nont\r\n1\r\n!\r\n0\r\n\r\n"


def test_a_file_for_head_is_not_waited_for(client: AsgiConversation, path: Path) -> None:
    app = client.request(b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n")
    fd, message = zerocopy(path)
    app.sends(start(), message)
    os.close(fd)
    client.run()
    assert client.receives() == b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"
    assert client.connection.state == "open"


def test_a_file_for_a_lost_client_is_not_waited_for(client: AsgiConversation, path: Path) -> None:
    client.connection.stop_reading()
    app = client.request(GET)
    app.sends(start())
    fd, message = zerocopy(path)
    waiting = app.send(message)
    assert is_waiting(waiting)
    os.close(fd)
    client.connection.lose()
    assert value_of(waiting) is None


@pytest.mark.parametrize("kind", ["http.response.zerocopysend", "http.response.pathsend"])
def test_a_file_is_named(client: AsgiConversation, kind: str) -> None:
    app = client.request(GET)
    app.sends(start())
    with pytest.raises(ValueError, match=rf"^ASGI message '{kind}' has no '(file|path)'$"):
        value_of(app.send({"type": kind}))


# ---------------------------------------------------------------- the server stops


def stop(client: AsgiConversation) -> None:
    """Stops the server, and has its streams end."""
    drain_service(client.service, 1000.0)
    end_streams(client.service)
    drain(client.connection)


def test_an_event_stream_receives_a_disconnect(client: AsgiConversation) -> None:
    app = client.request(GET)
    assert app.received() == REQUEST_END
    app.sends(start(200, EVENTS), body(b"data: 1\n\n", more_body=True))
    waiting = app.receive()
    assert is_waiting(waiting)
    stop(client)
    assert 0 < read_deadline(client.connection) - monotonic() <= 0.5
    assert value_of(waiting) == DISCONNECT
    assert read_deadline(client.connection) == 0, "it was notified"
    app.sends(body(b"data: 2\n\n", more_body=True), body())
    client.run()
    assert client.receives().endswith(b"data: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n")


def test_an_event_stream_that_does_not_receive_is_ended(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.sends(start(200, EVENTS), body(b"data: 1\n\n", more_body=True))
    stop(client)
    expire(client.connection)
    assert client.receives().endswith(b"data: 1\n\n\r\n0\r\n\r\n")
    assert client.connection.state == "finished"
    with pytest.raises(ClientDisconnected):
        value_of(app.send(body(b"data: 2\n\n", more_body=True)))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the first step of a task is run at once")
def test_an_event_stream_that_was_cancelled_before_its_first_step_is_ended(converse: Converse) -> None:
    client = converse()
    client.connection.receive(get("/", b"accept: text/event-stream"))
    for task in client.gateway.tasks():
        task.cancel()
    client.loop.turn()
    client.loop.turn()
    stop(client)
    expire(client.connection)
    assert client.connection.state == "finished"
    assert client.receives() == b""


def test_a_second_start_after_the_end_of_a_stream_ends_it(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.sends(start(200, EVENTS), body(b"data: 1\n\n", more_body=True))
    stop(client)
    app.sends(start(200))
    client.run()
    assert client.receives().endswith(b"data: 1\n\n\r\n0\r\n\r\n")


def test_an_event_stream_that_starts_during_the_stop_is_notified(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.received()
    stop(client)
    app.sends(start(200, EVENTS))
    assert app.received() == DISCONNECT
    app.returns()
    client.run()
    assert client.receives().endswith(b"\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("fails", [False, True])
def test_a_long_poll_ends_with_503(converse: Converse, fails: bool) -> None:
    async def poll(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == REQUEST_END
        received.append(await receive())
        if fails:
            raise ValueError("mistake")

    received: list[Message] = []
    client = converse(poll)
    client.connection.receive(GET)
    client.run()
    assert is_busy(client.connection)
    stop(client)
    client.run()
    assert received == [DISCONNECT]
    page = client.receives()
    assert page.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nretry-after: 1\r\n" in page
    assert b"\r\nconnection: close\r\n" in page
    assert page.endswith(b"503 Service Unavailable: the server is stopping\n")


def test_a_request_that_only_waits_after_the_stop_ends_with_503(converse: Converse) -> None:
    async def poll(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1)
        await receive()
        assert await receive() == DISCONNECT

    client = converse(poll)
    client.connection.receive(GET)
    client.run()
    stop(client)
    client.loop.now += 2
    client.run()
    assert client.receives().startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


@pytest.mark.parametrize("waits", [False, True])
def test_a_stalled_body_is_given_up_only_while_the_application_waits_for_it(converse: Converse, waits: bool) -> None:
    client = converse(timeout_request_body=0, limit_body_rate=0)
    app = client.request(post(5))
    if waits:
        assert is_waiting(app.receive())
    drain_service(client.service, 1.0)
    assert (read_deadline(client.connection) > 0) is waits


def test_a_receive_of_another_task_keeps_waiting(client: AsgiConversation) -> None:
    app = client.request(GET)
    app.received()
    waiting = app.receive()
    assert is_waiting(waiting)
    stop(client)
    assert is_waiting(app.receive()), "the request may be computing its response"
    app.sends(start(), body(b"ok"))
    client.run()
    assert client.receives().endswith(b"\r\n\r\nok")


def test_a_response_that_the_stop_has_ended_is_information(
    client: AsgiConversation, caplog: pytest.LogCaptureFixture
) -> None:
    app = client.request(GET)
    app.sends(start(), body(b"1", more_body=True))
    drain_service(client.service, 1000.0)
    app.returns()
    client.run()
    assert caplog.messages == ["response ended early, the server is stopping: GET /"]
    assert client.receives().endswith(b"1\r\n1\r\n")
