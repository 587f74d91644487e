"""Feeds the HTTP/1 codec for the codec tests, and builds the events that they expect.

A codec sees bytes in the pieces that the network made, so one expectation is checked against many feedings
of the same bytes: whole, byte by byte, cut in two at every position, and with more bytes after the message.
Bytes after a valid message must be parsed as exactly the message they are. Bytes after an error, or after a request
that closes the connection (RFC 9112 9.6), must change nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ianus.codec import recording
from ianus.codec.limits import Limits
from tests.engine import limits as new_limits
from tests.rows import for_each_row

Event = tuple[Any, ...]
Fields = list[tuple[bytes, bytes]]

DEFAULT_LIMITS = new_limits()

HOST = b"Host: h"
END: Event = ("end",)
INCOMPLETE: Event = ("incomplete",)

# Above this size every single cut would take seconds; then only those near line ends are tried.
_EVERY_CUT_UP_TO = 2048


def request(
    target: bytes = b"/",
    *,
    method: str = "GET",
    path: str | None = None,
    raw_path: bytes | None = None,
    query: bytes = b"",
    version: str = "1.1",
    headers: Fields | None = None,
    keep_alive: bool | None = None,
    expect_continue: bool = False,
) -> Event:
    """The event of a request head; missing arguments follow from the target and the version."""
    if raw_path is None:
        raw_path = target.partition(b"?")[0]
    return (
        "request",
        {
            "method": method,
            "target": target,
            "path": raw_path.decode("ascii") if path is None else path,
            "raw_path": raw_path,
            "query_string": query,
            "http_version": version,
            "headers": [(b"host", b"h")] if headers is None else headers,
            "keep_alive": version == "1.1" if keep_alive is None else keep_alive,
            "expect_continue": expect_continue,
        },
    )


def body(data: bytes) -> Event:
    return ("body", data)


def trailers(*fields: tuple[bytes, bytes]) -> Event:
    return ("trailers", list(fields))


def error(status: int) -> Event:
    return ("error", status)


def head(*lines: bytes) -> bytes:
    """A message head: each line with its CRLF, and the empty line."""
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def get(*fields: bytes) -> bytes:
    """The head of a GET for `/` with a Host and these field lines."""
    return head(b"GET / HTTP/1.1", HOST, *fields)


def post(*fields: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """The head of a POST to `/` with a Host and these field lines."""
    return head(b"POST / " + version, HOST, *fields)


def posted(*fields: tuple[bytes, bytes], **changes: Any) -> Event:
    """The event of a head that `post` wrote."""
    return request(method="POST", headers=[(b"host", b"h"), *fields], **changes)


SECOND = head(b"GET /second?q HTTP/1.1", b"Host: second", b"X-Second: 2")
SECOND_EVENTS = [
    request(b"/second?q", query=b"q", headers=[(b"host", b"second"), (b"x-second", b"2")]),
    END,
]
# After an error: a request that must not be served, and bytes of every kind.
GARBAGE = b"\r\n\r\n0\r\n\r\n" + SECOND + bytes(range(256))


def table(cases: Mapping[str, tuple[bytes, Any]]) -> Callable[..., Any]:
    """Runs a test with each `data` and `expected`; the keys are the names of the cases."""
    return for_each_row(("data", "expected"), cases.values(), ids=cases.keys())


def named(cases: Mapping[str, bytes]) -> Callable[..., Any]:
    """Runs a test with each `data`; the keys are the names of the cases."""
    return for_each_row("data", cases.values(), ids=cases.keys())


def record(chunks: Iterable[bytes], *, limits: Limits | None = None, **how: bool) -> list[Event]:
    """Returns the events of the codec. limits: those of the settings' defaults if there are no others."""
    return recording.record(chunks, limits=limits or DEFAULT_LIMITS, **how)


def check(data: bytes, expected: list[Event], *, limits: Limits | None = None) -> None:
    """Assert that `data` gives exactly the `expected` events, in any pieces."""
    _check_feedings(data, expected, limits)
    if expected[-1][0] == "error" or not _persists(expected):
        _check_feedings(data + GARBAGE, expected, limits)
    elif expected[-1] == END:
        _check_feedings(data + SECOND, expected + SECOND_EVENTS, limits)
        if expected.count(END) == 1:
            _check_truncated(data, limits)


def rejects(data: bytes, status: int, *, limits: Limits | None = None) -> None:
    """Assert that `data` gives an error of this status and nothing before it."""
    check(data, [error(status)], limits=limits)


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def _check_feedings(data: bytes, expected: list[Event], limits: Limits | None) -> None:
    assert record([data], limits=limits) == expected, "fed whole"
    assert record(bytewise(data), limits=limits) == expected, "fed byte by byte"
    for cut in _cuts(data):
        assert record([data[:cut], data[cut:]], limits=limits) == expected, f"cut at {cut}: {data[:cut][-40:]!r}"


def _check_truncated(data: bytes, limits: Limits | None) -> None:
    """The end of input inside a valid message is neither its end nor an error of the client's."""
    for cut in _cuts(data):
        if data[:cut].strip(b"\r\n"):  # an empty line is not yet a message
            events = record([data[:cut]], limits=limits, eof=True)
            assert events[-1] == INCOMPLETE, f"cut at {cut}: {data[:cut][-40:]!r}"


def _persists(events: Iterable[Event]) -> bool:
    return all(event[1]["keep_alive"] for event in events if event[0] == "request")


def _cuts(data: bytes) -> Iterator[int]:
    if len(data) <= _EVERY_CUT_UP_TO:
        yield from range(1, len(data))
        return
    near = {0, len(data)}
    line_end = data.find(b"\r\n")
    while line_end >= 0 and len(near) < 64:
        near.add(line_end + 1)
        line_end = data.find(b"\r\n", line_end + 2)
    yield from sorted({cut for middle in near for cut in range(middle - 3, middle + 4) if 0 < cut < len(data)})
