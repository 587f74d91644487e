"""Contract: for any bytes in any pieces, the codec of WebSockets reports the same well-formed events.

The first byte of an input has the negotiated extension, the rest is the client's. Well-formed: no message is over the
limit and none is anything but str or bytes, close codes are those that may be sent, and nothing follows a close frame
or an error. Messages that are written and read again are the same.
"""

import enum
import itertools
import random
import zlib
from collections.abc import Iterable
from typing import Any

from ianus.codec.websocket.codec import may_close_with
from ianus.codec.websocket.deflate import Deflate
from ianus.codec.websocket.recording import compress, frame, record

Event = tuple[Any, ...]

LIMITS = (0, 16, 1000)  # bytes of a message, chosen by two bits


class Flags(enum.IntFlag):
    LIMIT = 3  # which one
    DEFLATE = 4
    NO_TAKEOVER = 8
    SMALL_WINDOW = 16


def seeds() -> Iterable[bytes]:
    from tests.codec.websocket.test_differential import conversations

    for data, deflate in itertools.islice(conversations(0), 500):
        for limit in range(3):
            yield bytes([limit | (Flags.DEFLATE if deflate else 0)]) + data


def check(data: bytes) -> None:
    flags, sent = Flags(data[0] & 31 if data else 0), data[1:]
    ws_max_size = LIMITS[(flags & Flags.LIMIT) % len(LIMITS)]
    events = _read([sent], flags, ws_max_size)
    _check_events(events, ws_max_size)
    by_byte = _read([sent[i : i + 1] for i in range(len(sent))], flags, ws_max_size)
    in_pieces = _read(_pieces(sent), flags, ws_max_size)
    if Flags.DEFLATE | Flags.SMALL_WINDOW in flags:
        # A reference beyond the small window violates RFC 7692 section 7.1.2. zlib finds it only if the output that it
        # refers to is no longer there, which depends on the pieces.
        by_byte, in_pieces = _until_bad_data(by_byte), _until_bad_data(in_pieces)
        shortest = min(len(by_byte), len(in_pieces), len(_until_bad_data(events)))
        assert by_byte[:shortest] == in_pieces[:shortest] == events[:shortest]
    else:
        assert by_byte == events, "byte by byte"
        assert in_pieces == events, "in pieces"
    _check_writing(events, flags)


def _read(pieces: Iterable[bytes], flags: Flags, ws_max_size: int) -> list[Event]:
    events = record(pieces, ws_max_size=ws_max_size, deflate=_deflate(flags))
    if Flags.DEFLATE in flags and events[-1:] == [("error", 1009)]:
        # zlib reads more than it inflates: an error just after the limit may be reported instead of the limit.
        events[-1] = ("error", 1007)
    return events


def _until_bad_data(events: list[Event]) -> list[Event]:
    return events[:-1] if events[-1:] == [("error", 1007)] else events


def _deflate(flags: Flags) -> Deflate | None:
    if Flags.DEFLATE not in flags:
        return None
    takeover = Flags.NO_TAKEOVER not in flags
    bits = 9 if Flags.SMALL_WINDOW in flags else 15
    return Deflate(
        server_bits=bits, client_bits=bits, server_takeover=takeover, client_takeover=takeover, ws_deflate_level=1
    )


def _pieces(data: bytes) -> list[bytes]:
    """A way to cut the data that changes with it, but is the same for the same data."""
    choices = random.Random(zlib.crc32(data))
    cuts = sorted(choices.randrange(len(data) + 1) for _ in range(choices.randrange(1, 6)))
    return [data[start:end] for start, end in itertools.pairwise([0, *cuts, len(data)])]


def _check_events(events: list[Event], ws_max_size: int) -> None:
    for event in events[:-1]:
        assert event[0] not in ("close", "error"), "an event after the end"
    for event in events:
        match event:
            case ("message", message):
                size = len(message.encode() if isinstance(message, str) else message)
                assert not ws_max_size or size <= ws_max_size
            case ("ping" | "pong", bytes(payload)):
                assert len(payload) <= 125
            case ("close", code, reason):
                assert may_close_with(code) or (code, reason) == (1005, "")
                assert len(reason.encode()) <= 123
            case ("error", code):
                assert code in (1002, 1007, 1009)
            case _:
                raise AssertionError(event)


def _check_writing(events: list[Event], flags: Flags) -> None:
    """A client's frames are a server's that are masked: the codec reads the messages that it wrote."""
    messages = [event for event in events if event[0] == "message"]
    deflate = _deflate(flags)
    written = []
    for _, message in messages:
        opcode, payload = (1, message.encode()) if isinstance(message, str) else (2, message)
        if compressed := deflate is not None and bool(payload):
            payload = compress(deflate, payload)
        written.append(_masked(frame(opcode, payload, compressed=compressed)))
    assert _read(written, flags, 0) == messages


def _masked(data: bytes) -> bytes:
    """With a key of zeros."""
    size = {126: 4, 127: 10}.get(data[1], 2)
    return bytes([data[0], data[1] | 0x80]) + data[2:size] + bytes(4) + data[size:]
