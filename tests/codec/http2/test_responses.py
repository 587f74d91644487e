"""Responses: their frames, their ends, and the flow control of sent bytes (RFC 9113 sections 5.2, 6.9 and 8.1)."""

import random
import struct
from pathlib import Path

import pytest

from ianus.codec.http2.recording import RecordedConnection
from tests.codec.http2 import frames as f
from tests.codec.http2.frames import connect, feed, resets
from tests.engine import limits as new_limits

TEXT = [(b"content-type", b"text/plain")]


def kinds(frames: list[f.Frame]) -> list[tuple[int, int]]:
    return [(each.kind, each.flags) for each in frames]


def payload(frames: list[f.Frame], stream: int = 1) -> bytes:
    return b"".join(each.payload for each in frames if each.kind == f.DATA and each.stream == stream)


def test_a_small_complete_response_is_two_frames_that_need_no_fill() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.take_events()
    connection.respond(1, b"hello", 200, TEXT)
    frames = f.frames_of(connection.take_output())
    assert kinds(frames) == [(f.HEADERS, f.END_HEADERS), (f.DATA, f.END_STREAM)]
    assert f.fields_of(frames[0]) == [(b":status", b"200"), *TEXT, (b"content-length", b"5")]
    assert frames[1].payload == b"hello"
    assert connection.take_events() == [("sent", 1)]
    assert connection.streams == 0


def test_a_response_without_a_body_is_one_frame() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.send_head(1, 304, framing="declared")
    connection.send_end(1)
    assert kinds(feed(connection)) == [(f.HEADERS, f.END_HEADERS | f.END_STREAM)]


def test_a_head_without_its_body_is_sent_by_fill() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.send_head(1, 200)
    assert connection.has_queued
    assert f.frames_of(connection.take_output()) == []
    assert kinds(feed(connection)) == [(f.HEADERS, f.END_HEADERS)]
    assert not connection.has_queued


def test_the_pieces_of_a_body_share_a_frame() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.send_head(1, 200)
    for piece in (b"one,", b"", b"two,", b"three"):
        connection.send_body(1, piece)
    connection.send_data(1, b"!")
    frames = feed(connection)
    assert kinds(frames) == [(f.HEADERS, f.END_HEADERS), (f.DATA, 0)]
    assert frames[1].payload == b"one,two,three!"
    connection.send_end(1)
    assert kinds(feed(connection)) == [(f.DATA, f.END_STREAM)]


def test_a_long_body_is_sent_in_frames_of_16_kib() -> None:
    body = bytes(range(256)) * 200
    connection = connect()
    feed(connection, f.headers())
    connection.respond(1, body)
    frames = feed(connection)
    assert [len(each.payload) for each in frames[1:]] == [16384, 16384, 16384, 2048]
    assert payload(frames) == body
    assert [each.flags for each in frames[1:]] == [0, 0, 0, f.END_STREAM]


@pytest.mark.parametrize("part", [1000, 16384, 30000])
@pytest.mark.parametrize("sizes", [(65536, 65536), (20000, 5, 40000), (8191, 8192, 8193), (16384,), (1, 70000)])
def test_a_body_is_sent_whole_however_it_is_cut(sizes: tuple[int, ...], part: int) -> None:
    """Parts of the application's bytes are sent without a copy; the socket takes a part of them, or of two."""
    bits = random.Random(sum(sizes))
    connection = connect()
    feed(connection, f.window_update(0, 1 << 20), f.headers(), f.window_update(1, 1 << 20))
    connection.send_head(1, 200)
    body = [bits.randbytes(size) for size in sizes]
    for piece in body:
        connection.send_body(1, piece)
    connection.send_end(1)
    connection.fill()
    frames = f.frames_of(connection.take_output_by(part))
    assert payload(frames) == b"".join(body)
    assert frames[-1].flags == f.END_STREAM


def test_early_hints_precede_the_head() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.send_informational(1, 103, [(b"link", b"</style.css>")])
    connection.respond(1, b"")
    frames = feed(connection)
    assert [f.fields_of(each)[0] for each in frames] == [(b":status", b"103"), (b":status", b"200")]
    assert frames[0].flags == f.END_HEADERS


