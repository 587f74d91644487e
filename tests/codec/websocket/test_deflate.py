"""permessage-deflate (RFC 7692): messages both ways, the inflated limit, and data that is not DEFLATE."""

import random
import tracemalloc
import zlib
from typing import Any

import pytest

from ianus.codec.websocket.deflate import Deflate
from ianus.codec.websocket.recording import compress
from tests.rows import for_each_row

from .feeding import (
    BINARY,
    CONTINUATION,
    PING,
    RSV1,
    RSV2,
    TEXT,
    Event,
    check,
    compressed,
    fragments,
    frame,
    message,
    named,
    new_deflate,
    record,
    rejects,
    table,
    text,
)

HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692 7.2.3.1
PROSE = b"".join(b"%d times the same words, " % i for i in range(200))


@table(
    {
        "example of RFC 7692 7.2.3.1": (text(HELLO, rsv=RSV1), [message("Hello")]),
        "in fragments": (fragments(TEXT, HELLO[:3], HELLO[3:], rsv=RSV1), [message("Hello")]),
        "in single bytes": (fragments(TEXT, *(bytes([byte]) for byte in HELLO), b"", rsv=RSV1), [message("Hello")]),
        "7.2.3.2, a shared window": (
            text(HELLO, rsv=RSV1) + text(bytes.fromhex("f200110000"), rsv=RSV1),
            [message("Hello"), message("Hello")],
        ),
        "7.2.3.3, a block without compression": (
            text(bytes.fromhex("000500faff48656c6c6f00"), rsv=RSV1),
            [message("Hello")],
        ),
        "7.2.3.4, a final block": (text(bytes.fromhex("f348cdc9c9070000"), rsv=RSV1), [message("Hello")]),
        "a message after a final block": (
            text(bytes.fromhex("f348cdc9c9070000"), rsv=RSV1) + text(HELLO, rsv=RSV1),
            [message("Hello"), message("Hello")],
        ),
        "several final blocks": (
            text(bytes.fromhex("f348cdc9c90700") * 3 + b"\0", rsv=RSV1),
            [message("HelloHelloHello")],
        ),
        "7.2.3.5, two blocks": (text(bytes.fromhex("f24805000000ffffcac9c90700"), rsv=RSV1), [message("Hello")]),
        "7.2.3.6, empty": (text(b"\0", rsv=RSV1), [message("")]),
        "empty binary": (frame(BINARY, b"\0", rsv=RSV1), [message(b"")]),
        "not compressed": (text("Hello"), [message("Hello")]),
        "not compressed between": (
            text(HELLO, rsv=RSV1) + text("a") + text(bytes.fromhex("f200110000"), rsv=RSV1),
            [message("Hello"), message("a"), message("Hello")],
        ),
        "control frame between": (
            frame(TEXT, HELLO[:3], fin=False, rsv=RSV1) + frame(PING, b"p") + frame(CONTINUATION, HELLO[3:]),
            [("ping", b"p"), message("Hello")],
        ),
    }
)
def test_compressed_messages(data: bytes, expected: list[Event]) -> None:
    check(data, expected, deflate=new_deflate)


def test_a_long_message() -> None:
    (data,) = compressed(PROSE)
    check(frame(BINARY, data, rsv=RSV1), [message(PROSE)], deflate=new_deflate)


@for_each_row("bits", range(8, 16))
def test_each_size_of_the_clients_window(bits: int) -> None:
    client = new_deflate(server_bits=max(bits, 9))
    data = b"".join(frame(BINARY, compress(client, PROSE), rsv=RSV1) for _ in range(3))
    assert record([data], deflate=new_deflate(client_bits=bits)) == [message(PROSE)] * 3


def test_without_takeover_each_message_stands_alone() -> None:
    alone = [compress(new_deflate(), PROSE) for _ in range(3)]
    data = b"".join(frame(BINARY, one, rsv=RSV1) for one in alone)
    assert record([data], deflate=new_deflate(client_takeover=False)) == [message(PROSE)] * 3
    _, second = compressed(PROSE, PROSE)
    (event,) = record([frame(BINARY, second, rsv=RSV1)], deflate=new_deflate(client_takeover=False))
    assert event == ("error", 1007)


