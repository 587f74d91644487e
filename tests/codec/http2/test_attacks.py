"""Known attacks on HTTP/2 servers, each by name, with the resource that has to stay bounded.

The bounds hold however long the attack lasts: the connection ends, or the client waits for the server.
"""

import struct
from collections.abc import Iterator

import pytest

from ianus.codec.http2.recording import RecordedConnection
from tests.codec.http2 import frames as f
from tests.codec.http2.frames import connect, feed, frame, goaways, resets

# Rounds after which an attack has ended its connection, or never will
MANY = 20000


def rounds_until_end(connection: RecordedConnection, rounds: Iterator[bytes]) -> tuple[int, int]:
    """Feeds rounds until the connection ends. Returns their number, and the bytes of output that they caused."""
    output = 0
    for count, data in enumerate(rounds, 1):
        connection.feed(data)
        connection.fill()
        sent = connection.take_output()
        output += len(sent)
        if goaways(f.frames_of(sent)):
            assert f.code_of(f.frames_of(sent)[-1]) == f.ENHANCE_YOUR_CALM
            # The reason is for the log.
            event = connection.take_events()[-1]
            assert event[:2] == ("connection error", f.ENHANCE_YOUR_CALM)
            assert event[2].startswith(("too many ", "field block over "))
            return count, output
        assert count < MANY, "the attack had no end"
    raise AssertionError("the attack was too short")


def streams() -> Iterator[int]:
    yield from range(1, 2**31, 2)


def test_cve_2023_44487_rapid_reset_makes_a_bounded_number_of_calls() -> None:
    """HEADERS and RST_STREAM in turn: each would start an application call."""
    connection = connect()
    count, _ = rounds_until_end(connection, (f.headers(stream) + f.rst_stream(stream) for stream in streams()))
    assert count <= 4000 // 5
    # No call has returned, so there are not more than the advertised streams.
    assert connection.streams == 128


def test_cve_2023_44487_rapid_reset_of_calls_that_return_at_once() -> None:
    connection = connect()
    calls = 0

    def attack() -> Iterator[bytes]:
        nonlocal calls
        for stream in streams():
            yield f.headers(stream) + f.rst_stream(stream)
            calls += 1
            connection.release(stream)

    rounds_until_end(connection, attack())
    assert calls <= 4000 // 20


def test_a_browser_that_cancels_pages_is_not_taken_for_an_attack() -> None:
    connection = connect()
    number = streams()
    for _ in range(50):
        cancelled = [next(number) for _ in range(40)]
        served = [next(number) for _ in range(40)]
        feed(connection, *map(f.headers, cancelled), *map(f.rst_stream, cancelled), *map(f.headers, served))
        for stream in cancelled:
            connection.release(stream)
        for stream in served:
            connection.respond(stream, b"served")
        assert goaways(feed(connection)) == []


@pytest.mark.parametrize(
    "provocation",
    [
        lambda stream: f.headers(stream) + f.window_update(stream, 0),
        lambda stream: f.headers(stream) + f.window_update(stream, 2**31 - 1),
        lambda stream: f.headers(stream) + f.data(stream, b"", f.END_STREAM),
        lambda stream: f.post(stream) + f.headers(stream, flags=f.END_HEADERS),
        lambda stream: f.post(stream, (b"content-length", b"1")) + f.data(stream, b"ab"),
    ],
)
def test_cve_2025_8671_made_you_reset(provocation) -> None:  # type: ignore[no-untyped-def]
    """The client provokes the resets of the server: they cost it as much as its own, and the calls count as long."""
    connection = connect()
    count, _ = rounds_until_end(connection, map(provocation, streams()))
    assert count <= 4000 // 5
    assert connection.streams <= 128


def test_refused_requests_are_bounded() -> None:
    """Answers to invalid requests do not count as useful work."""
    connection = connect()

    def attack() -> Iterator[bytes]:
        for stream in streams():
            yield f.headers(stream, f.GET[:2])
            connection.send_head(stream, 400, framing="declared")
            connection.send_end(stream)
            connection.release(stream)

    rounds_until_end(connection, attack())


def test_rustsec_2024_0332_continuation_flood_is_refused_by_frames() -> None:
    connection = connect()
    frames = feed(connection, f.headers(flags=f.END_STREAM), *[frame(f.CONTINUATION, 0, 1, b"\x82")] * 16)
    assert goaways(frames) == [(0, f.ENHANCE_YOUR_CALM)]


