"""Requests on streams: heads, bodies, trailers, and the errors of one stream (RFC 9113 sections 5, 6 and 8)."""

import struct
from typing import Any

import pytest

from ianus.codec.http2.recording import RecordedConnection
from tests.codec.http2 import frames as f
from tests.codec.http2.frames import check, connect, feed, frame, goaways, named, resets
from tests.engine import limits as new_limits


def head_of(stream: int = 1, *, method: str = "GET", headers: f.Fields = [], **changes: Any) -> f.Event:  # noqa: B006
    """The event of a request that GET or POST of `frames` has sent."""
    facts = {
        "method": method, "target": b"/", "path": "/", "query_string": b"", "http_version": "2",
        "headers": [(b"host", b"h"), *headers], "content_length": 0 if method == "GET" else -1, "protocol": None,
    }  # fmt: skip
    return ("request", stream, facts | changes)


LENGTH = (b"content-length", b"5")
POSTED = head_of(method="POST")
WITH_LENGTH = head_of(method="POST", headers=[LENGTH], content_length=5)
TRAILERS = f.block([(b"x-sum", b"1")])


def test_a_request_without_a_body() -> None:
    assert check(f.headers()) == ([head_of(), ("end", 1)], [], 1)


def test_requests_of_several_streams() -> None:
    events, _, streams = check(f.headers(1) + f.headers(3) + f.headers(9))
    assert events == [head_of(1), ("end", 1), head_of(3), ("end", 3), head_of(9), ("end", 9)]
    assert streams == 3


PADDED_HEAD = b"\x03" + f.block(f.GET) + bytes(3)
PRIORITY = struct.pack(">IB", 3, 255)


@named({
    "padded": frame(f.HEADERS, f.END_STREAM | f.END_HEADERS | f.PADDED, 1, PADDED_HEAD),
    "with a priority": frame(
        f.HEADERS, f.END_STREAM | f.END_HEADERS | f.HAS_PRIORITY, 1, PRIORITY + f.block(f.GET)),
    "padded with a priority": frame(
        f.HEADERS, f.END_STREAM | f.END_HEADERS | f.HAS_PRIORITY | f.PADDED, 1,
        b"\x02" + PRIORITY + f.block(f.GET) + bytes(2)),
    "one CONTINUATION": frame(f.HEADERS, f.END_STREAM, 1, f.block(f.GET)[:3])
        + frame(f.CONTINUATION, f.END_HEADERS, 1, f.block(f.GET)[3:]),
    "several CONTINUATIONs": frame(f.HEADERS, f.END_STREAM, 1)
        + b"".join(frame(f.CONTINUATION, 0, 1, f.block(f.GET)[i : i + 1]) for i in range(10))
        + frame(f.CONTINUATION, f.END_HEADERS, 1, f.block(f.GET)[10:]),
})  # fmt: skip
def test_a_head_in_other_frames_is_the_same(case: bytes) -> None:
    assert check(case) == ([head_of(), ("end", 1)], [], 1)


@named(
    {
        "one frame": f.data(1, b"hello", f.END_STREAM),
        "two frames": f.data(1, b"hel") + f.data(1, b"lo", f.END_STREAM),
        "empty frame at the end": f.data(1, b"hello") + f.data(1, b"", f.END_STREAM),
        "padded": f.data(1, b"\x07hello" + bytes(7), f.END_STREAM | f.PADDED),
        "padding of no bytes": f.data(1, b"\x00hello", f.END_STREAM | f.PADDED),
    }
)
def test_body(case: bytes) -> None:
    assert check(f.post() + case) == ([POSTED, ("body", 1, b"hello"), ("end", 1)], [], 1)
    assert check(f.post(1, LENGTH) + case) == ([WITH_LENGTH, ("body", 1, b"hello"), ("end", 1)], [], 1)


def test_bodies_of_two_streams_are_kept_apart() -> None:
    events, _, _ = check(
        f.post(1) + f.post(3) + f.data(1, b"a") + f.data(3, b"b") + f.data(1, b"c", f.END_STREAM) + f.data(3, b"d")
    )
    assert events[2:] == [("body", 1, b"a"), ("body", 3, b"b"), ("body", 1, b"c"), ("end", 1), ("body", 3, b"d")]


def test_trailers_follow_the_body() -> None:
    trailing = frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, TRAILERS)
    events, frames, _ = check(f.post() + f.data(1, b"hello") + trailing)
    assert events == [POSTED, ("body", 1, b"hello"), ("trailers", 1, [(b"x-sum", b"1")]), ("end", 1)]
    assert frames == []


