"""Attacks on HTTP/1 parsers that have happened to others, by name.

Each test is named by its attack and cites the report. Many are cases of the rules that the neighbouring files test
one by one; here they stay as they were reported, so that none is ever lost. Attacks of this kind make a second
request out of bytes that another server took for a body, or the other way round. So the messages here carry a request
for `/smuggled`, and the codec must never report it as one.
"""

import pytest

from tests.engine import limits as new_limits
from tests.rows import for_each_row

from .feeding import (
    END,
    HOST,
    SECOND,
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
    rejects,
    request,
    trailers,
)

CHUNKED = b"Transfer-Encoding: chunked"
CHUNKED_EVENT = posted((b"transfer-encoding", b"chunked"))
SMUGGLED = head(b"GET /smuggled HTTP/1.1", HOST)


def refuses_chunked(data: bytes, *events: Event, status: int = 400) -> None:
    check(post(CHUNKED) + data, [CHUNKED_EVENT, *events, error(status)])


@for_each_row(
    ("codings", "status"),
    [
        ([b"chunked", b"identity"], 400),
        ([b"identity", b"chunked"], 501),
        ([b"chunked", b"chunked"], 400),
        ([b"gzip, chunked"], 501),
        ([b"chunked, gzip"], 400),
    ],
)
def test_conflicting_transfer_encodings(codings: list[bytes], status: int) -> None:
    """CVE-2024-1135 (gunicorn), CVE-2021-21299 (hyper): the first of several Transfer-Encodings won."""
    rejects(post(*(b"Transfer-Encoding: " + coding for coding in codings)) + b"0\r\n\r\n" + SMUGGLED, status)


@for_each_row("coding", [b"xchunked", b"identity", b"gzip", b"chunked;", b"gzip, chunked"])
def test_unknown_transfer_encoding_falls_back_to_content_length(coding: bytes) -> None:
    """CVE-2024-6827 (gunicorn): an unknown coding was ignored and Content-Length believed."""
    rejects(post(b"Content-Length: 5", b"Transfer-Encoding: " + coding) + b"0\r\n\r\n" + SMUGGLED, 400)


@for_each_row("blank", [*b"\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0"])
@for_each_row("template", [b"%cchunked", b"chunked%c", b"%cchunked%c"])
def test_transfer_encoding_in_unicode_whitespace(blank: int, template: bytes) -> None:
    """benoitc/gunicorn#3364, CVE-2019-16789 (waitress): `str.strip` takes more than SP and HTAB."""
    coding = template.replace(b"%c", bytes([blank]))
    rejects(post(b"Transfer-Encoding: " + coding) + b"0\r\n\r\n" + SMUGGLED, 400)


@for_each_row("blank", [*b"\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0"])
def test_content_length_in_unicode_whitespace(blank: int) -> None:
    """The same with the other length."""
    rejects(post(b"Content-Length: 5" + bytes([blank])) + b"hello" + SMUGGLED, 400)
    rejects(post(b"Content-Length: " + bytes([blank]) + b"5") + b"hello" + SMUGGLED, 400)


