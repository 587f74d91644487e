"""The violations that a check finds, and the sections of the specifications that they are against."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ianus.check.places import Place, is_application_file

ASGI = "ASGI 3.0"
ASGI_HTTP = "ASGI HTTP and WebSocket 2.5"
WSGI = "PEP 3333"

# The name of each rule, and the section that has it.
RULES = {
    "asgi-call": (ASGI, "Applications"),
    "asgi-thread": (ASGI, "Overview"),
    "asgi-not-awaited": (ASGI, "Applications"),
    "asgi-message": (ASGI, "Events"),
    "asgi-type": (ASGI, "Error Handling"),
    "asgi-exception": (ASGI, "Error Handling"),
    "asgi-extension": (ASGI, "Extensions"),
    "asgi-unknown-scope": (ASGI, "Protocol Specifications"),
    "asgi-start": (ASGI_HTTP, "Response Start - send event"),
    "asgi-status": (ASGI_HTTP, "Response Start - send event"),
    "asgi-headers": (ASGI_HTTP, "Response Start - send event"),
    "asgi-header-case": (ASGI_HTTP, "Response Start - send event"),
    "asgi-body": (ASGI_HTTP, "Response Body - send event"),
    "asgi-incomplete": (ASGI_HTTP, "Response Body - send event"),
    "asgi-after-end": (ASGI_HTTP, "Response Body - send event"),
    "asgi-disconnect": (ASGI_HTTP, "Disconnect - receive event"),
    "asgi-lifespan": ("ASGI Lifespan 2.0", "Startup - receive event"),
    "asgi-lifespan-shutdown": ("ASGI Lifespan 2.0", "Shutdown - receive event"),
    "asgi-ws-connect": (ASGI_HTTP, "Connect - receive event"),
    "asgi-ws-accept": (ASGI_HTTP, "Accept - send event"),
    "asgi-ws-send": (ASGI_HTTP, "Send - send event"),
    "asgi-ws-close": (ASGI_HTTP, "Close - send event"),
    "asgi-ws-disconnect": (ASGI_HTTP, "Disconnect - receive event (WebSocket)"),
    "wsgi-call": (WSGI, "Specification Details"),
    "wsgi-start": (WSGI, "The start_response() Callable"),
    "wsgi-status": (WSGI, "The start_response() Callable"),
    "wsgi-headers": (WSGI, "The start_response() Callable"),
    "wsgi-unicode": (WSGI, "Unicode Issues"),
    "wsgi-hop-by-hop": (WSGI, "Other HTTP Features"),
    "wsgi-result": (WSGI, "Specification Details"),
    "wsgi-item": (WSGI, "Specification Details"),
    "wsgi-content-length": (WSGI, "Handling the Content-Length Header"),
    "wsgi-write": (WSGI, "The write() Callable"),
    "wsgi-stream": (WSGI, "Input and Error Streams"),
    "wsgi-exception": (WSGI, "Error Handling"),
    "wsgi-validate": (WSGI, "found by wsgiref.validate"),
    "http-field-name": ("RFC 9110", "5.1"),
    "http-field-value": ("RFC 9110", "5.5"),
    "http-status": ("RFC 9110", "15"),
    "http-content-length": ("RFC 9110", "8.6"),
    "http-no-content": ("RFC 9110", "15.3.5"),
}

# Rules about the data of the application, whose violation is its own fault even if a framework sends the data.
DATA_RULES = {"asgi-exception", "wsgi-exception", "wsgi-hop-by-hop", "wsgi-unicode", "wsgi-content-length"}


def format_section(rule: str) -> str:
    document, section = RULES[rule]
    return f"{document} section {section}" if document.startswith("RFC") else f"{document}, {section}"


@dataclass(slots=True)
class Violation:
    """A rule that the application does not follow.

    place: the line of the application. handler: its function that ran last, if `place` is in a library.
    probes: the requests that showed it, such as "GET /".
    """

    rule: str
    message: str
    place: Place | None
    handler: Place | None = None
    probes: list[str] = field(default_factory=list)

    @property
    def is_in_package(self) -> bool:
        """Whether an installed package violates the rule, such as a framework, and not the application."""
        return (
            self.place is not None
            and not is_application_file(self.place.file)
            and not self.rule.startswith("http-")
            and self.rule not in DATA_RULES
        )


class Violations:
    """Collects the violations of a check. Each is kept once, with all probes that showed it.

    Of a line of an installed package, only the first violation of a rule is kept.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, Place | None], Violation] = {}
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Violation]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def add(self, rule: str, message: str, place: Place | None, probe: str, handler: Place | None = None) -> None:
        if place is not None and is_application_file(place.file):
            handler = None
        new = Violation(rule, message, place, handler)
        found = self._found.setdefault((rule, "" if new.is_in_package else message, place), new)
        if probe not in found.probes:
            found.probes.append(probe)

    def has(self, probe: str) -> bool:
        """Returns whether a probe has shown a violation."""
        return any(probe in each.probes for each in self._found.values())

    def note(self, text: str) -> None:
        """Adds a remark that is not a violation."""
        if text not in self.notes:
            self.notes.append(text)
