"""Since when output waits for windows that the client keeps closed, or opens too little."""

import pytest

from ianus.codec.http2.recording import RecordedConnection
from tests.codec.http2 import frames as f
from tests.codec.http2.frames import connect, feed

# Bytes after which the time of a client starts again
ENOUGH = 4096


def stalled(window: int = 0) -> RecordedConnection:
    """A connection with a response that waits since the time 100 for the window of its stream, or of the connection."""
    connection = connect(start=f.PREFACE + f.settings(window=window))
    feed(connection, f.headers())
    connection.set_now(100)
    connection.respond(1, bytes(100_000))
    feed(connection)
    return connection


def admit(connection: RecordedConnection, now: float, *updates: bytes) -> tuple[float, int]:
    connection.set_now(now)
    feed(connection, *updates)
    return connection.stalled_since()


def test_stalled_streams_are_known_from_the_oldest_on() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=1))
    feed(connection, f.headers(1) + f.headers(3))
    assert connection.stalled_since()[0] == 0
    connection.set_now(10)
    connection.respond(3, b"abc")
    feed(connection)
    connection.set_now(20)
    connection.respond(1, b"abc")
    feed(connection)
    assert connection.stalled_since() == (10, 3)
    feed(connection, f.window_update(3, 2))
    assert connection.stalled_since() == (20, 1)
    feed(connection, f.rst_stream(1))
    assert connection.stalled_since()[0] == 0


def test_a_connection_without_a_window_is_stalled_as_a_whole() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=1 << 20))
    feed(connection, f.headers())
    connection.set_now(10)
    connection.respond(1, bytes(70000))
    feed(connection)
    assert connection.stalled_since() == (10, 0)
    feed(connection, f.window_update(0, 1 << 20))
    assert connection.stalled_since()[0] == 0


def test_closing_and_opening_the_window_of_streams_does_not_extend_their_time() -> None:
    connection = connect()
    connection.set_now(100.0)
    feed(connection, f.settings(window=1 << 20), f.headers())
    connection.send_head(1, 200)
    connection.send_body(1, bytes(200_000))
    connection.send_end(1)
    feed(connection)
    for now in (101.0, 102.0):
        connection.set_now(now)
        # Without fill(), which the session calls only if that would move something
        connection.feed(f.settings(window=0))
        connection.feed(f.settings(window=1 << 20))
        assert connection.stalled_since() == (100.0, 0)


def test_output_that_comes_after_the_window_of_the_connection_was_used_up_is_stalled() -> None:
    connection = connect()
    feed(connection, f.headers(1), f.headers(3))
    connection.send_head(1, 200)
    connection.send_body(1, b"first")
    feed(connection)
    connection.send_head(3, 200)
    connection.send_body(3, bytes(65535 - 5))
    connection.send_end(3)
    feed(connection)
    connection.set_now(50.0)
    connection.send_body(1, b"second")
    assert connection.stalled_since() == (50.0, 0)
    connection.feed(f.window_update(0, 100))
    assert connection.stalled_since()[0] == 0


def test_a_fill_that_ends_with_the_window_of_the_connection_leaves_a_stalled_one() -> None:
    connection = connect()
    connection.set_now(20.0)
    feed(connection, f.settings(window=1 << 20), f.headers())
    connection.send_head(1, 200)
    connection.send_body(1, bytes(200_000))
    connection.fill(65535)
    assert not connection.has_queued
    assert connection.stalled_since() == (20.0, 0)


@pytest.mark.parametrize(("window", "stream"), [(0, 1), (1 << 20, 0)], ids=["stream", "connection"])
def test_a_client_that_admits_single_bytes_does_not_extend_its_time(window: int, stream: int) -> None:
    connection = stalled(window)
    for now in (110, 120, 130):
        assert admit(connection, now, f.window_update(stream, 1)) == (100, stream)


@pytest.mark.parametrize(("window", "stream"), [(0, 1), (1 << 20, 0)], ids=["stream", "connection"])
def test_the_time_of_a_client_starts_again_after_enough_bytes(window: int, stream: int) -> None:
    connection = stalled(window)
    assert admit(connection, 110, f.window_update(stream, 50)) == (100, stream)
    assert admit(connection, 120, f.window_update(stream, ENOUGH - 51)) == (100, stream)
    assert admit(connection, 130, f.window_update(stream, 1)) == (130, stream)


def test_the_time_in_which_a_window_is_open_does_not_count() -> None:
    connection = stalled()
    connection.set_now(110)
    # Nothing is sent before the next time, as while the socket takes nothing.
    connection.feed(f.window_update(1, 1))
    assert connection.stalled_since()[0] == 0
    connection.set_now(150)
    connection.fill()
    assert connection.stalled_since() == (140, 1)


def test_a_window_that_opens_for_a_moment_does_not_extend_the_time() -> None:
    connection = stalled()
    for now in (110, 120):
        connection.set_now(now)
        # Without fill(): both frames may arrive together.
        connection.feed(f.settings(window=1) + f.settings(window=0))
        assert connection.stalled_since() == (100, 1)


def test_the_time_of_a_stream_continues_before_that_of_later_ones() -> None:
    connection = stalled()
    feed(connection, f.headers(3) + f.headers(5))
    for stream, now in ((3, 105), (5, 106)):
        connection.set_now(now)
        connection.respond(stream, bytes(10))
    assert admit(connection, 110, f.window_update(3, 1)) == (100, 1)
    assert admit(connection, 110, f.window_update(1, 1)) == (100, 1)
    assert admit(connection, 120, f.rst_stream(1)) == (105, 3)
    assert admit(connection, 120, f.rst_stream(3)) == (106, 5)
    assert admit(connection, 120, f.rst_stream(5))[0] == 0


def test_a_stream_without_output_has_no_time() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=0))
    feed(connection, f.headers())
    connection.set_now(100)
    connection.send_head(1, 200)
    connection.send_body(1, b"event")
    assert admit(connection, 140, f.window_update(1, 5))[0] == 0
    connection.set_now(150)
    # The next one does not have the time of the one before it.
    connection.send_body(1, b"event")
    assert connection.stalled_since() == (150, 1)
