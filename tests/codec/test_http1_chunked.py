"""The chunked coding: sizes, extensions, trailers (RFC 9112 7.1)."""

from .feeding import END, Event, body, check, error, named, post, posted, table, trailers

HEAD = post(b"Transfer-Encoding: chunked")
HEAD_EVENT = posted((b"transfer-encoding", b"chunked"))


def chunked(data: bytes, *events: Event) -> None:
    check(HEAD + data, [HEAD_EVENT, *events])


@table(
    {
        "nothing": (b"0\r\n\r\n", []),
        "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", [body(b"hello")]),
        "two chunks": (b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", [body(b"hello")]),
        "single bytes": (b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n", [body(b"abc")]),
        "letters": (b"A\r\n0123456789\r\na\r\nABCDEFGHIJ\r\n0\r\n\r\n", [body(b"0123456789ABCDEFGHIJ")]),
        "two digits": (b"1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", [body(b"x" * 26)]),
        "leading zeros": (b"0005\r\nhello\r\n0\r\n\r\n", [body(b"hello")]),
        "several zeros end it": (b"5\r\nhello\r\n000\r\n\r\n", [body(b"hello")]),
        "data that look like chunks": (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", [body(b"\r\n0\r\n\r\n")]),
        "any bytes": (b"100\r\n" + bytes(range(256)) + b"\r\n0\r\n\r\n", [body(bytes(range(256)))]),
    }
)
def test_chunks(data: bytes, expected: list[Event]) -> None:
    chunked(data, *expected, END)


@named(
    {
        "none": b"",
        "letter": b"g",
        "letter after a digit": b"5g",
        "prefix": b"0x5",
        "prefix in upper case": b"0X5",
        "plus": b"+5",
        "minus": b"-5",
        "minus zero": b"-0",
        "underscore": b"0_5",
        "point": b"5.0",
        "suffix": b"5h",
        "space before": b" 5",
        "tab before": b"\t5",
        "space after": b"5 ",
        "tab after": b"5\t",
        "space inside": b"0 5",
        "vertical tab": b"5\x0b",
        "form feed": b"5\x0c",
        "NUL": b"5\0",
        "NBSP": b"5\xa0",
        "digit beyond ASCII": b"\xd9\xa5",
        "comma": b"5,5",
        "quoted": b'"5"',
        "carriage return": b"5\r",
        "carriage return before": b"\r5",
        "2^63": b"8000000000000000",
        "2^64": b"10000000000000000",
        "2^64 + 5": b"10000000000000005",
        "2^68 + 5": b"100000000000000005",
        "2^128 + 5": b"100000000000000000000000000000005",
        "forty digits": b"f" * 40,
    }
)
def test_invalid_size(data: bytes) -> None:
    chunked(data + b"\r\nhello\r\n0\r\n\r\n", error(400))
    chunked(b"2\r\nab\r\n" + data + b"\r\nhello\r\n0\r\n\r\n", body(b"ab"), error(400))


@table(
    {
        "line feed after the size": (b"5\nhello\r\n0\r\n\r\n", [error(400)]),
        "carriage return after the size": (b"5\rhello\r\n0\r\n\r\n", [error(400)]),
        "two carriage returns after the size": (b"5\r\r\nhello\r\n0\r\n\r\n", [error(400)]),
        "two line ends after the size": (b"2\r\n\r\nok\r\n0\r\n\r\n", [body(b"\r\n"), error(400)]),
        "nothing after the data": (b"5\r\nhello0\r\n\r\n", [body(b"hello"), error(400)]),
        "two other bytes after the data": (b"5\r\nhelloXX0\r\n\r\n", [body(b"hello"), error(400)]),
        "line feed after the data": (b"5\r\nhello\n0\r\n\r\n", [body(b"hello"), error(400)]),
        "carriage return after the data": (b"5\r\nhello\r0\r\n\r\n", [body(b"hello"), error(400)]),
        "two carriage returns after the data": (b"5\r\nhello\r\r\n0\r\n\r\n", [body(b"hello"), error(400)]),
        "line feed, carriage return after the data": (
            b"5\r\nhello\n\r0\r\n\r\n",
            [body(b"hello"), error(400)],
        ),
        "two line ends after the data": (b"5\r\nhello\r\n\r\n0\r\n\r\n", [body(b"hello"), error(400)]),
        "too little data": (b"6\r\nhello\r\n0\r\n\r\n", [body(b"hello\r"), error(400)]),
        "too much data": (b"4\r\nhello\r\n0\r\n\r\n", [body(b"hell"), error(400)]),
        "no line end after the last size": (b"0\n\r\n", [error(400)]),
        "line feed at the end": (b"0\r\n\n", [error(400)]),
        "carriage return at the end": (b"0\r\n\rX\r\n", [error(400)]),
        "two carriage returns at the end": (b"0\r\n\r\r\n", [error(400)]),
    }
)
def test_invalid_line_end(data: bytes, expected: list[Event]) -> None:
    chunked(data, *expected)


@named(
    {
        "name": b";a",
        "value": b";a=b",
        "several": b";a;b=c;d",
        "every token character": b";!#$%&'*+-.^_`|~09azAZ=!#$%&'*+-.^_`|~09azAZ",
        "quoted": b';a="b"',
        "quoted and empty": b';a=""',
        "quoted blanks": b';a=" b\tc "',
        "quoted semicolon": b';a=";b=;"',
        "quoted quote": b';a="\\""',
        "quoted backslash": b';a="\\\\"',
        "quoted pair of a letter": b';a="\\b"',
        "quoted bytes beyond ASCII": b';a="\xc3\xa9"',
        "quoted, then another": b';a="b";c',
        "blanks before the semicolon": b" \t;a",
        "blanks after the semicolon": b"; \ta",
        "blanks around the equals sign": b";a \t=\t b",
        "blanks everywhere": b' ; a = "b" ; c = d',
        "the same name twice": b";a=1;a=2",
    }
)
def test_extension(data: bytes) -> None:
    """RFC 9112 7.1.1: unrecognized extensions are ignored, and none is recognized."""
    chunked(b"5" + data + b"\r\nhello\r\n0" + data + b"\r\n\r\n", body(b"hello"), END)


@named(
    {
        "no name": b";",
        "no name before the value": b";=b",
        "no value": b";a=",
        "no name after a good one": b";a=b;",
        "two semicolons": b";;a",
        "two equals signs": b";a==b",
        "no semicolon": b"a=b",
        "no semicolon after blanks": b" a=b",
        "comma": b",a=b",
        "blank in the name": b";a b",
        "blank in the value": b";a=b c",
        "blank at the end": b";a ",
        "blank at the end of a value": b";a=b ",
        "colon": b";a:b",
        "slash": b";a/b",
        "at sign in the value": b";a=b@c",
        "name beyond ASCII": b";\xc3\xa9",
        "value beyond ASCII": b";a=\xc3\xa9",
        "control character": b";a\x01",
        "control character in the value": b";a=\x7f",
        "vertical tab": b";\x0ba",
        "NUL": b";a=\0",
        "open quotes": b';a="b',
        "open quotes after a pair": b';a="b\\"',
        "quotes in a token": b';a=b"c"',
        "text after the quotes": b';a="b"c',
        "two strings": b';a="b""c"',
        "quoted control character": b';a="\x01"',
        "quoted delete": b';a="\x7f"',
        "quoted pair of a control character": b';a="\\\x01"',
        "quoted NUL": b';a="\0"',
        "quoted name": b';"a"',
        "carriage return": b";a\r",
        "carriage return inside": b";a\rb",
        "carriage return in quotes": b';a="\r"',
        "line feed in quotes": b';a="\n"',
        "line end in quotes": b';a="\r\n"',
        "escaped carriage return": b';a="\\\r"',
        "escaped line end": b';a="\\\r\n"',
        "bare line feed": b";a\n;b",
    }
)
def test_invalid_extension(data: bytes) -> None:
    chunked(b"5" + data + b"\r\nhello\r\n0\r\n\r\n", error(400))
    chunked(b"0" + data + b"\r\n\r\n", error(400))


@table(
    {
        "one": (b"A: b\r\n", [(b"a", b"b")]),
        "several": (b"X-B: 1\r\na: 2\r\nX-B: 3\r\n", [(b"x-b", b"1"), (b"a", b"2"), (b"x-b", b"3")]),
        "empty": (b"A:\r\n", [(b"a", b"")]),
        "blanks around": (b"A:\t b \t\r\n", [(b"a", b"b")]),
        "bytes beyond ASCII": (b"A: \xc3\xa9\r\n", [(b"a", b"\xc3\xa9")]),
    }
)
def test_trailers(data: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    """RFC 9112 7.1.2: an event of their own, never merged into the header fields."""
    chunked(b"5\r\nhello\r\n0\r\n" + data + b"\r\n", body(b"hello"), trailers(*expected), END)
    chunked(b"0\r\n" + data + b"\r\n", trailers(*expected), END)


@named(
    {
        "no colon": b"A\r\n",
        "no name": b": b\r\n",
        "space before the colon": b"A : b\r\n",
        "space first": b" A: b\r\n",
        "tab first": b"\tA: b\r\n",
        "folded": b"A: b\r\n c\r\n",
        "folded by a tab": b"A: b\r\n\tc\r\n",
        "line feed": b"A: b\nC: d\r\n",
        "carriage return": b"A: b\rC: d\r\n",
        "carriage return at the end": b"A: b\r\r\n",
        "NUL": b"A: b\0\r\n",
        "control character": b"A: \x1b\r\n",
        "delete": b"A: \x7f\r\n",
        "not a token": b"A(b): c\r\n",
        "name beyond ASCII": b"\xc3\xa9: c\r\n",
        "another request": b"GET / HTTP/1.1\r\nHost: h\r\n",
    }
)
def test_invalid_trailer(data: bytes) -> None:
    chunked(b"5\r\nhello\r\n0\r\n" + data + b"\r\n", body(b"hello"), error(400))


@named(
    {
        "Content-Length": b"Content-Length: 5",
        "Transfer-Encoding": b"Transfer-Encoding: chunked",
        "Host": b"Host: evil",
        "in other case": b"content-LENGTH: 5",
        "after a good one": b"A: b\r\nContent-Length: 5",
    }
)
def test_forbidden_trailer(data: bytes) -> None:
    """RFC 9110 6.5.1: fields that frame or route a message cannot be trailers."""
    chunked(b"5\r\nhello\r\n0\r\n" + data + b"\r\n\r\n", body(b"hello"), error(400))
