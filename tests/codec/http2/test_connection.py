"""The start of a connection, and the errors that end it (RFC 9113 sections 3.4, 4 and 6)."""

import struct

from tests.codec.http2 import frames as f
from tests.codec.http2.frames import check, connect, fails, feed, frame, goaways, named
from tests.rows import for_each_row


def test_the_first_frames_of_the_server_are_its_settings_and_the_window_of_the_connection() -> None:
    events, frames, streams = f.outcome([f.START])
    assert (events, streams) == ([], 0)
    assert [each.kind for each in frames] == [f.SETTINGS, f.WINDOW_UPDATE, f.SETTINGS]
    values = dict(struct.iter_unpack(">HI", frames[0].payload))
    assert values == {3: 128, 4: 262144, 6: values[6], 9: 1, 8: 1}
    assert frames[1].payload == struct.pack(">I", 1048576 - 65535)
    assert frames[2] == f.Frame(f.SETTINGS, f.ACK, 0, b"")


def test_without_extended_connect_its_setting_is_absent() -> None:
    _, frames, _ = f.outcome([f.START], extended_connect=False)
    assert 8 not in dict(struct.iter_unpack(">HI", frames[0].payload))


@for_each_row("at", range(24))
def test_an_invalid_preface_ends_the_connection(at: int) -> None:
    wrong = bytearray(f.PREFACE)
    wrong[at] ^= 0x20
    assert fails(b"", f.PROTOCOL_ERROR, start=bytes(wrong) + f.settings()) == []


@named(
    {
        "GET of HTTP/1": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    }
)
def test_another_protocol_ends_the_connection(case: bytes) -> None:
    assert fails(b"", f.PROTOCOL_ERROR, start=case) == []


@named(
    {
        "HEADERS": f.headers(),
        "PING": f.ping(),
        "unknown": frame(0x77),
        "WINDOW_UPDATE": f.window_update(0, 1),
    }
)
def test_the_first_frame_is_settings(case: bytes) -> None:
    assert fails(case, f.PROTOCOL_ERROR, start=f.PREFACE) == []


