"""The process that listens on a port: found if the kernel shows it, and never an error."""

import io
import os
import socket

import pytest

from ianus.acceptor import port_owner
from ianus.acceptor.port_owner import describe_port_owner, describe_process
from tests.rows import for_each_row


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_listening_process_is_found(family: socket.AddressFamily, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_owner, "MAX_SEARCH_SECONDS", 60.0)  # The machine may be busy.
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


def describe(monkeypatch: pytest.MonkeyPatch, line: bytes, short: str = "") -> str:
    """Describes a process with this command line, and with this short name."""

    def read(path: str, *modes: str, **options: object) -> object:
        return io.BytesIO(line) if path == "/proc/7/cmdline" else io.StringIO(f"{short}\n")

    monkeypatch.setattr(port_owner, "open", read, raising=False)
    return describe_process(7)


@for_each_row(
    ("line", "shown"),
    [
        (b"/usr/bin/python3\0-m\0http.server\0008080\0", "python3 -m http.server 8080"),
        (b"/usr/bin/python3\0/srv/bin/ianus\0main:app\0--ssl-keyfile-password\0x\0", "python3 /srv/bin/ianus main:app"),
        (b"python\0-c\0secret\0", "python"),
        (b"ianus\0main:create_app('secret')\0", "ianus main:create_app(...)"),
        (b"ianus\0main:create_app((1, 2), ('secret',))\0", "ianus main:create_app(...)"),
        (b"worker: jobs --broker redis://:secret@host\0", "worker: jobs"),
        (b"ianus: supervisor\0\0\0", "ianus: supervisor"),
        (b"nginx: master process /usr/sbin/nginx\0", "nginx: master process /usr/sbin/nginx"),
        (b"a\x1b[2J\xff\0b\nc\0", "a?[2J? b?c"),
        (b"x" * 5000, "x" * port_owner.MAX_SHOWN_CHARACTERS + "..."),
    ],
)
def test_a_process_is_named_by_its_command_without_options(line: bytes, shown: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert describe(monkeypatch, line) == f"{shown}, pid 7"


def test_a_process_without_a_command_line_has_its_short_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert describe(monkeypatch, b"", "kworker\x1b") == "kworker?, pid 7"
    assert describe(monkeypatch, b"", "") == ""


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