def test_trailers_end_the_response() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.send_head(1, 200)
    connection.send_body(1, b"data")
    connection.send_trailers(1, [(b"grpc-status", b"0")])
    frames = feed(connection)
    assert kinds(frames) == [(f.HEADERS, f.END_HEADERS), (f.DATA, 0), (f.HEADERS, f.END_HEADERS | f.END_STREAM)]
    assert f.fields_of(frames[2]) == [(b"grpc-status", b"0")]


def test_trailers_without_a_body_follow_the_head() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.send_head(1, 200)
    connection.send_trailers(1, [(b"grpc-status", b"5")])
    assert kinds(feed(connection)) == [(f.HEADERS, f.END_HEADERS), (f.HEADERS, f.END_HEADERS | f.END_STREAM)]


def test_a_head_over_16_kib_has_continuations() -> None:
    fields = [(b"x-%d" % i, b"v" * 4000) for i in range(10)]
    connection = connect()
    feed(connection, f.headers())
    connection.respond(1, b"body", 200, fields)
    frames = feed(connection)
    assert [each.kind for each in frames] == [f.HEADERS, f.CONTINUATION, f.CONTINUATION, f.DATA]
    assert [each.flags for each in frames] == [0, 0, f.END_HEADERS, f.END_STREAM]
    block = b"".join(each.payload for each in frames[:3])
    assert f.fields_of(f.Frame(f.HEADERS, 0, 1, block))[1:-1] == fields


def test_a_file_is_sent_as_frames(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = bytes(range(256)) * 160
    path.write_bytes(content)
    connection = connect()
    feed(connection, f.headers())
    connection.send_head(1, 200, framing="length", length=40000)
    with path.open("rb") as file:
        connection.send_file(1, file.fileno(), 960, 40000)
    connection.send_end(1)
    frames = feed(connection)
    assert payload(frames) == content[960:40960]
    assert frames[-1].flags == f.END_STREAM


def test_a_file_that_shrinks_resets_its_stream(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(20000))
    connection = connect()
    feed(connection, f.headers())
    connection.send_head(1, 200, framing="length", length=40000)
    with path.open("rb") as file:
        connection.send_file(1, file.fileno(), 0, 40000)
    connection.send_end(1)
    connection.take_events()
    frames = feed(connection)
    assert resets(frames) == [(1, f.INTERNAL_ERROR)]
    assert connection.take_events()[-1][:3] == ("reset", 1, f.INTERNAL_ERROR)


def test_a_shrunk_file_behind_another_piece_resets_its_stream(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"y" * 10)
    connection = connect()
    feed(connection, f.headers())
    with path.open("rb") as file:
        connection.send_head(1, 200)
        connection.send_body(1, b"xxxx")
        connection.send_file(1, file.fileno(), 0, 100)
        connection.send_end(1)
    frames = feed(connection)
    assert kinds(frames) == [(f.HEADERS, f.END_HEADERS), (f.RST_STREAM, 0)]
    assert resets(frames) == [(1, f.INTERNAL_ERROR)]


def test_the_smallest_table_size_before_the_first_response_is_signalled() -> None:
    connection = connect()
    sizes = f.settings(table_size=0), f.settings(table_size=4096), f.settings(window=70000)
    feed(connection, *sizes, f.headers())
    connection.respond(1, b"x")
    head = next(each for each in feed(connection) if each.kind == f.HEADERS)
    # RFC 7541 section 6.3: an update to 0, and one to 4096
    assert head.payload.startswith(b"\x20\x3f\xe1\x1f")


# ---------------------------------------------------------------- flow control


def test_a_body_waits_for_the_window_of_its_stream() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=10))
    feed(connection, f.headers())
    connection.respond(1, b"0123456789abcde")
    assert payload(feed(connection)) == b"0123456789"
    assert connection.queued(1) == 5
    assert payload(feed(connection, f.window_update(1, 1))) == b"a"
    frames = feed(connection, f.window_update(1, 100))
    assert payload(frames) == b"bcde"
    assert frames[-1].flags == f.END_STREAM


def test_one_byte_windows_deliver_everything() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=0))
    feed(connection, f.headers())
    connection.respond(1, b"hello")
    body = b""
    for _ in range(5):
        body += payload(feed(connection, f.window_update(1, 1)))
    assert body == b"hello"
    assert connection.streams == 0


