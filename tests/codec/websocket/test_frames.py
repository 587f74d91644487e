"""Base framing and fragmentation (RFC 6455 5.2 to 5.6)."""

from tests.rows import for_each_row

from .feeding import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    Event,
    check,
    fragments,
    frame,
    message,
    named,
    record,
    rejects,
    table,
    text,
)

ANY = bytes(range(256))


@table(
    {
        "example of RFC 6455 5.7": (bytes.fromhex("818537fa213d7f9f4d5158"), [message("Hello")]),
        "empty text": (text(""), [message("")]),
        "empty binary": (frame(BINARY), [message(b"")]),
        "one byte": (text("a"), [message("a")]),
        "125 bytes": (text("x" * 125), [message("x" * 125)]),
        "126 bytes": (text("x" * 126), [message("x" * 126)]),
        "any bytes": (frame(BINARY, ANY), [message(ANY)]),
        "key of zeros": (frame(BINARY, ANY, key=bytes(4)), [message(ANY)]),
        "two messages": (text("a") + frame(BINARY, b"b"), [message("a"), message(b"b")]),
        "ping": (frame(PING, b"p"), [("ping", b"p")]),
        "empty ping": (frame(PING), [("ping", b"")]),
        "largest ping": (frame(PING, b"p" * 125), [("ping", b"p" * 125)]),
        "pong": (frame(PONG, b"p"), [("pong", b"p")]),
    }
)
def test_frames(data: bytes, expected: list[Event]) -> None:
    check(data, expected)


@for_each_row("size", [*range(40), 65535, 65536, 100_000])
def test_a_payload_of_any_size(size: int) -> None:
    payload = (ANY * (size // 256 + 1))[:size]
    data = frame(BINARY, payload)
    assert record([data]) == [message(payload)]
    assert record([data[:9], data[9:]]) == [message(payload)]
    ascii_text = str(size).rjust(size)[:size]
    assert record([text(ascii_text)]) == [message(ascii_text)]


@for_each_row("start", range(9))
@for_each_row("step", [1, 3, 5, 8])
def test_the_key_continues_from_piece_to_piece(start: int, step: int) -> None:
    data = frame(BINARY, ANY)
    pieces = [data[: 8 + start], *(data[i : i + step] for i in range(8 + start, len(data), step))]
    assert record(pieces) == [message(ANY)]


@table(
    {
        "two": (fragments(TEXT, b"he", b"llo"), [message("hello")]),
        "binary": (fragments(BINARY, b"he", b"llo"), [message(b"hello")]),
        "three": (fragments(TEXT, b"a", b"b", b"c"), [message("abc")]),
        "empty ones": (fragments(TEXT, b"", b"a", b"", b"b", b""), [message("ab")]),
        "nothing but empty ones": (fragments(TEXT, b"", b"", b""), [message("")]),
        "nothing but empty binary ones": (fragments(BINARY, b"", b""), [message(b"")]),
        "single bytes": (fragments(BINARY, *(bytes([byte]) for byte in range(64))), [message(ANY[:64])]),
        "another message after": (fragments(TEXT, b"a", b"b") + text("c"), [message("ab"), message("c")]),
        "control frames between": (
            frame(TEXT, b"a", fin=False) + frame(PING, b"1") + frame(PONG, b"2") + frame(CONTINUATION, b"b"),
            [("ping", b"1"), ("pong", b"2"), message("ab")],
        ),
    }
)
def test_fragments(data: bytes, expected: list[Event]) -> None:
    check(data, expected)


@named(
    {
        "not masked": b"\x81\x05Hello",
        "close that is not masked": b"\x88\x00",
        "RSV1 without an extension": text("a", rsv=RSV1),
        "RSV2": text("a", rsv=RSV2),
        "RSV3": text("a", rsv=RSV3),
        "RSV2 in a ping": frame(PING, rsv=RSV2),
        **{f"opcode {opcode}": frame(opcode) for opcode in (*range(3, 8), *range(11, 16))},
        "ping in fragments": frame(PING, fin=False),
        "close in fragments": frame(CLOSE, fin=False),
        "ping of 126 bytes": frame(PING, b"p" * 126),
        "ping with a length of 64 bits": frame(PING, b"", length=b"\x7f" + bytes(8)),
        "125 in 16 bits": frame(BINARY, b"x" * 125, length=b"\x7e\x00\x7d"),
        "0 in 16 bits": frame(BINARY, b"", length=b"\x7e\x00\x00"),
        "126 in 64 bits": frame(BINARY, b"x" * 126, length=b"\x7f" + (126).to_bytes(8, "big")),
        "65535 in 64 bits": frame(BINARY, b"", length=b"\x7f" + (65535).to_bytes(8, "big")),
        "length of 2^63": frame(BINARY, b"", length=b"\x7f\x80" + bytes(7)),
        "length of 2^64 - 1": frame(BINARY, b"", length=b"\x7f" + b"\xff" * 8),
        "continuation of nothing": frame(CONTINUATION, b"a"),
        "first fragment of no message": frame(CONTINUATION, b"a", fin=False),
    }
)
def test_frames_that_break_the_protocol(data: bytes) -> None:
    rejects(data, 1002)


@table(
    {
        "continuation after a message": (text("a") + frame(CONTINUATION, b"b"), [message("a"), ("error", 1002)]),
        "continuation after the last fragment": (
            fragments(TEXT, b"a", b"b") + frame(CONTINUATION, b"c"),
            [message("ab"), ("error", 1002)],
        ),
        "text inside text": (frame(TEXT, b"a", fin=False) + text("b"), [("error", 1002)]),
        "binary inside text": (frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"), [("error", 1002)]),
        "text after an empty first fragment": (frame(TEXT, fin=False) + text("b"), [("error", 1002)]),
    }
)
def test_messages_out_of_order(data: bytes, expected: list[Event]) -> None:
    check(data, expected)


@named(
    {
        "not masked": b"\x82\x7f",
        "reserved opcode": b"\x83\xff",
        "ping in fragments": b"\x09\x80",
        "length of 2^63": b"\x82\xff\x80" + bytes(7) + bytes(4),
    }
)
def test_an_invalid_header_is_refused_at_its_first_wrong_byte(data: bytes) -> None:
    assert record([data]) == [("error", 1002)]


def test_a_pause_stops_after_the_frame() -> None:
    first, second, rest = text("a"), fragments(TEXT, b"b", b"c"), b"\x81"
    assert record([first + second + rest], pausing=True) == [
        message("a"),
        ("paused", len(first)),
        message("bc"),
        ("paused", len(first + second)),
    ]