# --- Errors ---


@named(
    {
        "RSV1 in a continuation": frame(TEXT, HELLO[:3], fin=False, rsv=RSV1)
        + frame(CONTINUATION, HELLO[3:], rsv=RSV1),
        "RSV1 in a ping": frame(PING, b"p", rsv=RSV1),
        "RSV2 beside it": text(HELLO, rsv=RSV1 | RSV2),
    }
)
def test_bits_that_break_the_protocol(data: bytes) -> None:
    rejects(data, 1002, deflate=new_deflate)


@named(
    {
        "block of no type": text(b"\xff", rsv=RSV1),
        "wrong length of a stored block": text(b"\x00\x05\x00\x00\x00Hello\x00", rsv=RSV1),
        "distance before the start": text(bytes.fromhex("f200110000"), rsv=RSV1),
        "in the second fragment": fragments(BINARY, bytes.fromhex("000500faff48656c6c6f"), b"\xff", rsv=RSV1),
    }
)
def test_invalid_deflate_data(data: bytes) -> None:
    rejects(data, 1007, deflate=new_deflate)


def test_inflated_text_must_be_utf8() -> None:
    for wrong in (b"\xff", b"a\xc0\x80", "é".encode()[:1], PROSE + b"\xed\xa0\x80"):
        rejects(text(compressed(wrong)[0], rsv=RSV1), 1007, deflate=new_deflate)


# --- The limit ---


def test_the_limit_counts_inflated_bytes() -> None:
    (data,) = compressed(b"x" * 1000)
    assert len(data) < 50
    check(frame(BINARY, data, rsv=RSV1), [message(b"x" * 1000)], ws_max_size=1000, deflate=new_deflate)
    rejects(frame(BINARY, data, rsv=RSV1), 1009, ws_max_size=999, deflate=new_deflate)
    rejects(fragments(BINARY, data[:5], data[5:], rsv=RSV1), 1009, ws_max_size=999, deflate=new_deflate)


def test_invalid_text_before_the_limit_is_reported_first() -> None:
    (data,) = compressed(b"x\xff" + b"x" * 1000)
    rejects(text(data, rsv=RSV1), 1007, ws_max_size=10, deflate=new_deflate)
    (data,) = compressed(b"x" * 11 + b"\xff")
    rejects(text(data, rsv=RSV1), 1009, ws_max_size=10, deflate=new_deflate)


@pytest.mark.slow
@pytest.mark.parametrize("pieces", [1, 100], ids=["whole", "in pieces"])
def test_a_bomb_is_stopped_at_the_limit(pieces: int) -> None:
    limit = 1 << 20
    (bomb,) = compressed(bytes(64 << 20))
    assert len(bomb) < 70_000
    data = frame(BINARY, bomb, rsv=RSV1)
    size = len(data) // pieces + 1
    cut = [data[i : i + size] for i in range(0, len(data), size)]
    tracemalloc.start()
    try:
        assert record(cut, ws_max_size=limit, deflate=new_deflate()) == [("error", 1009)]
        assert tracemalloc.get_traced_memory()[1] < 5 * limit
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("ends", "wanted"), [(63, message(b"")), (64, ("error", 1007)), (10_000, ("error", 1007))])
def test_ends_of_streams_in_one_message(ends: int, wanted: tuple[Any, ...]) -> None:
    """Two bytes each, and a new decompressor for them: 64 streams are one message, but not more."""
    data = frame(BINARY, b"\x03\x00" * ends + b"\0", rsv=RSV1)
    assert record([data, data], deflate=new_deflate())[0] == wanted


# --- Frames of the server ---


