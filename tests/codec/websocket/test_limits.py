"""The limit of a message, and the cost of a flood."""

import tracemalloc

import pytest

from .feeding import BINARY, CONTINUATION, PING, TEXT, check, fragments, frame, message, record, rejects, text


def test_a_message_of_just_the_limit() -> None:
    check(text("x" * 10), [message("x" * 10)], ws_max_size=10)
    check(fragments(BINARY, b"x" * 5, b"x" * 5, b""), [message(b"x" * 10)], ws_max_size=10)


def test_a_message_over_the_limit() -> None:
    rejects(text("x" * 11), 1009, ws_max_size=10)
    rejects(fragments(BINARY, b"x" * 5, b"x" * 5, b"x"), 1009, ws_max_size=10)
    rejects(fragments(BINARY, b"x" * 5, b"x" * 6), 1009, ws_max_size=10)


def test_the_limit_is_of_each_message() -> None:
    check(fragments(TEXT, b"xxxxx", b"xxxxx") * 3, [message("x" * 10)] * 3, ws_max_size=10)


def test_control_frames_do_not_count() -> None:
    data = frame(TEXT, b"x" * 10, fin=False) + frame(PING, b"p" * 100) + frame(CONTINUATION)
    check(data, [("ping", b"p" * 100), message("x" * 10)], ws_max_size=10)


@pytest.mark.parametrize("max_size", [1, 10, 1 << 24])
def test_a_header_that_promises_too_much_is_enough(max_size: int) -> None:
    header = frame(BINARY, b"", length=b"\x7f" + (1 << 62).to_bytes(8, "big"))
    assert record([header], ws_max_size=max_size) == [("error", 1009)]


def test_a_promise_takes_no_memory() -> None:
    header = frame(BINARY, b"", length=b"\x7f" + (1 << 40).to_bytes(8, "big"))
    assert peak([header, b"x" * 1000]) < 10_000


def test_tiny_fragments_cost_their_bytes() -> None:
    count = 20_000
    flood = frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"x", fin=False) * count
    assert peak([flood]) < 3 * count + 10_000
    flood = frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * count
    assert peak([flood]) < 10_000


def test_a_message_keeps_no_more_than_its_size() -> None:
    size = 1 << 20
    data = frame(BINARY, b"x" * size)
    pieces = [data[i : i + 65536] for i in range(0, len(data), 65536)]
    assert peak(pieces) < size + 100_000


def peak(pieces: list[bytes]) -> int:
    """Returns the maximum of memory that reading takes, in bytes."""
    record([b""])
    tracemalloc.start()
    try:
        record(pieces)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
