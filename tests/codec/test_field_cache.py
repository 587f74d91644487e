"""Field lines that were sent before are parsed as if they were new (codec/field_cache)."""

import pytest

from .feeding import END, Event, bytewise, error, get, head, record, request

HOST = (b"host", b"h")
# Names of which values are kept, and one of which none is
LINES = {
    b"User-Agent: bench": (b"user-agent", b"bench"),
    b"ACCEPT: \t text/html, */*;q=0.8 \t": (b"accept", b"text/html, */*;q=0.8"),
    b"accept-language: \xff": (b"accept-language", b"\xff"),
    b"Accept: " + b"x" * 168: (b"accept", b"x" * 168),
    b"Accept: " + b"x" * 169: (b"accept", b"x" * 169),
    b"DNT:": (b"dnt", b""),
    b"Via: 1.1 proxy": (b"via", b"1.1 proxy"),
    b"Cookie: secret=1": (b"cookie", b"secret=1"),
    b"X-Unknown: 12345678": (b"x-unknown", b"12345678"),
}


def heads(*lines: bytes) -> bytes:
    return b"".join(get(line) for line in lines)


def got(*fields: tuple[bytes, bytes]) -> list[Event]:
    return [event for field in fields for event in (request(headers=[HOST, field]), END)]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_line_that_is_repeated(line: bytes) -> None:
    data, expected = heads(line, line, line), got(*[LINES[line]] * 3)
    assert record([data]) == expected
    assert record(bytewise(data)) == expected


def test_lines_of_any_order_and_number() -> None:
    lines = [*LINES, *reversed(LINES)] * 2
    assert record([heads(*lines)]) == got(*[LINES[line] for line in lines])


def test_lines_that_differ_in_one_byte() -> None:
    # Every position, of lines that share an entry as well: there are more of them than entries.
    line = b"User-Agent: " + b"a" * 80
    lines = [line[:at] + bytes([letter]) + line[at + 1 :] for at in range(12, len(line)) for letter in b"aAbBcC~"]
    fields = [(b"user-agent", each[12:]) for each in lines]
    assert record([heads(*lines, *lines)]) == got(*fields, *fields)


def test_lines_that_differ_in_their_length() -> None:
    lines = [b"Accept: " + b"x" * size for size in range(200)]
    fields = [(b"accept", b"x" * size) for size in range(200)]
    assert record([heads(*lines, *lines)]) == got(*fields, *fields)


@pytest.mark.parametrize(
    "first",
    [b"User-Agent: a", b"User-Agent: a\0", b"User-Agent : a", b"User-Agent: a\x7f"],
    ids=["valid", "NUL", "blank before the colon", "DEL"],
)
def test_an_invalid_line_after_a_valid_one_like_it(first: bytes) -> None:
    events = record([get(b"User-Agent: a") + get(first) + get(b"User-Agent: a")])
    valid = got((b"user-agent", b"a"))
    assert events == (valid * 3 if first == b"User-Agent: a" else [*valid, error(400)])


def test_a_repeated_connection_field_has_its_effect_each_time() -> None:
    keep, close = b"Connection: keep-alive", b"Connection: close"
    for lines in ((keep, close, keep), (keep, keep, close)):
        events = record([heads(*lines)])
        alive = [event[1]["keep_alive"] for event in events if event[0] == "request"]
        assert alive == [True] * lines.index(close) + [False], "nothing is read after `close`"


def test_a_repeated_host_is_counted_each_time() -> None:
    line = b"Host: example.org"
    one, two = head(b"GET / HTTP/1.1", line), head(b"GET / HTTP/1.1", line, line)
    host = [request(headers=[(b"host", b"example.org")]), END]
    assert record([one + one + two]) == [*host, *host, error(400)]


def test_a_repeated_content_type_is_counted_each_time() -> None:
    line = b"Content-Type: text/plain"
    events = record([get(line) + get(line) + get(line, line)])
    assert events == [*got((b"content-type", b"text/plain")) * 2, error(400)]


def test_a_known_line_among_trailers() -> None:
    # Trailers are not looked up: a Host would be counted among the fields of a head.
    line = b"Host: example.org"
    message = head(b"POST / HTTP/1.1", line, b"Transfer-Encoding: chunked") + b"0\r\n" + line + b"\r\n\r\n"
    assert record([message])[-1] == error(400)