@for_each_row("cut", [b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n0", b"5\r\nhello"])
def test_truncated_chunked_body_is_not_accepted(cut: bytes) -> None:
    """benoitc/gunicorn#3382: the end of the connection was taken for the end of the body."""
    assert record([post(CHUNKED) + cut], eof=True)[-1] == ("incomplete",)
    assert record(bytewise(post(CHUNKED) + cut), eof=True)[-1] == ("incomplete",)


@for_each_row("name", [b"Host", b"Content-Type"])
@for_each_row("second", [b"a", b"b"])
def test_duplicate_host_or_content_type(name: bytes, second: bytes) -> None:
    """benoitc/gunicorn#3366: which of the two is meant is read differently before and behind a proxy."""
    fields = [] if name == b"Host" else [HOST]
    rejects(head(b"POST / HTTP/1.1", *fields, name + b": a", name.lower() + b": " + second), 400)


@for_each_row(
    "line",
    [b"GET h:80 HTTP/1.1", b"GET * HTTP/1.1", b"GET a HTTP/1.1", b"GET ../a HTTP/1.1", b"GET ?a HTTP/1.1"],
)
def test_target_in_the_wrong_form(line: bytes) -> None:
    """gunicorn 26.0: authority form beside CONNECT, asterisk beside OPTIONS, relative targets."""
    rejects(head(line, HOST), 400)


def test_content_length_as_a_list() -> None:
    """gunicorn 26.0."""
    rejects(post(b"Content-Length: 5, 5") + b"hello" + SMUGGLED, 400)


def test_chunked_in_http_1_0() -> None:
    """gunicorn 26.0."""
    rejects(post(CHUNKED, b"Connection: keep-alive", version=b"HTTP/1.0") + b"0\r\n\r\n" + SMUGGLED, 400)


@pytest.mark.parametrize("field", [b"Content-Length: 50", b"Transfer-Encoding: gzip", b"Host: evil"])
def test_forbidden_trailer(field: bytes) -> None:
    """gunicorn 26.0."""
    refuses_chunked(b"0\r\n" + field + b"\r\n\r\n" + SMUGGLED)


@for_each_row("extension", [b";a\r", b";\r", b";a\rb", b";a=\r\r", b';a="\r"', b"\r;a"])
def test_bare_cr_in_a_chunk_extension(extension: bytes) -> None:
    """benoitc/gunicorn#3556: one parser's line continues after the end of the other's."""
    refuses_chunked(b"2" + extension + b"\r\nxx\r\n0\r\n\r\n" + SMUGGLED)


@for_each_row("extension", [b";\n", b";a\n", b';a="\n"', b"\n", b";\nxx\r\n4c\r\n0"])
def test_bare_lf_in_a_chunk_extension(extension: bytes) -> None:
    """The same with a line feed, by a parser that skips all bytes after `;`."""
    refuses_chunked(b"2" + extension + b"\r\nxx\r\n0\r\n\r\n" + SMUGGLED)


@for_each_row("after", [b"XX", b"\n\n", b"\r\r", b"\n\r", b"  ", b"0\r", b";\r", b"\rX"])
def test_any_two_bytes_after_a_chunk(after: bytes) -> None:
    """CVE-2025-43859 (h11): the two bytes after the data of a chunk were skipped unseen."""
    refuses_chunked(b"5\r\nhello" + after + b"0\r\n\r\n" + SMUGGLED, body(b"hello"))


@for_each_row(
    "message",
    [
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\nContent-Length: 50\r\n\r\n",
    ],
)
def test_bare_lf_ends_a_line(message: bytes) -> None:
    """CVE-2019-16785 (waitress)."""
    rejects(message + SMUGGLED, 400)


@for_each_row(
    "message",
    [
        b"GET / HTTP/1.1\rHost: h\r\r",
        b"GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rContent-Length: 50\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\rGET /smuggled HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA\r: b\r\n\r\n",
    ],
)
def test_bare_cr_ends_a_line(message: bytes) -> None:
    """CVE-2023-37276 (aiohttp, llhttp CVE-2023-30589), CVE-2022-32213 and family, python/cpython#114782."""
    rejects(message + SMUGGLED, 400)


@for_each_row("coding", [b"chunked, chunked", b"gzip chunked", b"chunked,", b"chunked , gzip"])
def test_transfer_encoding_is_not_parsed_as_a_list(coding: bytes) -> None:
    """CVE-2019-16786 (waitress): anything but the word itself was not taken for a transfer coding."""
    rejects(post(b"Transfer-Encoding: " + coding) + b"0\r\n\r\n" + SMUGGLED, 400)


@for_each_row(
    ("first", "second"),
    [(b"0", b"50"), (b"50", b"0"), (b"5", b"5"), (b"5", b"6"), (b"5", b"05"), (b"5", b"")],
)
def test_two_content_lengths(first: bytes, second: bytes) -> None:
    """CVE-2019-16792 (waitress), CVE-2020-10108 (Twisted)."""
    rejects(post(b"Content-Length: " + first, b"Content-Length: " + second) + b"hello" + SMUGGLED, 400)


@pytest.mark.parametrize("content_length_first", [True, False])
def test_content_length_beats_chunked(content_length_first: bool) -> None:
    """CVE-2020-10109 (Twisted), CVE-2020-7658 (meinheld): one message with two lengths."""
    fields = [b"Content-Length: 5", CHUNKED]
    rejects(post(*(fields if content_length_first else fields[::-1])) + b"0\r\n\r\n" + SMUGGLED, 400)


@for_each_row("length", [b"+10", b"-0", b"0x0a", b"1_0", b"0b10", b"0o12", b"1e1", b"\xd9\xa1"])
def test_content_length_that_int_would_take(length: bytes) -> None:
    """CVE-2022-24761 (waitress), CVE-2021-32715 (hyper): language conversions are more lenient than HTTP."""
    rejects(post(b"Content-Length: " + length) + b"0123456789" + SMUGGLED, 400)


@for_each_row("size", [b"+a", b"-0", b"0xa", b"0Xa", b"0_a", b" a", b"a ", b"\ta", b"\x0ba", b"0x", b""])
def test_chunk_size_that_int_would_take(size: bytes) -> None:
    """CVE-2022-24761 (waitress), CVE-2023-47627 (aiohttp)."""
    refuses_chunked(size + b"\r\n0123456789\r\n0\r\n\r\n" + SMUGGLED)


@for_each_row("extension", [b";", b"; =", b";a=b=c", b";\x00", b';"', b";a\x80", b";a=\x0b"])
def test_chunk_extension_is_skipped_unvalidated(extension: bytes) -> None:
    """CVE-2022-24761 (waitress)."""
    refuses_chunked(b"5" + extension + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED)


@for_each_row(
    "size",
    [
        b"8000000000000000",
        b"ffffffffffffffff",
        b"10000000000000000",
        b"10000000000000005",
        b"f0000000000000005",
        b"fffffffffffffffff0",
        b"1" + b"0" * 31 + b"5",
    ],
)
def test_chunk_size_overflows(size: bytes) -> None:
    """CVE-2021-32714 (hyper): the upper digits of a long size fell off."""
    refuses_chunked(size + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED)


@for_each_row("length", [b"9223372036854775808", b"18446744073709551616", b"18446744073709551621", b"1" + b"0" * 40])
def test_content_length_overflows(length: bytes) -> None:
    rejects(post(b"Content-Length: " + length) + b"hello" + SMUGGLED, 400)
    rejects(post(b"Content-Length: " + length) + b"hello" + SMUGGLED, 400, limits=new_limits(max_request_body_size=0))


@for_each_row("filler", [b" ", b"\t", b" \t", b"a ", b"a", b",", b'"', b"\\"])
def test_backtracking_on_a_bad_field(filler: bytes) -> None:
    """CVE-2020-5236 (waitress): a regular expression took exponential time; one pass needs none."""
    size = 16_000 // len(filler)
    for data in (b"A: " + filler * size + b"\x00", b"A: " + filler * size + b"\rb"):
        assert record([get(data)]) == [error(400)]


def test_pipelined_request_after_a_bad_one() -> None:
    """CVE-2024-49768 (waitress): after a refused request its successor was served."""
    rejects(head(b"GET / HTTP/1.1", b"Host: a b") + SMUGGLED, 400)
    rejects(post(b"Content-Length: x") + SMUGGLED, 400)
    refuses_chunked(b"x\r\n" + SMUGGLED)


def test_request_after_connection_close() -> None:
    """Kludex/uvicorn#2238; RFC 9112 9.6: no further request on that connection is processed."""
    closing = request(headers=[(b"host", b"h"), (b"connection", b"close")], keep_alive=False)
    check(get(b"Connection: close") + SMUGGLED, [closing, END])
    check(head(b"GET / HTTP/1.0", HOST) + SMUGGLED, [request(version="1.0"), END])


@for_each_row(
    "field",
    [
        b"A\x00: b",
        b"A b: c",
        b"A : b",
        b" A: b",
        b"A: b\r\n c",
        b"A: b\r\n\tContent-Length: 50",
        b"Content-Length : 50",
        b"Content-Length\t: 50",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer-Encoding\r\n: chunked",
        b"(Transfer-Encoding): chunked",
        b"Transfer-Encoding\x0b: chunked",
        b"Transfer-Encoding",
        b": chunked",
    ],
)
def test_lenient_field_syntax(field: bytes) -> None:
    """CVE-2022-24801 (Twisted), CVE-2023-49081, CVE-2023-47641 and CVE-2024-23829 (aiohttp)."""
    rejects(head(b"POST / HTTP/1.1", field, HOST) + b"0\r\n\r\n" + SMUGGLED, 400)
    rejects(post(field) + b"0\r\n\r\n" + SMUGGLED, 400)


@for_each_row("version", [b"HTTP/1.1.1", b"HTTP/1.1 a", b"HTTP/11", b"HTTP/1.\xb9", b"HTTP/1.+1", b" HTTP/1.1"])
def test_lenient_version(version: bytes) -> None:
    """CVE-2023-47627 (aiohttp), and digits that `int` takes for digits."""
    rejects(head(b"GET / " + version, HOST), 400)


@for_each_row("separator", [*b"\x0b\x0c\x1c\x1d\x1e"])
def test_line_separators_of_other_alphabets(separator: int) -> None:
    """CVE-2026-44546 (daphne): `splitlines` made one field into two."""
    rejects(get(b"A: b" + bytes([separator]) + b"Injected: c"), 400)
    rejects(head(b"GET / HTTP/1.1" + bytes([separator]) + b"Injected: c", HOST), 400)


def test_line_separators_beyond_ascii() -> None:
    """The same with NEL, and with U+2028 in UTF-8: valid bytes of a value, and no end of a line."""
    value = b"b\x85Injected: c\xe2\x80\xa8Injected: d"
    check(get(b"A: " + value), [request(headers=[(b"host", b"h"), (b"a", value)]), END])


def test_many_tiny_chunks() -> None:
    """CVE-2025-69229 (aiohttp): time that grew with the square of their number."""
    data = post(CHUNKED) + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
    assert record([data]) == [CHUNKED_EVENT, body(b"x" * 50_000), END]
    assert record(bytewise(data)) == [CHUNKED_EVENT, body(b"x" * 50_000), END]


def test_unlimited_trailers() -> None:
    """CVE-2026-22815 (aiohttp): trailers share the limits of the header fields."""
    for data in (b"A: b\r\n" * 101, b"A: " + b"b" * 17_000 + b"\r\n", (b"A: " + b"b" * 8_000 + b"\r\n") * 9):
        events = record([post(CHUNKED) + b"0\r\n" + data + b"\r\n" + SMUGGLED])
        assert events == [CHUNKED_EVENT, error(431)]


def test_unlimited_chunk_extensions() -> None:
    """Slow and large without a byte of content: many small ones count as one long one."""
    for data in (b"1;" + b"a" * 20_000 + b"\r\nx\r\n", b"1;aaaaaaaaaaaaaaa\r\nx\r\n" * 1_100):
        events = record([post(CHUNKED) + data + b"0\r\n\r\n" + SMUGGLED])
        assert events[-1] == error(400)
        assert END not in events


def test_endless_chunk_size() -> None:
    """Zeros before a size are valid, but a line of them must end some day."""
    assert record([post(CHUNKED), b"0" * 100_000]) == [CHUNKED_EVENT, error(400)]


@for_each_row("host", [b"evil/a", b"evil?a", b"evil#a", b"evil/?#", b"h/..", b"h@evil", b"h\\@evil", b"h evil"])
def test_bad_host(host: bytes) -> None:
    """CVE-2026-48710 (Starlette): a Host with `/`, `?` or `#` moved the path of the URL built of it."""
    rejects(head(b"GET /admin HTTP/1.1", b"Host: " + host), 400)
    rejects(head(b"GET /admin HTTP/1.0", b"Host: " + host), 400)
    rejects(head(b"GET http://" + host.replace(b"/", b"\\") + b"/ HTTP/1.1", HOST), 400) if b"?" not in host else None


def test_connect_without_a_tunnel() -> None:
    """pgjones/hypercorn#277: bytes for the tunnel must not be parsed as a request."""
    rejects(head(b"CONNECT h:80 HTTP/1.1", b"Host: h:80") + SMUGGLED, 501)


def test_h2c_upgrade_is_not_taken() -> None:
    """h2c smuggling (BishopFox): a proxy that passes the upgrade on hands its rules over."""
    fields = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"]
    headers = [(b"connection", fields[0][12:]), (b"upgrade", b"h2c"), (b"http2-settings", b"AAMAAABk")]
    check(get(*fields), [request(headers=[(b"host", b"h"), *headers]), END])


def test_trailers_are_not_header_fields() -> None:
    """gunicorn 22: `X-Forwarded-Proto` in a trailer changed the scheme."""
    data = post(CHUNKED) + b"0\r\nX-Forwarded-Proto: https\r\nAuthorization: Basic eA==\r\n\r\n"
    fields = [(b"x-forwarded-proto", b"https"), (b"authorization", b"Basic eA==")]
    check(data, [CHUNKED_EVENT, trailers(*fields), END])


def test_underscore_in_a_name_is_kept() -> None:
    """gunicorn 22: `X_Forwarded_For` became `X-Forwarded-For`; a codec must not join them."""
    headers = [(b"host", b"h"), (b"x-forwarded-for", b"1"), (b"x_forwarded_for", b"2")]
    check(get(b"X-Forwarded-For: 1", b"X_Forwarded_For: 2"), [request(headers=headers), END])


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding"])
def test_framing_field_spelled_with_an_underscore(name: bytes) -> None:
    """It frames nothing: the next message starts right after the head."""
    underscored = name.replace(b"-", b"_")
    events = record([post(underscored + b": 5") + SECOND])
    assert [event[0] for event in events] == ["request", "end", "request", "end"]


def test_get_with_a_body_smuggles_nothing() -> None:
    """The body of a method that has none by custom is a body all the same (RFC 9112 6)."""
    check(
        get(b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,
        [
            request(headers=[(b"host", b"h"), (b"content-length", b"%d" % len(SMUGGLED))]),
            body(SMUGGLED),
            END,
        ],
    )


@for_each_row("prefix", [b"\r\n\r\n", b"\n", b"\0", b" ", b"0\r\n\r\n", b"X"])
def test_bytes_after_a_body(prefix: bytes) -> None:
    """Bytes beyond the Content-Length start the next message, and have to be one."""
    data = post(b"Content-Length: 5") + b"hello"
    event = posted((b"content-length", b"5"))
    if prefix == b"X":
        assert record([data + prefix + SECOND])[3][1]["method"] == "XGET"
    else:
        check(data + prefix + SECOND, [event, body(b"hello"), END, error(400)])
