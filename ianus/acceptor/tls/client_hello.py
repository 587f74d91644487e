"""Reads the first message of a client (RFC 8446 section 4.1.2), of which Python's `ssl` shows only the server name.

The engine needs the client's signature algorithms to choose a certificate, and its protocols (ALPN) to refuse it if
they have nothing in common with those of the server.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

HANDSHAKE_RECORD = 22
CLIENT_HELLO = 1
SERVER_NAME, SIGNATURE_ALGORITHMS, ALPN = 0, 13, 16
# A hello with all extensions of browsers has about 2,000 bytes.
MAX_HELLO_BYTES = 32768

ECDSA_SCHEMES = frozenset((0x0403, 0x0503, 0x0603))
# The suites of TLS 1.2 for which a server has an ECDSA certificate. Those of TLS 1.3 (0x13..) do not depend on it.
ECDSA_SUITES = frozenset((0xC023, 0xC024, 0xC009, 0xC00A, 0xC02B, 0xC02C, 0xC0AC, 0xC0AD, 0xC0AE, 0xC0AF, 0xCCA9))


@dataclass(frozen=True)
class ClientHello:
    """server_name: in lower case, or None. protocols: of ALPN, or None without that extension."""

    server_name: str | None
    protocols: frozenset[bytes] | None
    takes_ecdsa: bool


NO_HELLO = ClientHello(None, None, False)


class HelloReader:
    """Reads the records at the start of a connection. Each byte is read once, in however small pieces it arrives."""

    def __init__(self) -> None:
        self._size = 0
        self._record = bytearray()  # one that is not complete
        self._message = bytearray()

    def feed(self, data: bytes) -> ClientHello | None:
        """Reads further bytes. Returns the hello once it is complete, and an empty one for bytes without a hello.

        The library judges whether a message is valid. This one takes from it as much as can be read.
        """
        self._record += data
        self._size += len(data)
        at = 0
        while at + 5 <= len(self._record):
            end = at + 5 + int.from_bytes(self._record[at + 3 : at + 5], "big")
            if self._record[at] != HANDSHAKE_RECORD or self._size > MAX_HELLO_BYTES:
                return NO_HELLO
            if end > len(self._record):
                break
            self._message += self._record[at + 5 : end]
            at = end
            if len(self._message) >= 4:
                size = int.from_bytes(self._message[1:4], "big")
                if self._message[0] != CLIENT_HELLO or size > MAX_HELLO_BYTES:
                    return NO_HELLO
                if len(self._message) >= 4 + size:
                    return _read(bytes(self._message[4 : 4 + size]))
        del self._record[:at]
        return None


def _read(message: bytes) -> ClientHello:
    try:
        return _parse(message)
    except (struct.error, IndexError):
        return NO_HELLO


def _parse(message: bytes) -> ClientHello:
    at = 2 + 32  # the version and the random bytes
    at += 1 + message[at]  # the session id
    (size,) = struct.unpack_from(">H", message, at)
    suites = set(struct.unpack_from(f">{size // 2}H", message, at + 2))
    at += 2 + size
    at += 1 + message[at]  # compression methods
    server_name = None
    protocols = None
    schemes: set[int] = set()
    for kind, content in _extensions(message, at):
        if kind == SERVER_NAME:
            server_name = _server_name(content)
        elif kind == ALPN:
            protocols = frozenset(_short_texts(content[2:]))
        elif kind == SIGNATURE_ALGORITHMS:
            schemes.update(struct.unpack_from(f">{len(content) // 2 - 1}H", content, 2))
    takes_ecdsa = bool(schemes & ECDSA_SCHEMES) and any(suite >> 8 == 0x13 or suite in ECDSA_SUITES for suite in suites)
    return ClientHello(server_name, protocols, takes_ecdsa)


def _extensions(message: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    if at + 2 > len(message):
        # TLS 1.2 allows a hello without extensions.
        return
    at += 2
    while at + 4 <= len(message):
        kind, size = struct.unpack_from(">HH", message, at)
        yield kind, message[at + 4 : at + 4 + size]
        at += 4 + size


def _server_name(content: bytes) -> str | None:
    """Returns the host name of a list (RFC 6066 section 3), which has at most one."""
    if len(content) < 5 or content[2] != 0:
        return None
    (size,) = struct.unpack_from(">H", content, 3)
    name = content[5 : 5 + size].decode("latin-1").lower()
    # It is logged, so it must not have a line break.
    return name if name and name.isascii() and name.isprintable() else None


def _short_texts(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        size = content[at]
        yield content[at + 1 : at + 1 + size]
        at += 1 + size
