"""Contract: what an application gives is either an error to it, or what h11 reads in the client; never anything else.

The input is what the application gives: one byte of Flags and the status in digits, then parts divided by 0xFF: a
header where 0xFE divides its name from its value, else a piece of the body. Behind the request comes another, whose
answer is known: nothing that an application gives may reach into it (response splitting), nor make two answers of one.
"""

import asyncio
import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import h11

from fuzz.serving import Served

Headers = list[tuple[bytes, bytes]]

NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VALUE = re.compile(rb"[\t -~\x80-\xff]*")
LENGTH = re.compile(rb"[0-9]{1,18}")

# The application's last header, by which its own answer is told from the server's.
MARK = (b"x-mark", b"application")

# The server's own business, dropped from what an application gives (RFC 9110 7.6.1).
HOP_BY_HOP = {b"connection", b"transfer-encoding", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"}
# What it may add.
ADDED = {b"date", b"server", b"content-length", b"transfer-encoding", b"connection"}

SECOND = b"GET /second HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
LARGE = 1000  # times a piece


class Flags(enum.IntFlag):
    HEAD = 1
    VERSION_1_0 = 2
    KEEP_ALIVE = 4  # what 1.0 needs to be said
    SUSPENDS = 8  # between messages, so that the head leaves alone
    LAST_IS_EMPTY = 16  # the end is a message of its own
    RAISES = 32  # behind the last piece but one
    LARGE = 64


@dataclass
class Plan:
    """What the application does, and what it raised."""

    flags: Flags
    status: int
    headers: Headers
    pieces: list[bytes]
    error: str = ""

    @property
    def bodiless(self) -> bool:
        return Flags.HEAD in self.flags or self.status in (204, 304)

    @property
    def valid(self) -> bool:
        """Whether all of it is right, by the letter of RFC 9110 and 9112 and of ASGI."""
        if not 200 <= self.status <= 999 or Flags.RAISES in self.flags:
            return False
        if not all(NAME.fullmatch(name) and VALUE.fullmatch(value) for name, value in self.headers):
            return False
        lengths = [value for name, value in self.headers if name.lower() == b"content-length"]
        if len(lengths) > 1 or not all(LENGTH.fullmatch(value) for value in lengths):
            return False
        return self.bodiless or all(int(length) == len(b"".join(self.pieces)) for length in lengths)


class GivingUpError(Exception):
    """What the application raises by itself."""


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
        yield given(200, (b"Content-Length", digits), b"hello", b"world")
    yield given(200, length, length, b"hello")


def check(data: bytes) -> None:
    plan = read_plan(data)
    answer = answered(plan)
    assert plan.valid == (not plan.error), plan.error
    if plan.error and not answer:
        return  # reset before anything had left
    method = b"HEAD" if Flags.HEAD in plan.flags else b"GET"
    status, headers, body, complete, rest = read_response(method, answer)
    if not plan.error:
        assert complete
    if MARK in headers:
        check_response(plan, status, headers, body)
        if plan.error:
            assert rest == b"", "the connection goes on behind a response that was broken off"
            return
    else:
        assert plan.error
        assert status == 500
        assert complete
    if (b"connection", b"close") in headers or wants_close(plan):
        assert rest == b"", "something comes behind the last response"
    else:
        status, headers, body, complete, rest = read_response(b"GET", rest)
        assert (status, body, complete, rest) == (200, b"second", True, b"")


def read_plan(data: bytes) -> Plan:
    first, *parts = data.split(b"\xff")
    flags = Flags(first[0] & 127) if first else Flags(0)
    divided = [part.partition(b"\xfe") for part in parts]
    headers = [(name, value) for name, mark, value in divided if mark]
    pieces = [piece * (LARGE if Flags.LARGE in flags else 1) for piece, mark, _ in divided if not mark]
    status = int(first[1:5]) if first[1:5].isdigit() else 200
    return Plan(flags, status, [*headers, MARK], pieces)


def wants_close(plan: Plan) -> bool:
    return Flags.VERSION_1_0 in plan.flags and Flags.KEEP_ALIVE not in plan.flags


def check_response(plan: Plan, status: int, headers: Headers, body: bytes) -> None:
    assert status == plan.status
    assert b"".join(plan.pieces).startswith(body)
    if not plan.error:
        assert body == (b"" if plan.bodiless else b"".join(plan.pieces))
    given = [(name.lower(), value.strip(b" \t")) for name, value in plan.headers if name.lower() not in HOP_BY_HOP]
    if status == 204:
        given = [field for field in given if field[0] != b"content-length"]
    assert headers[: len(given)] == given
    added = [name for name, _ in headers[len(given) :]]
    assert len(set(added)) == len(added)
    assert ADDED.issuperset(added)


def read_response(method: bytes, data: bytes) -> tuple[int, Headers, bytes, bool, bytes]:
    """Status, headers and body of the first response, whether it is complete, and what comes behind it.

    Raises h11.RemoteProtocolError for what is no response.
    """
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    client.send(h11.Request(method=method, target="/", headers=[("host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    head = client.next_event()
    assert isinstance(head, h11.Response), head
    headers = [(bytes(name), bytes(value)) for name, value in head.headers]
    body = b""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(b"")
            try:
                event = client.next_event()
            except h11.RemoteProtocolError:  # the end of the connection is not the end of the body
                return head.status_code, headers, body, False, b""
        if isinstance(event, h11.EndOfMessage):
            return head.status_code, headers, body, True, client.trailing_data[0]
        assert isinstance(event, h11.Data), event
        body += event.data


# --- The application ---

_plan: Plan


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
    await send({"type": "http.response.start", "status": plan.status, "headers": plan.headers})
    for piece in pieces:
        if Flags.SUSPENDS in plan.flags:
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if Flags.SUSPENDS in plan.flags:
        await asyncio.sleep(0)
    if Flags.RAISES in plan.flags:
        raise GivingUpError
    await send({"type": "http.response.body", "body": last})


_served: Served | None = None


def answered(plan: Plan) -> bytes:
    global _plan, _served
    if _served is None:
        _served = Served(_app)
    _plan = plan
    method = b"HEAD" if Flags.HEAD in plan.flags else b"GET"
    version = b"1.0" if Flags.VERSION_1_0 in plan.flags else b"1.1"
    connection = b"Connection: keep-alive\r\n" if Flags.KEEP_ALIVE in plan.flags else b""
    return _served.ask(method + b" /first HTTP/" + version + b"\r\nHost: h\r\n" + connection + b"\r\n" + SECOND)
