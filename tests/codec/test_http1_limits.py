"""Limits: each is exact, and an excess is refused before its end is received (RFC 9112 3, RFC 9110 15.5)."""

import pytest

from ianus.codec.limits import Limits
from tests.engine import limits as new_limits

from .feeding import END, HOST, Event, body, bytewise, check, error, get, head, post, posted, record, rejects, request

CHUNKED = b"Transfer-Encoding: chunked"
CHUNKED_EVENT = posted((b"transfer-encoding", b"chunked"))


def test_request_line_of_the_limit() -> None:
    """The line end is not counted."""
    line = b"GET /somewhere/else HTTP/1.1"
    check(head(line, HOST), [request(b"/somewhere/else"), END], limits=new_limits(limit_request_line=len(line)))
    rejects(head(line, HOST), 414, limits=new_limits(limit_request_line=len(line) - 1))


def test_default_request_line() -> None:
    """RFC 9112 3 recommends at least 8000 bytes."""
    target = b"/" + b"a" * (8192 - len(b"GET / HTTP/1.1"))
    check(head(b"GET " + target + b" HTTP/1.1", HOST), [request(target), END])
    rejects(head(b"GET " + target + b"a HTTP/1.1", HOST), 414)


@pytest.mark.parametrize("data", [b"GET /" + b"a" * 9000, b"A" * 8000 + b" " * 1000], ids=["target", "blanks"])
def test_endless_request_line(data: bytes) -> None:
    """Refused before its end is received."""
    rejects(data, 414)


@pytest.mark.parametrize("rest", [b"", b" / HTTP/1.1\r\n", b"\r\n"])
def test_endless_method(rest: bytes) -> None:
    """RFC 9112 3: 501 for a method that is longer than any."""
    rejects(b"A" * 9000 + rest, 501)


def test_empty_line_before_a_request_line_of_the_limit() -> None:
    line = b"GET /somewhere/else HTTP/1.1"
    check(
        b"\r\n" + head(line, HOST), [request(b"/somewhere/else"), END], limits=new_limits(limit_request_line=len(line))
    )


def test_field_of_the_limit() -> None:
    """A field line without its line end, and without the blanks around its value being forgiven."""
    field = b"Name: " + b"v" * 20
    expected = [request(headers=[(b"host", b"h"), (b"name", b"v" * 20)]), END]
    check(get(field), expected, limits=new_limits(limit_request_field_size=len(field)))
    rejects(get(field), 431, limits=new_limits(limit_request_field_size=len(field) - 1))
    rejects(get(b"Name: " + b" " * 20 + b"v"), 431, limits=new_limits(limit_request_field_size=len(field)))


def test_default_field() -> None:
    value = b"v" * (16384 - len(b"Name: "))
    check(get(b"Name: " + value), [request(headers=[(b"host", b"h"), (b"name", value)]), END])
    rejects(get(b"Name: " + value + b"v"), 431)


@pytest.mark.parametrize("data", [b"Name: " + b"v" * 20_000, b"n" * 20_000], ids=["value", "name"])
def test_endless_field(data: bytes) -> None:
    rejects(head(b"GET / HTTP/1.1", HOST)[:-2] + data, 431)


def test_all_fields_of_the_limit() -> None:
    """The sum of the field lines, each with its line end."""
    fields = [b"A: 1", b"Bc: 2", b"Def: 3"]
    size = sum(len(field) + 2 for field in [HOST, *fields])
    expected = [request(headers=[(b"host", b"h"), (b"a", b"1"), (b"bc", b"2"), (b"def", b"3")]), END]
    check(get(*fields), expected, limits=new_limits(limit_request_fields_size=size))
    rejects(get(*fields), 431, limits=new_limits(limit_request_fields_size=size - 1))


def test_default_of_all_fields() -> None:
    field = b"Name: " + b"v" * 10_000
    assert [event[0] for event in record([get(*[field] * 6)])] == ["request", "end"]
    rejects(get(*[field] * 7), 431)


def test_number_of_fields() -> None:
    fields = [b"N%d: v" % number for number in range(4)]
    expected = [request(headers=[(b"host", b"h"), *((b"n%d" % number, b"v") for number in range(4))]), END]
    check(get(*fields), expected, limits=new_limits(limit_request_fields=5))
    rejects(get(*fields), 431, limits=new_limits(limit_request_fields=4))


def test_default_number_of_fields() -> None:
    assert [event[0] for event in record([get(*[b"A: b"] * 99)])] == ["request", "end"]
    rejects(get(*[b"A: b"] * 100), 431)


def test_endless_fields() -> None:
    """Refused before the empty line is received."""
    rejects(get()[:-2] + b"A: b\r\n" * 200, 431)