def test_a_body_waits_for_the_window_of_the_connection() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=1 << 20))
    feed(connection, f.headers(1) + f.headers(3))
    connection.respond(1, bytes(70000))
    connection.respond(3, b"small")
    frames = feed(connection)
    assert sum(len(each.payload) for each in frames if each.kind == f.DATA) == 65535
    frames = feed(connection, f.window_update(0, 100000))
    assert len(payload(frames, 1)) + len(payload(frames, 3)) == 70005 - 65535
    assert connection.streams == 0


def test_an_empty_end_needs_no_window() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=0))
    feed(connection, f.headers())
    connection.send_head(1, 200)
    feed(connection)
    connection.send_end(1)
    assert kinds(feed(connection)) == [(f.DATA, f.END_STREAM)]


def test_settings_change_the_windows_of_open_streams_also_below_zero() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=10))
    feed(connection, f.headers())
    connection.send_head(1, 200)
    connection.send_body(1, b"0123456789abcdefghij")
    assert payload(feed(connection)) == b"0123456789"
    # RFC 9113 section 6.9.2: 10 bytes were sent of a window of 3, which is -7 now.
    feed(connection, f.settings(window=3))
    assert payload(feed(connection, f.window_update(1, 7))) == b""
    assert payload(feed(connection, f.window_update(1, 1))) == b"a"
    assert payload(feed(connection, f.settings(window=5))) == b"bc"


def test_settings_that_overflow_a_window_are_an_error() -> None:
    connection = connect()
    feed(connection, f.headers(), f.window_update(1, 2**31 - 1 - 65535))
    assert f.goaways(feed(connection, f.settings(window=65536))) == [(1, f.FLOW_CONTROL_ERROR)]


def test_settings_do_not_change_the_window_of_an_ended_response() -> None:
    connection = connect()
    feed(connection, f.headers(), f.window_update(1, 2**31 - 1 - 65535))
    connection.send_head(1, 200)
    connection.send_end(1)
    assert f.goaways(feed(connection, f.settings(window=65536))) == []


def test_a_long_queue_reports_when_more_may_be_sent() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.take_events()
    connection.send_head(1, 200)
    connection.send_body(1, bytes(60000))
    connection.fill(16384)
    assert connection.take_events() == []
    connection.take_output()
    feed(connection)
    assert connection.take_events() == [("writable", 1)]


def test_fill_stops_at_its_limit() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=1 << 20) + f.window_update(0, 1 << 20))
    feed(connection, f.headers())
    connection.respond(1, bytes(500000))
    connection.fill(100000)
    assert 100000 <= connection.output_size < 100000 + 16393
    assert connection.queued(1) == 500000 - 7 * 16384


def test_a_small_response_waits_while_much_output_is_queued() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=1 << 20) + f.window_update(0, 1 << 20))
    feed(connection, f.headers(1) + f.headers(3))
    connection.respond(1, bytes(500000))
    connection.fill(262144)
    connection.respond(3, b"small")
    assert connection.queued(3) == 5
    connection.take_output()
    assert payload(feed(connection), 3) == b"small"


# ---------------------------------------------------------------- ends


def test_the_rest_of_a_request_is_not_wanted_after_the_response() -> None:
    connection = connect()
    feed(connection, f.post())
    connection.end_input(1, f.NO_ERROR)
    connection.respond(1, b"enough")
    frames = feed(connection)
    assert [each.kind for each in frames] == [f.HEADERS, f.DATA, f.RST_STREAM]
    assert resets(frames) == [(1, f.NO_ERROR)]
    connection.take_events()
    assert feed(connection, f.data(1, b"late", f.END_STREAM)) == []
    assert connection.take_events() == []


def test_no_reset_follows_if_the_request_has_ended_meanwhile() -> None:
    connection = connect()
    feed(connection, f.post())
    connection.end_input(1, f.NO_ERROR)
    feed(connection, f.data(1, b"all", f.END_STREAM))
    connection.respond(1, b"enough")
    assert resets(feed(connection)) == []
    assert connection.streams == 0


