"""Connections that arrive while no worker serves."""

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ianus.process.supervisor.waiting_connections import (
    FIRST_BYTE_SECONDS,
    MAX_WAITING,
    RETRY_SECONDS,
    WaitingConnections,
    is_health_check,
)
from ianus.process.supervisor.wakeups import Wakeups
from tests.rows import for_each_row

CHECK = b"GET /up HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Unserved:
    """A listener without a worker, and a transfer queue of the test, which holds `space` connections."""

    def __init__(self, path: Path) -> None:
        self.now = 100.0
        self.space = 1000
        self.passed: list[socket.socket] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1000)
        self.listener.setblocking(False)
        self.path = str(path)
        self.wakeups = Wakeups()
        self.listeners = [SimpleNamespace(sock=self.listener, is_tls=False)]
        sockets = SimpleNamespace(listeners=lambda: self.listeners)
        queue = SimpleNamespace(put=self.put)
        self.waiting = WaitingConnections(sockets, queue, self.wakeups, lambda: self.now)  # type: ignore[arg-type]
        self.clients: list[socket.socket] = []

    def put(self, connection: socket.socket) -> bool:
        if len(self.passed) >= self.space:
            return False
        self.passed.append(connection.dup())
        return True

    def step(self, *, is_unserved: bool = True) -> None:
        self.waiting.step("/up", is_unserved=is_unserved, now=self.now)
        for _ in range(3):
            self.wakeups.wait(0)

    def connect(self, data: bytes = b"") -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(self.path)
        client.sendall(data)
        self.clients.append(client)
        return client

    def accept(self) -> socket.socket:
        """Takes the next connection of the backlog, as a worker does."""
        self.clients.append(self.listener.accept()[0])
        return self.clients[-1]

    def close(self) -> None:
        self.step(is_unserved=False)
        for sock in (*self.clients, *self.passed, self.listener):
            sock.close()


@pytest.fixture
def unserved(tmp_path: Path) -> Iterator[Unserved]:
    unserved = Unserved(tmp_path / "socket")
    yield unserved
    unserved.close()


def test_a_health_check_is_answered_with_503(unserved: Unserved) -> None:
    get, head = unserved.connect(CHECK), unserved.connect(CHECK.replace(b"GET", b"HEAD"))
    unserved.step()
    answer = get.recv(4096)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert answer.endswith(b"\r\n\r\n503 Service Unavailable: starting\n")
    assert head.recv(4096).endswith(b"\r\n\r\n")
    assert (get.recv(1), head.recv(1)) == (b"", b"")
    assert not any(unserved.waiting.due())


def test_other_connections_are_passed_on_with_all_their_bytes(unserved: Unserved) -> None:
    unserved.connect(REQUEST)
    unserved.step()
    (passed,) = unserved.passed
    assert passed.recv(4096) == REQUEST


def test_a_silent_connection_is_passed_on_after_a_time(unserved: Unserved) -> None:
    unserved.connect()
    unserved.step()
    assert unserved.waiting.due() == [0.0, 100.0 + FIRST_BYTE_SECONDS]
    unserved.now += FIRST_BYTE_SECONDS
    unserved.step()
    assert len(unserved.passed) == 1
    assert not any(unserved.waiting.due())


def test_connections_to_an_address_with_tls_stay_in_the_backlog(unserved: Unserved) -> None:
    unserved.listeners[0].is_tls = True
    client = unserved.connect(CHECK)
    unserved.step()
    assert not any(unserved.waiting.due())
    accepted = unserved.accept()
    assert accepted.recv(4096) == CHECK
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)


def test_connections_are_passed_on_as_soon_as_a_worker_serves(unserved: Unserved) -> None:
    unserved.connect()
    unserved.step()
    unserved.step(is_unserved=False)
    assert len(unserved.passed) == 1
    unserved.connect(CHECK)
    unserved.step(is_unserved=False)
    assert unserved.accept(), "the worker accepts again"


