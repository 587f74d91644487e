"""Three parsers of HTTP/1 requests, asked the same way: Ianus, h11, and llhttp (which httptools wraps)."""

from dataclasses import dataclass, field
from typing import Any

import h11
import httptools

from ianus.codec.recording import record
from tests.engine import limits as new_limits

Fields = list[tuple[bytes, bytes]]

UNLIMITED = new_limits(max_request_body_size=0)


@dataclass
class Message:
    """A whole request as an application would get it."""

    method: bytes
    target: bytes
    version: str
    headers: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    keep_alive: bool = True


@dataclass
class Reading:
    """A parser's result for the bytes of a connection.

    end: "refuses", "waits" (for more of a message that has started), "idle" (between messages), "closed" (after a
    message that closes) or "upgraded" (after a head that asks for another protocol). reason: of a refusal, in the
    parser's own words.
    """

    messages: list[Message] = field(default_factory=list)
    end: str = "waits"
    reason: str = ""


def ianus(data: bytes) -> Reading:
    reading = Reading(end="idle")
    message: Message | None = None
    for event in record([data], limits=UNLIMITED, eof=True, reasons=True):
        match event:
            case ("request", head):
                message = Message(
                    head["method"].encode(),
                    head["target"],
                    head["http_version"],
                    head["headers"],
                    keep_alive=head["keep_alive"],
                )
            case ("body", body):
                assert message is not None
                message.body = body
            case ("trailers", trailers):
                assert message is not None
                message.trailers = trailers
            case ("end",):
                assert message is not None
                reading.messages.append(message)
            case ("error", _, reason):
                reading.end, reading.reason = "refuses", reason
            case ("incomplete",):
                reading.end = "waits"
    if reading.messages and not reading.messages[-1].keep_alive:
        reading.end = "closed"
    return reading


def by_h11(data: bytes) -> Reading:
    reading = Reading()
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    message: Message | None = None
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            reading.end, reading.reason = "refuses", str(error)
            return reading
        if isinstance(event, h11.Request):
            version = event.http_version.decode()
            message = Message(bytes(event.method), bytes(event.target), version, _fields(event.headers))
        elif isinstance(event, h11.Data):
            assert message is not None
            message.body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert message is not None
            message.trailers = _fields(event.headers)
            reading.messages.append(message)
            # A status that takes neither CONNECT nor Upgrade up.
            connection.send(h11.Response(status_code=404, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            message.keep_alive = connection.our_state is not h11.MUST_CLOSE
            message = None
            if not reading.messages[-1].keep_alive:
                reading.end = "closed"
                return reading
            connection.start_next_cycle()
        else:
            reading.end = "waits" if message or connection.trailing_data[0] else "idle"
            return reading


def _fields(headers: h11._headers.Headers) -> Fields:
    return [(bytes(name), bytes(value)) for name, value in headers]


def by_llhttp(data: bytes) -> Reading:
    listener = _Listener()
    listener.parser = httptools.HttpRequestParser(listener)
    reading = listener.reading
    try:
        listener.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        reading.end = "upgraded"
    except httptools.HttpParserError as error:
        if reading.end != "closed":
            reading.end, reading.reason = "refuses", str(error)
    return reading


class _Listener:
    """The callbacks of httptools."""

    parser: Any

    def __init__(self) -> None:
        self.reading = Reading(end="idle")
        self.message: Message | None = None
        self.target = b""
        self.headers: Fields = []

    def on_message_begin(self) -> None:
        if self.reading.end != "closed":
            self.reading.end = "waits"
        self.target, self.headers, self.message = b"", [], None

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        self.message = Message(self.parser.get_method(), self.target, version, self.headers)
        self.headers = self.message.trailers  # which may follow

    def on_body(self, body: bytes) -> None:
        assert self.message is not None
        self.message.body += body

    def on_message_complete(self) -> None:
        if self.reading.end == "closed":
            return
        assert self.message is not None
        self.message.keep_alive = self.parser.should_keep_alive()
        self.reading.messages.append(self.message)
        self.reading.end = "idle" if self.message.keep_alive else "closed"
