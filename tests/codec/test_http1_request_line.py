"""The request line: method, target in its four forms, version (RFC 9112 2.2, 2.3, 3)."""

from typing import Any

from .feeding import END, HOST, check, error, head, named, rejects, request, table


def line(text: bytes) -> bytes:
    return head(text, HOST)


@table(
    {
        "root": (b"/", {}),
        "path": (b"/a/b.html", {}),
        "query": (b"/a?b=c&d", {"query": b"b=c&d"}),
        "empty query": (b"/a?", {}),
        "second question mark": (b"/a?b?c", {"query": b"b?c"}),
        "query is not decoded": (b"/?%41+%zz", {"query": b"%41+%zz"}),
        "query with a slash": (b"/?/../x", {"query": b"/../x"}),
        "every other byte of a target": (b"/" + bytes(set(range(0x21, 0x7F)) - set(b"#%?")), {}),
        "percent": (b"/%41%2d%7E", {"path": "/A-~"}),
        "percent, lower case": (b"/%c3%a9", {"path": "/\u00e9"}),
        "percent, upper case": (b"/%C3%A9", {"path": "/\u00e9"}),
        "four bytes of UTF-8": (b"/%F0%9F%90%8D", {"path": "/\U0001f40d"}),
        "encoded slash": (b"/a%2Fb", {"path": "/a/b"}),
        "encoded question mark": (b"/a%3Fb", {"path": "/a?b"}),
        "encoded number sign": (b"/a%23b", {"path": "/a#b"}),
        "encoded percent is decoded once": (b"/%2541", {"path": "/%41"}),
        "encoded NUL": (b"/%00", {"path": "/\0"}),
        "encoded CRLF": (b"/%0d%0a", {"path": "/\r\n"}),
        "plus is a plus": (b"/a+b", {}),
        "invalid UTF-8": (b"/%FF/%FEx", {"path": "/\ufffd/\ufffdx"}),
        "truncated UTF-8": (b"/%E2%82", {"path": "/\ufffd"}),
        "overlong UTF-8": (b"/%C0%AF", {"path": "/\ufffd\ufffd"}),
        "surrogate in UTF-8": (b"/%ED%A0%80", {"path": "/\ufffd\ufffd\ufffd"}),
        "bad escape stays": (b"/%zz", {"path": "/%zz"}),
        "half a bad escape stays": (b"/%4g%g4", {"path": "/%4g%g4"}),
        "percent at the end stays": (b"/a%", {"path": "/a%"}),
        "one digit at the end stays": (b"/a%4", {"path": "/a%4"}),
        "bad escape before a good one": (b"/%%41", {"path": "/%A"}),
        "escape does not reach into the query": (b"/%4?1", {"path": "/%4", "query": b"1"}),
        "no rewriting of dot segments": (b"/a/./b/../c", {}),
        "no rewriting of encoded dot segments": (b"/%2e%2e/x", {"path": "/../x"}),
        "no rewriting of slashes": (b"//a///b//", {}),
        "colon and at sign in the path": (b"/http://u@h/", {}),
    }
)
def test_origin_form(data: bytes, expected: dict[str, Any]) -> None:
    check(line(b"GET " + data + b" HTTP/1.1"), [request(data, **expected), END])


@table(
    {
        "path and query": (b"http://example.com/a?b", {"raw_path": b"/a", "query": b"b"}),
        "port": (b"http://example.com:8080/", {"raw_path": b"/", "host": b"example.com:8080"}),
        "scheme in upper case": (b"HTTP://example.com/", {"raw_path": b"/"}),
        "other scheme": (b"https://example.com/", {"raw_path": b"/"}),
        "host is kept as sent": (b"http://EXAMPLE.com/", {"raw_path": b"/", "host": b"EXAMPLE.com"}),
        "IPv6": (b"http://[::1]:80/", {"raw_path": b"/", "host": b"[::1]:80"}),
        "no path": (b"http://example.com", {"raw_path": b"/"}),
        "no path, but a query": (b"http://example.com?a/b", {"raw_path": b"/", "query": b"a/b"}),
        "escapes": (b"http://example.com/%41", {"raw_path": b"/%41", "path": "/A"}),
        "two slashes": (b"http://example.com//a", {"raw_path": b"//a"}),
        "a URL in the query": (
            b"http://example.com/?http://x@y/",
            {"raw_path": b"/", "query": b"http://x@y/"},
        ),
    }
)
def test_absolute_form_replaces_the_host(data: bytes, expected: dict[str, Any]) -> None:
    """RFC 9112 3.2.2: the host of the target counts, not the Host field."""
    changes = {"host": b"example.com", **expected}
    headers = [(b"a", b"1"), (b"host", changes.pop("host")), (b"b", b"2")]
    check(
        head(b"GET " + data + b" HTTP/1.1", b"A: 1", b"Host: other:1", b"B: 2"),
        [request(data, headers=headers, **changes), END],
    )


