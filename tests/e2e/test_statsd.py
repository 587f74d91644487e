"""The metrics of a running server, as a statsd server gets them."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Server, until


@pytest.fixture
def statsd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "statsd.sock"))
        sock.setblocking(False)
        yield sock


class Metrics:
    """The metrics received so far. counts: sums of the counters. gauges: last values. timings: numbers of durations."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.counts: dict[str, int] = {}
        self.gauges: dict[str, list[int]] = {}
        self.timings: dict[str, int] = {}

    def receive(self) -> bool:
        """Receives all datagrams that have arrived."""
        while True:
            try:
                lines = self._sock.recv(65536).decode().split("\n")
            except BlockingIOError:
                return True
            for line in lines:
                metric, kind, tags = line.split("|")
                name, _, value = metric.partition(":")
                assert tags == "#env:test"
                assert name.startswith("shop.gunicorn.")
                name = name.removeprefix("shop.gunicorn.")
                if kind == "c":
                    self.counts[name] = self.counts.get(name, 0) + int(value)
                elif kind == "g":
                    self.gauges.setdefault(name, []).append(int(value))
                else:
                    assert kind == "ms"
                    assert 0 <= float(value) < 60_000
                    self.timings[name] = self.timings.get(name, 0) + 1


@pytest.mark.parametrize("app", ["apps:app", "wsgi_apps:app"])
def test_requests_workers_and_errors_are_sent(
    app: str, start_server: Callable[..., Server], statsd: socket.socket, tmp_path: Path
) -> None:
    metrics = Metrics(statsd)
    path = tmp_path / "statsd.sock"
    options = ("--statsd-host", f"unix://{path}", "--statsd-prefix", "shop", "--dogstatsd-tags", "env:test")
    server = start_server(*options, "--workers", "2", app=app)
    server.may_lose_workers = True
    for _ in range(20):
        assert server.get("/hello").status == 200
    assert server.get("/no such page").status == 400
    expected = {"requests": 21, "request.status.200": 20, "request.status.400": 1}
    until(lambda: metrics.receive() and metrics.counts == expected, "the metrics of all requests")
    assert metrics.timings == {"request.duration": 21}
    assert metrics.gauges["workers"][-1] == 2

    metrics.gauges.clear()
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: metrics.receive() and metrics.gauges == {"workers": [1, 2]}, "the number of workers to fall")
    assert metrics.counts["log.error"] == 1
    server.get("/hello")
    server.stop()  # which does not lose the last request
    metrics.receive()
    assert metrics.counts["requests"] == 22
    assert metrics.gauges["workers"][-1] == 0
