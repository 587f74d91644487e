"""Rules of HTTP for a response, which hold for both interfaces (RFC 9110)."""

import re
from collections.abc import Iterator

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110 section 5.5: CR, LF and NUL are invalid in a value; other control characters but HTAB should not be sent.
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
NO_BODY_STATUSES = (204, 304)

Problem = tuple[str, str]


def check_field(name: bytes, value: bytes) -> Iterator[Problem]:
    """Yields the problems of a response field as rule and message."""
    if not TOKEN.fullmatch(name):
        yield "http-field-name", f"the header name {name!r} is not a token"
    if CONTROL.search(value):
        yield "http-field-value", f"the value of the header {name.decode('latin-1')} has a control character"


def check_status_code(status: int) -> Iterator[Problem]:
    if not 200 <= status <= 599:
        yield "http-status", f"the status {status} is not that of a final response (200 to 599)"


class BodyLength:
    """Compares the body of a response with its Content-Length.

    method: of the request. rule: the rule that a body of another length violates.
    """

    def __init__(self, method: str, rule: str) -> None:
        self.method, self.rule = method, rule
        self.status = 0
        self.declared: int | None = None
        self.sent = 0

    def start(self, status: int, fields: list[tuple[bytes, bytes]]) -> Iterator[Problem]:
        """Takes the head of the response."""
        self.status = status
        values = {value.strip() for name, value in fields if name.lower() == b"content-length"}
        if not values:
            return
        if len(values) > 1:
            yield "http-content-length", f"the response has {len(values)} different values of Content-Length"
            return
        value = values.pop()
        if not value.isdigit():
            yield "http-content-length", f"Content-Length is {value!r}, which is not a number"
            return
        if status == 204:
            yield "http-content-length", "a response with status 204 has a Content-Length"
            return
        self.declared = int(value)

    def end(self, *, is_complete: bool) -> Iterator[Problem]:
        """Yields the problems of the body, of which all bytes have been added to `sent` if it is complete."""
        if self.status in NO_BODY_STATUSES and self.sent:
            yield "http-no-content", f"a response with status {self.status} has a body of {self.sent} bytes"
            return
        # A response to HEAD has the Content-Length of GET and needs no body. A server discards one.
        if self.declared is None or self.method == "HEAD" or self.status == 304:
            return
        if self.sent > self.declared or (is_complete and self.sent < self.declared):
            yield self.rule, f"the body has {self.sent} bytes, but Content-Length is {self.declared}"
