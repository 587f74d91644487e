"""Extended CONNECT (RFC 8441): bytes of a tunnel in both directions, and its ends."""

from tests.codec.http2 import frames as f
from tests.codec.http2.frames import connect, feed
from tests.codec.http2.test_receiving_windows import increments
from tests.rows import for_each_row

OPENING = f.headers(1, f.CONNECT, f.END_HEADERS)


def test_the_request_has_its_protocol() -> None:
    events, _, _ = f.check(OPENING)
    ((_, stream, facts),) = events
    assert (stream, facts["method"], facts["protocol"], facts["path"]) == (1, "CONNECT", "websocket", "/chat")
    assert facts["content_length"] == -1


def test_bytes_before_the_answer_wait_for_it() -> None:
    connection = connect()
    feed(connection, OPENING, f.data(1, b"early"))
    assert [event[0] for event in connection.take_events()] == ["request"]
    connection.send_head(1, 101, framing="tunnel")
    connection.resume_tunnel(1)
    assert connection.take_events() == [("tunnel", 1, b"early")]
    feed(connection, f.data(1, b"late"))
    assert connection.take_events() == [("tunnel", 1, b"late")]


def test_the_answer_is_200_and_does_not_end_the_stream() -> None:
    connection = connect()
    feed(connection, OPENING)
    connection.send_head(1, 101, framing="tunnel")
    # At once, since no end follows that it could be sent with.
    (head,) = f.frames_of(connection.take_output())
    assert f.fields_of(head)[0] == (b":status", b"200")
    assert head.flags == f.END_HEADERS


def test_output_of_a_tunnel_is_data() -> None:
    connection = connect()
    feed(connection, OPENING)
    connection.send_head(1, 101, framing="tunnel")
    feed(connection)
    connection.send_data(1, b"\x81\x02")
    connection.send_body(1, b"hi")
    (frame,) = feed(connection)
    assert frame == f.Frame(f.DATA, 0, 1, b"\x81\x02hi")
    connection.send_end(1)
    assert feed(connection) == [f.Frame(f.DATA, f.END_STREAM, 1, b"")]
    # The client ends its side later.
    feed(connection, f.data(1, b"bye", f.END_STREAM))
    assert connection.take_events()[-2:] == [("tunnel", 1, b"bye"), ("end", 1)]
    connection.release(1)
    assert connection.streams == 0


def test_bytes_that_the_exchange_does_not_take_wait_without_credit() -> None:
    connection = connect(stream_window=65536)
    feed(connection, OPENING)
    connection.send_head(1, 101, framing="tunnel")
    connection.set_tunnel_room(10)
    frames = feed(connection, *[f.data(1, bytes(16384))] * 3, f.data(1, b"", f.END_STREAM))
    assert increments(frames, 1) == 0
    connection.take_events()
    connection.set_tunnel_room(40000)
    connection.resume_tunnel(1)
    assert increments(feed(connection), 1) == 40010
    connection.take_events()
    connection.set_tunnel_room(-1)
    connection.resume_tunnel(1)
    # The end follows the last byte.
    assert connection.take_events() == [("tunnel", 1, bytes(3 * 16384 - 40010)), ("end", 1)]


def test_the_bytes_of_a_tunnel_are_bounded_by_its_window() -> None:
    connection = connect(stream_window=65536)
    feed(connection, OPENING)
    connection.send_head(1, 101, framing="tunnel")
    connection.set_tunnel_room(0)
    assert f.resets(feed(connection, *[f.data(1, bytes(16384))] * 5)) == [(1, f.FLOW_CONTROL_ERROR)]


def test_a_refused_tunnel_discards_its_bytes() -> None:
    connection = connect()
    feed(connection, OPENING, f.data(1, b"early"))
    connection.take_events()
    connection.respond(1, b"no", 403)
    frames = feed(connection, f.data(1, b"late"))
    assert [each.kind for each in frames] == [f.HEADERS, f.DATA, f.RST_STREAM]
    assert connection.take_events() == [("sent", 1)]
    assert connection.streams == 0


def test_a_reset_ends_a_tunnel() -> None:
    connection = connect()
    feed(connection, OPENING)
    connection.send_head(1, 101, framing="tunnel")
    connection.set_tunnel_room(0)
    feed(connection, f.data(1, b"waiting"), f.rst_stream(1))
    assert connection.take_events()[-1] == ("reset", 1, f.CANCEL, None)
    connection.set_tunnel_room(-1)
    connection.resume_tunnel(1)
    assert connection.take_events() == []


def test_bytes_that_wait_use_up_the_window_that_all_streams_share() -> None:
    connection = connect(connection_window=65535, stream_window=65535)
    feed(connection, OPENING, *[f.data(1, bytes(8000))] * 4)
    assert not connection.is_window_used
    feed(connection, f.data(1, bytes(8000)))
    assert connection.is_window_used
    connection.send_head(1, 101, framing="tunnel")
    connection.resume_tunnel(1)
    assert not connection.is_window_used


@for_each_row("end", ["the client resets it", "it is refused", "the server resets it", "it has ended"])
def test_bytes_that_wait_are_consumed_for_the_connection_when_their_tunnel_ends(end: str) -> None:
    connection = connect(connection_window=65535, stream_window=65535)
    credit = 0
    for stream in range(1, 21, 2):
        frames = feed(connection, f.headers(stream, f.CONNECT, f.END_HEADERS), f.data(stream, bytes(16000)))
        if end == "the client resets it":
            frames += feed(connection, f.rst_stream(stream))
        elif end == "the server resets it":
            connection.reset(stream, f.CANCEL)
        elif end == "it is refused":
            connection.send_head(stream, 403)
            connection.send_end(stream)
        else:
            connection.send_head(stream, 101, framing="tunnel")
            connection.end_input(stream)
            connection.send_end(stream)
        connection.release(stream)
        credit += increments(frames + feed(connection), 0)
    # All but the part that is collected for the next frame
    assert credit > 160000 - 65535
