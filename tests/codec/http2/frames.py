"""Builds and reads frames for the codec tests, and feeds the codec in all cuts.

The codec sees bytes in the pieces that the network made, so one expectation is checked against many feedings of
the same bytes: whole, byte by byte, cut in two at every position, and with more frames after them. After a
connection error further bytes must change nothing.
"""

import functools
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import hpack
import pytest

from ianus.codec.http2.recording import RecordedConnection
from ianus.codec.limits import Limits
from tests.engine import limits as new_limits

Event = tuple[Any, ...]
Fields = list[tuple[bytes, bytes]]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 0x10

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

(
    NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
    REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM,
) = range(12)  # fmt: skip

GET: Fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"h")]
POST: Fields = [(b":method", b"POST"), *GET[1:]]
CONNECT: Fields = [
    (b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"), (b":path", b"/chat"),
    (b":authority", b"h"),
]  # fmt: skip

# The longest input that is cut in two at every position
_EVERY_CUT_UP_TO = 400


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(fields: Fields) -> bytes:
    """A field block that changes no table."""
    return _block(tuple(fields))


@functools.cache
def _block(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    encoder = hpack.Encoder()
    return encoder.encode([hpack.NeverIndexedHeaderTuple(name, value) for name, value in fields], huffman=False)


def headers(stream: int = 1, fields: Fields = GET, flags: int = END_STREAM | END_HEADERS) -> bytes:
    return frame(HEADERS, flags, stream, block(fields))


def post(stream: int = 1, *fields: tuple[bytes, bytes]) -> bytes:
    """The head of a POST whose body follows."""
    return headers(stream, [*POST, *fields], END_HEADERS)


def data(stream: int = 1, payload: bytes = b"", flags: int = 0) -> bytes:
    return frame(DATA, flags, stream, payload)


def settings(**values: int) -> bytes:
    names = {"table_size": 1, "push": 2, "streams": 3, "window": 4, "frame_size": 5, "connect": 8, "no_priorities": 9}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", names[name], value) for name, value in values.items()))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def rst_stream(stream: int = 1, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def ping(payload: bytes = b"pingping", flags: int = 0) -> bytes:
    return frame(PING, flags, 0, payload)


def priority_update(stream: int, value: bytes) -> bytes:
    return frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", stream) + value)


START = PREFACE + settings()


def frames_of(output: bytes) -> list[Frame]:
    """The frames in output of the server, which has only whole ones."""
    frames = []
    at = 0
    while at < len(output):
        size = int.from_bytes(output[at : at + 3], "big")
        kind, flags, stream = struct.unpack_from(">BBI", output, at + 3)
        assert len(output) >= at + 9 + size, "output ends inside a frame"
        frames.append(Frame(kind, flags, stream, output[at + 9 : at + 9 + size]))
        at += 9 + size
    return frames


def fields_of(frame_: Frame, decoder: hpack.Decoder | None = None) -> Fields:
    decoder = decoder or hpack.Decoder()
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(frame_.payload, raw=True)]


def code_of(frame_: Frame) -> int:
    """The error code of RST_STREAM or GOAWAY."""
    return int(struct.unpack_from(">I", frame_.payload, 0 if frame_.kind == RST_STREAM else 4)[0])


def resets(frames: list[Frame]) -> list[tuple[int, int]]:
    """(stream, code) of each RST_STREAM."""
    return [(each.stream, code_of(each)) for each in frames if each.kind == RST_STREAM]


def goaways(frames: list[Frame]) -> list[tuple[int, int]]:
    """(last stream, code) of each GOAWAY."""
    return [(struct.unpack_from(">I", each.payload)[0], code_of(each)) for each in frames if each.kind == GOAWAY]


def connect(limits: Limits | None = None, *, start: bytes = START, **how: Any) -> RecordedConnection:
    """A connection after the first frames of both sides. how: as for RecordedConnection."""
    connection = RecordedConnection(limits or new_limits(), **how)
    assert connection.feed(start) == 0
    connection.take_events()
    connection.take_output()
    return connection


def feed(connection: RecordedConnection, *pieces: bytes) -> list[Frame]:
    """Feeds the pieces and returns the frames that the codec has sent."""
    for piece in pieces:
        connection.feed(piece)
    connection.fill()
    return frames_of(connection.take_output())


Outcome = tuple[list[Event], list[Frame], int]


def outcome(pieces: list[bytes], limits: Limits | None = None, **how: Any) -> Outcome:
    """Events, frames and number of streams after these pieces."""
    connection = RecordedConnection(limits or new_limits(), **how)
    for piece in pieces:
        connection.feed(piece)
    result = connection.take_events(), frames_of(connection.take_output()), connection.streams
    connection.abandon()
    return result


def check(input_: bytes, *, start: bytes = START, limits: Limits | None = None, **how: Any) -> Outcome:
    """Asserts that the input has one outcome in any pieces, and returns it without the first frames."""
    whole = start + input_
    expected = outcome([whole], limits, **how)
    assert outcome([whole[i : i + 1] for i in range(len(whole))], limits, **how) == expected, "fed byte by byte"
    step = max(1, len(input_) // _EVERY_CUT_UP_TO)
    for cut in range(len(start), len(whole), step):
        assert outcome([whole[:cut], whole[cut:]], limits, **how) == expected, f"cut at {cut}"
    events, frames, streams = expected
    after = outcome([whole + ping(b"trailing")], limits, **how)
    if events and events[-1][0] == "connection error":
        assert after == expected, "bytes after a connection error"
        assert outcome([whole, headers(99)], limits, **how) == expected, "a request after a connection error"
    else:
        assert after == (events, [*frames, Frame(PING, ACK, 0, b"trailing")], streams), "followed by a PING"
    # SETTINGS, WINDOW_UPDATE and the acknowledgement
    first = 3 if start == START else 2
    return events, frames[first:], streams


def fails(input_: bytes, code: int, *, start: bytes = START, **how: Any) -> list[Event]:
    """Asserts that the input ends with a connection error of this code, and returns the events before it."""
    events, frames, _ = check(input_, start=start, **how)
    assert events[-1][:2] == ("connection error", code), events
    assert [each_code for _, each_code in goaways(frames)] == [code]
    assert frames[-1].kind == GOAWAY
    return events[:-1]


def named(cases: dict[str, Any]) -> Callable[..., Any]:
    """Parametrises a test with `case`; the keys become the names."""
    return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())