def test_absolute_form_without_a_host_in_1_0() -> None:
    """The application learns the host of the target all the same."""
    target = b"http://example.com/a"
    expected = request(target, raw_path=b"/a", version="1.0", headers=[(b"host", b"example.com")])
    check(head(b"GET " + target + b" HTTP/1.0"), [expected, END])


def test_absolute_form_without_a_host_in_1_1() -> None:
    """RFC 9112 3.2: a client MUST send Host even if the request target is in absolute form."""
    rejects(head(b"GET http://example.com/ HTTP/1.1"), 400)


def test_absolute_form_with_an_invalid_host() -> None:
    rejects(head(b"GET http://example.com/ HTTP/1.1", b"Host: a b"), 400)


@named(
    {
        "no authority": b"http:///a",
        "nothing at all": b"http://",
        "no slashes": b"http:example.com",
        "one slash": b"http:/example.com",
        "user": b"http://user@example.com/",
        "user and password": b"http://user:password@example.com/",
        "empty user": b"http://@example.com/",
        "port of letters": b"http://example.com:http/",
        "two ports": b"http://example.com:80:80/",
        "open bracket": b"http://[::1/",
        "backslash": b"http://example.com\\@evil/",
        "fragment": b"http://example.com/#a",
        "no scheme": b"://example.com/",
        "scheme that starts with a digit": b"1http://example.com/",
        "opaque URI": b"mailto:a@example.com",
        "relative": b"index.html",
        "relative with dots": b"../a",
        "query alone": b"?a=b",
        "authority": b"example.com:80",
        "asterisk": b"*",
        "asterisk and path": b"*/a",
        "fragment in origin form": b"/a#b",
        "fragment in the query": b"/a?b#c",
        "space": b"/a b",
        "tab": b"/a\tb",
        "NUL": b"/a\0b",
        "control character": b"/a\x1fb",
        "delete": b"/a\x7fb",
        "beyond ASCII": b"/\xc3\xa9",
        "beyond ASCII in the query": b"/?\xff",
        "empty": b"",
    }
)
def test_invalid_target(data: bytes) -> None:
    rejects(line(b"GET " + data + b" HTTP/1.1"), 400)


def test_asterisk_form_is_for_options() -> None:
    check(line(b"OPTIONS * HTTP/1.1"), [request(b"*", method="OPTIONS", raw_path=b"*"), END])


@named({"query": b"*?a", "twice": b"**", "path": b"*/"})
def test_asterisk_stands_alone(data: bytes) -> None:
    rejects(line(b"OPTIONS " + data + b" HTTP/1.1"), 400)


def test_options_of_a_path() -> None:
    check(line(b"OPTIONS /a HTTP/1.1"), [request(b"/a", method="OPTIONS"), END])


def test_options_of_an_absolute_form_without_a_path() -> None:
    """RFC 9110 4.2.3: an empty path equals `/`, except for OPTIONS: there it means `*` (RFC 9112 3.2.4)."""
    target = b"http://example.com:8001"
    expected = request(target, method="OPTIONS", path="*", raw_path=b"*", headers=[(b"host", b"example.com:8001")])
    check(line(b"OPTIONS " + target + b" HTTP/1.1"), [expected, END])


def test_connect_is_not_implemented() -> None:
    """The server is not a proxy; the tunnel must not be taken for a request (pgjones/hypercorn#277)."""
    rejects(head(b"CONNECT example.com:443 HTTP/1.1", b"Host: example.com:443"), 501)


@named(
    {
        "other": b"PATCH",
        "extension": b"M-SEARCH",
        "every token character": b"!#$%&'*+-.^_`|~09azAZ",
        "lower case is another method": b"get",
        "one letter": b"G",
        "CONNECT is case-sensitive": b"connect",
        "starts like another": b"GETS",
    }
)
def test_method_is_any_token(data: bytes) -> None:
    check(line(data + b" / HTTP/1.1"), [request(method=data.decode()), END])


@named(
    {
        "empty": b"",
        "at sign": b"G@T",
        "colon": b"GET:",
        "slash": b"G/T",
        "quoted": b'"GET"',
        "bracket": b"[GET]",
        "comma": b"GET,",
        "NUL": b"GET\0",
        "beyond ASCII": b"G\xc9T",
        "leading space": b" GET",
        "leading tab": b"\tGET",
        "byte order mark": b"\xef\xbb\xbfGET",
        "delete": b"GET\x7f",
    }
)
def test_invalid_method(data: bytes) -> None:
    rejects(line(data + b" / HTTP/1.1"), 400)


