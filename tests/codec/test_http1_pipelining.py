"""Several messages on one connection: each starts at the byte after the end of the one before (RFC 9112 9.3)."""

import pytest

from tests.rows import for_each_row

from .feeding import (
    END,
    HOST,
    SECOND,
    SECOND_EVENTS,
    Event,
    body,
    bytewise,
    check,
    error,
    get,
    head,
    post,
    posted,
    record,
    request,
    trailers,
)

CHUNKED = b"Transfer-Encoding: chunked"
CHUNKED_EVENT = posted((b"transfer-encoding", b"chunked"))

MESSAGES: dict[str, tuple[bytes, list[Event]]] = {
    "get": (get(), [request(), END]),
    "empty line first": (b"\r\n" + get(), [request(), END]),
    "length": (post(b"Content-Length: 3") + b"abc", [posted((b"content-length", b"3")), body(b"abc"), END]),
    "length of zero": (post(b"Content-Length: 0"), [posted((b"content-length", b"0")), END]),
    "chunks": (post(CHUNKED) + b"3\r\nabc\r\n0\r\n\r\n", [CHUNKED_EVENT, body(b"abc"), END]),
    "no chunks": (post(CHUNKED) + b"0\r\n\r\n", [CHUNKED_EVENT, END]),
    "trailers": (
        post(CHUNKED) + b"1\r\na\r\n0\r\nA: b\r\n\r\n",
        [CHUNKED_EVENT, body(b"a"), trailers((b"a", b"b")), END],
    ),
}


@for_each_row("second", MESSAGES)
@for_each_row("first", MESSAGES)
def test_two_messages(first: str, second: str) -> None:
    """Nothing of the first is left in the second: neither length nor coding nor fields."""
    check(MESSAGES[first][0] + MESSAGES[second][0], MESSAGES[first][1] + MESSAGES[second][1])


def test_many_messages_in_one_piece() -> None:
    names = [*MESSAGES, *reversed(MESSAGES)] * 20
    data = b"".join(MESSAGES[name][0] for name in names)
    expected = [event for name in names for event in MESSAGES[name][1]]
    assert record([data]) == expected
    assert record(bytewise(data)) == expected


@for_each_row("size", [2, 3, 7, 16, 61, 100])
def test_pieces_that_know_no_boundaries(size: int) -> None:
    data = b"".join(message for message, _ in MESSAGES.values())
    expected = [event for _, events in MESSAGES.values() for event in events]
    assert record([data[i : i + size] for i in range(0, len(data), size)]) == expected


def test_empty_pieces() -> None:
    """The codec may be asked with nothing new in hand."""
    data = post(CHUNKED) + b"3\r\nabc\r\n0\r\n\r\n" + SECOND
    pieces = [piece for byte in bytewise(data) for piece in (b"", byte, b"")]
    assert record(pieces) == [CHUNKED_EVENT, body(b"abc"), END, *SECOND_EVENTS]


def test_error_in_a_later_message() -> None:
    check(get() + b"GET / HTTP/1.1\r\nHost h\r\n\r\n", [request(), END, error(400)])


def test_half_a_message_after_a_whole_one() -> None:
    assert record([get() + SECOND[:-1]], eof=True) == [request(), END, ("incomplete",)]


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (get(b"Connection: close"), "1.1"),
        (head(b"GET / HTTP/1.0", HOST, b"Connection: close"), "1.0"),
    ],
)
def test_nothing_is_parsed_after_a_closing_request(data: bytes, version: str) -> None:
    """RFC 9112 9.6: not even an error is reported."""
    closing = request(version=version, headers=[(b"host", b"h"), (b"connection", b"close")], keep_alive=False)
    for after in (SECOND, b"\0", b"GET", b"A" * 10_000):
        assert record([data + after]) == [closing, END]
        assert record(bytewise(data + after)) == [closing, END]
        assert record([data, after]) == [closing, END]


def test_1_0_keep_alive_is_pipelined() -> None:
    data = head(b"GET / HTTP/1.0", HOST, b"Connection: keep-alive")
    event = request(version="1.0", headers=[(b"host", b"h"), (b"connection", b"keep-alive")], keep_alive=True)
    check(data + data, [event, END, event, END])


def test_state_of_the_connection_is_of_each_message() -> None:
    """`Connection`, `Expect` and the version of one message do not apply to the next."""
    first = post(b"Expect: 100-continue", b"Content-Length: 1", b"Connection: keep-alive") + b"x"
    fields = [(b"expect", b"100-continue"), (b"content-length", b"1"), (b"connection", b"keep-alive")]
    last = head(b"GET / HTTP/1.0", HOST)
    check(
        first + get() + last,
        [posted(*fields, expect_continue=True), body(b"x"), END, request(), END, request(version="1.0"), END],
    )
