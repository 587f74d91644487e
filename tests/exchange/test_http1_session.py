"""One HTTP/1 connection below the socket: the order of its exchanges, its deadlines, its rejections and its end."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ianus.exchange.recording import (
    discard_deadline,
    drain,
    drain_service,
    end_conversation,
    end_streams,
    expects_input,
    expire,
    has_conversation,
    is_busy,
    read_deadline,
    set_since,
    since,
    wants_input,
    wants_read,
    write_timeout,
)
from ianus.exchange.recording_exchange import body_times, set_body_times
from tests.exchange.conversation import GET, OK, Conversation, get, post

Converse = Callable[..., Conversation]

EVENTS = b"accept: text/event-stream"


# ---------------------------------------------------------------- the order of exchanges


def test_a_response_follows_its_request_and_the_connection_stays_open(client: Conversation) -> None:
    for _ in range(3):
        exchange = client.open(GET)
        assert exchange.events == ["start"]
        client.answer()
        assert client.receives() == OK
        assert client.connection.state == "open"
    assert len(client.exchanges) == 3


def test_the_next_pipelined_request_starts_after_the_response(client: Conversation) -> None:
    client.connection.receive(get("/1") + get("/2") + get("/3"))
    assert [exchange.request.path for exchange in client.exchanges] == ["/1"]
    assert not wants_input(client.connection)
    client.answer(body=b"1")
    assert [exchange.request.path for exchange in client.exchanges] == ["/1", "/2"]
    client.answer(body=b"2")
    client.answer(body=b"3")
    assert client.receives().split(b"\r\n\r\n")[1:] == [
        b"1HTTP/1.1 200 OK\r\ncontent-length: 1",
        b"2HTTP/1.1 200 OK\r\ncontent-length: 1",
        b"3",
    ]
    assert client.connection.unread == b""


def test_a_request_in_pieces_starts_when_its_head_is_complete(client: Conversation) -> None:
    for position in range(len(GET) - 1):
        client.connection.receive(GET[position : position + 1])
    assert client.exchanges == []
    client.connection.receive(GET[-1:])
    assert client.exchange.events == ["start"]


def test_an_application_is_notified_of_each_arrival_of_the_body(client: Conversation) -> None:
    exchange = client.open(post(4) + b"a")
    assert exchange.events == ["start"]
    client.connection.receive(b"b")
    client.connection.receive(b"cd")
    assert exchange.events == ["start", "readable", "readable"]
    assert exchange.request_complete
    assert exchange.read_body() == b"abcd"


def test_trailers_of_a_request_are_dropped(client: Conversation) -> None:
    chunked = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n"
    exchange = client.open(chunked)
    assert exchange.request_complete
    assert exchange.read_body() == b"ab"
    assert (b"x-sum", b"1") not in exchange.request.headers
    client.answer()
    assert client.receives() == OK


def test_applications_that_run_later_let_output_wait_for_theirs(converse: Converse) -> None:
    client = converse(runs_later=True)
    client.connection.receive(GET)
    assert client.connection.resume_scheduled
    client.exchange.respond()
    assert client.receives() == b""
    client.connection.resume()
    assert client.receives().endswith(b"transfer-encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_request_that_closes_is_the_last(client: Conversation, version: str) -> None:
    client.connection.receive(get("/", b"connection: close", version=version) + GET)
    client.answer()
    assert client.receives() == OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert client.connection.state == "finished"
    assert not wants_read(client.connection)
    assert read_deadline(client.connection) == 0
    client.connection.receive(b"")
    assert len(client.exchanges) == 1


def test_a_client_of_http_1_0_may_keep_its_connection(client: Conversation) -> None:
    client.connection.receive(get("/", b"connection: keep-alive", version="1.0"))
    client.answer()
    assert b"connection: keep-alive\r\n" in client.receives()
    assert client.connection.state == "open"


# ---------------------------------------------------------------- the rest of a body whose response is complete


def test_the_rest_of_a_body_is_discarded_before_the_next_request(client: Conversation) -> None:
    exchange = client.open(post(10) + b"12345")
    client.answer()
    assert client.receives() == OK
    assert not exchange.request_complete
    client.connection.receive(b"67890" + get("/next"))
    assert client.exchange.request.path == "/next"
    assert exchange.read_body() == b""


def test_a_long_rest_of_a_body_ends_the_connection(client: Conversation) -> None:
    client.open(post(70000) + b"x" * 100)
    client.answer()
    assert b"connection: close\r\n" in client.receives()
    assert client.connection.state == "finished"
    assert expects_input(client.connection)


def test_discarded_bytes_have_a_deadline_of_their_own(converse: Converse) -> None:
    client = converse(timeout_request_body=0, limit_body_rate=0)
    exchange = client.open(post(20) + b"1")
    client.answer()
    set_body_times(exchange, 1000.0, 1010.0, 1)
    assert read_deadline(client.connection) == 1015.0, "5 seconds without a byte"
    set_body_times(exchange, 1000.0, 1028.0, 1)
    assert read_deadline(client.connection) == 1030.0, "30 seconds in total"
    expire(client.connection)
    assert client.connection.state == "closed"


def test_discarding_waits_until_the_client_has_read_the_response(client: Conversation) -> None:
    client.connection.stop_reading()
    exchange = client.open(post(20) + b"1")
    client.answer()
    assert read_deadline(client.connection) == 0
    set_body_times(exchange, 1.0, 1.0, 0)
    client.connection.read()
    assert exchange.events[-1] == "writable"
    assert body_times(exchange)[0] > 1.0
    assert read_deadline(client.connection) > 0


@pytest.mark.parametrize(
    ("values", "deadline"),
    [
        ({}, 1005.0),
        ({"timeout_request_body": 2.0}, 1002.0),
        ({"limit_body_rate": 100.0, "limit_body_rate_grace": 1.0}, 1001.0),
    ],
)
def test_limits_of_bodies_hold_for_discarded_input(
    converse: Converse, values: dict[str, float], deadline: float
) -> None:
    client = converse(**{"timeout_request_body": 0.0, "limit_body_rate": 0.0, **values})
    assert discard_deadline(client.connection, 1000.0, 1000.0, 0) == deadline


# ---------------------------------------------------------------- 100 (Continue)


def test_continue_is_sent_when_the_body_is_wanted(client: Conversation) -> None:
    exchange = client.open(post(2, b"expect: 100-continue"))
    assert client.receives() == b""
    assert read_deadline(client.connection) == 0, "the client waits for the server"
    exchange.ask_for_body()
    exchange.ask_for_body()
    assert client.receives() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert read_deadline(client.connection) > 0


def test_a_client_of_http_1_0_gets_no_continue(client: Conversation) -> None:
    exchange = client.open(post(2, b"expect: 100-continue", version="1.0"))
    assert read_deadline(client.connection) > 0
    exchange.ask_for_body()
    assert client.receives() == b""


def test_a_response_instead_of_continue_ends_the_connection(client: Conversation) -> None:
    client.open(post(2, b"expect: 100-continue"))
    client.answer()
    assert b"connection: close\r\n" in client.receives()
    assert client.connection.state == "finished"


def test_a_body_that_arrives_needs_no_continue(client: Conversation) -> None:
    exchange = client.open(post(2, b"expect: 100-continue") + b"ab")
    exchange.ask_for_body()
    client.answer()
    assert client.receives() == OK


# ---------------------------------------------------------------- a client that finishes


def test_an_idle_client_that_finishes_is_closed(client: Conversation) -> None:
    client.connection.finish_input(behind_unread=True)
    assert client.connection.state == "open", "unread bytes may be a request"
    client.connection.finish_input()
    assert client.connection.state == "finished"


def test_a_half_closed_client_gets_its_response(client: Conversation) -> None:
    exchange = client.open(GET)
    client.connection.finish_input()
    assert exchange.events == ["start", "readable"]
    client.answer()
    assert client.receives() == OK
    assert client.ends == [(b"/", 499, 2)], "it may have left, as nginx has it"


def test_a_client_that_finishes_after_the_head_has_its_status(client: Conversation) -> None:
    exchange = client.open(GET)
    exchange.respond()
    exchange.send(b"o", more=True)
    client.connection.finish_input()
    exchange.send(b"k")
    client.connection.resume()
    assert client.ends == [(b"/", 200, 2)]


def test_a_body_whose_client_finishes_is_never_complete(client: Conversation) -> None:
    exchange = client.open(post(4) + b"ab")
    client.connection.finish_input(behind_unread=True)
    assert exchange.events == ["start"], "the rest may be unread"
    client.connection.finish_input()
    assert exchange.events == ["start", "readable"]
    assert not exchange.request_complete
    assert read_deadline(client.connection) == 0
    client.answer()
    assert client.connection.state == "finished"


def test_a_client_that_finishes_while_its_rest_is_discarded_is_closed(client: Conversation) -> None:
    client.open(post(10) + b"1")
    client.answer()
    client.connection.finish_input()
    assert client.connection.state == "finished"


# ---------------------------------------------------------------- rejections


def rejection(status: bytes, reason: bytes) -> bytes:
    body = status + b": " + reason + b"\n"
    return (
        b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
        % (status, len(body), body)
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00\x03\x01", "not an HTTP request"),
        (b"\x16\x03\x01", "TLS handshake on an address without TLS; write http:// in place of https://"),
    ],
)
def test_bytes_that_are_no_request_are_rejected(
    data: bytes, reason: str, client: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        client.connection.receive(data)
    assert client.receives() == rejection(b"400 Bad Request", reason.encode())
    assert client.connection.state == "finished"
    assert caplog.messages == [f"rejected request: status 400, client 192.0.2.1:4711: {reason}"]
    assert client.ends == [(None, 400, 18 + len(reason))]
    assert expects_input(client.connection)


def test_a_rejected_request_is_logged_with_its_line(converse: Converse, caplog: pytest.LogCaptureFixture) -> None:
    client = converse(client=None)
    with caplog.at_level(logging.INFO):
        client.connection.receive(get("/path?query", b"bad field"))
    assert caplog.messages[0].startswith("rejected request: status 400, client unix socket: ")
    assert caplog.messages[0].endswith(": GET /path?query")
    assert client.ends[0][:2] == (b"/path?query", 400)


def test_an_error_after_a_request_is_answered_after_its_response(client: Conversation) -> None:
    client.connection.receive(GET + b"\x00\x03\x01")
    client.answer()
    assert client.receives() == OK + rejection(b"400 Bad Request", b"not an HTTP request")
    assert [status for _, status, _ in client.ends] == [200, 400]


def test_an_error_in_a_body_replaces_the_response(client: Conversation) -> None:
    head = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    exchange = client.open(head)
    client.connection.receive(b"xyz\r\n")
    assert client.receives().startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert exchange.status == 400
    assert client.connection.state == "finished"


def test_an_error_in_a_body_before_the_call_is_hidden_from_the_application(client: Conversation) -> None:
    exchange = client.open(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n")
    assert "start" not in exchange.events
    assert client.service.in_flight.requests == 0
    assert client.receives().startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("complete", [False, True])
def test_an_error_in_a_body_ends_a_response_that_has_started(client: Conversation, complete: bool) -> None:
    exchange = client.open(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
    exchange.respond()
    exchange.send(b"part", more=not complete)
    client.connection.resume()
    before = client.receives()
    client.connection.receive(b"xyz\r\n")
    assert client.receives() == b""
    assert client.connection.state == "finished"
    assert exchange.disconnected is not complete
    assert before.endswith(b"part" if complete else b"4\r\npart\r\n")


def test_an_error_after_the_last_response_is_not_answered(client: Conversation) -> None:
    exchange = client.open(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
    exchange.on_readable = exchange.abort
    client.connection.receive(b"1\r\na\r\nxyz\r\n")
    exchange.on_readable = None
    assert client.receives() == b""
    assert client.connection.state == "finished"


def test_limits_reject_a_head(converse: Converse) -> None:
    client = converse(limit_request_fields=2)
    client.connection.receive(get("/", b"a: 1", b"b: 2", b"c: 3"))
    assert client.receives().startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert client.exchanges == []


# ---------------------------------------------------------------- deadlines


def test_an_unused_connection_has_the_time_of_keep_alive(converse: Converse) -> None:
    before = time.monotonic()
    client = converse(timeout_keep_alive=7)
    assert before <= since(client.connection) <= time.monotonic()
    set_since(client.connection, 1000.0)
    assert read_deadline(client.connection) == 1007.0
    expire(client.connection)
    assert client.receives() == b""
    assert client.connection.state == "finished"


def test_without_keep_alive_each_response_is_the_last(converse: Converse) -> None:
    client = converse(timeout_keep_alive=0, timeout_request_header=7)
    # An unused connection has the time of a request head.
    set_since(client.connection, 1000.0)
    assert read_deadline(client.connection) == 1007.0
    client.open(GET)
    client.answer()
    assert b"\r\nconnection: close\r\n" in client.receives()
    assert client.connection.state == "finished"


def test_without_a_timeout_an_idle_connection_has_no_deadline(converse: Converse) -> None:
    client = converse(timeout_keep_alive=0, timeout_request_header=0)
    assert read_deadline(client.connection) == 0
    client.connection.receive(GET[:5])
    assert read_deadline(client.connection) == 0


def test_a_head_has_its_time_from_the_first_byte(converse: Converse) -> None:
    client = converse(timeout_request_header=10)
    set_since(client.connection, 1000.0)
    client.connection.receive(GET[:5])
    assert since(client.connection) > 1000.0
    set_since(client.connection, 2000.0)
    client.connection.receive(GET[5:9])
    assert read_deadline(client.connection) == 2010.0
    expire(client.connection)
    assert client.receives() == rejection(
        b"408 Request Timeout", b"request head not complete within timeout-request-header"
    )
    assert client.connection.state == "finished"
    [facts] = client.observer.requests  # type: ignore[union-attr]
    assert facts["started"] == 2000.0


def test_a_request_counts_from_the_first_byte_of_its_head(client: Conversation) -> None:
    client.connection.receive(GET[:5])
    set_since(client.connection, 1000.0)
    client.connection.receive(GET[5:])
    client.answer()
    client.connection.receive(GET)
    client.answer()
    first, second = client.observer.requests  # type: ignore[union-attr]
    assert first["started"] == 1000.0
    assert first["duration"] > second["duration"]


def test_a_body_has_a_time_between_bytes_and_a_rate(converse: Converse) -> None:
    client = converse(timeout_request_body=20, limit_body_rate=100, limit_body_rate_grace=5)
    exchange = client.open(post(10000) + b"1")
    set_body_times(exchange, 1000.0, 1001.0, 1)
    assert read_deadline(client.connection) == 1005.0, "the rate counts after its grace"
    set_body_times(exchange, 1000.0, 1001.0, 1000)
    assert read_deadline(client.connection) == 1010.0, "1000 bytes at 100 a second"
    set_body_times(exchange, 1000.0, 1001.0, 9000)
    assert read_deadline(client.connection) == 1021.0, "20 seconds without a byte"
    expire(client.connection)
    assert client.receives().startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert exchange.status == 408


def test_a_body_without_limits_has_no_deadline(converse: Converse) -> None:
    client = converse(timeout_request_body=0, limit_body_rate=0)
    client.open(post(10))
    assert read_deadline(client.connection) == 0


def test_a_body_that_the_application_does_not_take_has_no_deadline(client: Conversation) -> None:
    exchange = client.open(post(200000) + b"x" * 65536)
    assert not wants_read(client.connection)
    assert read_deadline(client.connection) == 0
    assert len(exchange.read_body()) == 65536
    assert wants_read(client.connection)
    assert client.connection.calls[-1] == "reconsider"
    assert read_deadline(client.connection) > 0


def test_a_request_in_progress_has_no_deadline(client: Conversation) -> None:
    client.open(GET)
    assert read_deadline(client.connection) == 0


def test_the_time_of_a_write_is_a_setting(converse: Converse) -> None:
    assert write_timeout(converse(timeout_write=12).connection) == 12


# ---------------------------------------------------------------- output that the client does not read


def test_requests_are_not_read_while_much_output_waits(client: Conversation) -> None:
    client.connection.stop_reading()
    client.open(GET)
    client.answer(body=b"x" * 65536)
    assert not wants_read(client.connection)
    client.connection.receive(b"")
    assert not wants_input(client.connection)
    client.connection.read()
    assert wants_read(client.connection)
    assert wants_input(client.connection)


def test_requests_are_not_read_while_a_file_waits(client: Conversation, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    client.connection.stop_reading()
    exchange = client.open(GET)
    exchange.respond()
    exchange.send_file(os.open(tmp_path / "file", os.O_RDONLY), 7)
    client.connection.resume()
    assert not wants_read(client.connection)
    client.connection.read()
    assert client.receives().endswith(b"content-length: 7\r\n\r\ncontent")
    assert wants_read(client.connection)


# ---------------------------------------------------------------- responses that are aborted


def test_a_chunked_response_that_is_aborted_has_no_end(client: Conversation) -> None:
    exchange = client.open(GET)
    exchange.respond()
    exchange.send(b"part", more=True)
    exchange.abort()
    assert client.receives().endswith(b"4\r\npart\r\n")
    assert client.connection.state == "finished"
    assert client.ends == [(b"/", 200, 4)]


def test_a_response_that_only_a_close_ends_is_reset(client: Conversation) -> None:
    exchange = client.open(get("/", version="1.0"))
    exchange.respond()
    exchange.send(b"part", more=True)
    client.connection.resume()
    exchange.abort()
    assert client.receives().endswith(b"\r\n\r\npart")
    assert client.connection.state == "reset"


def test_an_aborted_response_before_its_request_ended_leaves_input(client: Conversation) -> None:
    exchange = client.open(post(10))
    exchange.abort()
    assert expects_input(client.connection)
    assert client.receives() == b""


# ---------------------------------------------------------------- tunnels


def test_a_tunnel_gets_its_bytes_and_its_deadline(client: Conversation) -> None:
    exchange = client.open(get("/", b"connection: upgrade", b"upgrade: other"))
    exchange.open_tunnel()
    client.connection.resume()
    client.connection.receive(b"\x00tunnel")
    assert exchange.events == ["start", "writable", b"\x00tunnel"]
    assert read_deadline(client.connection) == 4711
    assert wants_input(client.connection)
    expire(client.connection)
    assert exchange.events[-1] == "expired"
    client.connection.finish_input(behind_unread=True)
    assert exchange.events[-1] == "expired", "the unread bytes may close the tunnel"
    client.connection.finish_input()
    assert exchange.events[-1] == "readable"


def test_bytes_after_the_end_of_a_tunnel_are_discarded(client: Conversation) -> None:
    exchange = client.open(get("/", b"connection: upgrade", b"upgrade: other"))
    exchange.open_tunnel()
    exchange.complete_late()
    client.connection.resume()
    assert client.connection.state == "finished"
    client.connection.receive(b"late")
    assert client.connection.unread == b""
    assert b"late" not in exchange.events


# ---------------------------------------------------------------- the server stops


def test_the_response_to_a_request_in_flight_is_the_last(client: Conversation) -> None:
    client.open(GET)
    assert is_busy(client.connection)
    drain_service(client.service, 1000.0)
    drain(client.connection)
    client.answer()
    assert b"connection: close\r\n" in client.receives()
    assert client.connection.state == "finished"
    assert not is_busy(client.connection)


@pytest.mark.parametrize(("used", "seconds"), [(False, 0.25), (True, 1.0)])
def test_an_idle_connection_is_closed_soon(client: Conversation, used: bool, seconds: float) -> None:
    if used:
        client.open(GET)
        client.answer()
    drain_service(client.service, 1000.0)
    drain(client.connection)
    set_since(client.connection, 990.0)
    assert client.connection.calls[-1] == "reconsider"
    assert read_deadline(client.connection) == 990.0 + seconds
    assert is_busy(client.connection)
    expire(client.connection)
    assert client.connection.state == "closed"
    assert client.connection.calls[-1] == "close_without_lingering"


def test_a_successor_leaves_idle_connections_more_time(converse: Converse) -> None:
    client = converse(timeout_drain_idle=10, timeout_stop=0.0, timeout_keep_alive=60)
    drain_service(client.service, 1000.0, handover=True)
    set_since(client.connection, 990.0)
    assert read_deadline(client.connection) == 1010.0
    set_since(client.connection, 1002.0)
    assert read_deadline(client.connection) == 1012.0
    assert expects_input(client.connection), "a request may be on its way"
    expire(client.connection)
    assert client.connection.state == "finished"


def test_a_stalled_head_is_given_up(converse: Converse) -> None:
    client = converse(timeout_request_header=0)
    client.connection.receive(GET[:5])
    drain_service(client.service, 1000.0)
    set_since(client.connection, 990.0)
    assert read_deadline(client.connection) == 1000.75
    set_since(client.connection, 1001.0)
    assert read_deadline(client.connection) == 1001.75
    expire(client.connection)
    assert client.connection.state == "closed"
    assert client.receives() == b""


def test_a_stalled_body_is_given_up(converse: Converse) -> None:
    client = converse(timeout_request_body=0, limit_body_rate=0)
    exchange = client.open(post(10))
    drain_service(client.service, 1000.0)
    set_body_times(exchange, 990.0, 1002.0, 0)
    assert read_deadline(client.connection) == 1002.75
    expire(client.connection)
    assert client.receives().endswith(b"408 Request Timeout: request body not complete while the server stops\n")


def test_discarding_is_shorter_while_the_server_stops(converse: Converse) -> None:
    client = converse(limit_body_rate=0)
    drain_service(client.service, 1000.0)
    assert discard_deadline(client.connection, 990.0, 1000.2, 0) == 1001.2
    assert discard_deadline(client.connection, 990.0, 1001.0, 0) == 1001.5


def test_a_handover_shortens_discarding_only_of_idle_connections(converse: Converse) -> None:
    client = converse(timeout_request_body=0, limit_body_rate=0)
    drain_service(client.service, 1000.0, handover=True)
    assert discard_deadline(client.connection, 1000.0, 1000.0, 0) == 1001.0
    client.open(post(10))
    assert discard_deadline(client.connection, 1000.0, 1000.0, 0) == 1005.0


def test_an_event_stream_ends_with_its_end(client: Conversation) -> None:
    exchange = client.open(get("/events", EVENTS))
    exchange.respond(headers=[(b"content-type", b"text/event-stream")])
    exchange.send(b"data: 1\n\n", more=True)
    drain_service(client.service, 1000.0)
    drain(client.connection)
    assert not exchange.disconnected
    end_streams(client.service)
    drain(client.connection)
    assert exchange.disconnected
    assert client.receives().endswith(b"data: 1\n\n\r\n0\r\n\r\n")
    assert client.connection.state == "finished"


def test_with_a_spread_an_event_stream_continues_until_its_turn(converse: Converse) -> None:
    client = converse(ws_drain_spread=10.0)
    exchange = client.open(get("/events", EVENTS))
    assert not has_conversation(client.connection)
    exchange.respond(headers=[(b"content-type", b"text/event-stream")])
    exchange.send(b"data: 1\n\n", more=True)
    drain_service(client.service, 1000.0)
    end_streams(client.service)
    drain(client.connection)
    assert not exchange.disconnected
    assert has_conversation(client.connection)
    exchange.send(b"data: 2\n\n", more=True)
    end_conversation(client.connection)
    assert exchange.disconnected
    assert not has_conversation(client.connection)
    assert client.receives().endswith(b"data: 2\n\n\r\n0\r\n\r\n")
    assert client.connection.state == "finished"


def test_at_the_end_of_a_spread_each_event_stream_ends(converse: Converse) -> None:
    client = converse(ws_drain_spread=10.0)
    exchange = client.open(get("/events", EVENTS))
    exchange.respond(headers=[(b"content-type", b"text/event-stream")])
    drain_service(client.service, 1000.0)
    end_streams(client.service)
    client.service.end_spread()
    drain(client.connection)
    assert exchange.disconnected


def test_other_requests_are_not_ended_one_by_one(client: Conversation) -> None:
    exchange = client.open(get("/"))
    exchange.respond(headers=[(b"content-type", b"text/html")])
    assert not has_conversation(client.connection)
    end_conversation(client.connection)
    assert not exchange.disconnected


def test_after_the_announcement_of_a_stop_responses_end_their_connections(client: Conversation) -> None:
    client.service.note_draining()
    client.answer(client.open(get("/")))
    assert b"\r\nconnection: close\r\n" in client.receives()
    assert client.connection.state == "finished"


def test_a_new_event_stream_is_refused_by_a_close(client: Conversation) -> None:
    drain_service(client.service, 1000.0)
    exchange = client.open(get("/events", EVENTS))
    assert "start" not in exchange.events
    assert client.receives() == b""
    assert client.connection.state == "finished"
    assert client.ends == [(b"/events", 499, 0)]


# ---------------------------------------------------------------- the connection is lost


def test_an_application_is_notified_of_the_loss(client: Conversation) -> None:
    exchange = client.open(post(10))
    client.connection.lose()
    assert exchange.disconnected
    assert exchange.events == ["start", "writable", "readable"]
    assert not is_busy(client.connection)


# ---------------------------------------------------------------- queue time


def test_a_request_waits_since_the_system_received_it(converse: Callable[..., Conversation]) -> None:
    client = converse(observed=False, queue_time=True)
    received_at = client.connection.received_at = time.monotonic() - 5
    assert client.open(GET).queued_since == received_at


def test_the_last_bytes_of_a_head_may_be_received_later_than_the_first(converse: Callable[..., Conversation]) -> None:
    client = converse(observed=False, queue_time=True)
    client.connection.receive(GET[:-2])
    first_at = time.monotonic()
    client.connection.received_at = first_at + 5
    assert first_at - 1 < client.open(GET[-2:]).queued_since <= first_at


def test_a_pipelined_request_waits_since_the_response_before_it(converse: Callable[..., Conversation]) -> None:
    client = converse(observed=False, queue_time=True)
    client.connection.received_at = time.monotonic() - 5
    first = client.open(GET + GET)
    answered_at = time.monotonic()
    client.answer(first)
    # The session has the time of the end in a few milliseconds.
    assert answered_at - 0.1 < client.exchange.queued_since <= time.monotonic()
    assert first.queued_since == client.connection.received_at


@pytest.mark.parametrize("observed", [False, True])
def test_the_system_is_not_asked_if_the_queue_time_is_not_measured(
    converse: Callable[..., Conversation], observed: bool
) -> None:
    client = converse(observed=observed)
    client.open(GET)
    assert "input_received_at" not in client.connection.calls