@for_each_row("bits", range(9, 16))
@for_each_row("takeover", [True, False])
@for_each_row("level", [1, 6, 9])
def test_a_client_reads_written_frames(bits: int, takeover: bool, level: int) -> None:
    server = new_deflate(server_bits=bits, server_takeover=takeover, ws_deflate_level=level)
    client = zlib.decompressobj(-bits)
    for data in (b"a", PROSE, PROSE, bytes(100_000), bytes(range(256)) * 300):
        if not takeover:
            client = zlib.decompressobj(-bits)
        written = compress(server, data)
        assert client.decompress(written + b"\x00\x00\xff\xff") == data
        assert not client.unused_data


def test_a_window_is_taken_over_where_it_may_be() -> None:
    def sizes(deflate: Deflate) -> tuple[int, int]:
        return len(compress(deflate, PROSE[:2000])), len(compress(deflate, PROSE[:2000]))

    first, second = sizes(new_deflate())
    assert second < first / 4
    first, second = sizes(new_deflate(server_takeover=False))
    assert second == first


# --- A faster library for long messages ---


@pytest.fixture(params=["isal", "zlib"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Both, with the package installed and without it."""
    if request.param == "isal":
        pytest.importorskip("isal")
    else:
        monkeypatch.setattr("ianus.codec.websocket.deflate.isal_zlib", None)
    return request.param


def words(size: int, seed: int) -> bytes:
    chance = random.Random(seed)
    return b" ".join(b"%x" % chance.getrandbits(12) for _ in range(size))[:size]


@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("takeover", [True, False])
def test_long_and_short_messages_follow_each_other(library: str, bits: int, takeover: bool) -> None:
    server = new_deflate(server_bits=bits, server_takeover=takeover, ws_deflate_level=1)
    client = zlib.decompressobj(-bits)
    for seed, size in enumerate((300, 4095, 4096, 300, 300, 50_000, 4096, 300)):
        data = words(size, seed)
        if not takeover:
            client = zlib.decompressobj(-bits)
        rest, inflated = compress(server, data) + b"\x00\x00\xff\xff", b""
        # In small pieces, so that zlib finds each reference in its window and not in its output.
        while rest:
            inflated += client.decompress(rest, 16)
            rest = client.unconsumed_tail
        assert inflated + client.flush() == data


def test_a_short_message_after_a_long_one_has_its_window(library: str) -> None:
    server = new_deflate(ws_deflate_level=1)
    long, short = words(10_000, 1), words(1000, 2)
    first = len(compress(server, short))
    compress(server, long + short)
    assert len(compress(server, short)) < first / 10
    alone = new_deflate(ws_deflate_level=1, server_takeover=False)
    compress(alone, long + short)
    assert len(compress(alone, short)) == first


def test_level_1_alone_uses_the_faster_library() -> None:
    pytest.importorskip("isal")
    data = words(10_000, 1)
    zlib_only = zlib.compressobj(2, zlib.DEFLATED, -12, 5)
    expected = zlib_only.compress(data) + zlib_only.flush(zlib.Z_SYNC_FLUSH)
    assert compress(new_deflate(ws_deflate_level=2), data) == expected[:-4]
    zlib_only = zlib.compressobj(1, zlib.DEFLATED, -12, 5)
    fastest = zlib_only.compress(data) + zlib_only.flush(zlib.Z_SYNC_FLUSH)
    assert compress(new_deflate(ws_deflate_level=1), data) != fastest[:-4]


def test_a_long_message_leaves_only_its_window(library: str) -> None:
    """The compressor of isal takes 210 KiB, but not between two messages."""
    data = words(10_000, 1)
    kept = [new_deflate(ws_deflate_level=1) for _ in range(20)]
    tracemalloc.start()
    try:
        for server in kept:
            compress(server, data)
        assert tracemalloc.get_traced_memory()[0] < 50_000 * len(kept)
    finally:
        tracemalloc.stop()


def test_compression_takes_no_memory_before_the_first_message() -> None:
    tracemalloc.start()
    try:
        kept = [new_deflate() for _ in range(100)]
        assert tracemalloc.get_traced_memory()[0] < 500 * len(kept)
    finally:
        tracemalloc.stop()
