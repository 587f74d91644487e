"""A server under an init system as systemd: its sockets, notifications, the watchdog and the store of descriptors."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.helpers import APPS, WAIT_SECONDS, Client, Server, until

# Executes a command with descriptors from 3 on, as systemd does.
LAUNCH = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(",")]
for number, fd in enumerate(fds):
    os.dup2(fd, 3 + number)
    os.close(fd)
os.environ |= {"LISTEN_FDS": str(len(fds)), "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": sys.argv[2]}
os.environ |= {name: str(os.getpid()) for name in ("WATCHDOG_PID",) if "WATCHDOG_USEC" in os.environ}
os.execv(sys.argv[3], sys.argv[3:])
"""


def launcher(fds: Sequence[int], names: str = "") -> list[str]:
    return [sys.executable, "-c", LAUNCH, ",".join(map(str, fds)), names]


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP socket and a Unix socket that listen."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "app.sock"))
        unix.listen()
        yield tcp, unix


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket to which the server sends notifications."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(WAIT_SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield manager


def assert_served(*sockets: socket.socket) -> None:
    for each in sockets:
        with Client(each.getsockname()) as client:
            assert client.get().body == b"hello\n"


def test_sockets_of_a_unit_are_served_through_reloads_and_an_upgrade(
    start_server: Callable[..., Server], sockets: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    """The path in --bind is that of the socket, as in the usual unit for Gunicorn."""
    fds = [each.fileno() for each in sockets]
    server = start_server(
        *("--workers", "2"), bind=[f"unix:{tmp_path}/app.sock"], launcher=launcher(fds, "a:b"), pass_fds=fds
    )
    assert len(server.addresses) == 2
    assert_served(*sockets)
    mark = server.log.mark()
    server.process.send_signal(signal.SIGHUP)
    server.log.wait_for(r"worker started: worker 2 .*, replaces", mark)
    assert_served(*sockets)
    server.process.send_signal(signal.SIGUSR2)
    new = int(server.log.wait_for(r"started the new server \(pid (\d+)\)", mark)[1])
    server.log.wait_for(rf" serves .* pid {new}$", mark)
    assert_served(*sockets)
    os.kill(new, signal.SIGTERM)
    server.log.wait_for("the new server exited", mark)
    assert_served(*sockets)
    server.stop()
    # They belong to the init system.
    for each in sockets:
        Client(each.getsockname()).close()


def test_a_socket_that_cannot_be_served_ends_the_start(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        line = [sys.executable, "-m", "ianus", "--app-dir", str(APPS), "apps:app"]
        command = [*launcher([datagram.fileno()], "web"), *line]
        ended = subprocess.run(command, pass_fds=[datagram.fileno()], capture_output=True, timeout=30, cwd=tmp_path)
    assert ended.returncode == 3
    assert b"LISTEN_FDS: the descriptor 3 (web) is not a stream socket" in ended.stderr


def test_the_watchdog_is_notified_while_a_worker_serves(
    start_server: Callable[..., Server],
    manager: socket.socket,
    sockets: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    fds = [sockets[0].fileno()]
    start_server(launcher=launcher(fds), pass_fds=fds, bind=())
    received = [manager.recv(100) for _ in range(10)]
    assert received.count(b"WATCHDOG=1") >= 7


def test_no_connection_is_refused_during_a_restart(
    start_server: Callable[..., Server], manager: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """systemd keeps the sockets of a unit with FileDescriptorStoreMax=, and passes them to the next process."""
    monkeypatch.setenv("FDSTORE", "8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    bind = [f"127.0.0.1:{port}", f"unix:{tmp_path}/own.sock"]
    server = start_server("--workers", "2", bind=bind)
    stored: dict[str, int] = {}

    def all_stored() -> bool:
        data, fds, _, _ = socket.recv_fds(manager, 1000, 10)
        if data.startswith(b"FDSTORE=1\n"):
            stored[data.decode().partition("FDNAME=")[2]] = fds[0]
        return len(stored) == len(bind)

    until(all_stored, "the sockets to be stored")
    server.stop()
    with Client(("127.0.0.1", port)) as tcp, Client(f"{tmp_path}/own.sock") as unix:
        for client in (tcp, unix):
            client.request()
        fds = list(stored.values())
        start_server("--workers", "3", bind=bind, launcher=launcher(fds, ":".join(stored)), pass_fds=fds)
        for client in (tcp, unix):
            assert client.response().body == b"hello\n"
    for fd in fds:
        os.close(fd)
