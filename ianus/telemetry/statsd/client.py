"""Sends metrics to a statsd server.

Rules:
- The socket does not block: metrics for which the kernel has no space are lost.
- Several metrics share a datagram, one a line.
- The name of a host is resolved once, and not for each datagram.
"""

import socket
from collections.abc import Iterable, Iterator
from typing import Any

# Bytes of a datagram that fit into a packet of Ethernet. Longer ones would be lost with any of their fragments.
MAX_DATAGRAM_BYTES = 1432


class StatsdClient:
    """A socket that is connected when it is first needed.

    target: the path of a Unix socket, or host and port. statsd_prefix: in front of all names. dogstatsd_tags: after all
    metrics, as Datadog's server reads them; "" for none.
    """

    def __init__(self, target: str | tuple[str, int], *, statsd_prefix: str, dogstatsd_tags: str) -> None:
        self._target = target
        self._prefix = f"{statsd_prefix.rstrip('.')}." if statsd_prefix else ""
        self._suffix = f"|#{dogstatsd_tags}" if dogstatsd_tags else ""
        self._place: tuple[int, Any] | None = None  # family and address of a host
        self._socket: socket.socket | None = None

    def send(self, metrics: Iterable[str]) -> None:
        """Sends metrics, such as `requests:1|c`. Raises OSError if one of their datagrams was lost."""
        sock = self._socket or self._connect()
        problem: OSError | None = None
        for datagram in self._datagrams(metrics):
            try:
                sock.send(datagram)
            except OSError as error:
                problem = error
        if problem is not None:
            if sock.family == socket.AF_UNIX:
                self.close()  # Its server may have been started again, with another socket.
            raise problem

    def resolve(self) -> None:
        """Resolves the name of the host, again if it was before. Raises OSError; then the earlier address remains."""
        if not isinstance(self._target, str):
            host, port = self._target
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            if self._place != (int(family), address):
                self._place = int(family), address
                self.close()

    def close(self) -> None:
        """Closes the socket, which the next metrics open again. May be called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        if self._place is None:
            self.resolve()
        family, address = self._place or (socket.AF_UNIX, self._target)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        self._socket = sock
        return sock

    def _datagrams(self, metrics: Iterable[str]) -> Iterator[bytes]:
        lines: list[bytes] = []
        size = 0
        for metric in metrics:
            line = f"{self._prefix}{metric}{self._suffix}".encode()
            if lines and size + len(line) > MAX_DATAGRAM_BYTES:
                yield b"\n".join(lines)
                lines, size = [], 0
            lines.append(line)
            size += len(line) + 1
        if lines:
            yield b"\n".join(lines)
