"""Contract: text of a client in forwarding fields changes nothing that its proxy reports, in both families.

The text of a client may be of any kind: the client is the address that the trusted proxy has appended after it. Alone,
the text is an address in its one form or nothing, and scheme, Host and prefix stay plain. Of a peer that is not trusted
nothing is believed, and no field reaches the application.
"""

import re
import socket
from collections.abc import Iterable
from typing import Any

from tests.exchange.conversation import Conversation

PROXY = ("10.0.0.1", 4711)
CLIENT = ("192.0.2.7", 0)
FIELDS = ("For", "Proto", "Host", "Port", "Prefix", "User")
SETTINGS: dict[str, Any] = {"observed": False, "forwarded_allow_ips": ("10.0.0.0/8", "2001:db8::/32")}
ALL = ("for", "proto", "host", "port", "prefix")

_opened: dict[str, Conversation] = {}


def seeds() -> Iterable[bytes]:
    for text in (
        *(
            "1.2.3.4",
            "1.2.3.4:80",
            "2001:db8::1",
            "[2001:db8::1]:80",
            "::ffff:1.2.3.4",
            "unknown",
            "_a",
            "a,b",
            ",",
            '"',
        ),
        *(
            "1.2.3.4, 10.0.0.2",
            "10.0.0.2, unknown",
            "[",
            "[]",
            "]:",
            "::",
            ":",
            "t=1.5",
            "1800000000000",
            "https",
            "wss",
        ),
        *(
            'for=1.2.3.4;proto=https;host="a:1"',
            'for="[2001:db8::1]:80", for=10.0.0.2',
            "for=a;for=b",
            'for="',
            'for="\\',
        ),
        *("a.example:8080", "[::1]", "/api", "//a", "/a/../b", "for=1.2.3.4;", "for", "for=", ";", 'a="b,c"', "\xe9"),
    ):
        yield text.encode("latin-1")
        yield (text + "\n" + text).encode("latin-1")


def check(data: bytes) -> None:
    # Lines of the input are lines of the field. Control characters cannot occur in one.
    lines = [re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b" ", line) for line in data[:4000].split(b"\n")[:8]]
    _check_x_forwarded(lines)
    _check_forwarded(lines)
    _check_other_peers(lines)


def _check_x_forwarded(lines: list[bytes]) -> None:
    sent = [(f"X-Forwarded-{name}", line) for name in FIELDS for line in lines]
    _check_facts(_ask("trusted", [*sent, *(("X-Request-Start", line) for line in lines)]))
    # The proxy appends to the last line, or a line.
    first, last = lines[:-1], lines[-1]
    for appended in ([*first, last + b", 192.0.2.7"], [*lines, b"192.0.2.7"], [*lines, b"192.0.2.7", b"10.0.0.2"]):
        assert _ask("trusted", [("X-Forwarded-For", line) for line in appended])["client"] == CLIENT, appended


def _check_forwarded(lines: list[bytes]) -> None:
    _check_facts(_ask("forwarded", [("Forwarded", line) for line in lines]))
    for appended in ([*lines, b"for=192.0.2.7;proto=https"], [*lines, b"for=192.0.2.7;proto=https, for=10.0.0.2"]):
        facts = _ask("forwarded", [("Forwarded", line) for line in appended])
        assert (facts["client"], facts["scheme"]) == (CLIENT, "https"), appended
    # In the same line an open quote of the client may take away the report, but never replace it.
    first, last = lines[:-1], lines[-1]
    facts = _ask("forwarded", [("Forwarded", line) for line in (*first, last + b", for=192.0.2.7")])
    assert facts["client"] in (CLIENT, PROXY), lines


def _check_other_peers(lines: list[bytes]) -> None:
    names = (
        "Forwarded",
        "X-Real-IP",
        "X_Forwarded_For",
        "X-Request-Start",
        *(f"X-Forwarded-{name}" for name in FIELDS),
    )
    facts = _ask("untrusted", [(name, line) for name in names for line in lines])
    assert facts == {
        "client": ("192.0.2.1", 4711), "scheme": "http", "prefix": None, "headers": [(b"host", b"h")], "queued": 0,
    }  # fmt: skip


def _check_facts(facts: dict[str, Any]) -> None:
    host, port = facts["client"]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # As acceptor/addresses has the addresses of peers.
    assert socket.inet_ntop(family, socket.inet_pton(family, host)) == host, host
    assert not host.startswith("::ffff:")
    assert 0 <= port <= 65535
    assert facts["scheme"] in ("http", "https")
    assert facts["prefix"] is None or re.fullmatch(r"(/[\w~@:+=!$-][\w~@:+=!$.-]*|/(?=.))+", facts["prefix"], re.ASCII)
    assert facts["prefix"] is None or not facts["prefix"].startswith("//")
    [name] = [value for name, value in facts["headers"] if name == b"host"]
    assert re.fullmatch(rb"(\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(:[0-9]+|:)?", name, re.ASCII), name


def _ask(kind: str, fields: list[tuple[str, bytes]]) -> dict[str, Any]:
    """Returns the facts of a request with these fields."""
    if kind not in _opened:
        more: dict[str, dict[str, Any]] = {
            "trusted": {"client": PROXY, "forwarded_fields": ALL},
            "forwarded": {
                "client": PROXY,
                "forwarded_headers": "forwarded",
                "forwarded_fields": ("for", "proto", "host"),
            },
            "untrusted": {},
        }
        _opened[kind] = Conversation(**SETTINGS, **more[kind])
    conversation = _opened[kind]
    lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in fields)
    exchange = conversation.open(b"GET / HTTP/1.1\r\nhost: h\r\n" + lines + b"\r\n")
    facts = {
        "client": exchange.connection.client, "scheme": exchange.connection.scheme, "prefix": exchange.prefix,
        "headers": exchange.request.headers, "queued": exchange.queued_since,
    }  # fmt: skip
    conversation.answer()
    conversation.receives()
    conversation.exchanges.clear()
    return facts
