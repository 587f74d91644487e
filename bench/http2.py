"""Connections of HTTP/2 that are idle."""

from contextlib import ExitStack
from dataclasses import dataclass

from client import AnswerError, Connection
from scenario import Idle

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# The stream ends with this frame (RFC 9113 section 6), whose type is DATA or HEADERS.
END_STREAM = 0x1
SETTINGS_TYPE = 0x4


@dataclass(frozen=True)
class Http2Idle(Idle):
    """Connections that had one response each and are then idle."""

    def open_connections(self, port: int, number: int, stack: ExitStack) -> list[Connection]:
        connections = []
        for _ in range(number):
            connection = stack.enter_context(Connection(port))
            ask_hello(connection)
            connections.append(connection)
        return connections


def ask_hello(connection: Connection) -> None:
    """Asks for / on a new connection without TLS, and reads the response."""
    # From the static table (RFC 7541 appendix A): GET, http, /; and an authority without index
    block = b"\x82\x86\x84\x01\x09localhost"
    connection.socket.sendall(PREFACE + frame(SETTINGS_TYPE, 0, 0) + frame(0x1, 0x5, 1, block))
    while True:
        head = connection.read(9)
        payload = connection.read(int.from_bytes(head[:3]))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
        if kind == SETTINGS_TYPE and not flags:
            connection.socket.sendall(frame(SETTINGS_TYPE, 1, 0))
        if kind not in (0x0, 0x1) and stream == 1:
            raise AnswerError(f"a frame of type {kind} in place of a response: {payload[:40]!r}")
        if stream == 1 and flags & END_STREAM:
            return


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Returns a frame (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload
