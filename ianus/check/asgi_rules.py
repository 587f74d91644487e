"""The rules for messages that an ASGI application sends, written from the ASGI specifications.

Each class takes the messages of one kind of scope and reports violations with the line that sent the message.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ianus.check.places import Place
from ianus.check.response_rules import BodyLength, Problem, check_field, check_status_code

# Called with the rule, the message, and the line.
Report = Callable[[str, str, Place | None], None]

TRAILERS = "http.response.trailers"
PATHSEND = "http.response.pathsend"
ZEROCOPYSEND = "http.response.zerocopysend"
EARLY_HINT = "http.response.early_hint"
DENIAL = "websocket.http.response"
HTTP_EXTENSIONS = (TRAILERS, PATHSEND, ZEROCOPYSEND, EARLY_HINT)

# RFC 6455 section 7.4: codes that an endpoint may send. 1005, 1006 and 1015 are never in a frame.
CLOSE_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}


def kind_name(value: object) -> str:
    """Returns a type with its article, for messages."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}" if value is not None else "None"


def check_envelope(message: Any) -> Iterator[Problem]:
    """Yields the problems of a message of any kind."""
    if not isinstance(message, dict):
        yield "asgi-message", f"a message is {kind_name(message)}, not a dict"
    elif not isinstance(message.get("type"), str):
        yield "asgi-message", "a message has no key 'type' with a str"


def check_headers(message: dict[str, Any], *, rule: str = "asgi-headers") -> Iterator[Problem]:
    """Yields the problems of the headers of a message."""
    headers = message.get("headers", ())
    if isinstance(headers, (str, bytes, dict)) or not isinstance(headers, Iterable):
        yield rule, f"headers are {kind_name(headers)}, not an iterable of [name, value] pairs"
        return
    for item in headers:
        if isinstance(item, (str, bytes)) or not isinstance(item, Iterable) or len(pair := [*item]) != 2:
            yield rule, f"a header is {item!r:.60}, not a pair of name and value"
            continue
        name, value = pair
        if not isinstance(name, bytes):
            yield rule, f"the header name {name!r:.60} is {kind_name(name)}, not bytes"
        elif name.startswith(b":"):
            yield rule, f"the header {name!r:.60} is a pseudo header"
        elif name != name.lower():
            yield "asgi-header-case" if rule == "asgi-headers" else rule, f"the header name {name!r} is not lowercase"
        if not isinstance(value, bytes):
            shown = name.decode("latin-1") if isinstance(name, bytes) else name
            yield rule, f"the value of the header {shown!s:.60} is {kind_name(value)}, not bytes"
        if isinstance(name, bytes) and isinstance(value, bytes) and not name.startswith(b":"):
            yield from check_field(name, value)