def test_rustsec_2024_0332_continuation_flood_is_refused_by_bytes_before_it_is_decoded() -> None:
    connection = connect()
    kept = []

    def attack() -> Iterator[bytes]:
        yield frame(f.HEADERS, f.END_STREAM, 1, bytes(16384))
        while True:
            kept.append(connection.block_size)
            yield frame(f.CONTINUATION, 0, 1, bytes(16384))

    count, output = rounds_until_end(connection, attack())
    assert count <= 16
    assert max(kept) <= 1 << 17
    assert output < 200
    # The block itself is invalid, so a decoder would have reported that.
    assert connection.block_size <= 1 << 17


def test_cve_2016_6581_hpack_bomb_keeps_the_limits_of_the_decoded_list() -> None:
    """A block of indices to one large field, 16 KiB that are 64 MB decoded."""
    import hpack

    encoder = hpack.Encoder()
    large = encoder.encode([*f.GET, (b"x-bomb", b"b" * 4000)])
    bomb = encoder.encode(f.GET) + b"\xbe" * 16000
    connection = connect()
    feed(connection, frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, large))
    connection.take_events()
    feed(connection, frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 3, bomb))
    (event,) = connection.take_events()
    assert event[:3] == ("stream error", 3, 431)


def test_cve_2019_9511_data_dribble() -> None:
    """Windows of one byte, each for a frame of one byte, with a large response queued."""
    connection = connect(start=f.PREFACE + f.settings(window=0))
    feed(connection, f.headers())
    connection.respond(1, bytes(1 << 20))
    _, output = rounds_until_end(connection, (f.window_update(1, 1) for _ in range(MANY)))
    assert output < 100_000


def test_cve_2019_9512_ping_flood() -> None:
    connection = connect()
    count, output = rounds_until_end(connection, (f.ping() for _ in range(MANY)))
    assert count <= 4001
    assert output < 4001 * 17 + 100


def test_cve_2019_9513_resource_loop() -> None:
    """Priorities that change all the time: there is no tree whose order would have to change with them."""
    connection = connect()
    feed(connection, f.post(1) + f.post(3))
    rounds_until_end(
        connection,
        (frame(f.PRIORITY, 0, 1 + count % 2 * 2, struct.pack(">IB", 5, count % 256)) for count in range(MANY)),
    )


def test_cve_2019_9513_resource_loop_by_priority_updates() -> None:
    connection = connect()
    feed(connection, f.headers(1))
    connection.respond(1, bytes(1 << 20))
    rounds_until_end(connection, (f.priority_update(1, b"u=%d" % (count % 8)) for count in range(MANY)))


def test_cve_2016_6580_priorities_of_streams_that_are_never_opened_are_not_kept() -> None:
    connection = connect()
    for stream in range(1, 4001, 2):
        feed(connection, f.priority_update(stream, b"u=1"))
    assert connection.early_priorities == 32


def test_cve_2019_9514_reset_flood() -> None:
    """Invalid frames on many streams, each answered with RST_STREAM."""
    connection = connect()
    feed(connection, f.headers(99))
    connection.respond(99, b"")
    # A number that was passed over
    rounds_until_end(connection, (f.data(97) for _ in range(MANY)))


def test_cve_2019_9515_settings_flood() -> None:
    connection = connect()
    count, output = rounds_until_end(connection, (f.settings(window=count % 2) for count in range(MANY)))
    assert count <= 4000 // 5 + 1
    assert output < 20_000


def test_cve_2019_9515_settings_with_thousands_of_values_are_one_change() -> None:
    connection = connect()
    feed(connection, *map(f.headers, range(1, 257, 2)))
    values = b"".join(struct.pack(">HI", 4, count) for count in range(2730))
    assert goaways(feed(connection, frame(f.SETTINGS, 0, 0, values))) == []
    connection.respond(1, bytes(10000))
    assert sum(len(each.payload) for each in feed(connection) if each.kind == f.DATA) == 2729


def test_cve_2019_9516_zero_length_headers_leak() -> None:
    """Fields without name and value, which would be kept without being counted."""
    empty = b"\x00\x00\x00" * 3000
    connection = connect()
    feed(connection, frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, f.block(f.GET) + empty))
    (event,) = connection.take_events()
    assert event[:2] == ("stream error", 1)