CONNECTION_ERRORS = {
    # Section 4.2
    "frame over the maximum size": (frame(0x77, payload=bytes(16385)), f.FRAME_SIZE_ERROR),
    "DATA over the maximum size": (f.post() + f.data(1, bytes(16385)), f.FRAME_SIZE_ERROR),
    # Section 5.1, idle
    "DATA on an idle stream": (f.data(1), f.PROTOCOL_ERROR),
    "RST_STREAM on an idle stream": (f.rst_stream(1), f.PROTOCOL_ERROR),
    "WINDOW_UPDATE on an idle stream": (f.window_update(1, 1), f.PROTOCOL_ERROR),
    "CONTINUATION on an idle stream": (frame(f.CONTINUATION, f.END_HEADERS, 1, f.block(f.GET)), f.PROTOCOL_ERROR),
    # Section 5.1.1
    "even number": (f.headers(2), f.PROTOCOL_ERROR),
    "number that was passed over": (f.headers(5) + f.headers(3), f.PROTOCOL_ERROR),
    # Section 6.1
    "DATA on the connection": (f.data(0), f.PROTOCOL_ERROR),
    "DATA with too much padding": (f.post() + f.data(1, b"\x06hello", f.PADDED), f.PROTOCOL_ERROR),
    "DATA without the size of its padding": (f.post() + f.data(1, b"", f.PADDED), f.FRAME_SIZE_ERROR),
    # Section 6.2
    "HEADERS on the connection": (f.headers(0), f.PROTOCOL_ERROR),
    "HEADERS with too much padding": (
        frame(f.HEADERS, f.END_HEADERS | f.PADDED, 1, b"\x20" + f.block(f.GET)), f.PROTOCOL_ERROR),
    "HEADERS without the size of its padding": (frame(f.HEADERS, f.END_HEADERS | f.PADDED, 1), f.FRAME_SIZE_ERROR),
    "HEADERS without its priority": (
        frame(f.HEADERS, f.END_HEADERS | f.HAS_PRIORITY, 1, bytes(4)), f.FRAME_SIZE_ERROR),
    "HEADERS that cannot be decoded": (frame(f.HEADERS, f.END_HEADERS, 1, b"\xff\xff\xff\xff"), f.COMPRESSION_ERROR),
    # Section 6.3
    "PRIORITY on the connection": (frame(f.PRIORITY, 0, 0, bytes(5)), f.PROTOCOL_ERROR),
    "PRIORITY of an invalid size": (frame(f.PRIORITY, 0, 1, bytes(4)), f.FRAME_SIZE_ERROR),
    "PRIORITY on itself": (frame(f.PRIORITY, 0, 1, struct.pack(">IB", 1, 0)), f.PROTOCOL_ERROR),
    # Section 6.4
    "RST_STREAM on the connection": (f.rst_stream(0), f.PROTOCOL_ERROR),
    "RST_STREAM of an invalid size": (f.headers() + frame(f.RST_STREAM, 0, 1, bytes(3)), f.FRAME_SIZE_ERROR),
    # Section 6.5
    "SETTINGS on a stream": (frame(f.SETTINGS, 0, 1), f.PROTOCOL_ERROR),
    "SETTINGS of an invalid size": (frame(f.SETTINGS, 0, 0, bytes(5)), f.FRAME_SIZE_ERROR),
    "SETTINGS with ACK and values": (frame(f.SETTINGS, f.ACK, 0, bytes(6)), f.FRAME_SIZE_ERROR),
    "ENABLE_PUSH of 2": (f.settings(push=2), f.PROTOCOL_ERROR),
    "INITIAL_WINDOW_SIZE of 2^31": (f.settings(window=2**31), f.FLOW_CONTROL_ERROR),
    "MAX_FRAME_SIZE of 16383": (f.settings(frame_size=16383), f.PROTOCOL_ERROR),
    "MAX_FRAME_SIZE of 2^24": (f.settings(frame_size=2**24), f.PROTOCOL_ERROR),
    "NO_RFC7540_PRIORITIES of 2": (f.settings(no_priorities=2), f.PROTOCOL_ERROR),
    # Section 6.6
    "PUSH_PROMISE": (f.headers() + frame(f.PUSH_PROMISE, f.END_HEADERS, 1, struct.pack(">I", 2)), f.PROTOCOL_ERROR),
    # Section 6.7
    "PING on a stream": (frame(f.PING, 0, 1, bytes(8)), f.PROTOCOL_ERROR),
    "PING of 7 bytes": (f.ping(bytes(7)), f.FRAME_SIZE_ERROR),
    "PING of 9 bytes": (f.ping(bytes(9)), f.FRAME_SIZE_ERROR),
    # Section 6.8
    "GOAWAY on a stream": (frame(f.GOAWAY, 0, 1, bytes(8)), f.PROTOCOL_ERROR),
    "GOAWAY of an invalid size": (frame(f.GOAWAY, 0, 0, bytes(7)), f.FRAME_SIZE_ERROR),
    # Section 6.9
    "WINDOW_UPDATE of an invalid size": (frame(f.WINDOW_UPDATE, 0, 0, bytes(3)), f.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE by 0": (f.window_update(0, 0), f.PROTOCOL_ERROR),
    "WINDOW_UPDATE over 2^31-1": (f.window_update(0, 2**31 - 1), f.FLOW_CONTROL_ERROR),
    # Sections 4.3 and 6.10
    "frame of another type in a block": (f.headers(flags=f.END_STREAM) + f.ping(), f.PROTOCOL_ERROR),
    "unknown frame in a block": (f.headers(flags=f.END_STREAM) + frame(0x77), f.PROTOCOL_ERROR),
    "HEADERS in a block": (f.headers(flags=f.END_STREAM) + f.headers(3), f.PROTOCOL_ERROR),
    "CONTINUATION of another stream": (
        f.headers(flags=f.END_STREAM) + frame(f.CONTINUATION, f.END_HEADERS, 3), f.PROTOCOL_ERROR),
    "CONTINUATION after the end of its block": (f.headers() + frame(f.CONTINUATION, 0, 1), f.PROTOCOL_ERROR),
    # RFC 9218 section 7.1
    "PRIORITY_UPDATE on a stream": (frame(f.PRIORITY_UPDATE, 0, 1, struct.pack(">I", 1)), f.PROTOCOL_ERROR),
    "PRIORITY_UPDATE of no stream": (f.priority_update(0, b"u=1"), f.PROTOCOL_ERROR),
    "PRIORITY_UPDATE of a push": (f.priority_update(2, b"u=1"), f.PROTOCOL_ERROR),
    "PRIORITY_UPDATE of an invalid size": (frame(f.PRIORITY_UPDATE, 0, 0, bytes(3)), f.FRAME_SIZE_ERROR),
}  # fmt: skip


@named(CONNECTION_ERRORS)
def test_connection_error(case: tuple[bytes, int]) -> None:
    input_, code = case
    fails(input_, code)


@named(
    {
        "unknown frame": frame(0x77, 0xFF, 5, bytes(100)),
        "empty unknown frame": frame(0xFF),
        "SETTINGS with unknown values": frame(f.SETTINGS, 0, 0, struct.pack(">HI", 0x7777, 7)),
        "PRIORITY of a stream that is not open": frame(f.PRIORITY, 0, 7, struct.pack(">IB", 3, 0)),
        "reserved bit": struct.pack(">I", 0)[1:] + struct.pack(">BBI", f.SETTINGS, f.ACK, 1 << 31),
    }
)
def test_ignored_frame(case: bytes) -> None:
    events, frames, streams = check(case)
    assert events == []
    assert [each for each in frames if each != f.Frame(f.SETTINGS, f.ACK, 0, b"")] == []
    assert streams == 0


def test_a_ping_is_answered_with_its_payload() -> None:
    assert check(f.ping(b"abcdefgh")) == ([], [f.Frame(f.PING, f.ACK, 0, b"abcdefgh")], 0)


def test_a_connection_error_names_the_last_stream_and_the_reason() -> None:
    connection = connect()
    (goaway,) = feed(connection, f.headers(7) + f.data(9))
    assert goaways([goaway]) == [(7, f.PROTOCOL_ERROR)]
    assert goaway.payload[8:] == b"DATA on an idle stream"


def test_the_time_of_an_incomplete_frame_counts_from_its_first_byte() -> None:
    connection = connect()
    assert connection.head_since == 0
    connection.set_now(2)
    connection.feed(f.headers()[:10])
    connection.set_now(3)
    connection.feed(f.headers()[10:12])
    assert connection.head_since == 2
    # The next frame starts when the one before has ended.
    connection.set_now(4)
    connection.feed(f.headers()[12:] + f.headers(3)[:10])
    assert connection.head_since == 4
    connection.feed(f.headers(3)[10:])
    assert connection.head_since == 0


def test_the_time_of_a_field_block_counts_from_its_first_frame() -> None:
    connection = connect()
    encoded = f.block(f.GET)
    connection.set_now(2)
    connection.feed(frame(f.HEADERS, f.END_STREAM, 1, encoded[:4]))
    connection.set_now(3)
    connection.feed(frame(f.CONTINUATION, 0, 1, encoded[4:6]))
    assert connection.head_since == 2
    connection.feed(frame(f.CONTINUATION, f.END_HEADERS, 1, encoded[6:]))
    assert connection.head_since == 0


def test_the_bytes_of_a_body_have_no_such_time() -> None:
    connection = connect()
    connection.feed(f.post() + f.data(1, b"hello")[:11])
    assert connection.head_since == 0


def test_the_session_may_end_the_connection_with_a_code() -> None:
    connection = connect()
    connection.fail_connection(f.ENHANCE_YOUR_CALM)
    assert goaways(f.frames_of(connection.take_output())) == [(0, f.ENHANCE_YOUR_CALM)]
    assert feed(connection, f.headers()) == []
    assert connection.take_events() == []