@table(
    {
        "1.0": (b"HTTP/1.0", [request(version="1.0"), END]),
        "1.1": (b"HTTP/1.1", [request(version="1.1"), END]),
        "1.2 is handled as 1.1": (b"HTTP/1.2", [request(version="1.1"), END]),
        "1.9 is handled as 1.1": (b"HTTP/1.9", [request(version="1.1"), END]),
        "0.9": (b"HTTP/0.9", [error(505)]),
        "2.0": (b"HTTP/2.0", [error(505)]),
        "3.0": (b"HTTP/3.0", [error(505)]),
        "9.9": (b"HTTP/9.9", [error(505)]),
        "lower case": (b"http/1.1", [error(400)]),
        "mixed case": (b"Http/1.1", [error(400)]),
        "no minor version": (b"HTTP/1", [error(400)]),
        "empty minor version": (b"HTTP/1.", [error(400)]),
        "two digits after": (b"HTTP/1.10", [error(400)]),
        "two digits before": (b"HTTP/11.1", [error(400)]),
        "leading zero": (b"HTTP/01.1", [error(400)]),
        "three parts": (b"HTTP/1.1.1", [error(400)]),
        "letters": (b"HTTP/x.y", [error(400)]),
        "letter after the point": (b"HTTP/1.x", [error(400)]),
        "comma": (b"HTTP/1,1", [error(400)]),
        "sign": (b"HTTP/+1.1", [error(400)]),
        "space inside": (b"HTTP/ 1.1", [error(400)]),
        "other protocol": (b"HTTQ/1.1", [error(400)]),
        "ICY": (b"ICY/1.1", [error(400)]),
        "something after": (b"HTTP/1.1a", [error(400)]),
        "nothing": (b"", [error(400)]),
    }
)
def test_version(data: bytes, expected: list[Any]) -> None:
    check(line(b"GET / " + data), expected)


def test_version_0_9() -> None:
    """The simple request of HTTP/0.9 has no version and no headers."""
    rejects(b"GET /\r\n", 400)


def test_http2_preface_without_http2() -> None:
    """RFC 9113 3.4 made the preface a request that an HTTP/1.1 server refuses."""
    rejects(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)


@named(
    {
        "two spaces before the target": b"GET  / HTTP/1.1",
        "two spaces before the version": b"GET /  HTTP/1.1",
        "space at the end": b"GET / HTTP/1.1 ",
        "tab at the end": b"GET / HTTP/1.1\t",
        "tab before the target": b"GET\t/ HTTP/1.1",
        "tab before the version": b"GET /\tHTTP/1.1",
        "vertical tab": b"GET\x0b/ HTTP/1.1",
        "form feed": b"GET /\x0cHTTP/1.1",
        "method alone": b"GET",
        "no target": b"GET HTTP/1.1",
        "a response": b"HTTP/1.1 200 OK",
        "carriage return in the target": b"GET /\r HTTP/1.1",
        "carriage return at the end": b"GET / HTTP/1.1\r",
        "carriage return before the version": b"GET / \rHTTP/1.1",
        "carriage return for a space": b"GET\r/ HTTP/1.1",
        "line feed in the target": b"GET /\n HTTP/1.1",
        "line feed at the end": b"GET / HTTP/1.1\nA: b",
        "line feed for a space": b"GET /\nHTTP/1.1",
        "text": b"hello",
        "TLS client hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    }
)
def test_invalid_line(data: bytes) -> None:
    rejects(line(data), 400)


def test_one_empty_line_before_the_request_is_skipped() -> None:
    """RFC 9112 2.2: some old clients send one after a body."""
    check(b"\r\n" + line(b"GET / HTTP/1.1"), [request(), END])


@named(
    {
        "two empty lines": b"\r\n\r\n",
        "bare line feed": b"\n",
        "bare carriage return": b"\r",
        "two carriage returns": b"\r\r\n",
        "space on the line": b" \r\n",
        "empty line, then a bare line feed": b"\r\n\n",
    }
)
def test_nothing_else_before_the_request_is_skipped(data: bytes) -> None:
    rejects(data + line(b"GET / HTTP/1.1"), 400)


def test_no_fields_at_all() -> None:
    check(b"GET / HTTP/1.0\r\n\r\n", [request(version="1.0", headers=[]), END])
