"""A socket over TLS, with which a test ends a connection as it does without TLS.

`ssl.SSLSocket` forgets its keys at a shutdown(), and cannot read afterwards. This one sends close_notify and FIN, and
reads on, as RFC 8446 section 6.1 has it.
"""

import contextlib
import functools
import socket
import ssl
import threading
from typing import Any

from tests.certificates import root

# As the encoded bytes of a receive buffer that a test has made small
RECEIVE_BYTES = 65536


@functools.cache
def client_context() -> ssl.SSLContext:
    """Returns the context of all clients."""
    return ssl.create_default_context(cadata=root().pem.decode())


class TlsSocket:
    """A connected socket, after its handshake. Methods that are not here are those of the socket itself.

    One thread may write while another one reads.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client_context().wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._is_ended = False  # close_notify or FIN of the server was read
        self._tls_lock = threading.Lock()
        self._send_lock = threading.Lock()  # Records are sent in their order.
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._transmit()
                if not self._receive():
                    raise ConnectionResetError("closed in the handshake") from None
        self._transmit()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendall(self, data: bytes) -> None:
        # In pieces: the bytes of one write() are all encoded before the first is sent.
        for at in range(0, len(data), 1 << 20):
            with self._send_lock:
                with self._tls_lock:
                    self._tls.write(data[at : at + (1 << 20)])
                self._transmit()

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        while not self._is_ended:
            try:
                with self._tls_lock:
                    data = self._tls.read(size)
                if data:
                    return data
                self._is_ended = True
            except ssl.SSLWantReadError:
                self._is_ended = not self._receive()
            except ssl.SSLZeroReturnError:
                self._is_ended = True
        return b""

    def shutdown(self, how: int) -> None:
        if how == socket.SHUT_WR:
            with self._send_lock:
                with self._tls_lock, contextlib.suppress(ssl.SSLError):
                    self._tls.unwrap()
                self._transmit()
        self._sock.shutdown(how)

    def _transmit(self) -> None:
        if data := self._outgoing.read():
            self._sock.sendall(data)

    def _receive(self) -> bool:
        """Waits for bytes. Returns False at their end."""
        data = self._sock.recv(RECEIVE_BYTES)
        with self._tls_lock:
            self._incoming.write(data)
        return bool(data)