def test_cve_2019_9517_internal_data_buffering() -> None:
    """The client opens the windows of HTTP/2 and does not read its socket: the output does not grow beyond fill()."""
    connection = connect(start=f.PREFACE + f.settings(window=2**31 - 1) + f.window_update(0, 2**31 - 1 - 65535))
    body = bytes(1 << 20)
    for stream in range(1, 201, 2):
        connection.feed(f.headers(stream))
        connection.respond(stream, body)
        connection.fill(65536)
        assert connection.output_size < 65536 + 16393 + 100 * 30


def test_cve_2019_9518_empty_frames_flood() -> None:
    connection = connect()
    feed(connection, f.post())
    rounds_until_end(connection, (f.data() for _ in range(MANY)))
    connection = connect()
    feed(connection, f.post())
    # Only padding
    rounds_until_end(connection, (f.data(1, b"\x05" + bytes(5), f.PADDED) for _ in range(MANY)))


def test_rustsec_2026_0258_empty_data_frames_are_not_queued() -> None:
    connection = connect()
    feed(connection, f.post())
    connection.take_events()
    feed(connection, f.data() * 1000)
    assert connection.take_events() == []


def test_rustsec_2024_0003_resets_of_a_client_that_sends_without_a_window() -> None:
    """Each error would queue a reset, while the client reads nothing."""
    connection = connect(connection_window=65535, stream_window=65535)
    feed(connection, f.post(1), *[f.data(1, bytes(16383))] * 4)
    frames = feed(connection, f.data(1, bytes(16384)), f.data(1, bytes(16384)), f.data(1, bytes(16384)))
    assert goaways(frames) == [(1, f.FLOW_CONTROL_ERROR)]


def test_cve_2023_26964_streams_that_wait_for_their_call_are_bounded() -> None:
    connection = connect()
    for stream in range(1, 401, 2):
        feed(connection, f.headers(stream) + f.rst_stream(stream, f.NO_ERROR))
    assert connection.streams == 128


@pytest.mark.parametrize(
    "data",
    [
        frame(0x77),
        f.ping(flags=f.ACK),
        frame(f.SETTINGS, f.ACK),
        frame(f.GOAWAY, 0, 0, bytes(8)),
        f.window_update(0, 1),
    ],
    ids=["unknown", "PING ACK", "SETTINGS ACK", "GOAWAY", "WINDOW_UPDATE"],
)
def test_other_frames_that_are_of_no_use_are_bounded(data: bytes) -> None:
    rounds_until_end(connect(), (data for _ in range(MANY)))


def test_late_resets_are_bounded() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.respond(1, b"")
    rounds_until_end(connection, (f.rst_stream() for _ in range(MANY)))


def test_streams_over_the_limit_are_bounded() -> None:
    connection = connect(max_concurrent_streams=1)
    rounds_until_end(connection, (f.headers(stream) for stream in streams()))


def test_a_stalled_reader_holds_only_its_queue() -> None:
    """A window of 0 that never opens: the session learns since when, and no output is written."""
    connection = connect(start=f.PREFACE + f.settings(window=0))
    for stream in range(1, 257, 2):
        feed(connection, f.headers(stream))
        connection.respond(stream, b"x" * 1000)
    feed(connection)
    assert connection.stalled_since() == (1, 1)
    assert connection.output_size == 0
    assert resets(feed(connection)) == []


def test_time_forgives_the_pings_of_an_idle_connection() -> None:
    connection = connect()
    for second in range(10000):
        connection.set_now(second)
        assert goaways(feed(connection, f.ping(), f.ping())) == []


def test_useful_responses_forgive_the_frames_around_them() -> None:
    connection = connect()
    for stream in range(1, 4001, 2):
        around = f.window_update(0, 1) * 10 + f.priority_update(stream, b"u=1") + f.ping()
        feed(connection, f.headers(stream), around)
        connection.respond(stream, b"useful")
        assert goaways(feed(connection)) == []


def test_a_download_forgives_two_window_updates_a_frame() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.respond(1, bytes(1 << 26))
    for _ in range(4000):
        sent = [each for each in feed(connection) if each.kind == f.DATA]
        for each in sent:
            size = len(each.payload)
            assert goaways(feed(connection, f.window_update(0, size), f.window_update(1, size))) == []


def test_small_events_forgive_the_pings_that_answer_them() -> None:
    connection = connect()
    feed(connection, f.headers())
    connection.send_head(1, 200)
    for _ in range(5000):
        connection.send_body(1, b"data: 1\n\n")
        assert goaways(feed(connection, f.window_update(0, 9), f.window_update(1, 9))) == []
