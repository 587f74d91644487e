"""The process that listens on a port: found if the kernel shows it, and never an error."""

import os
import socket

import pytest

from ianus.acceptor import port_owner
from ianus.acceptor.port_owner import describe_port_owner, describe_process


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_listening_process_is_found(family: socket.AddressFamily, host: str) -> None:
    with socket.create_server((host, 0), family=family) as server:
        assert describe_port_owner(server.getsockname()[1]).endswith(f", pid {os.getpid()}")


def test_a_port_of_a_connection_has_no_owner() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert describe_port_owner(client.getsockname()[1]) == ""


def test_a_process_that_cannot_be_read_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> str:
        raise PermissionError(path)

    monkeypatch.setattr(os, "readlink", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert describe_port_owner(server.getsockname()[1]) == ""


def test_a_process_that_has_exited_is_unknown() -> None:
    assert describe_process(2**22 + 1) == ""


def test_the_search_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def look(pid: int, sockets: object) -> bool:
        looked.append(pid)
        return False

    monkeypatch.setattr(port_owner, "_has_socket", look)
    monkeypatch.setattr(port_owner, "MAX_SEARCH_SECONDS", -1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert describe_port_owner(server.getsockname()[1]) == ""
    assert len(looked) == 1


def test_a_system_without_proc_has_no_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, **options: object) -> object:
        raise FileNotFoundError(path)

    monkeypatch.setattr(port_owner, "open", refuse, raising=False)
    assert describe_port_owner(80) == ""
