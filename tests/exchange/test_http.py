"""An exchange and its response: each call of an application, and the calls of the session that follow from it."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from ianus.exchange.disconnect import ClientDisconnected
from ianus.exchange.recording import RecordingObserver, drain_service, end_streams
from ianus.exchange.recording_exchange import (
    RecordingExchange,
    RecordingGateway,
    RecordingHost,
    accepts_body,
    arrive,
    body_times,
    disconnect,
    drain_exchange,
    end_request,
    open_exchange,
    set_body_times,
)
from ianus.exchange.service import Service
from tests.engine import service as new_service


@pytest.fixture
def host() -> RecordingHost:
    return RecordingHost()


@pytest.fixture
def service() -> Service:
    return new_service(RecordingGateway())


@pytest.fixture
def exchange(service: Service, host: RecordingHost) -> RecordingExchange:
    return open_exchange(service, host)


def upload(service: Service, host: RecordingHost, size: int = 100, **how: Any) -> RecordingExchange:
    return open_exchange(service, host, method="POST", content_length=size, **how)


def length(size: int) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", str(size).encode())]


# ---------------------------------------------------------------- the request's body


def test_pieces_of_a_body_are_joined(service: Service, host: RecordingHost) -> None:
    exchange = upload(service, host, 6)
    for piece in (b"a", b"b", b"c"):
        arrive(exchange, piece)
    assert exchange.read_body() == b"abc"
    assert exchange.read_body() == b""
    arrive(exchange, b"def")
    end_request(exchange)
    assert exchange.request_complete
    assert exchange.read_body() == b"def"


def test_a_body_is_accepted_up_to_a_limit(service: Service, host: RecordingHost) -> None:
    exchange = upload(service, host, 200000)
    arrive(exchange, b"x" * 65535)
    assert accepts_body(exchange)
    arrive(exchange, b"x")
    assert not accepts_body(exchange)
    exchange.read_body()
    assert host.take_calls() == ["reconsider"]
    assert accepts_body(exchange)
    end_request(exchange)
    assert not accepts_body(exchange)


def test_time_in_which_the_application_took_no_body_is_not_the_client_s(service: Service, host: RecordingHost) -> None:
    exchange = upload(service, host, 200000)
    arrive(exchange, b"x" * 65536)
    set_body_times(exchange, 10.0, 20.0, 65536)
    exchange.read_body()
    since, last, received = body_times(exchange)
    assert last - since == pytest.approx(10.0)
    assert last > 20.0
    assert received == 65536


def test_a_small_body_that_is_taken_late_changes_no_time(service: Service, host: RecordingHost) -> None:
    exchange = upload(service, host)
    arrive(exchange, b"x")
    set_body_times(exchange, 10.0, 20.0, 1)
    exchange.read_body()
    assert body_times(exchange) == (10.0, 20.0, 1)


def test_a_body_after_the_response_is_dropped(service: Service, host: RecordingHost) -> None:
    exchange = upload(service, host)
    exchange.send_page(404)
    arrive(exchange, b"late")
    assert exchange.read_body() == b""


def test_continue_is_sent_once(service: Service, host: RecordingHost) -> None:
    exchange = upload(service, host, expect_continue=True)
    exchange.ask_for_body()
    exchange.ask_for_body()
    assert host.take_calls() == [("informational", (100, None, [])), "send at once", "reconsider"]


def test_continue_is_not_sent_after_a_head(service: Service, host: RecordingHost) -> None:
    exchange = upload(service, host, expect_continue=True)
    exchange.respond()
    exchange.suspend()
    host.take_calls()
    exchange.ask_for_body()
    assert host.take_calls() == ["reconsider"]


def test_continue_is_not_sent_to_a_lost_client(service: Service, host: RecordingHost) -> None:
    exchange = upload(service, host, expect_continue=True)
    disconnect(exchange)
    exchange.ask_for_body()
    assert host.take_calls() == []


# ---------------------------------------------------------------- framing


def test_a_whole_response_has_its_length_and_one_send(exchange: RecordingExchange, host: RecordingHost) -> None:
    exchange.respond()
    exchange.send(b"whole")
    assert host.take_calls() == [
        ("head", 200, "length", 5, "keep"),
        ("body", b"whole"),
        "end",
        "response complete",
    ]
    assert exchange.response_complete
    assert exchange.events == ["readable"], "an application that listens learns of the end"


def test_an_empty_response_has_the_length_zero(exchange: RecordingExchange, host: RecordingHost) -> None:
    exchange.respond()
    exchange.send(b"")
    assert host.take_calls() == [("head", 200, "length", 0, "keep"), "end", "response complete"]


def test_several_pieces_are_a_stream(exchange: RecordingExchange, host: RecordingHost) -> None:
    exchange.respond()
    exchange.send(b"1", more=True)
    exchange.send(b"", more=True)
    exchange.send(b"2")
    assert host.take_calls() == [
        ("head", 200, "stream", 1, "keep"),
        ("body", b"1"),
        "send soon",
        "send soon",
        ("body", b"2"),
        "end",
        "response complete",
    ]


def test_a_declared_length_is_kept(exchange: RecordingExchange, host: RecordingHost) -> None:
    exchange.respond(headers=length(2))
    exchange.send(b"1", more=True)
    exchange.send(b"2")
    assert host.take_calls()[0] == ("head", 200, "declared", 1, "keep")


def test_a_computed_length_is_sent_with_the_first_piece(exchange: RecordingExchange, host: RecordingHost) -> None:
    exchange.respond()
    exchange.compute_length(2)
    exchange.send(b"1", more=True)
    assert host.take_calls()[0] == ("head", 200, "length", 2, "keep")
    with pytest.raises(ValueError, match=r"^response body has 3 bytes, its content-length is 2$"):
        exchange.send(b"23")


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("more", [False, True])
def test_a_status_without_a_body_discards_it(
    exchange: RecordingExchange, host: RecordingHost, status: int, more: bool
) -> None:
    exchange.respond(status)
    exchange.send(b"body", more=more)
    if more:
        exchange.send(b"rest")
    assert [call for call in host.take_calls() if call != "send soon"] == [
        ("head", status, "declared", 0, "keep"),
        "end",
        "response complete",
    ]


@pytest.mark.parametrize(
    ("headers", "computed", "body", "more", "head"),
    [
        ((), None, b"body", False, ("head", 200, "length", 4, "keep")),
        ((), None, b"body", True, ("head", 200, "declared", 0, "keep")),
        ((), None, b"", False, ("head", 200, "declared", 0, "keep")),
        ((), 10, b"body", False, ("head", 200, "length", 10, "keep")),
        (length(10), None, b"", False, ("head", 200, "declared", 0, "keep")),
        (length(10), None, b"body", False, ("head", 200, "declared", 0, "keep")),
    ],
)
def test_a_response_to_head_has_the_length_of_a_get(
    service: Service,
    host: RecordingHost,
    headers: Any,
    computed: int | None,
    body: bytes,
    more: bool,
    head: tuple[Any, ...],
) -> None:
    exchange = open_exchange(service, host, method="HEAD")
    exchange.respond(headers=headers)
    if computed is not None:
        exchange.compute_length(computed)
    exchange.send(body, more=more)
    calls = host.take_calls()
    assert calls[0] == head
    assert not any(call[0] == "body" for call in calls)


@pytest.mark.parametrize(
    ("headers", "framing"), [((), "stream"), (length(5), "declared")], ids=["no length", "declared"]
)
def test_the_head_is_sent_when_the_application_suspends(
    exchange: RecordingExchange, host: RecordingHost, headers: Any, framing: str
) -> None:
    exchange.suspend()
    exchange.respond(headers=headers)
    exchange.suspend()
    exchange.suspend()
    assert host.take_calls() == [("head", 200, framing, 0, "keep")]
    assert exchange.head_sent


def test_a_head_without_a_body_is_sent_when_the_application_suspends(service: Service, host: RecordingHost) -> None:
    exchange = open_exchange(service, host, method="HEAD")
    exchange.respond()
    exchange.suspend()
    exchange.send(b"body")
    assert host.take_calls() == [("head", 200, "declared", 0, "keep"), "end", "response complete"]


# ---------------------------------------------------------------- wrong lengths


@pytest.mark.parametrize("body", [b"123", b"1"])
def test_a_wrong_length_before_the_head_is_an_error(
    exchange: RecordingExchange, host: RecordingHost, body: bytes
) -> None:
    exchange.respond(headers=length(2))
    with pytest.raises(ValueError, match=rf"^response body has {len(body)} bytes, its content-length is 2$"):
        exchange.send(body)
    assert host.take_calls() == []
    exchange.fail()
    calls = host.take_calls()
    assert calls[0] == ("head", 500, "length", 26, "close")


@pytest.mark.parametrize("body", [b"234", b""])
def test_a_wrong_length_after_the_head_aborts(exchange: RecordingExchange, host: RecordingHost, body: bytes) -> None:
    exchange.respond(headers=length(3))
    exchange.send(b"1", more=True)
    host.take_calls()
    with pytest.raises(ValueError, match=rf"^response body has {1 + len(body)} bytes, its content-length is 3$"):
        exchange.send(body)
    assert host.take_calls() == ["aborted: partial"]
    assert exchange.disconnected


# ---------------------------------------------------------------- files


def open_file(path: Path) -> int:
    path.write_bytes(b"content")
    return os.open(path, os.O_RDONLY)


def test_a_file_is_a_piece_of_the_body(exchange: RecordingExchange, host: RecordingHost, tmp_path: Path) -> None:
    exchange.respond()
    exchange.send_file(open_file(tmp_path / "file"), 7)
    assert host.take_calls() == [("head", 200, "length", 7, "keep"), ("file", 7), "end", "response complete"]


def test_the_end_can_wait_for_the_file(exchange: RecordingExchange, host: RecordingHost, tmp_path: Path) -> None:
    exchange.respond()
    exchange.send_file(open_file(tmp_path / "file"), 7, waits=True)
    assert host.take_calls() == [("head", 200, "length", 7, "keep"), ("file", 7), "send soon"]
    assert not exchange.response_complete


def test_no_file_follows_a_head(service: Service, host: RecordingHost, tmp_path: Path) -> None:
    exchange = open_exchange(service, host, method="HEAD")
    exchange.respond()
    exchange.send_file(open_file(tmp_path / "file"), 7)
    assert host.take_calls() == [("head", 200, "length", 7, "keep"), "end", "response complete"]


# ---------------------------------------------------------------- trailers and hints

TE = [(b"te", b"gzip, trailers")]


def test_trailers_end_a_response(service: Service, host: RecordingHost) -> None:
    exchange = open_exchange(service, host, headers=TE)
    exchange.respond(trailing=True)
    exchange.send(b"body")
    exchange.send_trailers([(b"x-one", b"1")], more=True)
    exchange.send_trailers([(b"x-two", b"2")])
    assert host.take_calls() == [
        ("head", 200, "stream", 4, "keep"),
        ("body", b"body"),
        "send soon",
        ("trailers", [(b"x-one", b"1"), (b"x-two", b"2")]),
        "response complete",
    ]


@pytest.mark.parametrize("how", [{}, {"headers": TE, "http_version": "1.0"}], ids=["not asked for", "HTTP/1.0"])
def test_a_client_that_wants_no_trailers_gets_none(service: Service, host: RecordingHost, how: Any) -> None:
    exchange = open_exchange(service, host, **how)
    exchange.respond(trailing=True)
    exchange.send(b"body")
    assert not exchange.response_complete
    exchange.send_trailers([(b"x-one", b"1")])
    assert host.take_calls()[-2:] == ["end", "response complete"]


def test_trailers_that_are_empty_are_the_end(service: Service, host: RecordingHost) -> None:
    exchange = open_exchange(service, host, headers=TE)
    exchange.respond(trailing=True)
    exchange.send(b"body")
    exchange.send_trailers([])
    assert host.take_calls()[-2:] == ["end", "response complete"]


def test_a_field_of_the_head_cannot_be_a_trailer(service: Service, host: RecordingHost) -> None:
    exchange = open_exchange(service, host, headers=TE)
    exchange.respond(trailing=True)
    exchange.send(b"body")
    with pytest.raises(
        ValueError, match=r"^b'Content-Length' cannot be a trailer: it has to be known before the body$"
    ):
        exchange.send_trailers([(b"Content-Length", b"4")])


def test_hints_precede_the_head(exchange: RecordingExchange, host: RecordingHost) -> None:
    exchange.send_hints([(b"link", b"</style.css>")])
    exchange.respond()
    exchange.send_hints([(b"link", b"</script.js>")])
    assert host.take_calls() == [
        ("informational", (103, None, [(b"link", b"</style.css>")])),
        "send soon",
        ("informational", (103, None, [(b"link", b"</script.js>")])),
        "send soon",
    ]
    exchange.suspend()
    with pytest.raises(RuntimeError, match=r"^early hints must precede the response head, which was sent$"):
        exchange.send_hints([])


# ---------------------------------------------------------------- the last response of a connection


def close_of(host: RecordingHost) -> str:
    head = host.take_calls()[0]
    assert head[0] == "head"
    return str(head[4])


def test_an_application_may_close(exchange: RecordingExchange, host: RecordingHost) -> None:
    exchange.respond(headers=[(b"Connection", b"close")])
    exchange.send(b"")
    assert close_of(host) == "close"


def test_a_stop_makes_each_response_the_last(
    service: Service, exchange: RecordingExchange, host: RecordingHost
) -> None:
    drain_service(service, 1000.0)
    exchange.respond()
    exchange.send(b"")
    assert close_of(host) == "close"


@pytest.mark.parametrize(
    ("size", "arrived", "more", "close"),
    [
        (65536, 0, False, "keep"),
        (65537, 0, False, "close"),
        (65537, 1, False, "keep"),
        (65537, 0, True, "keep"),
    ],
)
def test_a_client_with_much_left_to_send_is_closed(
    service: Service, host: RecordingHost, size: int, arrived: int, more: bool, close: str
) -> None:
    exchange = upload(service, host, size)
    arrive(exchange, b"x" * arrived)
    exchange.respond()
    exchange.send(b"body", more=more)
    assert close_of(host) == close


def test_a_client_that_waits_for_continue_is_closed(service: Service, host: RecordingHost) -> None:
    exchange = upload(service, host, expect_continue=True)
    exchange.respond()
    exchange.send(b"body", more=True)
    assert close_of(host) == "close"


# ---------------------------------------------------------------- deferred completion


def test_a_deferred_completion_waits_for_its_call(exchange: RecordingExchange, host: RecordingHost) -> None:
    host.serial = True
    exchange.respond()
    exchange.defer_completion()
    exchange.send(b"body")
    assert host.take_calls()[2:] == ["end", "response queued", "resume soon"]
    assert not exchange.response_complete
    exchange.complete_late()
    assert host.take_calls() == ["response complete"]


def test_other_streams_do_not_wait_for_a_completion(exchange: RecordingExchange, host: RecordingHost) -> None:
    host.serial = False
    exchange.respond()
    exchange.defer_completion()
    exchange.send(b"body")
    assert host.take_calls()[2:] == ["end", "response complete"]


def test_a_response_is_queued_for_its_observer(host: RecordingHost) -> None:
    exchange = open_exchange(new_service(RecordingGateway(), observer=RecordingObserver()), host)
    exchange.respond()
    exchange.send(b"body")
    assert host.take_calls()[2:] == ["end", "response queued", "response complete"]


# ---------------------------------------------------------------- errors and ends


def test_an_error_response_replaces_one_that_has_not_left(exchange: RecordingExchange, host: RecordingHost) -> None:
    exchange.respond(201)
    exchange.send_page(500)
    assert host.take_calls() == [
        ("head", 500, "length", 26, "keep"),
        ("body", b"500 Internal Server Error\n"),
        "end",
        "response complete",
    ]
    assert (exchange.status, exchange.response_complete) == (500, True)


def test_an_error_response_to_head_has_no_body(service: Service, host: RecordingHost) -> None:
    exchange = open_exchange(service, host, method="HEAD")
    exchange.send_page(404, "no such page", close=True)
    assert host.take_calls() == [("head", 404, "length", 28, "close"), "end", "response complete"]


def test_a_lost_client_gets_no_error_response(exchange: RecordingExchange, host: RecordingHost) -> None:
    disconnect(exchange)
    exchange.send_page(500)
    exchange.abort()
    exchange.fail()
    assert host.take_calls() == []


def test_a_failure_after_the_head_aborts(exchange: RecordingExchange, host: RecordingHost) -> None:
    exchange.respond()
    exchange.send(b"1", more=True)
    host.take_calls()
    exchange.fail()
    assert host.take_calls() == ["aborted: partial"]
    assert exchange.events == ["writable", "readable"], "a sender continues before another task cancels it"


def test_a_disconnect_is_notified_once(exchange: RecordingExchange) -> None:
    disconnect(exchange)
    disconnect(exchange)
    assert exchange.events == ["writable", "readable"]


def test_a_complete_response_is_not_disconnected(exchange: RecordingExchange) -> None:
    exchange.send_page(404)
    disconnect(exchange)
    assert not exchange.disconnected


@pytest.mark.parametrize("call", ["send", "send_file", "send_trailers", "send_hints"])
def test_output_for_a_lost_client_raises(exchange: RecordingExchange, call: str, tmp_path: Path) -> None:
    exchange.respond()
    disconnect(exchange)
    exchange.suspend()
    arguments: tuple[Any, ...] = ([],)
    if call == "send":
        arguments = (b"body",)
    elif call == "send_file":
        arguments = (open_file(tmp_path / "file"), 7)
    with pytest.raises(ClientDisconnected):
        getattr(exchange, call)(*arguments)


# ---------------------------------------------------------------- event streams while the server stops

EVENTS = [(b"accept", b"text/event-stream")]
STREAM = [(b"content-type", b"Text/Event-Stream; charset=utf-8")]


def test_an_event_stream_ends_when_the_server_stops(
    service: Service, exchange: RecordingExchange, host: RecordingHost
) -> None:
    exchange.respond(headers=STREAM)
    exchange.send(b"data: 1\n\n", more=True)
    host.take_calls()
    drain_exchange(exchange)
    assert host.take_calls() == [], "streams may continue during a handover"
    end_streams(service)
    drain_exchange(exchange)
    assert host.take_calls() == ["end", "aborted"]
    drain_exchange(exchange)
    assert host.take_calls() == []


def test_the_head_of_an_event_stream_is_sent_before_its_end(
    service: Service, exchange: RecordingExchange, host: RecordingHost
) -> None:
    end_streams(service)
    exchange.respond(headers=STREAM)
    drain_exchange(exchange)
    assert host.take_calls() == [("head", 200, "stream", 0, "keep"), "end", "aborted"]


def test_a_request_for_events_without_a_response_is_aborted(service: Service, host: RecordingHost) -> None:
    exchange = open_exchange(service, host, headers=EVENTS)
    end_streams(service)
    drain_exchange(exchange)
    assert host.take_calls() == ["aborted: partial"]


def test_an_event_stream_of_a_declared_length_is_aborted(
    service: Service, exchange: RecordingExchange, host: RecordingHost
) -> None:
    exchange.respond(headers=[*STREAM, *length(100)])
    exchange.send(b"data: 1\n\n", more=True)
    host.take_calls()
    end_streams(service)
    drain_exchange(exchange)
    assert host.take_calls() == ["aborted: partial"]


@pytest.mark.parametrize("method", ["POST", "HEAD"])
def test_other_methods_have_no_event_streams(service: Service, host: RecordingHost, method: str) -> None:
    exchange = open_exchange(service, host, method=method, headers=EVENTS)
    end_streams(service)
    drain_exchange(exchange)
    exchange.respond(headers=STREAM)
    exchange.send(b"data", more=True)
    host.take_calls()
    drain_exchange(exchange)
    assert host.take_calls() == []


def test_other_responses_continue_while_the_server_stops(
    service: Service, exchange: RecordingExchange, host: RecordingHost
) -> None:
    exchange.respond()
    exchange.send(b"part", more=True)
    host.take_calls()
    end_streams(service)
    drain_exchange(exchange)
    assert host.take_calls() == []


# ---------------------------------------------------------------- the log


def test_mistakes_are_logged_with_the_request(exchange: RecordingExchange, caplog: pytest.LogCaptureFixture) -> None:
    exchange.log("application returned without starting a response")
    assert caplog.messages == ["application returned without starting a response: GET /path"]
    assert caplog.records[0].levelno == logging.ERROR
    assert caplog.records[0].exc_info is None


def test_exceptions_are_logged_with_their_traceback(
    exchange: RecordingExchange, caplog: pytest.LogCaptureFixture
) -> None:
    error = KeyError("cause")
    exchange.log("exception in application", error)
    assert caplog.messages == ["exception in application: GET /path"]
    assert caplog.records[0].exc_info == (KeyError, error, None)


class OddError(Exception):
    """An exception that `traceback` cannot format."""

    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        raise RuntimeError("an attribute that fails")


def test_exceptions_that_traceback_cannot_format_are_logged_as_text(
    exchange: RecordingExchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.log("exception in application", OddError("text"))
    assert caplog.records[0].exc_info is None
    first, *rest = caplog.messages[0].splitlines()
    assert first == "exception in application: GET /path"
    assert rest[-1].endswith("OddError: text")
