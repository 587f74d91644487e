"""Contract: an application's response is either an error to it, or h11 reads the same in the client.

The input is the application's response: one byte of Flags and the status in digits, then parts divided by 0xFF. 0xFE
divides the name of a header from its value, 0xFD that of a trailer; 0xFC is in front of an early hint; all else is a
piece of the body. Another request follows, whose response is known: no data of an application may reach
into it (response splitting), nor make two answers of one.
"""

import asyncio
import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import h11

from fuzz.serving import Served

Fields = list[tuple[bytes, bytes]]

NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VALUE = re.compile(rb"[\t -~\x80-\xff]*")
LENGTH = re.compile(rb"[0-9]{1,18}")

# The application's last header, by which its own response differs from the server's.
MARK = (b"x-mark", b"application")

# Fields of the connection, dropped from an application's response (RFC 9110 7.6.1).
HOP_BY_HOP = {b"connection", b"transfer-encoding", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"}
# Fields that the server may add.
ADDED = {b"date", b"server", b"content-length", b"transfer-encoding", b"connection"}
# RFC 9110 6.5.1: framing, routing, authentication, and how the content is to be read.
NOT_TRAILERS = {
    *(b"age", b"authorization", b"cache-control", b"connection", b"content-encoding", b"content-length"),
    *(b"content-range", b"content-type", b"date", b"expires", b"host", b"keep-alive", b"location", b"max-forwards"),
    *(b"proxy-authenticate", b"proxy-connection", b"retry-after", b"set-cookie", b"te", b"trailer"),
    *(b"transfer-encoding", b"upgrade", b"vary", b"www-authenticate"),
}

LARGE = 1000  # times a piece


class Flags(enum.IntFlag):
    HEAD = 1
    VERSION_1_0 = 2
    KEEP_ALIVE = 4  # required for keep-alive with 1.0
    SUSPENDS = 8  # between messages, so that the head is sent alone
    LAST_IS_EMPTY = 16  # the end is a message of its own
    RAISES = 32  # before the last piece
    LARGE = 64
    TE_TRAILERS = 128


@dataclass
class Plan:
    """The application's acts, and the error that it raised."""

    flags: Flags
    status: int
    headers: Fields = field(default_factory=list)
    hints: list[bytes] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    trailers: Fields = field(default_factory=list)
    error: str = ""

    @property
    def bodiless(self) -> bool:
        return Flags.HEAD in self.flags or self.status in (204, 304)

    @property
    def lengths(self) -> list[bytes]:
        return [value for name, value in self.headers if name.lower() == b"content-length"]

    @property
    def has_trailers(self) -> bool:
        """Whether it has any for a client that takes them."""
        return bool(self.trailers) and Flags.TE_TRAILERS in self.flags and Flags.VERSION_1_0 not in self.flags

    @property
    def sent_trailers(self) -> Fields:
        """Returns the trailers that can be sent: only after chunks."""
        return self.trailers if self.has_trailers and not self.bodiless and not self.lengths else []

    @property
    def valid(self) -> bool:
        """Whether all of it is right, by the letter of RFC 9110 and 9112 and of ASGI."""
        fields = [*self.headers, *((b"link", hint) for hint in self.hints), *self.sent_trailers]
        return (
            200 <= self.status <= 999
            and Flags.RAISES not in self.flags
            and all(NAME.fullmatch(name) and VALUE.fullmatch(value) for name, value in fields)
            and not any(name.lower() in NOT_TRAILERS for name, _ in self.sent_trailers)
            and len(self.lengths) <= 1
            and all(LENGTH.fullmatch(value) for value in self.lengths)
            and (self.bodiless or all(int(length) == len(b"".join(self.pieces)) for length in self.lengths))
        )


class GivingUpError(Exception):
    """The application's own exception."""


def seeds() -> Iterable[bytes]:
    def given(status: int, *parts: bytes | tuple[bytes, bytes], flags: int = 0) -> bytes:
        written = [b"\xfe".join(part) if isinstance(part, tuple) else part for part in parts]
        return b"\xff".join([b"%c%d" % (flags, status), *written])

    plain, length = (b"content-type", b"text/plain"), (b"content-length", b"5")
    bodies: list[list[bytes | tuple[bytes, bytes]]] = [[], [b"hello"], [b"he", b"llo"], [b"", b"hello", b""]]
    for flags in (*Flags, Flags(0), Flags.VERSION_1_0 | Flags.KEEP_ALIVE, Flags.SUSPENDS | Flags.LAST_IS_EMPTY):
        for body in bodies:
            yield given(200, plain, *body, flags=flags)
            yield given(200, length, *body, flags=flags)
    for status in (99, 100, 199, 204, 205, 206, 304, 404, 500, 999, 1000):
        yield given(status, plain, b"hello")
        yield given(status, length, b"hello", flags=Flags.SUSPENDS)
    for name in (*HOP_BY_HOP, *ADDED, b"Set-Cookie", b"", b"a b", b"a:", b"a\r\nb", b"\x80"):
        for value in (b"", b"close", b"chunked", b" a\t", b"a\r\nb: c", b"a\n", b"\0", b"\x80", b"\x7f", b"trailers"):
            yield given(200, (name, value), b"hello")
    for digits in (b"5", b"05", b"4", b"6", b"+5", b"5, 5", b"9" * 19):
        yield given(200, (b"Content-Length", digits), b"hello", b"again")
    yield given(200, length, length, b"hello")
    for hint in (b"</a>; rel=preload", b"", b"a\r\nb: c"):
        yield given(200, b"\xfc" + hint, b"\xfc</b>", b"hello")
    for trailer in (b"a\xfdb", b"\xfd", b"a\xfdb\r\nc: d", b"Content-Length\xfd5", b"a\xfd \x80 "):
        yield given(200, b"hello", trailer, b"z\xfdz", (b"Trailer", b"a"), flags=Flags.TE_TRAILERS)
        yield given(200, length, b"hello", trailer)


def check(data: bytes) -> None:
    plan = read_plan(data)
    answer = answered(plan)
    assert plan.valid == (not plan.error), plan.error
    if plan.error and not answer:
        return  # reset before anything had left
    response = read_response(b"HEAD" if Flags.HEAD in plan.flags else b"GET", answer)
    hints = [] if Flags.VERSION_1_0 in plan.flags else [as_read([(b"link", hint)]) for hint in plan.hints]
    if MARK in response.headers:
        assert response.hints == hints
        check_response(plan, response)
    else:
        assert plan.error
        assert response.hints == hints[: len(response.hints)]
        assert response.status == 500
        assert response.complete
    if MARK in response.headers and plan.error:
        assert response.rest == b"", "the connection is kept after a response that was aborted"
    elif (b"connection", b"close") in response.headers or is_last(plan):
        assert response.rest == b"", "data after the last response"
    else:
        second = read_response(b"GET", response.rest)
        assert (second.status, second.body, second.complete, second.rest) == (200, b"second", True, b"")


def read_plan(data: bytes) -> Plan:
    first, *parts = data.split(b"\xff")
    status = int(first[1:5]) if first[1:5].isdigit() else 200
    plan = Plan(Flags(first[0] if first else 0), status)
    for part in parts:
        if part.startswith(b"\xfc"):
            plan.hints.append(part[1:])
        elif b"\xfe" in part:
            name, _, value = part.partition(b"\xfe")
            plan.headers.append((name, value))
        elif b"\xfd" in part:
            name, _, value = part.partition(b"\xfd")
            plan.trailers.append((name, value))
        else:
            plan.pieces.append(part * (LARGE if Flags.LARGE in plan.flags else 1))
    plan.headers.append(MARK)
    return plan


def is_last(plan: Plan) -> bool:
    return Flags.VERSION_1_0 in plan.flags and Flags.KEEP_ALIVE not in plan.flags


# --- The client ---


@dataclass
class Response:
    """A response as a client reads it. rest: the bytes after it."""

    status: int
    hints: list[Fields]
    headers: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    complete: bool = False
    rest: bytes = b""


def check_response(plan: Plan, response: Response) -> None:
    assert response.status == plan.status
    assert b"".join(plan.pieces).startswith(response.body)
    if not plan.error:
        assert response.complete
        assert response.body == (b"" if plan.bodiless else b"".join(plan.pieces))
        assert response.trailers == as_read(plan.sent_trailers)
    dropped = HOP_BY_HOP - {b"trailer"} if plan.has_trailers else HOP_BY_HOP
    if plan.status == 204:
        dropped = dropped | {b"content-length"}
    given = [pair for pair in as_read(plan.headers) if pair[0] not in dropped]
    assert response.headers[: len(given)] == given
    added = [name for name, _ in response.headers[len(given) :]]
    assert len(set(added)) == len(added)
    assert ADDED.issuperset(added)


def read_response(method: bytes, data: bytes) -> Response:
    """Parses a response; raises h11.RemoteProtocolError if it is not valid."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.send(h11.Request(method=method, target="/", headers=[("host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    hints = []
    while isinstance(head := client.next_event(), h11.InformationalResponse):
        assert head.status_code == 103
        hints.append(as_read(head.headers))
    assert isinstance(head, h11.Response), head
    response = Response(head.status_code, hints, as_read(head.headers))
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(b"")
            try:
                event = client.next_event()
            except h11.RemoteProtocolError:  # the end of the connection is not the end of the body
                return response
        if isinstance(event, h11.EndOfMessage):
            response.trailers, response.complete = as_read(event.headers), True
            response.rest = client.trailing_data[0]
            return response
        assert isinstance(event, h11.Data), event
        response.body += event.data


def as_read(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Fields as a client reads them."""
    return [(bytes(name).lower(), bytes(value).strip(b" \t")) for name, value in fields]


# --- The application ---

_plan: Plan
_served: Served | None = None


def answered(plan: Plan) -> bytes:
    """Returns all bytes that the server sends for the planned request, and for another one."""
    global _plan, _served
    if _served is None:
        _served = Served(_app)
    _plan = plan
    lines = [
        b"%b /first HTTP/%b"
        % (
            b"HEAD" if Flags.HEAD in plan.flags else b"GET",
            b"1.0" if Flags.VERSION_1_0 in plan.flags else b"1.1",
        ),
        b"Host: h",
        *([b"Connection: keep-alive"] if Flags.KEEP_ALIVE in plan.flags else []),
        *([b"TE: trailers"] if Flags.TE_TRAILERS in plan.flags else []),
        *(b"", b"GET /second HTTP/1.1", b"Host: h", b"Connection: close", b"", b""),
    ]
    return _served.ask(b"\r\n".join(lines))


async def _app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["path"] == "/second":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"second"})
        return
    plan = _plan
    try:
        await _respond(plan, send)
    except Exception as error:
        plan.error = repr(error)  # not itself, which keeps the exchange
        raise


async def _respond(plan: Plan, send: Any) -> None:
    *pieces, last = plan.pieces or [b""]
    if Flags.LAST_IS_EMPTY in plan.flags:
        pieces, last = [*pieces, last], b""
    for hint in plan.hints:
        await send({"type": "http.response.early_hint", "links": [hint]})
    start = {"type": "http.response.start", "status": plan.status, "headers": plan.headers}
    await send({**start, "trailers": bool(plan.trailers)})
    for piece in pieces:
        if Flags.SUSPENDS in plan.flags:
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if Flags.SUSPENDS in plan.flags:
        await asyncio.sleep(0)
    if Flags.RAISES in plan.flags:
        raise GivingUpError
    await send({"type": "http.response.body", "body": last})
    for left in range(len(plan.trailers) - 1, -1, -1):
        trailer = plan.trailers[-1 - left]
        await send({"type": "http.response.trailers", "headers": [trailer], "more_trailers": left > 0})
