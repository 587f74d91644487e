"""The opening handshake (RFC 6455 section 4.2) and its negotiation, from the fields of a request.

Plain Python: it happens once a connection. Call all of it before the application, so that malformed requests are
refused without it.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import TYPE_CHECKING

from ianus.codec.websocket.deflate import Deflate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ianus.codec.base import Request

    Parameters = dict[bytes, bytes | None]

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
VERSION = b"13"

# Base-2 logarithm of the windows that are used if the client permits a choice: 4 KiB. Larger ones make messages of
# usual sizes hardly smaller, and cost memory for as long as a connection lives.
WINDOW_BITS = 12
MAX_WINDOW_BITS = 15

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ESCAPED = re.compile(rb"\\(.)")
_BITS = re.compile(rb"[89]|1[0-5]")


class HandshakeError(Exception):
    """The request is not one for a WebSocket.

    status: of the response. detail: the error, for its body. fields: (lower-case name, value) to add to it.
    """

    def __init__(self, status: int, detail: str, fields: list[tuple[bytes, bytes]] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = fields or []


def asks_for_websocket(request: Request) -> bool:
    """Whether the request is to become a WebSocket, if its other fields are right."""
    # RFC 8441 section 4: over HTTP/2 the pseudo-field has the protocol.
    if request.protocol is not None:
        return request.protocol == "websocket"
    return request.upgrade and b"websocket" in (protocol.lower() for protocol in _listed(request, b"upgrade"))


def is_downgraded(request: Request) -> bool:
    """Whether the request is a handshake that a proxy has passed on over HTTP/1.0, which has no upgrade."""
    return request.websocket_key and request.http_version == "1.0"


def accept_value(request: Request) -> bytes:
    """The value of Sec-WebSocket-Accept, b"" for a handshake without a key. Raises HandshakeError."""
    if request.protocol is None and request.method != "GET":
        raise HandshakeError(405, "a WebSocket handshake needs GET", [(b"allow", b"GET")])
    if _values(request, b"sec-websocket-version") != [VERSION]:
        # RFC 6455 section 4.4: the client may retry with a version that is named here.
        raise HandshakeError(426, "version of WebSocket other than 13", [(b"sec-websocket-version", VERSION)])
    if request.protocol is not None:
        # RFC 8441 section 5: HTTP/2 itself shows that the server understands the handshake.
        return b""
    keys = _values(request, b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise HandshakeError(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    if request.content_length:
        # A proxy that expects the body and one that does not would read different frames after the head.
        raise HandshakeError(400, "WebSocket handshake with a body")
    digest = hashlib.sha1(keys[0] + GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)


def subprotocols(request: Request) -> list[str]:
    """Returns the client's offers in Sec-WebSocket-Protocol, in its order. Raises HandshakeError."""
    offered = _listed(request, b"sec-websocket-protocol")
    if not all(_TOKEN.fullmatch(name) for name in offered):
        raise HandshakeError(400, "Sec-WebSocket-Protocol is not a list of tokens")
    return [name.decode("ascii") for name in offered]


def negotiate(request: Request, ws_deflate_level: int) -> tuple[bytes, Deflate] | None:
    """The first offer of permessage-deflate that can be met: the value of Sec-WebSocket-Extensions that accepts it, and
    the compression. Raises HandshakeError.
    """
    accepted = None
    for name, parameters in _extensions(request):
        if name == b"permessage-deflate" and parameters is not None:
            accepted = accepted or _accept_deflate(parameters, ws_deflate_level)
    return accepted


def _accept_deflate(offer: Parameters, ws_deflate_level: int) -> tuple[bytes, Deflate] | None:
    """RFC 7692 section 7.1: an offer with a parameter that is unknown or wrong is declined. Only parameters that were
    offered are answered, and with no other value than necessary: there are clients that take no other.
    """
    answer = [b"permessage-deflate"]
    server_bits, client_bits = WINDOW_BITS, MAX_WINDOW_BITS
    for name, value in offer.items():
        if name in (b"server_no_context_takeover", b"client_no_context_takeover") and value is None:
            answer.append(name)
        elif name == b"server_max_window_bits" and value and _BITS.fullmatch(value) and value != b"8":
            # zlib has no raw stream of 8 bits. The window used may be smaller than the promised one.
            server_bits = min(WINDOW_BITS, int(value))
            answer.append(name + b"=" + value)
        elif name == b"client_max_window_bits" and (value is None or _BITS.fullmatch(value)):
            client_bits = min(WINDOW_BITS, int(value or MAX_WINDOW_BITS))
            answer.append(b"%b=%d" % (name, client_bits))
        else:
            return None
    deflate = Deflate(
        server_bits=server_bits,
        client_bits=client_bits,
        server_takeover=b"server_no_context_takeover" not in offer,
        client_takeover=b"client_no_context_takeover" not in offer,
        ws_deflate_level=ws_deflate_level,
    )
    return b"; ".join(answer), deflate


# --- Fields ---


def _values(request: Request, name: bytes) -> list[bytes]:
    return [value for key, value in request.headers if key == name]


def _listed(request: Request, name: bytes) -> list[bytes]:
    """The elements of a comma-separated list (RFC 9110 section 5.6.1) without empty ones, of all lines."""
    elements = (part.strip(b" \t") for value in _values(request, name) for part in value.split(b","))
    return [element for element in elements if element]


def _extensions(request: Request) -> Iterator[tuple[bytes, Parameters | None]]:
    """The offers in Sec-WebSocket-Extensions (RFC 6455 section 9.1), with None for the parameters of one that has the
    same twice. Raises HandshakeError for a malformed field.

    A quoted value has to be a token when it is unquoted, so no delimiter can be inside of one.
    """
    for element in _listed(request, b"sec-websocket-extensions"):
        name, *parts = (part.strip(b" \t") for part in element.split(b";"))
        pairs = [_parameter(part) for part in parts]
        parameters = dict(pairs)
        if not all(_TOKEN.fullmatch(text) for pair in [(name, None), *pairs] for text in pair if text is not None):
            raise HandshakeError(400, "Sec-WebSocket-Extensions is not a list of extensions")
        yield name, parameters if len(parameters) == len(pairs) else None


def _parameter(text: bytes) -> tuple[bytes, bytes | None]:
    name, equals, value = text.partition(b"=")
    value = value.strip(b" \t")
    if len(value) >= 2 and value[:1] == value[-1:] == b'"':
        value = _ESCAPED.sub(rb"\1", value[1:-1])
    return name.rstrip(b" \t"), value if equals else None


def _is_key(key: bytes) -> bool:
    try:
        return len(key) == 24 and len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except binascii.Error:
        return False
