"""How long a body is: Content-Length and Transfer-Encoding (RFC 9112 6)."""

import pytest

from tests.engine import limits as new_limits
from tests.rows import for_each_row

from .feeding import END, HOST, body, check, get, head, named, post, posted, record, rejects, request, table

CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
UNLIMITED = new_limits(max_request_body_size=0)


def test_no_body_without_a_length() -> None:
    """RFC 9112 6.3, rule 7, for every method."""
    check(post(), [posted(), END])


@table(
    {
        "some": (b"5", [body(b"hello"), END]),
        "none": (b"0", [END]),
        "none, twice": (b"00", [END]),
        "leading zeros": (b"0005", [body(b"hello"), END]),
        "blanks around": (b"\t 5 \t", [body(b"hello"), END]),
        "two digits": (b"12", [body(b"hello\r\n\r\nabc"), END]),
    }
)
def test_content_length(data: bytes, expected: list[tuple[str, bytes]]) -> None:
    content = b"".join(event[1] for event in expected[:-1])
    check(
        post(b"Content-Length: " + data) + content,
        [posted((b"content-length", data.strip())), *expected],
    )


def test_content_length_of_any_method() -> None:
    """RFC 9112 6: request framing is independent of method semantics."""
    check(
        get(b"Content-Length: 3") + b"abc",
        [request(headers=[(b"host", b"h"), (b"content-length", b"3")]), body(b"abc"), END],
    )


def test_content_length_in_1_0() -> None:
    check(
        post(b"Content-Length: 3", version=b"HTTP/1.0") + b"abc",
        [posted((b"content-length", b"3"), version="1.0"), body(b"abc"), END],
    )


def test_body_is_any_bytes() -> None:
    content = bytes(range(256)) + b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    check(
        post(b"Content-Length: %d" % len(content)) + content,
        [posted((b"content-length", b"%d" % len(content))), body(content), END],
    )


@named(
    {
        "empty": b"",
        "blanks": b" \t ",
        "plus": b"+5",
        "minus": b"-5",
        "minus zero": b"-0",
        "hexadecimal": b"0x5",
        "hexadecimal digit": b"a",
        "octal": b"0o5",
        "underscore": b"1_0",
        "point": b"5.0",
        "exponent": b"1e1",
        "blank inside": b"1 0",
        "tab inside": b"1\t0",
        "words": b"five",
        "something after": b"5;",
        "quoted": b'"5"',
        "list": b"5, 5",
        "list without blanks": b"5,5",
        "list of different lengths": b"5, 6",
        "list with an empty element": b"5,",
        "empty element first": b",5",
        "digits beyond ASCII": b"\xd9\xa5",
        "superscript of Latin-1": b"\xb2",
        "NBSP": b"5\xa0",
        "NEL": b"\x855",
        "vertical tab": b"\x0b5",
        "form feed": b"5\x0c",
        "NUL": b"5\0",
        "2^63": b"9223372036854775808",
        "2^64": b"18446744073709551616",
        "2^64 + 5": b"18446744073709551621",
        "forty digits": b"9" * 40,
        "2^128 + 5": b"340282366920938463463374607431768211461",
    }
)
def test_invalid_content_length(data: bytes) -> None:
    rejects(post(b"Content-Length: " + data) + b"hello", 400)
    rejects(post(b"Content-Length: " + data) + b"hello", 400, limits=UNLIMITED)


@named(
    {
        "the same": b"Content-Length: 5",
        "another": b"Content-Length: 6",
        "zero": b"Content-Length: 0",
        "in other case": b"CONTENT-LENGTH: 5",
    }
)
@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_repeated_content_length(data: bytes, version: bytes) -> None:
    rejects(post(b"Content-Length: 5", data, version=version) + b"hello", 400)
    rejects(post(data, b"A: b", b"Content-Length: 5", version=version) + b"hello", 400)


def test_largest_content_length() -> None:
    check(
        post(b"Content-Length: 9223372036854775807") + b"hello",
        [posted((b"content-length", b"9223372036854775807")), body(b"hello")],
        limits=UNLIMITED,
    )


@named(
    {
        "lower case": b"chunked",
        "upper case": b"CHUNKED",
        "mixed case": b"Chunked",
        "blanks around": b" \tchunked\t ",
    }
)
def test_chunked(data: bytes) -> None:
    check(
        post(b"Transfer-Encoding: " + data) + CHUNKS,
        [posted((b"transfer-encoding", data.strip())), body(b"hello"), END],
    )


