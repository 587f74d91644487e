"""Clients on slow links: each asks for something big and reads it little by little."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from client import Connection

RECEIVE_BUFFER = 65536  # bytes of a socket, so that the kernel does not read ahead in our place
READ_BYTES = 25_000  # bytes that a reader takes at once
READ_INTERVAL_SECONDS = 0.05  # seconds between two sips: half a megabyte a second for each reader


class Readers:
    """The bytes that the readers have received; ``read`` runs in a thread of its own."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.received = 0  # bytes, of all
        self.reading = sockets  # those whose answer has neither ended nor broken off
        self._over = threading.Event()

    def read(self) -> None:
        """Returns after ``stop``."""
        while not self._over.wait(READ_INTERVAL_SECONDS):
            self.reading = [connection for connection in self.reading if self._read_once(connection)]

    def stop(self) -> None:
        """Lets ``read`` return."""
        self._over.set()

    def _read_once(self, connection: socket.socket) -> bool:
        try:
            data = connection.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.received += len(data)
        return bool(data)


@contextmanager
def slow_readers(port: int, request: bytes, number: int) -> Iterator[Readers]:
    """They have sent the request, and read for as long as the block lasts."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(Connection(port)).socket for _ in range(number)]
        for connection in sockets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            connection.sendall(request)
            connection.setblocking(False)
        readers = Readers(sockets)
        thread = threading.Thread(target=readers.read)
        thread.start()
        try:
            yield readers
        finally:
            readers.stop()
            thread.join()
