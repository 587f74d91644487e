"""The parts of a session that do not depend on HTTP's version: output, limits, and the reports to the observer."""

import base64
import logging
import os
from collections.abc import Callable
from typing import Any

import pytest

from ianus.exchange.recording import RecordingConnection, RecordingObserver, reset_in_child
from ianus.exchange.recording_exchange import RecordingExchange
from ianus.telemetry.access_log import AccessLog
from tests.engine import line_format, service, sessions
from tests.exchange.conversation import GET, OK, Conversation, get, post

Converse = Callable[..., Conversation]


# ---------------------------------------------------------------- output


def test_small_pieces_wait_for_the_callbacks_of_the_loop(client: Conversation) -> None:
    exchange = client.open(GET)
    exchange.respond()
    client.connection.calls.clear()
    exchange.send(b"1", more=True)
    exchange.send(b"2", more=True)
    assert client.connection.calls == ["resume_soon", "resume_soon"]
    assert client.receives() == b""
    client.connection.resume()
    assert client.receives().endswith(b"1\r\n1\r\n1\r\n2\r\n")


def test_a_piece_can_be_sent_at_once(client: Conversation) -> None:
    exchange = client.open(GET)
    exchange.respond()
    exchange.send_each_piece()
    exchange.send(b"1", more=True)
    assert client.connection.calls == ["flush"]
    assert client.receives().endswith(b"1\r\n1\r\n")


def test_much_output_is_sent_at_once(client: Conversation) -> None:
    exchange = client.open(GET)
    exchange.respond()
    exchange.send(b"x" * 262144, more=True)
    assert client.connection.calls == ["flush"]


def test_nothing_is_sent_to_a_blocked_client(client: Conversation) -> None:
    client.connection.stop_reading()
    exchange = client.open(GET)
    exchange.respond()
    exchange.send(b"x" * 262144, more=True)
    client.connection.calls.clear()
    exchange.send(b"1", more=True)
    assert client.connection.calls == []


def test_an_application_continues_when_the_client_has_read(client: Conversation) -> None:
    client.connection.stop_reading()
    exchange = client.open(GET)
    exchange.respond()
    exchange.send(b"x" * 65536, more=True)
    client.connection.resume()
    assert exchange.events == ["start"]
    client.connection.read(60000)
    assert exchange.events == ["start", "writable"]
    client.connection.read()
    assert exchange.events == ["start", "writable", "writable"]


# ---------------------------------------------------------------- limits


def test_requests_over_the_limit_are_answered_503(converse: Converse, caplog: pytest.LogCaptureFixture) -> None:
    client = converse(limit_concurrency=1)
    client.open(post(1))
    other = converse(limit_concurrency=1)
    other.connection.receive(GET)
    assert other.exchange.events == ["start"], "the limit is that of a service"
    client.exchange.respond()
    client.exchange.send(b"ok")
    client.connection.receive(b"1" + GET + get("/", b"connection: upgrade", b"upgrade: other"))
    text = b"503 Service Unavailable: the server is busy\n"
    head = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: 1\r\n"
    kept = head + b"content-length: %d\r\n\r\n" % len(text) + text
    closed = head + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(text) + text
    assert client.receives() == OK + kept + closed, "a proxy may take a refused upgrade for a tunnel"
    assert client.connection.state == "finished"
    assert caplog.messages == ["rejected 1 request(s) with 503: limit-concurrency (1) reached"], "at most once a second"
    assert [exchange.events for exchange in client.exchanges[1:]] == [["readable"], ["readable"]]


def test_a_worker_is_notified_when_its_last_request_starts(converse: Converse) -> None:
    notices: list[bool] = []
    client = converse(max_requests=2, max_requests_jitter=0, on_max_requests=lambda: notices.append(True))
    for expected in ([], [True], [True]):
        client.open(GET)
        assert notices == expected
        client.answer()


def test_without_a_maximum_no_worker_is_notified(converse: Converse) -> None:
    client = converse(max_requests=0, on_max_requests=lambda: pytest.fail("notified"))
    for _ in range(3):
        client.open(GET)
        client.answer()