def test_a_reset_drops_the_queued_output() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=5))
    feed(connection, f.headers())
    connection.send_head(1, 200)
    connection.send_body(1, b"0123456789")
    feed(connection)
    connection.reset(1, f.CANCEL)
    assert feed(connection, f.window_update(1, 100)) == [f.Frame(f.RST_STREAM, 0, 1, struct.pack(">I", f.CANCEL))]
    connection.send_body(1, b"more")
    connection.send_end(1)
    assert feed(connection) == []


def test_a_reset_of_a_staged_head_sends_no_head() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.send_head(1, 200)
    connection.reset(1, f.CANCEL)
    assert [each.kind for each in feed(connection)] == [f.RST_STREAM]


def test_a_client_that_resets_gets_nothing_more() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=5))
    feed(connection, f.headers())
    connection.send_head(1, 200)
    connection.send_body(1, b"0123456789")
    feed(connection)
    connection.take_events()
    feed(connection, f.rst_stream(1, f.CANCEL))
    assert connection.take_events() == [("reset", 1, f.CANCEL, None)]
    assert connection.queued(1) == 0
    connection.send_body(1, b"more")
    connection.send_end(1)
    assert feed(connection, f.window_update(0, 100)) == []


@pytest.mark.parametrize("released", [False, True])
def test_a_response_is_reported_when_its_end_is_in_the_output(released: bool) -> None:
    connection = connect(start=f.PREFACE + f.settings(window=5))
    feed(connection, f.headers())
    connection.take_events()
    connection.send_head(1, 200)
    connection.send_body(1, b"0123456789")
    connection.send_end(1)
    if released:
        connection.release(1)
    feed(connection)
    assert connection.take_events() == []
    assert connection.streams == 1
    feed(connection, f.window_update(1, 5))
    assert connection.take_events() == [("sent", 1)]
    assert connection.streams == (0 if released else 1)


# ---------------------------------------------------------------- GOAWAY


def test_a_drain_announces_confirms_and_ends() -> None:
    connection = connect()
    feed(connection, f.headers(1))
    connection.start_drain()
    announced, asked = feed(connection)
    assert f.goaways([announced]) == [(2**31 - 1, f.NO_ERROR)]
    assert (asked.kind, asked.flags) == (f.PING, 0)
    # The client may have sent this before it knew: it is served.
    feed(connection, f.headers(3))
    connection.take_events()
    final = feed(connection, f.ping(asked.payload, f.ACK))
    assert f.goaways(final) == [(3, f.NO_ERROR)]
    assert feed(connection, f.headers(5), f.data(5, b"ignored")) == []
    assert connection.take_events() == []
    connection.respond(1, b"a")
    assert connection.take_events() == [("sent", 1)]
    connection.respond(3, b"b")
    assert connection.take_events() == [("sent", 3), ("drained",)]


def test_a_drain_without_streams_ends_with_its_confirmation() -> None:
    connection = connect()
    connection.start_drain()
    connection.finish_drain()
    connection.finish_drain()
    assert f.goaways(feed(connection)) == [(2**31 - 1, f.NO_ERROR), (0, f.NO_ERROR)]
    assert connection.take_events() == [("drained",)]


def test_a_request_that_is_ignored_after_the_goaway_may_have_trailers() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.start_drain()
    connection.finish_drain()
    feed(connection)
    assert feed(connection, f.post(3), f.data(3, b"x"), f.headers(3, [(b"x-t", b"1")])) == []


def test_settings_precede_the_goaway_of_an_unused_connection() -> None:
    connection = RecordedConnection(new_limits())
    connection.start_drain()
    assert [each.kind for each in f.frames_of(connection.take_output())] == [
        f.SETTINGS,
        f.WINDOW_UPDATE,
        f.GOAWAY,
        f.PING,
    ]


def test_the_client_leaves_when_its_streams_have_ended() -> None:
    connection = connect()
    feed(connection, f.headers(1), f.frame(f.GOAWAY, 0, 0, struct.pack(">II", 0, f.NO_ERROR) + b"bye"))
    assert connection.take_events()[-1] == ("goaway", f.NO_ERROR)
    connection.respond(1, b"")
    assert connection.take_events() == [("sent", 1), ("drained",)]
