"""The priorities of responses (RFC 9218): their values, and the order of frames that follows from them."""

import random

from ianus.codec.http2.recording import RecordedConnection, read_priority
from tests.codec.http2 import frames as f
from tests.codec.http2.frames import connect, feed
from tests.rows import for_each_row

WIDE = f.PREFACE + f.settings(window=1 << 20) + f.window_update(0, 1 << 24)


@for_each_row(
    ("value", "expected"),
    [
        (b"", (3, False)),
        (b"u=0", (0, False)),
        (b"u=7, i", (7, True)),
        (b"i", (3, True)),
        (b"i=?1", (3, True)),
        (b"i=?0", (3, False)),
        (b"u=1,i=?0", (1, False)),
        (b"u=5;x=1, i;y", (5, True)),
        (b" u=2 ,\ti ", (2, True)),
        (b"u=1, u=4", (4, False)),
        (b'a="u=0, i", u=6', (6, False)),
        (b"a=(1 2, 3), u=6", (6, False)),
        # Out of range, of another type, unknown: ignored one by one (section 4)
        (b"u=8, i", (3, True)),
        (b"u=-1", (3, False)),
        (b"u=1.5", (3, False)),
        (b"u=10", (3, False)),
        (b"u", (3, False)),
        (b"i=1", (3, False)),
        (b'u="1"', (3, False)),
        (b"v=1, urgency=1", (3, False)),
        # Not a dictionary
        (b"=1", (3, False)),
        (b"u=1, ?", (3, False)),
        (b"U=1", (3, False)),
        (b'u=1, a="', (1, False)),
        (b'a="\\', (3, False)),
        (b"u=1" + b" " * 300, (3, False)),
    ],
)
def test_value(value: bytes, expected: tuple[int, bool]) -> None:
    assert read_priority(value) == expected


def test_any_bytes_are_read() -> None:
    bits = random.Random(9218)
    for _ in range(20000):
        value = bytes(bits.choice(b'ui=?01,;" \\()78\x00\xff') for _ in range(bits.randrange(20)))
        urgency, _ = read_priority(value)
        assert 0 <= urgency <= 7


def opened(*values: bytes | None) -> RecordedConnection:
    """A connection with a request of each priority, on streams 1, 3, 5 ..."""
    connection = connect(start=WIDE)
    for number, value in enumerate(values):
        fields = f.GET if value is None else [*f.GET, (b"priority", value)]
        feed(connection, f.headers(number * 2 + 1, fields))
    return connection


def order(connection: RecordedConnection, *, size: int = 40000, streams: tuple[int, ...] | None = None) -> list[int]:
    """The streams of the DATA frames, if each response has `size` bytes and they were queued in reverse order."""
    for stream in streams or sorted(range(1, connection.streams * 2, 2), reverse=True):
        connection.respond(stream, bytes(size))
    frames = f.frames_of(connection.take_output())
    while connection.has_queued:
        connection.fill(1)
        frames += f.frames_of(connection.take_output())
    return [each.stream for each in frames if each.kind == f.DATA]


def test_lower_urgencies_first() -> None:
    assert order(opened(b"u=5", b"u=1", b"u=3")) == [3, 3, 3, 5, 5, 5, 1, 1, 1]


def test_one_after_the_other_by_number() -> None:
    assert order(opened(b"u=3", b"u=3", b"u=3")) == [1, 1, 1, 3, 3, 3, 5, 5, 5]


def test_incremental_ones_share() -> None:
    assert sorted(order(opened(b"i", b"i", b"i"))[:3]) == [1, 3, 5]


def test_neither_kind_stops_the_other() -> None:
    assert set(order(opened(b"u=3", b"i", b"u=3"))[:2]) == {1, 3}


def test_clients_without_priorities_share() -> None:
    assert sorted(order(opened(None, None, None))[:3]) == [1, 3, 5]


def test_after_a_first_priority_requests_without_one_have_the_default() -> None:
    assert order(opened(b"u=3", None, None)) == [1, 1, 1, 3, 3, 3, 5, 5, 5]


