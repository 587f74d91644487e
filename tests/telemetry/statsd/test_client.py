"""Datagrams of metrics: names, tags, sizes, and servers that are not there."""

import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from ianus.telemetry.statsd.client import MAX_DATAGRAM_BYTES, StatsdClient
from tests.telemetry.statsd.conftest import StatsdServer


@pytest.mark.parametrize(
    ("prefix", "tags", "expected"),
    [
        ("", "", "gunicorn.requests:1|c"),
        ("shop", "", "shop.gunicorn.requests:1|c"),
        ("shop.web.", "env:prod,canary", "shop.web.gunicorn.requests:1|c|#env:prod,canary"),
    ],
)
def test_a_metric_has_the_prefix_and_the_tags(statsd: StatsdServer, prefix: str, tags: str, expected: str) -> None:
    with contextlib.closing(statsd.client(prefix, tags)) as client:
        client.send(["gunicorn.requests:1|c"])
        assert statsd.datagram() == [expected]


def test_metrics_share_datagrams_up_to_their_size(statsd: StatsdServer) -> None:
    metrics = [f"gunicorn.request.duration:{number:07}.000|ms" for number in range(100)]
    with contextlib.closing(statsd.client()) as client:
        client.send(metrics)
    received = [statsd.sock.recv(65536) for _ in range(3)]
    assert b"\n".join(received).decode().split("\n") == metrics
    assert MAX_DATAGRAM_BYTES - 43 < len(received[0]) <= MAX_DATAGRAM_BYTES


def test_no_metrics_are_no_datagram(statsd: StatsdServer) -> None:
    with contextlib.closing(statsd.client()) as client:
        client.send([])
        client.send(["a:1|c"])
    assert statsd.datagram() == ["a:1|c"]


def test_a_server_that_is_not_there_is_an_error_and_one_that_returns_is_served(statsd: StatsdServer) -> None:
    address = statsd.address
    with contextlib.closing(statsd.client()) as client:
        statsd.sock.close()
        client.send(["a:1|c"])  # The kernel reports its fate with the next one.
        with pytest.raises(ConnectionRefusedError):
            client.send(["b:1|c"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.bind(address)
            client.send(["c:1|c"])
            assert sock.recv(100) == b"c:1|c"


def test_a_unix_socket_that_is_made_again_is_found(tmp_path: Path) -> None:
    path = tmp_path / "statsd.sock"
    with contextlib.closing(StatsdClient(str(path), statsd_prefix="", dogstatsd_tags="")) as client:
        with pytest.raises(FileNotFoundError):
            client.send(["a:1|c"])
        for number in range(2):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.bind(str(path))
                client.send([f"{number}:1|c"])
                assert sock.recv(100) == b"%d:1|c" % number
            path.unlink()
            with pytest.raises(OSError, match=r"refused|No such file"):
                client.send(["lost:1|c"])


def test_a_full_socket_loses_metrics_and_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "statsd.sock"
    client = StatsdClient(str(path), statsd_prefix="", dogstatsd_tags="")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.closing(client):
        sock.bind(str(path))
        with pytest.raises(BlockingIOError):
            client.send(["x" * MAX_DATAGRAM_BYTES] * 10_000)


def test_the_name_is_resolved_once(statsd: StatsdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    places = [statsd.address]

    def getaddrinfo(*arguments: Any, **how: Any) -> list[Any]:
        asked.append(arguments)
        return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", places[0])]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    client = StatsdClient(("stats.example", 8125), statsd_prefix="", dogstatsd_tags="")
    with contextlib.closing(client):
        for _ in range(2):
            client.send(["a:1|c"])
            assert statsd.datagram() == ["a:1|c"]
            client.close()  # the address remains
        assert asked == [("stats.example", 8125)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.settimeout(10)
            other.bind(("127.0.0.1", 0))
            places[0] = other.getsockname()
            client.send(["a:1|c"])
            client.resolve()
            client.send(["b:1|c"])
            assert other.recv(100) == b"b:1|c"