def test_limits_are_of_each_message() -> None:
    limits = new_limits(
        limit_request_fields_size=40,
        limit_request_fields=3,
        limit_request_line=20,
        limit_request_field_size=20,
        max_request_body_size=5,
    )
    message = post(b"Content-Length: 5") + b"hello"
    events = [posted((b"content-length", b"5")), body(b"hello"), END]
    assert record([message * 5], limits=limits) == events * 5
    assert record(bytewise(message * 5), limits=limits) == events * 5


def test_content_length_of_the_limit() -> None:
    limits = new_limits(max_request_body_size=5)
    check(
        post(b"Content-Length: 5") + b"hello",
        [posted((b"content-length", b"5")), body(b"hello"), END],
        limits=limits,
    )
    rejects(post(b"Content-Length: 6") + b"hello!", 413, limits=limits)


@pytest.mark.parametrize(
    ("length", "status"),
    [(b"1073741825", 413), (b"9223372036854775807", 413), (b"9223372036854775808", 400), (b"9" * 30, 400)],
)
def test_default_content_length(length: bytes, status: int) -> None:
    rejects(post(b"Content-Length: " + length), status)


def test_default_content_length_of_the_limit() -> None:
    assert record([post(b"Content-Length: 1073741824")]) == [posted((b"content-length", b"1073741824"))]


def test_content_length_over_the_limit_before_the_expectation() -> None:
    """No 100 (Continue) for a body that would be refused: there is not even a request."""
    rejects(post(b"Expect: 100-continue", b"Content-Length: 6"), 413, limits=new_limits(max_request_body_size=5))


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", [body(b"hello"), END]),
        (b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", [body(b"hello"), END]),
        (b"6\r\nhello!\r\n0\r\n\r\n", [error(413)]),
        (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", [body(b"hello"), error(413)]),
        (b"4\r\nhell\r\n2\r\no!\r\n0\r\n\r\n", [body(b"hell"), error(413)]),
        (b"7fffffffffffffff\r\nhello", [error(413)]),
        (b"1\r\nh\r\n7fffffffffffffff\r\nello", [body(b"h"), error(413)]),
    ],
)
def test_chunks_of_the_limit(data: bytes, events: list[Event]) -> None:
    """A chunk that would pass the limit is refused at its size, before its data."""
    check(post(CHUNKED) + data, [CHUNKED_EVENT, *events], limits=new_limits(max_request_body_size=5))


def test_no_limit_of_the_body() -> None:
    check(
        post(CHUNKED) + b"7fffffffffffffff\r\nhello",
        [CHUNKED_EVENT, body(b"hello")],
        limits=new_limits(max_request_body_size=0),
    )


def test_chunks_that_overflow_together() -> None:
    """Without a limit, too, the count of bytes must not overflow to a small number."""
    check(
        post(CHUNKED) + b"1\r\nh\r\n7fffffffffffffff\r\nello",
        [CHUNKED_EVENT, body(b"h"), error(413)],
        limits=new_limits(max_request_body_size=0),
    )


def test_trailers_of_the_limits() -> None:
    data = post(CHUNKED) + b"0\r\nName: %s\r\nB: c\r\n\r\n"
    limits = new_limits(limit_request_field_size=26, limit_request_fields_size=60, limit_request_fields=2)
    events = [CHUNKED_EVENT, ("trailers", [(b"name", b"v" * 20), (b"b", b"c")]), END]
    check(data % (b"v" * 20), events, limits=limits)
    check(data % (b"v" * 21), [CHUNKED_EVENT, error(431)], limits=limits)


@pytest.mark.parametrize(
    "data",
    [b"A: b\r\n" * 200, b"A: " + b"b" * 20_000, b"a" * 20_000, (b"A: " + b"b" * 10_000 + b"\r\n") * 7],
    ids=["many", "long value", "long name", "large together"],
)
def test_endless_trailers(data: bytes) -> None:
    """Refused before they end."""
    check(post(CHUNKED) + b"0\r\n" + data, [CHUNKED_EVENT, error(431)])


def test_chunk_extensions_within_reason() -> None:
    data = post(CHUNKED) + b"1;a=b\r\nx\r\n" * 500 + b"0;" + b"c" * 2_000 + b"\r\n\r\n"
    assert record([data]) == [CHUNKED_EVENT, body(b"x" * 500), END]


@pytest.mark.parametrize("name", ["limit_request_line", "max_request_body_size"])
def test_limits_are_keywords_and_read_only(name: str) -> None:
    with pytest.raises(TypeError):
        Limits(1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        setattr(new_limits(), name, 1)