@table(
    {
        # Not ending in chunked: the length cannot be known (RFC 9112 6.3, rule 4).
        "empty": (b"", 400),
        "blanks": (b" \t ", 400),
        "identity": (b"identity", 400),
        "gzip": (b"gzip", 400),
        "unknown": (b"xchunked", 400),
        "longer": (b"chunkedx", 400),
        "prefix": (b"chunk", 400),
        "chunked is not last": (b"chunked, gzip", 400),
        "chunked, then identity": (b"chunked, identity", 400),
        "quoted": (b'"chunked"', 400),
        "in angle brackets": (b"<chunked>", 400),
        "a parameter": (b"chunked;a=b", 400),
        "a weight": (b"chunked;q=0.5", 400),
        "an empty parameter": (b"chunked;", 400),
        "blank inside": (b"chun ked", 400),
        "two words": (b"gzip chunked", 400),
        "a parameter of the first": (b"gzip;level=9, chunked", 400),
        "semicolon for a comma": (b"gzip;chunked", 400),
        "no list separator": (b"chunked/1", 400),
        "NBSP": (b"chunked\xa0", 400),
        "NEL": (b"\x85chunked", 400),
        "vertical tab": (b"\x0bchunked", 400),
        "vertical tab after": (b"chunked\x0b", 400),
        "form feed": (b"\x0cchunked", 400),
        "unit separator": (b"chunked\x1f", 400),
        "NUL": (b"chunked\0", 400),
        "long s for s": (b"chunked\xc5\xbf", 400),
        # Exactly one chunked, and nothing that another parser might read otherwise.
        "chunked twice": (b"chunked, chunked", 400),
        "chunked twice, in other case": (b"chunked, Chunked", 400),
        "chunked twice around gzip": (b"chunked, gzip, chunked", 400),
        "empty element first": (b",chunked", 400),
        "empty element last": (b"chunked,", 400),
        "empty element inside": (b"chunked, , chunked", 400),
        # Ending in chunked, after a coding that we do not know (RFC 9112 6.1).
        "gzip, chunked": (b"gzip, chunked", 501),
        "gzip,chunked": (b"gzip,chunked", 501),
        "identity, chunked": (b"identity, chunked", 501),
        "two codings and chunked": (b"deflate, gzip, chunked", 501),
    }
)
def test_invalid_transfer_encoding(data: bytes, expected: int) -> None:
    rejects(post(b"Transfer-Encoding: " + data) + CHUNKS, expected)


@for_each_row(
    ("lines", "status"),
    [
        ([b"chunked", b"chunked"], 400),
        ([b"chunked", b"identity"], 400),
        ([b"chunked", b"gzip"], 400),
        ([b"chunked", b""], 400),
        ([b"", b"chunked"], 400),
        ([b"chunked, gzip", b"chunked"], 400),
        ([b"gzip", b"chunked"], 501),
        ([b"identity", b"chunked"], 501),
        ([b"gzip", b"deflate", b"chunked"], 501),
    ],
)
def test_repeated_transfer_encoding_is_one_list(lines: list[bytes], status: int) -> None:
    rejects(post(*(b"Transfer-Encoding: " + line for line in lines)) + CHUNKS, status)
    rejects(post(*(b"transfer-encoding: " + line + b"\r\nA: b" for line in lines)) + CHUNKS, status)


@table(
    {
        "right": (b"15", 400),
        "zero": (b"0", 400),
        "short": (b"4", 400),
        "long": (b"9999", 400),
        "invalid": (b"x", 400),
    }
)
@pytest.mark.parametrize("coding", [b"chunked", b"gzip, chunked", b"gzip", b"xchunked", b""])
def test_both_content_length_and_transfer_encoding(data: bytes, expected: int, coding: bytes) -> None:
    """RFC 9112 6.1 lets a server refuse it: a message with two lengths is an attack."""
    rejects(post(b"Content-Length: " + data, b"Transfer-Encoding: " + coding) + CHUNKS, expected)
    rejects(post(b"Transfer-Encoding: " + coding, b"Content-Length: " + data) + CHUNKS, expected)


@for_each_row("coding", [b"chunked", b"gzip, chunked", b"identity", b""])
@for_each_row("connection", [b"close", b"keep-alive"])
def test_transfer_encoding_in_1_0(coding: bytes, connection: bytes) -> None:
    """RFC 9112 6.1: an intermediary that forwarded it did not understand it, so its framing is faulty."""
    rejects(post(b"Transfer-Encoding: " + coding, b"Connection: " + connection, version=b"HTTP/1.0") + CHUNKS, 400)


def test_transfer_encoding_in_1_2() -> None:
    check(
        post(CHUNKED, version=b"HTTP/1.2") + CHUNKS,
        [posted((b"transfer-encoding", b"chunked")), body(b"hello"), END],
    )


def test_te_is_not_transfer_encoding() -> None:
    check(
        head(b"GET / HTTP/1.1", HOST, b"TE: chunked, trailers", b"X-Transfer-Encoding: chunked"),
        [
            request(
                headers=[
                    (b"host", b"h"),
                    (b"te", b"chunked, trailers"),
                    (b"x-transfer-encoding", b"chunked"),
                ]
            ),
            END,
        ],
    )


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(post(b"Content-Length: 5") + b"hell", id="content-length"),
        pytest.param(post(CHUNKED) + b"5\r\nhell", id="inside a chunk"),
        pytest.param(post(CHUNKED) + b"5\r\nhello\r\n", id="between chunks"),
        pytest.param(post(CHUNKED) + b"5\r\nhello\r\n0\r\n", id="before the last line"),
        pytest.param(post(CHUNKED) + b"5\r\nhello\r\n0\r\nA: b\r\n", id="after a trailer"),
    ],
)
def test_end_of_input_is_not_the_end_of_the_body(message: bytes) -> None:
    """RFC 9112 8: a truncated body is incomplete, never taken for whole (benoitc/gunicorn#3382)."""
    events = record([message], eof=True)
    assert [event[0] for event in events] == ["request", "body", "incomplete"]


def test_end_of_input_between_messages() -> None:
    assert record([get()], eof=True) == [request(), END]
    assert record([], eof=True) == []