def test_a_client_that_leaves_is_forgotten(unserved: Unserved) -> None:
    client = unserved.connect()
    unserved.step()
    client.close()
    unserved.step()
    assert not any(unserved.waiting.due())
    assert unserved.passed == []


def test_a_full_queue_is_tried_again(unserved: Unserved) -> None:
    unserved.space = 0
    unserved.connect(REQUEST)
    unserved.step()
    assert unserved.waiting.due() == [0.0, 100.0 + RETRY_SECONDS]
    unserved.space = 1
    unserved.now += RETRY_SECONDS
    unserved.step()
    assert unserved.passed[0].recv(4096) == REQUEST


def test_the_number_of_waiting_connections_is_limited(unserved: Unserved) -> None:
    for _ in range(MAX_WAITING + 1):
        unserved.connect()
    unserved.step()
    assert unserved.accept(), "the last one stays in the backlog"
    assert unserved.waiting.due()[0] == 100.0 + RETRY_SECONDS


def test_the_first_line_may_arrive_in_parts(unserved: Unserved) -> None:
    client = unserved.connect(CHECK[:7])
    unserved.step()
    client.sendall(CHECK[7:])
    assert unserved.waiting.due() == [0.0, 100.0 + RETRY_SECONDS]
    unserved.now += RETRY_SECONDS
    unserved.step()
    assert client.recv(4096).startswith(b"HTTP/1.1 503 ")
    # For the rest of this one no further time is given.
    unserved.connect(CHECK[:7])
    unserved.step()
    unserved.now += RETRY_SECONDS
    unserved.step()
    assert len(unserved.passed) == 1


def test_unread_bytes_do_not_wake_the_supervisor(unserved: Unserved) -> None:
    unserved.space = 0
    for data in (REQUEST, b"G", CHECK[:7]):
        unserved.connect(data)
    unserved.step()
    assert unserved.wakeups._poll.poll(0) == []
    unserved.space = 3


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 203.0.113.7 198.51.100.1 1 2\r\n",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + b"x" * 12,
    ],
)
def test_a_health_check_may_have_a_proxy_header(unserved: Unserved, header: bytes) -> None:
    check, other = unserved.connect(header + CHECK), unserved.connect(header + REQUEST)
    unserved.step()
    assert check.recv(4096).startswith(b"HTTP/1.1 503 ")
    assert [each.recv(4096) for each in unserved.passed] == [header + REQUEST]
    for part in (header[:6], header[:-1], header):
        other = unserved.connect(part)
        unserved.step()
        unserved.now += RETRY_SECONDS
        unserved.step()
        assert unserved.passed[-1].recv(4096) == part
        other.close()


def test_sockets_that_a_reload_has_closed_are_not_held_open(unserved: Unserved) -> None:
    unserved.step()
    unserved.listener.close()
    unserved.listeners = []
    unserved.step()
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(unserved.path)


def test_connections_have_the_options_that_a_worker_sets(unserved: Unserved) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        unserved.listeners = [SimpleNamespace(sock=listener, is_tls=False)]
        unserved.step()
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(REQUEST)
            unserved.step()
            (passed,) = unserved.passed
            assert passed.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        unserved.listeners = []
        unserved.step()


def test_without_a_health_path_connections_stay_in_the_backlog(unserved: Unserved) -> None:
    unserved.connect(CHECK)
    unserved.waiting.step("", is_unserved=True, now=unserved.now)
    unserved.wakeups.wait(0)
    assert unserved.accept()


@for_each_row(
    ("start", "expected"),
    [
        (b"GET /up HTTP/1.1\r\n", True),
        (b"HEAD /up?x", True),
        (b"GET /up", False),
        (b"GET /ups HTTP/1.1\r\n", False),
        (b"POST /up HTTP/1.1\r\n", False),
        (b"PROXY TCP4 ", False),
        (b"\x16\x03\x01", False),
    ],
)
def test_health_checks_are_recognised_by_their_first_bytes(start: bytes, expected: bool) -> None:
    assert is_health_check(start, b"/up") is expected
