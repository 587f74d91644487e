"""How the tests of the WebSocket codec write a client's frames, and how they feed them.

One expectation is checked against many feedings of the same bytes: whole, byte by byte, cut in two at every position,
paused at each message, and with more bytes after them. Bytes after a message must be read as exactly the frames they
are. Bytes after a close frame or an error must change nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ianus.codec.websocket import recording
from ianus.codec.websocket.deflate import Deflate
from ianus.codec.websocket.recording import compress
from tests.rows import for_each_row

Event = tuple[Any, ...]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10

KEY = b"\x37\xfa\x21\x3d"

# Above this size only cuts near both ends are tried.
_EVERY_CUT_UP_TO = 1024


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, key: bytes = KEY, length: bytes = b""
) -> bytes:
    """A client's frame. length: bytes in place of those that the payload's size needs."""
    size = len(payload)
    if not length:
        if size < 126:
            length = bytes([size])
        elif size < 1 << 16:
            length = b"\x7e" + size.to_bytes(2, "big")
        else:
            length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([fin << 7 | rsv | opcode, 0x80 | length[0]]) + length[1:] + key + masked(payload, key)


def masked(payload: bytes, key: bytes = KEY) -> bytes:
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def text(payload: str | bytes, **how: Any) -> bytes:
    return frame(TEXT, payload.encode() if isinstance(payload, str) else payload, **how)


def fragments(opcode: int, *payloads: bytes, **how: Any) -> bytes:
    """A message in as many frames. how: of the first."""
    first, *rest = payloads
    frames = [frame(opcode, first, fin=not rest, **how)]
    frames += [frame(CONTINUATION, payload, fin=i == len(rest)) for i, payload in enumerate(rest, 1)]
    return b"".join(frames)


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def new_deflate(**changes: Any) -> Deflate:
    how: dict[str, Any] = {"server_bits": 12, "client_bits": 15, "server_takeover": True, "client_takeover": True}
    return Deflate(**{**how, "ws_deflate_level": 6, **changes})


def compressed(*payloads: bytes) -> list[bytes]:
    """As a client compresses these messages, one after the other."""
    client = new_deflate(server_bits=15)
    return [compress(client, payload) for payload in payloads]


def message(data: str | bytes) -> Event:
    return ("message", data)


def error(code: int) -> Event:
    return ("error", code)


def table(cases: Mapping[str, tuple[bytes, Any]]) -> Callable[..., Any]:
    """Runs a test with each `data` and `expected`; the keys are the names of the cases."""
    return for_each_row(("data", "expected"), cases.values(), ids=cases.keys())


def named(cases: Mapping[str, bytes]) -> Callable[..., Any]:
    """Runs a test with each `data`; the keys are the names of the cases."""
    return for_each_row("data", cases.values(), ids=cases.keys())


AFTER = text("after") + frame(PING, b"after")
AFTER_EVENTS = [message("after"), ("ping", b"after")]
# After an error or a close frame: a frame that must not be read, and bytes of every kind.
GARBAGE = AFTER + bytes(range(256))


def record(pieces: Iterable[bytes], *, ws_max_size: int = 0, **how: Any) -> list[Event]:
    """Returns the events of the codec. ws_max_size: without it a message may have any size."""
    return recording.record(pieces, ws_max_size=ws_max_size, **how)


def check(
    data: bytes, expected: list[Event], *, ws_max_size: int = 0, deflate: Callable[[], Deflate] | None = None
) -> None:
    """Asserts that `data` gives exactly the `expected` events, in any pieces."""

    def said(*pieces: bytes, pausing: bool = False) -> list[Event]:
        return record(pieces, ws_max_size=ws_max_size, deflate=deflate and deflate(), pausing=pausing)

    ended = bool(expected) and expected[-1][0] in ("close", "error")
    longer = (data + GARBAGE, expected) if ended else (data + AFTER, expected + AFTER_EVENTS)
    for fed, events in ((data, expected), longer):
        assert said(fed) == events, "fed whole"
        assert said(*(fed[i : i + 1] for i in range(len(fed)))) == events, "fed byte by byte"
        paused = [event for event in said(fed, pausing=True) if event[0] != "paused"]
        assert paused == events, "paused at each message"
        for cut in _cuts(fed):
            assert said(fed[:cut], fed[cut:]) == events, f"cut at {cut} of {len(fed)}"


def rejects(data: bytes, code: int, **how: Any) -> None:
    """Asserts that `data` gives an error with this code and nothing before it."""
    check(data, [error(code)], **how)


def _cuts(data: bytes) -> Iterator[int]:
    if len(data) <= _EVERY_CUT_UP_TO:
        yield from range(1, len(data))
    else:
        yield from (*range(1, 32), *range(len(data) - 64, len(data)))
