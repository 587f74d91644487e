"""The admin socket beside the other work of the supervisor, with a clock of the test."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ianus.errors import StartupError
from ianus.process.supervisor.admin import MAX_CONNECTIONS, REQUEST_SECONDS, AdminSocket
from ianus.process.supervisor.wakeups import Wakeups
from ianus.settings.values import TcpBind, UnixBind

LIVE = b"GET /-/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Admin:
    """An admin socket and its state, which is that of the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 100.0
        self.is_ready = True
        self.size = 0
        self.wakeups = Wakeups()
        self.socket = AdminSocket(self.wakeups, self.state, lambda: self.now)

    def state(self) -> Any:
        return SimpleNamespace(is_ready=self.is_ready, status=lambda now: {"now": now, "filler": "x" * self.size})

    def turn(self) -> None:
        self.wakeups.wait(0)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(str(self.path))
        self.turn()
        return client

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Returns the status and the body of the answer to a request."""
        with self.connect() as client:
            client.sendall(request)
            self.turn()
            answer = b""
            while data := client.recv(65536):
                answer += data
                self.turn()
        self.turn()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    admin = Admin(tmp_path / "admin.sock")
    admin.socket.change(UnixBind(str(admin.path)))
    yield admin
    admin.socket.close()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_only_the_user_of_the_server_can_connect(admin: Admin) -> None:
    assert admin.path.stat().st_mode & 0o777 == 0o600


def test_liveness_and_readiness_are_different(admin: Admin) -> None:
    assert admin.ask(LIVE) == (200, b"live\n")
    assert admin.ask(get("/-/ready?x")) == (200, b"ready\n")
    admin.is_ready = False
    assert admin.ask(LIVE) == (200, b"live\n")
    assert admin.ask(get("/-/ready")) == (503, b"not ready\n")


def test_other_requests_are_refused(admin: Admin) -> None:
    assert admin.ask(get("/"))[0] == 404
    assert admin.ask(get("/-/live/"))[0] == 404
    assert admin.ask(LIVE.replace(b"GET", b"DELETE"))[0] == 405
    assert admin.ask(b"nonsense\r\n")[0] == 400


def test_the_response_to_head_has_no_body(admin: Admin) -> None:
    assert admin.ask(LIVE.replace(b"GET", b"HEAD")) == (200, b"")


def test_the_state_is_json_of_any_size(admin: Admin) -> None:
    admin.size = 1 << 20
    status, body = admin.ask(get("/-/status"))
    assert status == 200
    assert json.loads(body) == {"now": 100.0, "filler": "x" * admin.size}


def test_a_request_may_arrive_in_pieces(admin: Admin) -> None:
    with admin.connect() as client:
        for byte in LIVE:
            client.send(bytes([byte]))
            admin.turn()
        assert client.recv(4096).endswith(b"live\n")


def test_a_silent_client_is_disconnected(admin: Admin) -> None:
    with admin.connect() as client:
        (deadline,) = [due for due in admin.socket.due() if due]
        assert deadline == admin.now + REQUEST_SECONDS
        admin.socket.step(deadline - 0.001)
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        admin.socket.step(deadline)
        assert client.recv(1) == b""
    assert not any(admin.socket.due())


def test_silent_clients_do_not_lock_out_others(admin: Admin) -> None:
    clients = [admin.connect() for _ in range(MAX_CONNECTIONS)]
    assert admin.ask(LIVE) == (200, b"live\n")
    assert clients[0].recv(1) == b"", "the oldest one was closed"
    assert sum(bool(due) for due in admin.socket.due()) == MAX_CONNECTIONS - 1
    for client in clients:
        client.close()
    admin.turn()
    assert not any(admin.socket.due())


def test_a_client_that_leaves_in_the_middle_is_forgotten(admin: Admin) -> None:
    with admin.connect() as client:
        client.send(LIVE[:20])
        admin.turn()
    admin.turn()
    assert not any(admin.socket.due())


def test_a_reload_can_change_the_address(admin: Admin, tmp_path: Path) -> None:
    before = admin.path.stat().st_ino
    admin.socket.change(UnixBind(str(admin.path)))
    assert admin.path.stat().st_ino == before
    other = tmp_path / "other.sock"
    admin.socket.change(UnixBind(str(other)))
    assert not admin.path.exists()
    with pytest.raises(StartupError, match=r"--admin-bind\.$"):
        admin.socket.change(UnixBind(str(tmp_path / "missing" / "admin.sock")))
    admin.path = other
    assert admin.ask(LIVE)[0] == 200, "the present address stays"
    other.unlink()
    admin.socket.change(UnixBind(str(other)))
    assert admin.ask(LIVE)[0] == 200, "a file that was removed is created again"
    admin.socket.change(None)
    assert not other.exists()


def test_the_address_of_a_previous_server_is_tried_until_that_has_exited(
    admin: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ianus.error")
    successor = Admin(admin.path)
    successor.socket.open_later(UnixBind(str(admin.path)), 100.0)
    assert successor.socket.due() == [101.0]
    successor.socket.step(101.0, has_predecessor=True)
    assert (successor.socket.due(), caplog.messages) == ([102.0], [])
    for now in (102.0, 103.0):
        successor.socket.step(now)
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "cannot open the admin socket, trying again every second"
    ]
    admin.socket.close()
    successor.socket.step(104.0)
    assert successor.ask(LIVE) == (200, b"live\n")
    successor.socket.close()


def test_accepting_is_paused_for_lack_of_descriptors(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def accept(self: socket.socket) -> Any:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(socket.socket, "accept", accept)
    client = admin.connect()
    assert caplog.messages == ["admin socket cannot accept connections: [Errno 24] Too many open files"]
    admin.turn()
    assert len(caplog.messages) == 1, "the listener is not watched"
    monkeypatch.undo()
    admin.socket.step(101.0)
    admin.turn()
    client.sendall(LIVE)
    admin.turn()
    assert client.recv(4096).endswith(b"live\n")
    client.close()


def test_an_address_of_this_machine_can_be_given() -> None:
    admin = Admin(Path("unused"))
    admin.socket.change(TcpBind("127.0.0.1", 0))
    (listener,) = admin.socket._listeners
    with socket.create_connection(listener.sock.getsockname()) as client:
        client.settimeout(10)
        admin.turn()
        client.sendall(LIVE.replace(b"localhost", b"evil.example"))
        admin.turn()
        assert client.recv(4096).startswith(b"HTTP/1.1 403 Forbidden\r\n")
    admin.socket.close()


def test_a_forked_process_closes_its_copies(admin: Admin) -> None:
    with admin.connect():
        pid = os.fork()
        if pid == 0:
            admin.socket.close_in_child()
            os._exit(0 if admin.path.exists() else 1)
        assert os.waitpid(pid, 0)[1] == 0
    assert admin.path.exists()
