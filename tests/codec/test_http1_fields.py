"""Header fields: names and values, Host, Expect, Connection (RFC 9112 5, 9.3; RFC 9110 5.5, 7.2, 10.1.1)."""

from typing import Any

import pytest

from tests.rows import for_each_row

from .feeding import END, HOST, Event, check, get, head, named, post, posted, rejects, request, table

HOST_FIELD = (b"host", b"h")
CTLS = [*range(0x09), *range(0x0A, 0x20), 0x7F]


def got(*fields: tuple[bytes, bytes], **changes: Any) -> list[Event]:
    return [request(headers=[HOST_FIELD, *fields], **changes), END]


@table(
    {
        "plain": (b"A: b", (b"a", b"b")),
        "name in lower case": (b"X-Some-NAME: Value", (b"x-some-name", b"Value")),
        "every token character in the name": (b"!#$%&'*+-.^_`|~09azAZ: x", (b"!#$%&'*+-.^_`|~09azaz", b"x")),
        "underscore is not a hyphen": (b"X_A: b", (b"x_a", b"b")),
        "one letter": (b"A:b", (b"a", b"b")),
        "empty value": (b"A:", (b"a", b"")),
        "only blanks": (b"A: \t \t", (b"a", b"")),
        "blanks around": (b"A: \t b\t ", (b"a", b"b")),
        "blanks inside stay": (b"A: b  c\td", (b"a", b"b  c\td")),
        "colon in the value": (b"A: b:c: d", (b"a", b"b:c: d")),
        "colon first in the value": (b"A::b", (b"a", b":b")),
        "every visible byte": (b"A: " + bytes(range(0x21, 0x7F)), (b"a", bytes(range(0x21, 0x7F)))),
        "bytes beyond ASCII": (b"A: \x80\xc3\xa9\xff", (b"a", b"\x80\xc3\xa9\xff")),
        "NEL and NBSP are not blanks": (b"A: \x85b\xa0", (b"a", b"\x85b\xa0")),
        "quotes and backslash": (b'A: "b\\"c"', (b"a", b'"b\\"c"')),
        "h2c upgrade is only a field": (b"Upgrade: h2c", (b"upgrade", b"h2c")),
        "proxy-connection is only a field": (b"Proxy-Connection: close", (b"proxy-connection", b"close")),
    }
)
def test_field(data: bytes, expected: tuple[bytes, bytes]) -> None:
    check(get(data), got(expected))


def test_order_and_repetition_are_kept() -> None:
    check(
        head(b"GET / HTTP/1.1", b"B: 1", b"a: 2", HOST, b"b: 3", b"A: 2"),
        [request(headers=[(b"b", b"1"), (b"a", b"2"), HOST_FIELD, (b"b", b"3"), (b"a", b"2")]), END],
    )


def test_unknown_upgrade_is_ignored() -> None:
    """RFC 9110 7.8: a server MAY ignore it; the request continues as HTTP/1.1."""
    check(
        get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        got(
            (b"connection", b"Upgrade, HTTP2-Settings"),
            (b"upgrade", b"h2c"),
            (b"http2-settings", b"AAMAAABk"),
        ),
    )


@named(
    {
        "no colon": b"A",
        "no name": b": b",
        "space before the colon": b"A : b",
        "tab before the colon": b"A\t: b",
        "space in the name": b"A B: c",
        "parentheses": b"A(b): c",
        "slash": b"A/b: c",
        "quoted name": b'"A": c',
        "at sign": b"A@b: c",
        "semicolon": b"A;b: c",
        "equals": b"A=b: c",
        "braces": b"{A}: c",
        "name beyond ASCII": b"\xc3\xa9: c",
        "NBSP in the name": b"A\xa0: c",
        "NUL in the name": b"A\0: b",
        "delete in the name": b"A\x7f: b",
        "carriage return in the name": b"A\r: b",
        "line feed in the name": b"A\n: b",
        "bare line feed after the value": b"A: b\nC: d",
        "bare line feed in the value": b"A: b\nc",
        "bare carriage return in the value": b"A: b\rc",
        "bare carriage return after the value": b"A: b\r",
        "bare carriage return before the value": b"A:\rb",
        "bare carriage return between fields": b"A: b\rC: d",
        "line feed, carriage return": b"A: b\n\rC: d",
        "folded by a space": b"A: b\r\n c",
        "folded by a tab": b"A: b\r\n\tc",
        "folded before the value": b"A:\r\n b",
        "folded into blanks": b"A: b\r\n  ",
        "folded with a colon": b"A: b\r\n C: d",
    }
)
def test_invalid_field(data: bytes) -> None:
    rejects(get(data), 400)
    rejects(get(b"Z: first", data, b"Z: last"), 400)