STREAM_ERRORS = {
    # Section 5.1
    "DATA after END_STREAM": (f.headers() + f.data(), f.STREAM_CLOSED),
    "HEADERS after END_STREAM": (f.headers() + f.headers(), f.STREAM_CLOSED),
    # Section 6.3
    "PRIORITY of an invalid size": (f.post() + frame(f.PRIORITY, 0, 1, bytes(4)), f.FRAME_SIZE_ERROR),
    # Section 6.9
    "WINDOW_UPDATE by 0": (f.headers() + f.window_update(1, 0), f.PROTOCOL_ERROR),
    "WINDOW_UPDATE over 2^31-1": (f.headers() + f.window_update(1, 2**31 - 1), f.FLOW_CONTROL_ERROR),
    # Section 8.1
    "second HEADERS without END_STREAM": (f.post() + f.headers(flags=f.END_HEADERS), f.PROTOCOL_ERROR),
    "pseudo-header in trailers": (f.post() + f.headers(), f.PROTOCOL_ERROR),
    # Section 8.1.1
    "more DATA than Content-Length": (f.post(1, LENGTH) + f.data(1, b"hello!"), f.PROTOCOL_ERROR),
    "less DATA than Content-Length": (f.post(1, LENGTH) + f.data(1, b"hell", f.END_STREAM), f.PROTOCOL_ERROR),
    "no DATA in spite of Content-Length": (f.post(1, LENGTH) + f.data(1, b"", f.END_STREAM), f.PROTOCOL_ERROR),
    "trailers in spite of Content-Length": (
        f.post(1, LENGTH) + frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, TRAILERS), f.PROTOCOL_ERROR),
    # RFC 8441 section 5
    "HEADERS in a tunnel": (f.headers(1, f.CONNECT, f.END_HEADERS) + f.headers(), f.PROTOCOL_ERROR),
}  # fmt: skip


@named(STREAM_ERRORS)
def test_stream_error(case: tuple[bytes, int]) -> None:
    """The stream is reset, its session learns why, and other streams continue."""
    input_, code = case
    events, frames, streams = check(input_)
    assert events[-1][:3] == ("reset", 1, code)
    assert isinstance(events[-1][3], str)
    assert resets(frames) == [(1, code)]
    # It counts until its application call has returned.
    assert streams == 1
    connection = connect()
    feed(connection, input_)
    connection.release(1)
    assert connection.streams == 0
    connection.take_events()
    assert feed(connection, f.headers(9)) == []
    assert connection.take_events() == [head_of(9), ("end", 9)]


REFUSED = {
    "no :path": (f.GET[:2] + f.GET[3:], 400),
    "upper case": ([*f.GET, (b"X-Upper", b"1")], 400),
    "Connection": ([*f.GET, (b"connection", b"close")], 400),
    "TE": ([*f.GET, (b"te", b"gzip")], 400),
    "two Hosts": ([*f.GET, (b"host", b"other")], 400),
    "LF in a value (CVE-2025-57804)": ([*f.GET, (b"x", b"a\nb")], 400),
    "Content-Length without a body": ([*f.GET, (b"content-length", b"5")], 400),
}


@named(REFUSED)
def test_malformed_request_is_answered_and_reset(case: tuple[f.Fields, int]) -> None:
    fields, status = case
    events, frames, _ = check(f.headers(1, fields))
    assert [event[:3] for event in events] == [("stream error", 1, status)]
    # The answer is the session's. RST_STREAM follows it.
    assert frames == []
    connection = connect()
    feed(connection, f.headers(1, fields))
    connection.respond(1, b"no", status)
    sent = feed(connection)
    assert [each.kind for each in sent] == [f.HEADERS, f.DATA, f.RST_STREAM]
    assert sent[1].flags == f.END_STREAM
    assert resets(sent) == [(1, f.PROTOCOL_ERROR)]
    assert connection.streams == 0


def test_stream_that_depends_on_itself_is_malformed() -> None:
    payload = struct.pack(">IB", 1, 0) + f.block(f.GET)
    events, _, _ = check(frame(f.HEADERS, f.END_STREAM | f.END_HEADERS | f.HAS_PRIORITY, 1, payload))
    assert [event[:3] for event in events] == [("stream error", 1, 400)]


def test_extended_connect_without_its_setting_is_malformed() -> None:
    events, _, _ = check(f.headers(1, f.CONNECT, f.END_HEADERS), extended_connect=False)
    assert [event[:3] for event in events] == [("stream error", 1, 400)]


@named(
    {
        "target": ([*f.GET[:2], (b":path", b"/" + b"p" * 300), f.GET[3]], 414),
        "field": ([*f.GET, (b"x", b"v" * 500)], 431),
        "number of fields": ([*f.GET, *[(b"x", b"v")] * 20], 431),
    }
)
def test_request_over_a_limit_is_answered_and_reset_without_an_error(case: tuple[f.Fields, int]) -> None:
    fields, status = case
    limits = new_limits(
        limit_request_line=200, limit_request_field_size=400, limit_request_fields_size=2000, limit_request_fields=10
    )
    events, _, _ = check(f.headers(1, fields, f.END_HEADERS), limits=limits)
    assert [event[:3] for event in events] == [("stream error", 1, status)]
    connection = connect(limits)
    feed(connection, f.headers(1, fields, f.END_HEADERS))
    connection.respond(1, b"", status)
    assert resets(feed(connection)) == [(1, f.NO_ERROR)]


def test_declared_body_over_the_limit_is_refused_before_its_application_is_called() -> None:
    events, _, _ = check(
        f.post(1, LENGTH) + f.data(1, b"hello", f.END_STREAM), limits=new_limits(max_request_body_size=4)
    )
    assert [event[:3] for event in events] == [("stream error", 1, 413)]


def test_undeclared_body_over_the_limit_is_refused_when_it_exceeds_it() -> None:
    input_ = f.post() + f.data(1, b"four") + f.data(1, b"+") + f.data(1, b"more", f.END_STREAM)
    events, _, _ = check(input_, limits=new_limits(max_request_body_size=4))
    assert events[:2] == [POSTED, ("body", 1, b"four")]
    assert [event[:3] for event in events[2:]] == [("stream error", 1, 413)]


def test_streams_over_the_limit_are_refused_and_may_be_repeated() -> None:
    input_ = f.headers(1) + f.headers(3) + f.post(5) + f.data(5, b"ignored", f.END_STREAM)
    events, frames, streams = check(input_, max_concurrent_streams=2)
    assert events == [head_of(1), ("end", 1), head_of(3), ("end", 3)]
    assert resets(frames) == [(5, f.REFUSED_STREAM)]
    assert streams == 2


def test_the_table_of_hpack_stays_correct_after_a_refused_stream() -> None:
    import hpack

    encoder = hpack.Encoder()
    connection = connect(max_concurrent_streams=1)
    for stream in (1, 3):
        feed(connection, frame(f.HEADERS, 5, stream, encoder.encode([*f.GET, (b"x-new", b"%d" % stream)])))
    connection.respond(1, b"")
    connection.take_events()
    feed(connection, frame(f.HEADERS, 5, 5, encoder.encode([*f.GET, (b"x-new", b"3")])))
    assert connection.take_events()[0] == head_of(5, headers=[(b"x-new", b"3")])


def test_a_reset_stream_counts_until_its_call_has_returned() -> None:
    connection = connect(max_concurrent_streams=1)
    feed(connection, f.headers(1), f.rst_stream(1))
    assert connection.take_events()[-1] == ("reset", 1, f.CANCEL, None)
    assert resets(feed(connection, f.headers(3))) == [(3, f.REFUSED_STREAM)]
    connection.release(1)
    assert feed(connection, f.headers(5)) == []
    assert connection.take_events() == [head_of(5), ("end", 5)]


@named({
    "DATA": f.data(1, bytes(100)) * 2 + f.data(1, bytes(100), f.END_STREAM),
    "trailers": f.data(1, bytes(300)) + f.headers(1, [(b"x-t", b"1")]),
})  # fmt: skip
def test_a_body_that_is_discarded_keeps_its_length(case: bytes) -> None:
    connection = connect()
    feed(connection, f.post(1, (b"content-length", b"300")))
    # An early answer that waits for the client's window
    connection.send_head(1, 200)
    connection.send_body(1, bytes(100_000))
    connection.send_end(1)
    connection.end_input(1)
    connection.take_events()
    assert resets(feed(connection, case)) == []
    assert connection.take_events() == []


