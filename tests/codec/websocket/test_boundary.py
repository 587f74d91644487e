"""The ends of frames in a stream, however it is split."""

import random

from ianus.codec.websocket.boundary import frame_ends
from tests.codec.websocket.feeding import CLOSE, PING, TEXT, frame
from tests.rows import for_each_row

FRAMES = [
    frame(TEXT, b"short"),
    frame(PING),
    frame(TEXT, bytes(126)),
    frame(TEXT, bytes(65536), fin=False),
    frame(CLOSE, b"\x03\xe8"),
    b"\x81\x05plain",  # not masked
    b"\x81\x00",
    frame(TEXT, b"", length=b"\x7e\0\0"),
]
STREAM = b"".join(FRAMES)
ENDS = [sum(map(len, FRAMES[: i + 1])) for i in range(len(FRAMES))]


@for_each_row("size", [1, 2, 3, 5, 7, 13, 1000, len(STREAM)])
def test_the_ends_are_found_in_pieces_of_any_size(size: int) -> None:
    assert frame_ends(STREAM[i : i + size] for i in range(0, len(STREAM), size)) == ENDS


@for_each_row("seed", range(20))
def test_the_ends_are_found_in_random_pieces(seed: int) -> None:
    cuts = sorted(random.Random(seed).sample(range(len(STREAM)), 12))
    pieces = [STREAM[start:end] for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True)]
    assert frame_ends(pieces) == ENDS


def test_the_largest_length_does_not_overflow() -> None:
    assert frame_ends([b"\x82\xff" + b"\xff" * 8 + bytes(4), bytes(1 << 20)]) == []