def test_requests_in_flight_are_counted_until_their_calls_return(client: Conversation) -> None:
    exchange = client.open(GET)
    assert client.service.in_flight.requests == 1
    exchange.respond()
    exchange.send(b"ok")
    assert client.service.in_flight.requests == 1
    exchange.end_call()
    assert client.service.in_flight.requests == 0


# ---------------------------------------------------------------- ids of requests


def test_each_request_has_an_id(converse: Converse) -> None:
    client = converse(request_id_header="x-request-id")
    client.open(get("/", b"X-Request-Id: given"))
    client.answer()
    assert b"\r\nx-request-id: given\r\n" in client.receives()
    client.open(GET)
    client.answer()
    given, made = client.observer.requests  # type: ignore[union-attr]
    assert given["request_id"] == b"given"
    assert b"\r\nx-request-id: " + made["request_id"] + b"\r\n" in client.receives()
    assert (b"x-request-id", made["request_id"]) in made["headers"], "the application gets it"


# ---------------------------------------------------------------- the observer


def test_the_facts_of_a_request(client: Conversation) -> None:
    exchange = client.open(get("/path?query", b"User-Agent: test"))
    client.answer()
    [facts] = client.observer.requests  # type: ignore[union-attr]
    assert facts.pop("duration") >= 0
    assert facts.pop("started") > 0
    assert facts == {
        "client": ("192.0.2.1", 4711),
        "method": "GET",
        "target": b"/path?query",
        "http_version": "1.1",
        "headers": [(b"host", b"h"), (b"user-agent", b"test")],
        "response_headers": None,
        "request_id": None,
        "status": 200,
        "size": 2,
        "queue_time": 0.0,
    }
    assert exchange.response_complete


def test_a_request_is_reported_when_the_kernel_has_taken_its_response(client: Conversation) -> None:
    client.connection.stop_reading()
    client.open(GET)
    client.answer()
    assert client.ends == []
    client.connection.read(len(OK) - 1)
    assert client.ends == []
    client.connection.read(1)
    assert client.ends == [(b"/", 200, 2)]


def test_requests_are_reported_in_their_order(client: Conversation) -> None:
    client.connection.stop_reading()
    for number in range(3):
        client.open(get(f"/{number}"))
        client.answer()
    client.connection.read(len(OK))
    assert client.ends == [(b"/0", 200, 2)]
    client.connection.read(len(OK) + 5)
    assert client.ends == [(b"/0", 200, 2), (b"/1", 200, 2)]
    client.connection.lose()
    assert client.ends == [(b"/0", 200, 2), (b"/1", 200, 2), (b"/2", 499, 0)]


def test_without_an_observer_nothing_is_kept(converse: Converse) -> None:
    client = converse(observed=False)
    client.connection.stop_reading()
    client.open(GET)
    client.answer()
    client.exchanges.clear()
    client.connection.read()
    assert client.receives() == OK


def respond(exchange: RecordingExchange, *, length: int | None, sent: bytes, end: bool) -> None:
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    exchange.respond(headers=headers)
    if sent or end:
        exchange.send(sent, more=not end)
    else:
        exchange.suspend()