@for_each_row("code", CTLS, ids=[f"0x{code:02x}" for code in CTLS])
@for_each_row("position", ["first", "inside", "last"])
def test_control_character_in_a_value(code: int, position: str) -> None:
    """RFC 9110 5.5: CR, LF and NUL are dangerous; the other CTLs are invalid too, and we refuse them."""
    char = bytes([code])
    value = {"first": char + b"bc", "inside": b"b" + char + b"c", "last": b"bc" + char}[position]
    if char != b"\n" or position != "last":  # a line feed after the value is a case of its own: see above
        rejects(get(b"A: " + value), 400)


@named(
    {
        "blank line of a space": b" ",
        "blank line of a tab": b"\t",
        "indented field": b" A: b",
        "field indented by a tab": b"\tA: b",
    }
)
def test_whitespace_before_the_first_field(data: bytes) -> None:
    """RFC 9112 2.2: reject it, or others read another set of fields."""
    rejects(head(b"GET / HTTP/1.1", data, HOST), 400)


@named({"carriage return": b"\rX\r\n", "line feed": b"\n", "two carriage returns": b"\r\r\n"})
def test_head_ends_with_an_exact_empty_line(data: bytes) -> None:
    rejects(get()[:-2] + data, 400)


@named(
    {
        "name": b"example.com",
        "name and port": b"example.com:8000",
        "port may be empty": b"example.com:",
        "one label": b"localhost",
        "trailing dot": b"example.com.",
        "upper case is kept": b"EXAMPLE.com",
        "underscore": b"my_service:80",
        "IPv4": b"127.0.0.1:80",
        "IPv6": b"[::1]",
        "IPv6 and port": b"[2001:db8::1]:8000",
        "IPv6 with an IPv4 tail": b"[::ffff:127.0.0.1]",
        "percent escape": b"ex%C3%A4mple.com",
        "sub-delimiters": b"a!$&'()*+;=b~-._",
        "empty": b"",
        "blanks around": b" h.example\t",
    }
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_valid_host(data: bytes, version: str) -> None:
    check(
        head(b"GET / HTTP/" + version.encode(), b"Host: " + data),
        [request(version=version, headers=[(b"host", data.strip(b" \t"))]), END],
    )


@named(
    {
        "user": b"user@example.com",
        "user and password": b"u:p@example.com",
        "slash": b"example.com/a",
        "question mark": b"example.com?a",
        "number sign": b"example.com#a",
        "backslash": b"example.com\\a",
        "space": b"example.com evil",
        "tab": b"example.com\tevil",
        "whole URL": b"http://example.com",
        "port of letters": b"example.com:http",
        "port with a sign": b"example.com:+80",
        "negative port": b"example.com:-1",
        "two ports": b"example.com:80:80",
        "port alone": b":80",
        "port of 16 bits and more": b"example.com:65536",
        "IP of the future": b"[v1.fe80::a]",
        "hexadecimal port": b"example.com:0x50",
        "space before the port": b"example.com: 80",
        "IPv6 without brackets": b"::1",
        "open bracket": b"[::1",
        "closing bracket": b"::1]",
        "empty brackets": b"[]",
        "two opening brackets": b"[[::1]",
        "text after the bracket": b"[::1]a",
        "text before the bracket": b"a[::1]",
        "port of letters after the bracket": b"[::1]:a",
        "name in brackets": b"[example.com]",
        "quotes": b'"example.com"',
        "angle brackets": b"<script>",
        "braces": b"{h}",
        "caret": b"a^b",
        "backquote": b"a`b",
        "pipe": b"a|b",
        "bad escape": b"a%zz",
        "cut escape": b"a%4",
        "beyond ASCII": b"ex\xc3\xa4mple.com",
    }
)
@pytest.mark.parametrize("version", [b"1.0", b"1.1", b"1.2"])
def test_invalid_host(data: bytes, version: bytes) -> None:
    rejects(head(b"GET / HTTP/" + version, b"Host: " + data), 400)


@pytest.mark.parametrize("version", [b"1.1", b"1.2", b"1.9"])
def test_missing_host(version: bytes) -> None:
    rejects(head(b"GET / HTTP/" + version, b"X-Host: h"), 400)


def test_missing_host_in_1_0() -> None:
    check(head(b"GET / HTTP/1.0", b"A: b"), [request(version="1.0", headers=[(b"a", b"b")]), END])


@table(
    {
        "different": (b"Host: other", 400),
        "the same": (b"Host: h", 400),
        "in other case": (b"hOST: h", 400),
        "empty": (b"Host:", 400),
    }
)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_two_hosts(data: bytes, expected: int, version: bytes) -> None:
    rejects(head(b"GET / HTTP/" + version, HOST, data), expected)
    rejects(head(b"GET / HTTP/" + version, data, b"A: b", HOST), expected)


@named(
    {
        "plain": b"100-continue",
        "any case": b"100-CONTINUE",
        "blanks around": b" \t100-Continue ",
        "twice in a line": b"100-continue, 100-continue",
        "empty elements": b", 100-continue,,",
    }
)
def test_expect_100_continue(data: bytes) -> None:
    check(
        post(b"Expect: " + data, b"Content-Length: 2") + b"ab",
        [
            posted((b"expect", data.strip()), (b"content-length", b"2"), expect_continue=True),
            ("body", b"ab"),
            END,
        ],
    )


@named({"equal": b"100-continue", "in other case": b"100-Continue", "empty": b"", "empty elements": b", ,"})
def test_expect_in_two_lines(data: bytes) -> None:
    """Two lines are one list (RFC 9110 5.3)."""
    for lines in ([b"100-continue", data], [data, b"100-continue"]):
        check(
            post(*[b"Expect: " + line for line in lines], b"Content-Length: 2") + b"ab",
            [
                posted(*[(b"expect", line) for line in lines], (b"content-length", b"2"), expect_continue=True),
                ("body", b"ab"),
                END,
            ],
        )


def test_empty_expect() -> None:
    check(
        post(b"Expect:", b"Content-Length: 2") + b"ab",
        [posted((b"expect", b""), (b"content-length", b"2")), ("body", b"ab"), END],
    )


def test_expect_100_continue_is_ignored_in_1_0() -> None:
    """RFC 9110 10.1.1."""
    check(
        post(b"Expect: 100-continue", b"Content-Length: 2", version=b"HTTP/1.0") + b"ab",
        [
            posted((b"expect", b"100-continue"), (b"content-length", b"2"), version="1.0"),
            ("body", b"ab"),
            END,
        ],
    )


@named(
    {
        "unknown": b"200-ok",
        "unknown with a value": b"a=b",
        "a parameter": b"100-continue;a=b",
        "a value": b"100-continue=1",
        "unknown after": b"100-continue, a",
        "unknown before": b"a, 100-continue",
        "prefix": b"100",
        "longer": b"100-continued",
        "quoted": b'"100-continue"',
    }
)
def test_other_expectation(data: bytes) -> None:
    rejects(post(b"Expect: " + data, b"Content-Length: 2") + b"ab", 417)


@table(
    {
        "1.1 stays open": (b"1.1", ([], True)),
        "1.2 stays open": (b"1.2", ([], True)),
        "1.0 closes": (b"1.0", ([], False)),
        "close": (b"1.1", ([b"close"], False)),
        "close in any case": (b"1.1", ([b"CLOSE"], False)),
        "close among others": (b"1.1", ([b"foo, close ,bar"], False)),
        "close after an empty element": (b"1.1", ([b", ,close"], False)),
        "close on a later line": (b"1.1", ([b"upgrade", b"close"], False)),
        "close on an earlier line": (b"1.1", ([b"close", b"upgrade"], False)),
        "close beats keep-alive": (b"1.1", ([b"keep-alive, close"], False)),
        "close beats keep-alive on a later line": (b"1.1", ([b"close", b"keep-alive"], False)),
        "close as part of a word": (b"1.1", ([b"closed, not-close, xclose"], True)),
        "two words are not an option": (b"1.1", ([b"close me"], True)),
        "keep-alive": (b"1.1", ([b"keep-alive"], True)),
        "another option": (b"1.1", ([b"te"], True)),
        "empty": (b"1.1", ([b""], True)),
        "1.0 keep-alive": (b"1.0", ([b"keep-alive"], True)),
        "1.0 keep-alive in any case": (b"1.0", ([b"Keep-Alive"], True)),
        "1.0 keep-alive among others": (b"1.0", ([b"te,\tkeep-alive"], True)),
        "1.0 keep-alive on a later line": (b"1.0", ([b"te", b"keep-alive"], True)),
        "1.0 keep-alive and close": (b"1.0", ([b"keep-alive, close"], False)),
        "1.0 close": (b"1.0", ([b"close"], False)),
        "1.0 something like keep-alive": (b"1.0", ([b"keep-alives"], False)),
    }
)
def test_keep_alive(data: bytes, expected: tuple[list[bytes], bool]) -> None:
    """RFC 9112 9.3."""
    options, keep_alive = expected
    check(
        head(b"GET / HTTP/" + data, HOST, *(b"Connection: " + option for option in options)),
        [
            request(
                version="1.0" if data == b"1.0" else "1.1",
                headers=[HOST_FIELD, *((b"connection", option) for option in options)],
                keep_alive=keep_alive,
            ),
            END,
        ],
    )


def test_two_content_types() -> None:
    """RFC 9110 8.3: recipients interpret it differently; we do not guess (benoitc/gunicorn#3366)."""
    rejects(post(b"Content-Type: text/plain", b"Content-Type: text/html"), 400)
