"""A WebSocket client of which a test decides every byte, and which believes nothing that it reads."""

import contextlib
from collections.abc import Iterator

from tests.codec.websocket.feeding import BINARY, CLOSE, PING, PONG, TEXT, close, frame, text
from tests.helpers import Client, Server

__all__ = ["BINARY", "CLOSE", "PING", "PONG", "TEXT", "WebSocket", "close", "frame", "open_websocket", "text"]

# The example of RFC 6455 1.3.
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

HANDSHAKE = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + KEY)


class WebSocket(Client):
    """fields: of the server's answer."""

    fields: dict[bytes, bytes]

    def shake_hands(self, path: str, *fields: bytes) -> None:
        """Sends the handshake and reads the answer that accepts it."""
        self.request(path, *HANDSHAKE, *fields)
        self.accepted()

    def accepted(self) -> None:
        version, status, _, fields = self.head()
        assert (version, status) == ("1.1", 101)
        self.fields = dict(fields)
        assert len(self.fields) == len(fields)
        assert self.fields[b"upgrade"].lower() == b"websocket"
        assert self.fields[b"connection"].lower() == b"upgrade"
        assert self.fields[b"sec-websocket-accept"] == ACCEPT
        assert not {b"content-length", b"transfer-encoding"} & set(self.fields)

    def frame(self) -> tuple[int, bytes]:
        """Reads one frame: opcode and payload. It is final, not masked, not compressed, of the shortest length."""
        first, length = self.exactly(2)
        assert first & 0xF0 == 0x80, f"flags {first:x}"
        assert not length & 0x80, "a server's frame is masked"
        if length == 126:
            length = int.from_bytes(self.exactly(2), "big")
            assert length > 125
        elif length == 127:
            length = int.from_bytes(self.exactly(8), "big")
            assert length > 65535
        return first & 0x0F, self.exactly(length)

    def closed(self) -> tuple[int, str]:
        """Reads a close frame with nothing after it; returns code and reason."""
        opcode, payload = self.frame()
        assert opcode == CLOSE, (opcode, payload)
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        return code, payload[2:].decode()

    def echo(self, message: str = "hello") -> None:
        """Asserts that the connection still works."""
        self.send(text(message))
        assert self.frame() == (TEXT, message.encode())


@contextlib.contextmanager
def open_websocket(server: Server, path: str = "/echo", *fields: bytes, buffer: int = 0) -> Iterator[WebSocket]:
    """buffer: size of the client's receive buffer in bytes, 0 for the system's."""
    with WebSocket(server.address, buffer=buffer) as client:
        client.shake_hands(path, *fields)
        yield client
