"""The order of responses to a client with a slow link (RFC 9218)."""

import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from typing import Any

import h2.events
import pytest

from tests.e2e.http2_client import Http2Client
from tests.helpers import Server, until

WINDOW = 1 << 24

# The objects of a page, in the order of its requests: the name, the number, and the wish of the client.
PAGE = (("image", 79, b"u=5, i"), ("script", 15, b"u=3"), ("style", 5, b"u=1"), ("document", 1, b"u=0"))


class PageClient(Http2Client):
    """ended: the streams in the order of their ends. received: bytes of bodies."""

    def __init__(self, server: Server) -> None:
        self.ended: list[int] = []
        self.received = 0
        super().__init__(server.address, window=WINDOW)
        # So that the output waits in the server, as with a slow link.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.connection.increment_flow_control_window(WINDOW)
        self.flush()

    def ask(self, size: int, wish: bytes) -> int:
        """Asks for a body of `size` bytes, with the next flush(). Returns the stream."""
        stream = self.connection.get_next_available_stream_id()
        head = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"localhost")]
        fields = [(b":path", f"/large?{size}".encode()), (b"priority", wish)]
        self.connection.send_headers(stream, [*head, *fields], end_stream=True)
        return stream

    def note(self, event: Any) -> None:
        super().note(event)
        if isinstance(event, h2.events.StreamEnded):
            self.ended.append(event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            self.received += len(event.data)

    def unread_bytes(self) -> int:
        """The bytes that wait in the socket."""
        return int(struct.unpack("i", fcntl.ioctl(self.sock, termios.FIONREAD, bytes(4)))[0])


@pytest.fixture
def client(shared: Callable[..., Server]) -> Any:
    with PageClient(shared("--http2-cleartext")) as client:
        client.ping()
        yield client


def test_the_objects_of_a_page_are_received_in_the_order_of_their_urgency(client: PageClient) -> None:
    names = {client.ask(30_000, wish): name for name, number, wish in PAGE for _ in range(number)}
    client.flush()
    while len(client.ended) < len(names):
        client.receive()
    expected = [name for name, number, _ in reversed(PAGE) for _ in range(number)]
    assert [names[stream] for stream in client.ended] == expected


def test_an_urgent_response_overtakes_others_that_wait(client: PageClient) -> None:
    """The system keeps little output that it cannot send: it would be sent before the urgent response."""
    for _ in range(20):
        client.ask(500_000, b"u=5")
    client.flush()
    waiting: list[int] = []

    def is_blocked() -> bool:
        waiting.append(client.unread_bytes())
        return len(waiting) > 20 and len(set(waiting[-20:])) == 1

    until(is_blocked, "the end of what the sockets take")
    style = client.ask(30_000, b"u=1")
    client.flush()
    while style not in client.ended:
        client.receive()
    assert client.received < 1_000_000
