"""The flow control of received bodies (RFC 9113 section 5.2): credit only for consumed bytes."""

import struct

from tests.codec.http2 import frames as f
from tests.codec.http2.frames import connect, feed, goaways, resets


def increments(frames: list[f.Frame], stream: int) -> int:
    """The sum of the credit for a stream, 0 for the connection."""
    updates = [each for each in frames if each.kind == f.WINDOW_UPDATE and each.stream == stream]
    return sum(struct.unpack(">I", each.payload)[0] for each in updates)


def upload(size: int, stream: int = 1) -> bytes:
    return b"".join(f.data(stream, bytes(min(16384, size - at))) for at in range(0, size, 16384))


def test_bytes_that_nothing_consumes_give_no_credit() -> None:
    connection = connect(stream_window=65536)
    assert feed(connection, f.post(), upload(65536)) == []
    assert resets(feed(connection, f.data(1, b"x"))) == [(1, f.FLOW_CONTROL_ERROR)]


def test_consumed_bytes_give_credit_in_halves_of_the_window() -> None:
    connection = connect(stream_window=65536)
    feed(connection, f.post(), upload(40000))
    connection.consume(1, 30000)
    assert feed(connection) == []
    connection.consume(1, 10000)
    assert increments(feed(connection), 1) == 40000


def test_padding_gives_credit_at_once() -> None:
    connection = connect(stream_window=65536)
    feed(connection, f.post())
    sent = b"".join(f.data(1, b"\xff" + bytes(255), f.PADDED) for _ in range(200))
    # 51,200 bytes of 256 each frame, without any data
    assert increments(feed(connection, sent), 1) >= 32768


def test_the_window_of_the_connection_bounds_all_streams_together() -> None:
    connection = connect(stream_window=65536, connection_window=100000)
    feed(connection, f.post(1) + f.post(3), upload(60000, 1), upload(40000, 3))
    connection.take_events()
    assert goaways(feed(connection, f.data(3, b"x"))) == [(3, f.FLOW_CONTROL_ERROR)]


def test_a_fast_reader_gets_a_larger_window() -> None:
    connection = connect(stream_window=65536)
    feed(connection, f.post())
    credit = 65536
    for _ in range(4):
        feed(connection, upload(credit))
        connection.take_events()
        connection.consume(1, credit)
        credit = increments(feed(connection), 1)
    assert credit > 65536 * 4


def test_windows_do_not_grow_without_limit() -> None:
    connection = connect(stream_window=65536)
    feed(connection, f.post())
    credit = 65536
    for _ in range(12):
        feed(connection, upload(credit))
        connection.take_events()
        connection.consume(1, credit)
        credit = increments(feed(connection), 1)
    assert credit == 1 << 20


def test_a_slow_reader_keeps_its_window() -> None:
    connection = connect(stream_window=65536)
    feed(connection, f.post())
    for _ in range(20):
        feed(connection, upload(32768))
        connection.consume(1, 32768)
        assert increments(feed(connection), 1) == 32768


def test_a_release_consumes_the_rest_for_the_connection() -> None:
    connection = connect(stream_window=65536, connection_window=65536)
    feed(connection, f.post(), upload(60000))
    connection.respond(1, b"")
    assert increments(feed(connection), 0) >= 60000


def test_discarded_bytes_are_consumed_for_the_connection_alone() -> None:
    connection = connect(stream_window=65536, connection_window=65536)
    feed(connection, f.post())
    connection.end_input(1, f.NO_ERROR)
    frames = feed(connection, upload(60000))
    assert increments(frames, 0) > 0
    assert increments(frames, 1) == 0


def test_bytes_on_a_reset_stream_are_consumed_for_the_connection() -> None:
    connection = connect(stream_window=65536, connection_window=65536)
    feed(connection, f.post())
    connection.reset(1, f.CANCEL)
    assert increments(feed(connection, upload(60000)), 0) > 0


def test_a_stream_that_has_ended_gets_no_credit() -> None:
    connection = connect(stream_window=65536)
    feed(connection, f.post(), upload(60000), f.data(1, b"", f.END_STREAM))
    connection.consume(1, 60000)
    assert increments(feed(connection), 1) == 0


def test_a_client_without_a_window_gets_the_credit_that_there_is() -> None:
    connection = connect(stream_window=65536, connection_window=100000)
    feed(connection, f.post(1) + f.post(3) + f.post(5), upload(60000, 1), upload(30000, 3))
    connection.consume(3, 30000)
    assert increments(feed(connection), 0) == 0
    # Less than half of the window was consumed, and stream 1 may never be.
    assert increments(feed(connection, upload(10000, 5)), 0) == 30000
    feed(connection, upload(30000, 5))
    connection.consume(5, 1)
    assert increments(feed(connection), 0) == 1