def bytes_pairs(message: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """Returns the headers of a message that are pairs of bytes."""
    headers = message.get("headers", ())
    found = []
    if isinstance(headers, Iterable) and not isinstance(headers, (str, bytes, dict)):
        for item in headers:
            pair = [*item] if isinstance(item, Iterable) else []
            if len(pair) == 2 and all(isinstance(each, bytes) for each in pair):
                found.append((pair[0], pair[1]))
    return found


class ResponseMessages:
    """The messages of one HTTP response.

    prefix: of their types: http.response, or websocket.http.response for a denial.
    """

    def __init__(self, method: str, report: Report, *, prefix: str = "http.response") -> None:
        self.report, self.prefix = report, prefix
        self.status = 0
        self.is_complete = False
        self.has_trailers = False
        self.is_event_stream = False
        self.length = BodyLength(method, "http-content-length")
        self.start_place: Place | None = None

    def take(self, message: Any, place: Place | None) -> None:
        """Checks a message and takes its effect."""
        problems = [*check_envelope(message)] or [*self._dispatch(message, message["type"], place)]
        for rule, text in problems:
            self.report(rule, text, place)

    def end(self, place: Place | None) -> None:
        """Checks the response after the application has returned. place: of the application."""
        if not self.status:
            self.report("asgi-start", "the application returned without a response", place)
        elif not self.is_complete:
            text = "the application returned before the last message of the body (more_body is not false)"
            self.report("asgi-incomplete", text, self.start_place)
        self.check_length()

    def check_length(self) -> None:
        for rule, text in self.length.end(is_complete=self.is_complete):
            self.report(rule, text, self.start_place)

    def _dispatch(self, message: dict[str, Any], kind: str, place: Place | None) -> Iterator[Problem]:
        if kind == f"{self.prefix}.start":
            yield from self._start(message, place)
        elif kind == f"{self.prefix}.body":
            yield from self._body(message)
        elif kind in HTTP_EXTENSIONS and self.prefix == "http.response":
            yield from self._extension(message, kind)
        elif kind in ("http.response.push", "http.response.debug"):
            yield "asgi-extension", f"{kind} is sent, but scope['extensions'] does not have it"
        else:
            yield "asgi-type", f"{kind!r} is not a message that an application sends in this scope"

    def _start(self, message: dict[str, Any], place: Place | None) -> Iterator[Problem]:
        if self.status:
            yield "asgi-start", f"{message['type']} is sent a second time"
            return
        status = message.get("status")
        self.start_place = place
        self.status = 200
        if "status" not in message:
            yield "asgi-status", f"{message['type']} has no key 'status'"
        elif not isinstance(status, int) or isinstance(status, bool):
            yield "asgi-status", f"the status is {kind_name(status)}, not an int"
        else:
            self.status = int(status) or 200
            yield from check_status_code(status)
        trailers = message.get("trailers", False)
        if not isinstance(trailers, bool):
            yield "asgi-start", f"trailers is {kind_name(trailers)}, not a bool"
        self.has_trailers = bool(trailers)
        yield from check_headers(message)
        fields = bytes_pairs(message)
        self.is_event_stream = any(
            name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in fields
        )
        yield from self.length.start(self.status, fields)

    def _body(self, message: dict[str, Any]) -> Iterator[Problem]:
        body, more_body = message.get("body", b""), message.get("more_body", False)
        if not self.status:
            yield "asgi-start", f"{message['type']} is sent before {self.prefix}.start"
            return
        if not isinstance(body, bytes):
            yield "asgi-body", f"the body is {kind_name(body)}, not bytes"
        if not isinstance(more_body, bool):
            yield "asgi-body", f"more_body is {kind_name(more_body)}, not a bool"
        if self.is_complete:
            if body:
                yield "asgi-after-end", "a body is sent after the end of the response, so it is lost"
            return
        self.length.sent += len(body) if isinstance(body, (bytes, bytearray, memoryview, str)) else 0
        self.is_complete = not more_body and not self.has_trailers

    def _extension(self, message: dict[str, Any], kind: str) -> Iterator[Problem]:
        if not self.status:
            yield "asgi-start", f"{kind} is sent before {self.prefix}.start"
            return
        if self.is_complete:
            yield "asgi-after-end", f"{kind} is sent after the end of the response"
            return
        if kind == EARLY_HINT:
            if not all(isinstance(link, bytes) for link in message.get("links", ())):
                yield "asgi-extension", "links of an early hint are not bytes"
        elif kind == TRAILERS:
            if not self.has_trailers:
                yield "asgi-extension", f"{kind} is sent, but {self.prefix}.start has no 'trailers': True"
            yield from check_headers(message)
            self.is_complete = not message.get("more_trailers", False)
        elif kind == PATHSEND:
            path = message.get("path")
            if not isinstance(path, str) or not os.path.isabs(path):  # noqa: PTH117
                yield "asgi-extension", f"the path of {kind} is {path!r:.60}, not an absolute path"
            self.length.declared = None
            self.is_complete = True
        else:
            if not hasattr(message.get("file"), "fileno"):
                yield "asgi-extension", f"the file of {kind} is {kind_name(message.get('file'))}, not an open file"
            self.length.declared = None
            self.is_complete = not message.get("more_body", False)


class WebSocketMessages:
    """The messages of an application to one WebSocket. denial: the HTTP response in place of an accepted handshake."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.is_accepted = False
        self.is_closed = False
        self.denial: ResponseMessages | None = None

    @property
    def is_answered(self) -> bool:
        return self.is_accepted or self.is_closed or self.denial is not None

    def take(self, message: Any, place: Place | None) -> None:
        """Checks a message and takes its effect."""
        is_response = isinstance(message, dict) and str(message.get("type")).startswith(f"{DENIAL}.")
        if is_response and not self.is_accepted and not self.is_closed:
            if self.denial is None:
                self.denial = ResponseMessages("GET", self.report, prefix=DENIAL)
            self.denial.take(message, place)
            return
        problems = [*check_envelope(message)] or [*self._dispatch(message, message["type"])]
        for rule, text in problems:
            self.report(rule, text, place)

    def end(self, place: Place | None) -> None:
        """Checks the answer after the application has returned."""
        if self.denial is not None:
            self.denial.end(place)
        elif not self.is_answered:
            text = "the application returned without an answer to websocket.connect (accept or close)"
            self.report("asgi-ws-connect", text, place)

    def _dispatch(self, message: dict[str, Any], kind: str) -> Iterator[Problem]:
        if kind == "websocket.accept":
            yield from self._accept(message)
        elif kind == "websocket.send":
            yield from self._send(message)
        elif kind == "websocket.close":
            yield from self._close(message)
        else:
            yield "asgi-type", f"{kind!r} is not a message that an application sends to a WebSocket at this point"

    def _accept(self, message: dict[str, Any]) -> Iterator[Problem]:
        if self.is_answered:
            yield "asgi-ws-accept", "websocket.accept is sent after the answer to websocket.connect"
        self.is_accepted = True
        subprotocol = message.get("subprotocol")
        # The probe offers none, so a value, which only shows that the application expects another client, is accepted.
        if subprotocol is not None and not isinstance(subprotocol, str):
            yield "asgi-ws-accept", f"the subprotocol is {kind_name(subprotocol)}, not a str"
        yield from check_headers(message, rule="asgi-ws-accept")
        if any(name.lower() == b"sec-websocket-protocol" for name, _ in bytes_pairs(message)):
            yield "asgi-ws-accept", "the headers have sec-websocket-protocol; use the key 'subprotocol'"

    def _send(self, message: dict[str, Any]) -> Iterator[Problem]:
        if self.is_closed:
            yield "asgi-ws-send", "websocket.send is sent after websocket.close"
        elif not self.is_accepted:
            yield "asgi-ws-connect", "websocket.send is sent before websocket.accept"
        data, text = message.get("bytes"), message.get("text")
        if (data is None) == (text is None):
            yield "asgi-ws-send", f"websocket.send has {'neither' if data is None else 'both'} bytes and text"
        if data is not None and not isinstance(data, bytes):
            yield "asgi-ws-send", f"bytes of websocket.send is {kind_name(data)}"
        if text is not None and not isinstance(text, str):
            yield "asgi-ws-send", f"text of websocket.send is {kind_name(text)}"

    def _close(self, message: dict[str, Any]) -> Iterator[Problem]:
        if self.is_closed:
            yield "asgi-ws-close", "websocket.close is sent a second time"
        self.is_closed = True
        code, reason = message.get("code", 1000), message.get("reason")
        if not isinstance(code, int) or isinstance(code, bool):
            yield "asgi-ws-close", f"the close code is {kind_name(code)}, not an int"
        elif code not in CLOSE_CODES and not 3000 <= code <= 4999:
            yield "asgi-ws-close", f"the close code {code} is not one that an endpoint may send (RFC 6455 section 7.4)"
        if reason is not None and not isinstance(reason, str):
            yield "asgi-ws-close", f"the reason is {kind_name(reason)}, not a str"


class LifespanMessages:
    """The messages of an application in its lifespan scope. failure: the text of startup.failed, or None."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.is_started = False
        self.is_stopping = False
        self.is_stopped = False
        self.failure: str | None = None

    def take(self, message: Any, place: Place | None) -> None:
        """Checks a message and takes its effect."""
        problems = [*check_envelope(message)] or [*self._dispatch(message, message["type"])]
        for rule, text in problems:
            self.report(rule, text, place)

    def _dispatch(self, message: dict[str, Any], kind: str) -> Iterator[Problem]:
        text = message.get("message", "")
        match kind:
            case "lifespan.startup.complete" | "lifespan.startup.failed":
                if self.is_started or self.failure is not None:
                    yield "asgi-lifespan", f"{kind} is sent after the answer to lifespan.startup"
                self.is_started = True
                if kind.endswith("failed"):
                    self.failure = str(text)
            case "lifespan.shutdown.complete" | "lifespan.shutdown.failed":
                if not self.is_stopping:
                    yield "asgi-lifespan-shutdown", f"{kind} is sent before lifespan.shutdown"
                self.is_stopped = True
            case _:
                yield "asgi-unknown-scope", f"{kind!r} is sent in the scope 'lifespan'; raise an exception there"
        if not isinstance(text, str):
            yield "asgi-lifespan", f"the message of {kind} is {kind_name(text)}, not a str"