def answered_early(later_streams: int) -> RecordedConnection:
    """A connection whose server has reset the upload on stream 1, before the client has opened others."""
    connection = connect()
    feed(connection, f.post(1), f.data(1, b"a"))
    connection.send_head(1, 200)
    connection.send_end(1)
    connection.end_input(1)
    connection.release(1)
    assert resets(feed(connection)) == [(1, f.NO_ERROR)]
    for stream in range(3, 3 + 2 * later_streams, 2):
        feed(connection, f.headers(stream))
        connection.respond(stream, b"")
    feed(connection)
    return connection


@named({
    "DATA": f.data(1, bytes(1000)) * 250,
    "trailers": f.headers(1, [(b"x-t", b"1")]),
})  # fmt: skip
def test_late_frames_are_ignored_for_as_many_streams_as_may_be_open_at_once(case: bytes) -> None:
    frames = feed(answered_early(128), case)
    assert (resets(frames), goaways(frames)) == ([], [])


def test_streams_that_were_reset_long_ago_are_forgotten() -> None:
    assert resets(feed(answered_early(255), f.data(1, b"x"))) == []
    assert resets(feed(answered_early(256), f.data(1, b"x"))) == [(1, f.STREAM_CLOSED)]


def test_a_jump_over_many_numbers_forgets_all_of_them() -> None:
    connection = answered_early(3)
    feed(connection, f.headers(1_000_003))
    for stream in (1, 1_000_001, 1_000_001 - 510):
        assert resets(feed(connection, f.data(stream, b"x"))) == [(stream, f.STREAM_CLOSED)]


def test_frames_of_a_stream_that_the_server_has_reset_are_ignored() -> None:
    connection = connect()
    feed(connection, f.post())
    connection.reset(1, f.CANCEL)
    connection.release(1)
    trailing = frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, TRAILERS)
    sent = feed(connection, f.data(1, b"late"), f.window_update(1, 5), trailing)
    assert sent == [f.Frame(f.RST_STREAM, 0, 1, struct.pack(">I", f.CANCEL))]
    assert connection.streams == 0


CLOSING = named({"DATA": f.data(), "HEADERS": f.headers()})


@CLOSING
@pytest.mark.parametrize("calls", ["returned", "runs"])
def test_a_frame_on_a_closed_stream_is_an_error(case: bytes, calls: str) -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.send_head(1, 200)
    connection.send_end(1)
    if calls == "returned":
        connection.release(1)
    feed(connection)
    assert f.goaways(feed(connection, case)) == [(1, f.STREAM_CLOSED)]


@CLOSING
@pytest.mark.parametrize("calls", ["returned", "runs"])
def test_a_frame_on_a_stream_that_the_client_has_reset_is_an_error(case: bytes, calls: str) -> None:
    connection = connect()
    feed(connection, f.post() + f.rst_stream())
    if calls == "returned":
        connection.release(1)
    assert f.goaways(feed(connection, case)) == [(1, f.STREAM_CLOSED)]


def test_a_late_reset_or_window_of_a_closed_stream_is_ignored() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.respond(1, b"")
    feed(connection)
    assert feed(connection, f.rst_stream(1), f.window_update(1, 1), frame(f.PRIORITY, 0, 1, bytes(5))) == []


def test_the_owner_of_a_stream_is_kept_until_its_release() -> None:
    connection = connect()
    feed(connection, f.headers(1) + f.headers(3))
    mark = object()
    connection.set_owner(3, mark)
    assert (connection.owner(1), connection.owner(3), connection.owner(5)) == (None, mark, None)
    assert connection.owners() == [mark]
    connection.release(3)
    assert connection.owners() == []


def test_released_without_a_response_a_stream_is_reset() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.release(1)
    assert resets(feed(connection)) == [(1, f.INTERNAL_ERROR)]
    assert connection.streams == 0


def test_many_streams_are_found_and_forgotten() -> None:
    connection = connect(max_concurrent_streams=1000)
    streams = range(1, 2001, 2)
    feed(connection, b"".join(f.headers(stream) for stream in streams))
    assert connection.streams == 1000
    for stream in sorted(streams, key=lambda stream: stream * 7919 % 2003):
        connection.set_owner(stream, stream)
    assert set(connection.owners()) == set(streams)
    for stream in sorted(streams, key=lambda stream: stream * 104729 % 2003):
        assert connection.owner(stream) == stream
        connection.respond(stream, b"")
        assert connection.owner(stream) is None
    assert connection.streams == 0
    # An idle connection has not the memory that a busy one needs.
    assert connection.table_room <= 32
