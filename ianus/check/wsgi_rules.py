"""The rules of PEP 3333 for a WSGI application: its calls of start_response() and write(), and its result."""

import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from types import GeneratorType
from typing import Any
from wsgiref.util import is_hop_by_hop

from ianus.check.asgi_rules import kind_name
from ianus.check.places import Place, place_of_frame
from ianus.check.response_rules import BodyLength, Problem, check_field, check_status_code

# "999 Message here". The phrase may be empty for a client (RFC 9112 section 4), but the space is required.
STATUS = re.compile(r"([0-9]{3}) ([^\x00-\x1f\x7f]*)")


class ResponseCalls:
    """The calls of one request: checks them, and keeps the state of its response.

    report: called with the rule, the message and the line.
    """

    def __init__(self, method: str, report: Callable[[str, str, Place | None], None]) -> None:
        self.report = report
        self.status = 0
        self.length = BodyLength(method, "wsgi-content-length")
        self.start_place: Place | None = None
        self.has_output = False
        self.is_iterating = False

    # --- Called by the application ---

    def start_response(self, *args: Any, **named: Any) -> Callable[[Any], None]:
        place = place_of_frame(sys._getframe(1))
        if named or len(args) not in (2, 3):
            text = "start_response() is called with keyword arguments, or not with (status, headers[, exc_info])"
            self.report("wsgi-start", text, place)
        values = [*args[:3], *([None] * (3 - len(args)))]
        status, headers, exc_info = named.get("status", values[0]), named.get("headers", values[1]), values[2]
        headers = named.get("response_headers", headers)
        exc_info = named.get("exc_info", exc_info)
        if self.status and not exc_info:
            self.report("wsgi-start", "start_response() is called a second time without exc_info", place)
        if exc_info and self.has_output:
            # PEP 3333, "The start_response() Callable": it raises the error if the head has been sent.
            raise exc_info[1].with_traceback(exc_info[2])
        self.start_place, self.status = place, 200
        for rule, text in self._check_start(status, headers):
            self.report(rule, text, place)
        return self.write

    def write(self, *args: Any) -> None:
        place = place_of_frame(sys._getframe(1))
        data = args[0] if len(args) == 1 else None
        if self.is_iterating:
            self.report("wsgi-write", "write() is called by the iterable that the application has returned", place)
        if not isinstance(data, bytes):
            self.report("wsgi-write", f"write() is called with {kind_name(data)}, not bytes", place)
        self._add(data)

    def _check_start(self, status: Any, headers: Any) -> Iterator[Problem]:
        yield from self._check_status(status)
        fields: list[tuple[bytes, bytes]] = []
        if type(headers) is not list:
            yield "wsgi-headers", f"the headers are {kind_name(headers)}, not a list"
        if isinstance(headers, Iterable) and not isinstance(headers, (str, bytes, dict)):
            for item in headers:
                yield from _check_header(item, fields)
        yield from self.length.start(self.status, fields)

    def _check_status(self, status: Any) -> Iterator[Problem]:
        if not isinstance(status, str):
            yield "wsgi-status", f"the status is {kind_name(status)}, not a str"
            return
        match = STATUS.fullmatch(status)
        if match is None or status != status.strip():
            shown = "it is a number, a space and a phrase without control characters, as in '200 OK'"
            if re.fullmatch("[0-9]{3} ", status) is None:
                yield "wsgi-status", f"the status is {status!r:.60}; {shown}"
        code = re.match("[0-9]{3}", status)
        if code:
            self.status = int(code[0]) or 200
            yield from check_status_code(int(code[0]))
        if not status.isascii() and not _is_latin_1(status):
            yield "wsgi-unicode", f"the status {status!r:.60} has characters beyond ISO-8859-1"

    # --- Called by the driver ---

    def check_result(self, result: Any, place: Place | None) -> bool:
        """Checks the returned object. Returns whether it can be iterated over. place: of the application."""
        if isinstance(result, (str, bytes, bytearray)):
            text = f"the application returned {kind_name(result)}, not an iterable of bytes; put it into a list"
            self.report("wsgi-result", text, self.start_place or place)
            return False
        if hasattr(result, "__await__"):
            self.report("wsgi-result", "the application returned an awaitable; a WSGI application is not async", place)
            return False
        if not isinstance(result, Iterable) and not hasattr(result, "__getitem__"):
            text = f"the application returned {kind_name(result)}, not an iterable of bytes"
            self.report("wsgi-result", text, self.start_place or place)
            return False
        return True

    def check_item(self, item: Any, result: Any, place: Place | None) -> None:
        """Checks an item of the body. result: the iterable that it is from."""
        place = _generator_place(result) or self.start_place or place
        if not self.status:
            text = "the first item of the body is there before start_response() is called"
            self.report("wsgi-start", text, place)
            self.status = 200
        if not isinstance(item, bytes):
            self.report("wsgi-item", f"an item of the body is {kind_name(item)}, not bytes", place)
        self._add(item)

    def end(self, place: Place | None, *, is_complete: bool) -> None:
        """Checks the response after the last item. place: of the application."""
        if not self.status:
            self.report("wsgi-start", "the application returned without a call of start_response()", place)
        for rule, text in self.length.end(is_complete=is_complete):
            self.report(rule, text, self.start_place or place)

    def check_count(self, result: Any, count: int) -> None:
        """Checks len() of the returned object, which a server may rely on."""
        if hasattr(type(result), "__len__") and len(result) != count:
            text = f"len() of the returned {type(result).__name__} is {len(result)}, but it has {count} items"
            self.report("wsgi-result", text, self.start_place)

    def _add(self, data: Any) -> None:
        if isinstance(data, (bytes, bytearray, memoryview, str)):
            self.length.sent += len(data)
            self.has_output |= len(data) > 0