LENGTH_HEAD = len(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
CHUNKED_HEAD = len(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


@pytest.mark.parametrize(
    ("length", "sent", "end", "read", "status", "size"),
    [
        pytest.param(10, b"x" * 10, True, 0, 499, 0, id="nothing of a complete response"),
        pytest.param(10, b"x" * 10, True, LENGTH_HEAD + 4, 499, 4, id="a part of a complete response"),
        pytest.param(10, b"x" * 10, True, -1, 200, 10, id="all of a complete response"),
        pytest.param(10, b"x" * 4, False, -1, 499, 4, id="a body that is incomplete"),
        pytest.param(None, b"x" * 10, False, -1, 200, 10, id="a stream, which always ends like that"),
        pytest.param(None, b"x" * 10, False, CHUNKED_HEAD + 3, 200, 2, id="a part of a stream, without its framing"),
        pytest.param(None, b"x" * 10, False, CHUNKED_HEAD, 200, 0, id="the head of a stream"),
        pytest.param(None, b"x" * 10, False, CHUNKED_HEAD - 1, 499, 0, id="a part of the head of a stream"),
        pytest.param(None, b"x" * 10, True, LENGTH_HEAD + 1, 499, 1, id="a short response"),
    ],
)
def test_the_status_and_the_size_of_lost_connections(
    client: Conversation, length: int | None, sent: bytes, end: bool, read: int, status: int, size: int
) -> None:
    client.connection.stop_reading()
    exchange = client.open(GET)
    respond(exchange, length=length, sent=sent, end=end)
    client.connection.resume()
    client.connection.read(read)
    client.connection.lose()
    assert client.ends == [(b"/", status, size)]


def test_a_request_without_a_response_is_a_499(client: Conversation) -> None:
    client.open(GET)
    client.connection.lose()
    assert client.ends == [(b"/", 499, 0)]


def test_a_tunnel_keeps_its_status(client: Conversation) -> None:
    client.open(get("/", b"connection: upgrade", b"upgrade: other")).open_tunnel()
    client.connection.resume()
    client.connection.lose()
    assert client.ends == [(b"/", 101, 0)]


def test_a_deferred_completion_is_reported_once(client: Conversation) -> None:
    exchange = client.open(GET)
    exchange.respond()
    exchange.defer_completion()
    exchange.send(b"ok")
    client.connection.resume()
    assert client.receives() == OK
    assert client.ends == [(b"/", 200, 2)]
    client.connection.receive(get("/next"))
    assert len(client.exchanges) == 1, "the next request waits for the completion"
    exchange.complete_late()
    client.connection.resume()
    assert client.exchange.request.path == "/next"
    client.answer()
    assert [target for target, _, _ in client.ends] == [b"/", b"/next"]


def test_response_headers_that_are_replaced_while_they_are_reported(
    converse: Converse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading credentials is Python code, in which the application's thread may call start_response() again."""
    client = converse()
    file = os.memfd_create("log")
    log = AccessLog(file, line_format("%(u)s %({x}o)s"), access_log_exclude=(), interval=0.01)
    connection = RecordingConnection(sessions(service(client.recording, observer=log)))
    connection.receive(get("/", b"authorization: Basic YTpi"))
    client.exchange.respond(headers=[(b"x", b"first")])
    client.exchange.defer_completion()
    client.exchange.send(b"ok")
    decode = base64.b64decode
    others: list[Any] = []

    def replace(*args: Any, **how: Any) -> bytes:
        client.exchange.respond(headers=[(b"x", b"other")])
        others.extend([(b"x", b"waste")] for _ in range(100))
        return decode(*args, **how)

    monkeypatch.setattr(base64, "b64decode", replace)
    connection.resume()
    log.start()
    log.close()
    assert os.pread(file, 100, 0) == b"a first\n"
    os.close(file)
    connection.lose()


def test_the_last_response_of_a_connection_is_not_deferred(client: Conversation) -> None:
    exchange = client.open(get("/", b"connection: close"))
    exchange.respond()
    exchange.defer_completion()
    exchange.send(b"ok")
    assert exchange.response_complete
    client.connection.resume()
    assert client.connection.state == "finished"


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_rejections_are_information(client: Conversation, caplog: pytest.LogCaptureFixture, level: int) -> None:
    with caplog.at_level(level):
        client.connection.receive(b"\x16")
    assert len(caplog.messages) == (level == logging.INFO)


@pytest.mark.parametrize("native", [False, True])
def test_response_headers_are_recorded_if_the_observer_wants_them(converse: Converse, native: bool) -> None:
    client = converse()
    observer = RecordingObserver(response_headers=True)
    connection = RecordingConnection(sessions(service(client.recording, observer=observer)))
    connection.receive(GET)
    if native:
        client.exchange.respond(headers=[("X-Some", "\xe9")], native=True)
    else:
        client.exchange.respond(headers=iter([[b"X-Some", b"\xe9"]]))
    client.exchange.send(b"ok")
    client.exchange.end_call()
    connection.resume()
    assert observer.requests[0]["response_headers"] == [(b"x-some", b"\xe9")]
    assert b"X-Some: \xe9\r\n" in connection.take_output()
    connection.lose()


def test_a_forked_child_reports_no_request_of_its_parent(client: Conversation) -> None:
    client.connection.stop_reading()
    client.open(GET)
    client.answer()
    reset_in_child(client.sessions)
    client.connection.lose()
    assert client.ends == []
