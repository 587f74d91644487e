"""A TLS client of Python's ssl module, without threads: it and the reactor take turns."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from tests.acceptor.serving import Serving
from tests.certificates import root


def client_context(**options: Any) -> ssl.SSLContext:
    """Returns a context that trusts the root of the tests."""
    context = ssl.create_default_context(cadata=root().pem.decode())
    for name, value in options.items():
        setattr(context, name, value)
    return context


class TlsClient:
    """One end of a connection over TLS. Bytes are encoded and decoded in memory."""

    def __init__(
        self,
        serving: Serving,
        context: ssl.SSLContext | None = None,
        *,
        server_name: str | None = "localhost",
        session: ssl.SSLSession | None = None,
        sock: socket.socket | None = None,
    ) -> None:
        self.serving = serving
        self.socket = sock or serving.connect()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or client_context()
        if server_name is None:
            context.check_hostname = False
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name, session=session)
        self.data = bytearray()
        self.ended = False  # the server has sent close_notify
        self.closed = False  # ... or FIN
        self.reset = False

    # ---------------------------------------------------------------- bytes of the socket

    def transmit(self, limit: int = 1 << 30) -> None:
        """Sends encoded bytes that wait, `limit` at once."""
        while data := self.outgoing.read(limit):
            self.send_raw(data)

    def send_raw(self, data: bytes) -> None:
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                self.serving.turn()

    def receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionResetError:
                self.reset = self.closed = True
                return
            self.closed = not data
            self.incoming.write(data)

    # ---------------------------------------------------------------- records

    def handshake(self, chunk: int = 1 << 30) -> "TlsClient":
        """Completes the handshake, with `chunk` bytes in a turn. Raises ssl.SSLError for an alert."""

        def done() -> bool:
            self.receive()
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                if self.closed:
                    raise ConnectionError("closed in the handshake") from None
                self.transmit_in_turns(chunk)
                return False
            self.transmit_in_turns(chunk)
            return True

        self.serving.until(done)
        return self

    def transmit_in_turns(self, chunk: int) -> None:
        while data := self.outgoing.read(chunk):
            self.send_raw(data)
            if self.outgoing.pending:
                self.serving.turn()

    def write(self, data: bytes) -> None:
        self.tls.write(data)
        self.transmit()

    def decode(self) -> None:
        """Decodes all received bytes. Raises ssl.SSLError for an alert."""
        self.receive()
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                try:
                    data = self.tls.read(1 << 16)
                except ssl.SSLZeroReturnError:
                    # After an unwrap() of the client
                    data = b""
                if not data:
                    self.ended = True
                    return
                self.data += data

    def read_until(self, condition: Callable[[], Any]) -> bytes:
        def done() -> Any:
            if not self.ended:
                self.decode()
            else:
                self.receive()
            return condition()

        self.serving.until(done)
        return bytes(self.data)

    def read_to(self, end: bytes) -> bytes:
        return self.read_until(lambda: self.data.endswith(end))

    def get(self, path: str = "/", *, fields: str = "") -> bytes:
        """Sends a request, and returns the body of its response, which has a Content-Length."""
        self.data.clear()
        self.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())

        def complete() -> bool:
            head, mark, body = bytes(self.data).partition(b"\r\n\r\n")
            if not mark:
                return False
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            return len(body) >= length

        return self.read_until(complete).partition(b"\r\n\r\n")[2]

    def close(self) -> None:
        self.socket.close()