def test_an_update_changes_the_order_of_queued_output() -> None:
    connection = opened(b"u=1", b"u=2")
    for stream in (1, 3):
        connection.respond(stream, bytes(40000))
    feed(connection, f.priority_update(1, b"u=6"))
    # feed() has filled already: the update was read before.
    connection = opened(b"u=1", b"u=2")
    connection.feed(f.priority_update(1, b"u=6"))
    assert order(connection) == [3, 3, 3, 1, 1, 1]


def test_an_update_of_a_stream_that_waits_moves_it() -> None:
    connection = opened(b"u=1", b"u=2", b"u=3")
    for stream in (1, 3, 5):
        connection.respond(stream, bytes(40000))
    connection.fill(0)
    connection.feed(f.priority_update(5, b"u=0"))
    frames = f.frames_of(connection.take_output())
    while connection.has_queued:
        connection.fill(1)
        frames += f.frames_of(connection.take_output())
    assert [each.stream for each in frames if each.kind == f.DATA] == [5, 5, 5, 1, 1, 1, 3, 3, 3]


def test_an_update_may_precede_its_request_and_outranks_its_field() -> None:
    connection = connect(start=WIDE)
    connection.feed(f.priority_update(3, b"u=0"))
    connection.feed(f.headers(1, [*f.GET, (b"priority", b"u=1")]))
    connection.feed(f.headers(3, [*f.GET, (b"priority", b"u=7")]))
    assert order(connection)[:3] == [3, 3, 3]
    assert connection.early_priorities == 0


def test_the_response_outranks_the_client() -> None:
    connection = opened(b"u=1", b"u=2")
    connection.send_head(3, 200, [(b"priority", b"u=0")])
    connection.send_body(3, bytes(40000))
    connection.send_end(3)
    assert order(connection, streams=(1,)) == [3, 3, 3, 1, 1, 1]


def test_a_slow_stream_stops_no_other() -> None:
    connection = connect(start=f.PREFACE + f.settings(window=100) + f.window_update(0, 1 << 24))
    feed(connection, f.headers(1, [*f.GET, (b"priority", b"u=0")]) + f.headers(3) + f.window_update(3, 1 << 20))
    assert order(connection) == [1, 3, 3, 3]


def test_random_events_deliver_each_body_in_order() -> None:
    """The lists of the scheduler stay consistent, for any events of the streams in them."""
    bits = random.Random(7)
    connection = connect(
        start=f.PREFACE + f.settings(window=20000) + f.window_update(0, 1 << 30), max_concurrent_streams=999
    )
    expected: dict[int, int] = {}
    received: dict[int, int] = {}
    ended = set()
    stream = -1

    def take() -> None:
        for each in f.frames_of(connection.take_output()):
            if each.kind == f.DATA:
                received[each.stream] = received.get(each.stream, 0) + len(each.payload)
                if each.flags & f.END_STREAM:
                    ended.add(each.stream)

    for _ in range(3000):
        action = bits.randrange(7)
        some = bits.choice(list(expected)) if expected else 1
        if action <= 1:
            stream += 2
            value = b"u=%d" % bits.randrange(8) + bits.choice([b"", b", i"])
            connection.feed(f.headers(stream, [*f.GET, (b"priority", value)]))
            expected[stream] = bits.randrange(60000)
            connection.respond(stream, bytes(expected[stream]))
        elif action == 2 and expected:
            connection.feed(f.priority_update(some, b"u=%d, i=?%d" % (bits.randrange(8), bits.randrange(2))))
        elif action == 3 and expected:
            connection.feed(f.window_update(some, bits.randrange(1, 30000)))
        elif action == 4 and bits.randrange(10) == 0 and some not in ended:
            connection.feed(f.rst_stream(some))
            expected.pop(some, None)
        elif action == 5:
            connection.feed(f.settings(window=bits.randrange(30000)))
        else:
            connection.fill(bits.randrange(60000))
            take()
        connection.set_now(bits.random() * 1e9 + 1e9)
    connection.feed(f.settings(window=100000))
    while connection.has_queued:
        connection.fill(1 << 20)
        take()
    assert {number: received.get(number, 0) for number in expected} == expected
    assert ended >= set(expected)
    assert connection.streams == 0
