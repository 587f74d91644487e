"""Sockets that systemd keeps: their names, and the notifications."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ianus.process.activation import ActivatedSocket
from ianus.process.supervisor.fd_store import FdStore, format_stored_name, group_stored
from tests.rows import for_each_row


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("FDSTORE", "2")
        yield manager


def received(systemd: socket.socket) -> tuple[str, list[int]]:
    data, fds, _, _ = socket.recv_fds(systemd, 1000, 10)
    return data.decode(), fds


@for_each_row("bind", ["127.0.0.1:8000 0", "[::1]:80 0", "unix:/run/a b%.sock 0", "*:80 1", "unix:/ä 0"])
def test_names_have_the_address(bind: str) -> None:
    names = [format_stored_name(bind, number) for number in (0, 1)]
    assert all(name.startswith("ianus.") and name.isascii() and ":" not in name and " " not in name for name in names)
    stored = [ActivatedSocket(8, names[1]), ActivatedSocket(7, names[0])]
    assert group_stored(stored) == {bind: [[7], [8]]}


def test_new_sockets_are_stored_and_others_removed(systemd: socket.socket) -> None:
    store = FdStore(None)
    assert store.is_enabled()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        store.update({"ianus.0.a": sock.fileno()})
        text, (fd,) = received(systemd)
        assert text == "FDSTORE=1\nFDNAME=ianus.0.a"
        with socket.socket(fileno=fd) as copy:
            assert copy.getsockname() == sock.getsockname()
        store.update({"ianus.0.a": sock.fileno()})
        store.update({})
        assert received(systemd) == ("FDSTOREREMOVE=1\nFDNAME=ianus.0.a", [])
        with pytest.raises(BlockingIOError):
            systemd.recv(1)


def test_sockets_that_were_kept_are_not_stored_again(systemd: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        store = FdStore({"a 0": [[one.fileno()]], "b 0": [[other.fileno()]]})
        name = format_stored_name("a 0", 0)
        store.update({name: one.fileno()})
        assert received(systemd) == ("FDSTOREREMOVE=1\nFDNAME=ianus.0.b%200", [])
        with pytest.raises(BlockingIOError):
            systemd.recv(1)
        # Another socket at the same address, after its file was removed.
        store.update({name: other.fileno()})
        assert received(systemd) == (f"FDSTOREREMOVE=1\nFDNAME={name}", [])
        text, (fd,) = received(systemd)
        assert text == f"FDSTORE=1\nFDNAME={name}"
        os.close(fd)


def test_a_store_that_is_too_small_is_logged_once(systemd: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    store = FdStore(None)
    with Path(os.devnull).open() as file:
        for _ in range(2):
            store.update(dict.fromkeys(("a", "b", "c"), file.fileno()))
    assert caplog.messages == [
        "systemd cannot keep all sockets during a restart: sockets: 3, FileDescriptorStoreMax: 2"
    ]


@pytest.mark.usefixtures("systemd")
@pytest.mark.parametrize("name", ["FDSTORE", "NOTIFY_SOCKET"])
def test_without_a_store_nothing_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    assert not FdStore(None).is_enabled()
