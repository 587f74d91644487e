"""Frames that the server writes (RFC 6455 5.2): final, not masked, of the shortest length."""

from ianus.codec.websocket.recording import frame
from tests.rows import for_each_row

from .feeding import BINARY, PING, TEXT


@for_each_row(
    ("size", "length"),
    [
        (0, "00"),
        (1, "01"),
        (125, "7d"),
        (126, "7e007e"),
        (256, "7e0100"),
        (65535, "7effff"),
        (65536, "7f0000000000010000"),
        (1 << 24, "7f0000000001000000"),
    ],
)
def test_a_header(size: int, length: str) -> None:
    written = frame(BINARY, bytes(size))
    assert written[: len(written) - size].hex() == "82" + length


def test_opcodes_and_compression() -> None:
    assert frame(TEXT, b"a") == b"\x81\x01a"
    assert frame(PING, b"a") == b"\x89\x01a"
    assert frame(TEXT, b"a", compressed=True) == b"\xc1\x01a"
