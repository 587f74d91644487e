"""The socket that the environ of a WebSocket handshake has, and the response head that an application writes to it."""

from __future__ import annotations

import re
import socket

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: (.*))?")

# Fields that the server writes itself (RFC 9110 section 7.8). Handshakes have them.
OWN_FIELDS = frozenset((b"connection", b"upgrade"))


class ConnectionSocket(socket.socket):
    """A connected socket whose other end the server relays to the client.

    It is closed with its last reference, and not when the call of the application has returned: another thread may use
    its descriptor then.
    """

    __slots__ = ()

    def __del__(self) -> None:
        # Without the warning of the base class.
        self.close()


def socket_pair() -> tuple[socket.socket, ConnectionSocket]:
    """Returns the server's end and the application's end of a connection. Raises OSError."""
    own, other = socket.socketpair()
    application = ConnectionSocket(other.family, other.type, other.proto, other.detach())
    # Also if the application has called socket.setdefaulttimeout().
    application.setblocking(True)
    return own, application


def parse_head(head: bytes) -> tuple[int, bytes | None, list[tuple[bytes, bytes]]]:
    """Returns the status, the reason phrase and the fields of a response head. Raises ValueError.

    The names and values of the fields are checked when they are sent.
    """
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    match = STATUS_LINE.fullmatch(first)
    if match is None:
        raise ValueError(f"the first line is not a status line: {first[:80]!r}")
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise ValueError(f"a line has no colon: {line[:80]!r}")
        if name.lower() == b"transfer-encoding":
            raise ValueError("transfer-encoding is not supported there")
        if name.lower() not in OWN_FIELDS:
            fields.append((name, value.strip(b" \t")))
    return int(match[1]), match[2] or None, fields
