"""Contract: for any bytes in any pieces, the HTTP/2 codec reports the same well-formed events and sends whole frames.

The first byte of an input has the limits, the rest follows the client's preface. Well-formed: a body has a request
before it and no end, a stream has one end, and nothing follows an error of the connection. The output has whole frames,
at most one GOAWAY, and no more bytes than the input can have caused.
"""

import random
from collections.abc import Iterable
from typing import Any

from ianus.codec.http2.recording import RecordedConnection
from ianus.codec.limits import Limits

Event = tuple[Any, ...]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Small, so that short inputs reach them
LIMITS = Limits(
    limit_request_line=100,
    limit_request_field_size=200,
    limit_request_fields_size=1000,
    limit_request_fields=10,
    max_request_body_size=5000,
)

# A frame in the output for each frame of the input, and a few at the start and the end
MAX_OUTPUT_FACTOR = 8


def seeds() -> Iterable[bytes]:
    from tests.codec.http2 import frames as f
    from tests.codec.http2.test_connection import CONNECTION_ERRORS
    from tests.codec.http2.test_requests import STREAM_ERRORS

    for input_, _ in [*CONNECTION_ERRORS.values(), *STREAM_ERRORS.values()]:
        yield b"\0" + f.settings() + input_
    bits = random.Random(9113)
    kinds = [
        lambda s: f.headers(s), lambda s: f.post(s), lambda s: f.data(s, bits.randbytes(9), bits.choice([0, 1])),
        lambda s: f.data(s, b"\3" + bits.randbytes(9), f.PADDED), lambda s: f.rst_stream(s), lambda s: f.ping(),
        lambda s: f.window_update(s, 99), lambda s: f.settings(window=bits.randrange(99)),
        lambda s: f.priority_update(s, b"u=1, i"), lambda s: f.headers(s, f.CONNECT, f.END_HEADERS),
        lambda s: f.headers(s, flags=0) + f.frame(f.CONTINUATION, f.END_HEADERS, s), lambda s: f.frame(0x50, 0, s),
    ]  # fmt: skip
    for _ in range(200):
        yield (
            bytes([bits.randrange(256)])
            + f.settings()
            + b"".join(bits.choice(kinds)(bits.randrange(1, 12, 2)) for _ in range(bits.randrange(1, 12)))
        )


def check(data: bytes) -> None:
    flags, sent = data[0] if data else 0, PREFACE + data[1:]
    events, output = _talk([sent], flags)
    _check_events(events)
    _check_output(output, len(sent))
    for pieces in ([sent[i : i + 1] for i in range(len(sent))], _pieces(sent)):
        assert _talk(pieces, flags)[0] == events


def _talk(pieces: Iterable[bytes], flags: int) -> tuple[list[Event], bytes]:
    connection = RecordedConnection(
        LIMITS,
        max_concurrent_streams=1 + (flags & 3),
        stream_window=200 if flags & 4 else 65535,
        extended_connect=bool(flags & 8),
    )
    for piece in pieces:
        connection.feed(piece)
    events = connection.take_events()
    # The calls of a session, in any state that the client has made
    for stream in range(1, 12, 2):
        if flags & 16:
            connection.consume(stream, 100)
        if flags & 32:
            connection.end_input(stream, 0)
        if flags & 64:
            connection.send_head(stream, 101 if flags & 8 else 200, framing="tunnel" if flags & 8 else "stream")
            connection.resume_tunnel(stream)
            connection.send_body(stream, bytes(100))
        if flags & 128:
            connection.reset(stream, 8)
        connection.respond(stream, bytes(20000))
        connection.fill(20000)
    output = connection.take_output()
    connection.abandon()
    return events, output


def _check_events(events: list[Event]) -> None:
    open_, ended = set(), set()
    for at, event in enumerate(events):
        kind = event[0]
        if kind == "connection error":
            assert at == len(events) - 1, "an event after the end"
        elif kind == "request":
            assert event[1] not in open_
            open_.add(event[1])
        elif kind in ("body", "tunnel", "trailers"):
            assert event[1] in open_
            assert event[1] not in ended
            assert kind != "body" or event[2]
        elif kind == "end":
            assert event[1] in open_
            assert event[1] not in ended
            ended.add(event[1])
    bodies: dict[int, int] = {}
    for event in events:
        if event[0] == "body":
            bodies[event[1]] = bodies.get(event[1], 0) + len(event[2])
    assert all(size <= LIMITS.max_request_body_size for size in bodies.values())


def _check_output(output: bytes, received: int) -> None:
    assert len(output) <= 6 * 20200 + received * MAX_OUTPUT_FACTOR + 500
    goaways = at = 0
    while at < len(output):
        size = int.from_bytes(output[at : at + 3], "big")
        assert size <= 16384
        goaways += output[at + 3] == 7
        at += 9 + size
    assert at == len(output), "a frame that is not whole"
    assert goaways <= 1


def _pieces(data: bytes) -> list[bytes]:
    bits = random.Random(len(data))
    cuts = sorted(bits.randrange(len(data) + 1) for _ in range(4))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]
