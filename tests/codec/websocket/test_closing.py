"""Close frames, both ways (RFC 6455 5.5.1, 7.4)."""

from ianus.codec.websocket.codec import may_close_with
from ianus.codec.websocket.recording import close_frame
from tests.rows import for_each_row

from .feeding import CLOSE, TEXT, Event, check, close, frame, message, named, record, rejects, table, text

CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
NOT_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@table(
    {
        "without a code": (frame(CLOSE), [("close", 1005, "")]),
        "with a code": (close(1000), [("close", 1000, "")]),
        "with a reason": (close(1001, "gone ⌂".encode()), [("close", 1001, "gone ⌂")]),
        "with the longest reason": (close(4999, b"x" * 123), [("close", 4999, "x" * 123)]),
        "after a message": (text("a") + close(1000), [message("a"), ("close", 1000, "")]),
        "inside a message": (frame(TEXT, b"a", fin=False) + close(1000), [("close", 1000, "")]),
    }
)
def test_a_close_frame_is_the_last(data: bytes, expected: list[Event]) -> None:
    check(data, expected)


@for_each_row("code", CODES)
def test_a_code_that_may_be_sent(code: int) -> None:
    assert may_close_with(code)
    assert record([close(code)]) == [("close", code, "")]


@for_each_row("code", NOT_CODES)
def test_a_code_that_must_not_be_sent(code: int) -> None:
    assert not may_close_with(code)
    rejects(close(code), 1002)


@named({"alone": frame(CLOSE, b"\x03"), "over 125 bytes": frame(CLOSE, b"\x03\xe8" + b"x" * 124)})
def test_a_close_frame_of_another_size(data: bytes) -> None:
    rejects(data, 1002)


@named({"wrong byte": b"\xff", "incomplete character": b"ok \xe2\x82"})
def test_a_reason_that_is_not_utf8(data: bytes) -> None:
    rejects(close(1000, data), 1007)


# --- Frames of the server ---


@for_each_row("code", CODES)
def test_a_code_is_written(code: int) -> None:
    assert close_frame(code, "") == b"\x88\x02" + code.to_bytes(2, "big")


def test_no_code_is_an_empty_payload() -> None:
    assert close_frame(1005, "never sent") == b"\x88\x00"


@for_each_row(
    ("reason", "written"),
    [
        ("bye", b"bye"),
        ("x" * 123, b"x" * 123),
        ("x" * 124, b"x" * 123),
        ("é" * 62, b"\xc3\xa9" * 61),
        ("x" + "é" * 61, b"x" + b"\xc3\xa9" * 61),
        ("x" + "\U0001f600" * 31, b"x" + "\U0001f600".encode() * 30),
        ("a\ud800b", b"a?b"),
    ],
    ids=["short", "just", "one too long", "cut in a character", "ends with one", "cut in four bytes", "surrogate"],
)
def test_a_reason_is_cut_at_a_character(reason: str, written: bytes) -> None:
    assert close_frame(1000, reason) == bytes([0x88, 2 + len(written)]) + b"\x03\xe8" + written