def _check_header(item: Any, fields: list[tuple[bytes, bytes]]) -> Iterator[Problem]:
    """Yields the problems of a header, and adds it to `fields` if it is one."""
    if type(item) is not tuple or len(item) != 2:
        yield "wsgi-headers", f"a header is {item!r:.60}, not a tuple of name and value"
        return
    name, value = item
    for each, part in ((name, "name"), (value, f"value of the header {name}")):
        if not isinstance(each, str):
            yield "wsgi-headers", f"the {part} is {kind_name(each)}, not a str"
        elif not _is_latin_1(each):
            yield "wsgi-unicode", f"the {part} has characters beyond ISO-8859-1: {each!r:.60}"
    if not isinstance(name, str) or not isinstance(value, str) or not (_is_latin_1(name) and _is_latin_1(value)):
        return
    if is_hop_by_hop(name):
        yield "wsgi-hop-by-hop", f"the header {name} is of one connection, so only the server sets it"
    if name.lower() == "status":
        yield "wsgi-headers", "there is a header named Status; the status is the first argument"
    field = name.encode("latin-1"), value.encode("latin-1")
    yield from check_field(*field)
    fields.append(field)


def _is_latin_1(text: str) -> bool:
    try:
        # Not a loop: each character would be a step of the profiler, and values can be long.
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _generator_place(result: Any) -> Place | None:
    """Returns the line of the `yield` at which a generator waits."""
    frame = result.gi_frame if isinstance(result, GeneratorType) else None
    return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name) if frame is not None else None


class InputStream:
    """The wsgi.input of a request without a body. It has the methods of PEP 3333 alone, and reports close()."""

    def __init__(self, report: Callable[[str, str, Place | None], None]) -> None:
        self._stream = io.BytesIO()
        self._report = report

    # A size may be missing, although PEP 3333 insists on it: frameworks and servers agree that it is optional.
    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def readline(self, size: int = -1) -> bytes:
        return self._stream.readline(size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return self._stream.readlines(hint)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        self._report("wsgi-stream", "wsgi.input is closed; it belongs to the server", place_of_frame(sys._getframe(1)))


class ErrorsStream:
    """The wsgi.errors of a request: writes to standard error, and reports close() and other types than str."""

    def __init__(self, report: Callable[[str, str, Place | None], None]) -> None:
        self._report = report

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            place = place_of_frame(sys._getframe(1))
            self._report("wsgi-stream", f"{kind_name(text)} is written to wsgi.errors, not a str", place)
            return 0
        return sys.stderr.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        sys.stderr.flush()

    def close(self) -> None:
        place = place_of_frame(sys._getframe(1))
        self._report("wsgi-stream", "wsgi.errors is closed; it belongs to the server", place)
