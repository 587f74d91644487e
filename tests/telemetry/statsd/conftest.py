"""A statsd server of the test."""

import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from ianus.telemetry.statsd.client import StatsdClient


class StatsdServer(NamedTuple):
    """sock: receives the datagrams of clients."""

    sock: socket.socket

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.sock.getsockname()
        return host, port

    def client(self, statsd_prefix: str = "", dogstatsd_tags: str = "") -> StatsdClient:
        return StatsdClient(self.address, statsd_prefix=statsd_prefix, dogstatsd_tags=dogstatsd_tags)

    def datagram(self) -> list[str]:
        """Returns the lines of the next datagram."""
        return self.sock.recv(65536).decode().split("\n")


@pytest.fixture
def statsd() -> Iterator[StatsdServer]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(("127.0.0.1", 0))
        yield StatsdServer(sock)
