"""Listening: every kind of address, every failure, and the process that removes a socket file."""

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ianus.acceptor import listener as module
from ianus.acceptor import port_owner
from ianus.acceptor.listener import Listener, listen_fd, listen_tcp, listen_unix
from ianus.acceptor.port_owner import describe_process
from ianus.errors import StartupError
from tests.rows import for_each_row


@pytest.fixture
def opened() -> Iterator[list[Listener]]:
    """Listeners that are closed at the end, also when the test fails."""
    listeners: list[Listener] = []
    yield listeners
    for listener in listeners:
        listener.close()


@pytest.fixture
def socket_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A path short enough for a socket, wherever temporary directories are."""
    monkeypatch.chdir(tmp_path)
    return "app.sock"


def message_of(call: Callable[[], object]) -> str:
    with pytest.raises(StartupError) as caught:
        call()
    assert caught.value.exit_code == 3
    return caught.value.message


def connects(sock: socket.socket) -> bool:
    with socket.socket(sock.family, socket.SOCK_STREAM) as client:
        client.connect(sock.getsockname())
        peer, _ = sock.accept()
        peer.close()
    return True


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


# --- TCP ---


def test_a_tcp_listener_accepts_and_names_its_real_port(opened: list[Listener]) -> None:
    opened += listen_tcp("127.0.0.1", 0, backlog=16)
    (listener,) = opened
    port = listener.sock.getsockname()[1]
    assert port != 0
    assert listener.address == f"http://127.0.0.1:{port}"
    assert connects(listener.sock)


def test_a_listening_socket_does_not_block_and_is_not_inherited(opened: list[Listener]) -> None:
    opened += listen_tcp("127.0.0.1", 0, backlog=16)
    assert opened[0].sock.getblocking() is False
    assert opened[0].sock.get_inheritable() is False
    assert opened[0].sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) != 0


@needs_ipv6
def test_an_ipv6_listener_is_ipv6_only_and_shown_in_brackets(opened: list[Listener]) -> None:
    opened += listen_tcp("::1", 0, backlog=16)
    assert opened[0].address.startswith("http://[::1]:")
    assert opened[0].sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@needs_ipv6
def test_every_interface_is_one_socket_per_family_on_one_port(opened: list[Listener]) -> None:
    opened += listen_tcp("", 0, backlog=16)
    assert {listener.sock.family for listener in opened} == {socket.AF_INET, socket.AF_INET6}
    assert len({listener.sock.getsockname()[1] for listener in opened}) == 1


def test_a_name_is_listened_on_at_each_of_its_addresses(
    opened: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [(socket.AF_INET, 1, 6, "", ("127.0.0.1", 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.2", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses + addresses)
    opened += listen_tcp("two.example", 0, backlog=16)
    port = opened[0].sock.getsockname()[1]
    assert [listener.sock.getsockname() for listener in opened] == [("127.0.0.1", port), ("127.0.0.2", port)]


def test_an_address_that_the_machine_lacks_is_skipped_while_the_name_has_others(
    opened: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [(socket.AF_INET, 1, 6, "", ("192.0.2.1", 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    opened += listen_tcp("two.example", 0, backlog=16)
    assert [listener.sock.getsockname()[0] for listener in opened] == ["127.0.0.1"]


def test_the_error_of_a_port_in_use_has_the_way_to_find_its_owner(
    opened: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_owner, "MAX_SEARCH_SECONDS", 60.0)  # The machine may be busy.
    opened += listen_tcp("127.0.0.1", 0, backlog=16)
    port = opened[0].sock.getsockname()[1]
    message = message_of(lambda: listen_tcp("127.0.0.1", port, backlog=16))
    assert message == (
        f"127.0.0.1:{port} is in use by another process: {describe_process(os.getpid())}."
        " Stop it, or choose another port with --bind."
    )


def test_the_owner_of_a_port_may_be_unknown(opened: list[Listener], monkeypatch: pytest.MonkeyPatch) -> None:
    opened += listen_tcp("127.0.0.1", 0, backlog=16)
    port = opened[0].sock.getsockname()[1]
    monkeypatch.setattr(module, "describe_port_owner", lambda port: "")
    message = message_of(lambda: listen_tcp("127.0.0.1", port, backlog=16))
    assert "ss -ltnp" in message
    assert "--bind" in message


def test_a_failure_closes_sockets_that_were_opened_before_it(
    opened: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened += listen_tcp("127.0.0.2", 0, backlog=16)
    taken = opened[0].sock.getsockname()
    addresses = [(socket.AF_INET, 1, 6, "", ("127.0.0.1", taken[1])), (socket.AF_INET, 1, 6, "", taken)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    assert "is in use" in message_of(lambda: listen_tcp("two.example", taken[1], backlog=16))
    monkeypatch.undo()
    opened += listen_tcp("127.0.0.1", taken[1], backlog=16)


@pytest.mark.parametrize(
    ("code", "host", "expected"),
    [
        (errno.EACCES, "127.0.0.1", ["may not listen on 127.0.0.1:80", "privileged", "CAP_NET_BIND_SERVICE"]),
        (errno.EAFNOSUPPORT, "::1", ["[::1]:80", "no IPv6"]),
        (errno.ENOBUFS, "127.0.0.1", ["Cannot listen on 127.0.0.1:80", os.strerror(errno.ENOBUFS)]),
    ],
)
def test_refusals_of_the_system_are_explained(
    code: int, host: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Listener:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(module, "_open_tcp", refuse)
    message = message_of(lambda: listen_tcp(host, 80, backlog=16))
    for part in expected:
        assert part in message


def test_an_address_of_another_machine_is_explained() -> None:
    message = message_of(lambda: listen_tcp("192.0.2.1", 8000, backlog=16))
    assert "192.0.2.1 is not one of this machine's" in message
    assert "0.0.0.0:8000" in message


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "\u00e4" * 64])
def test_a_name_that_does_not_resolve_is_explained(host: str) -> None:
    message = message_of(lambda: listen_tcp(host, 8000, backlog=16))
    assert f"The host name {host!r} cannot be resolved" in message
    assert "spelling" in message


# --- Unix sockets ---


def test_a_unix_listener_accepts_and_removes_its_file(socket_path: str, opened: list[Listener]) -> None:
    opened.append(listen_unix(socket_path, backlog=16))
    assert opened[0].address == f"unix:{socket_path}"
    assert connects(opened[0].sock)
    opened[0].close()
    assert not os.path.lexists(socket_path)


def test_the_file_is_removed_though_the_application_changed_directory(
    socket_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen_unix(socket_path, backlog=16)
    monkeypatch.chdir("/")
    listener.close()
    assert not (tmp_path / socket_path).exists()


@pytest.mark.parametrize("permissions", [0o600, 0o660, 0o666])
def test_permissions_are_those_of_the_setting(permissions: int, socket_path: str, opened: list[Listener]) -> None:
    opened.append(listen_unix(socket_path, backlog=16, permissions=permissions))
    assert stat.S_IMODE(Path(socket_path).stat().st_mode) == permissions


def test_a_socket_of_a_running_server_is_refused(socket_path: str, opened: list[Listener]) -> None:
    opened.append(listen_unix(socket_path, backlog=16))
    message = message_of(lambda: listen_unix(socket_path, backlog=16))
    assert f"Another process listens on {socket_path}" in message
    assert connects_after_probe(opened[0].sock)


def connects_after_probe(sock: socket.socket) -> bool:
    peer, _ = sock.accept()  # the probe's connection
    peer.close()
    return connects(sock)


def test_a_socket_with_a_full_backlog_counts_as_answering(socket_path: str, opened: list[Listener]) -> None:
    opened.append(listen_unix(socket_path, backlog=0))
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(socket_path)
        assert "Another process listens" in message_of(lambda: listen_unix(socket_path, backlog=16))


def test_a_datagram_socket_is_refused(socket_path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(socket_path)
        assert "Another process listens" in message_of(lambda: listen_unix(socket_path, backlog=16))


def test_a_stale_socket_file_is_replaced(socket_path: str, opened: list[Listener]) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(socket_path)
    assert os.path.lexists(socket_path)
    opened.append(listen_unix(socket_path, backlog=16))
    assert connects(opened[0].sock)


def test_a_file_that_is_no_socket_is_refused_and_kept(socket_path: str) -> None:
    Path(socket_path).write_text("precious")
    assert "exists and is not a socket" in message_of(lambda: listen_unix(socket_path, backlog=16))
    assert Path(socket_path).read_text() == "precious"


def test_closing_keeps_the_file_of_a_successor(socket_path: str, opened: list[Listener]) -> None:
    opened.append(listen_unix(socket_path, backlog=16))
    Path(socket_path).unlink()
    opened.append(listen_unix(socket_path, backlog=16))
    opened[0].close()
    assert connects(opened[1].sock)


def test_a_forked_child_that_closes_keeps_the_file_of_its_parent(
    socket_path: str, opened: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.append(listen_unix(socket_path, backlog=16))
    child_pid = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child_pid)
    opened[0].close()
    assert os.path.lexists(socket_path)


def test_closing_twice_is_harmless(socket_path: str) -> None:
    listener = listen_unix(socket_path, backlog=16)
    listener.close()
    Path(socket_path).touch()
    listener.close()
    assert Path(socket_path).exists()


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    message = message_of(lambda: listen_unix("nowhere/app.sock", backlog=16))
    assert "The directory nowhere does not exist" in message


def test_a_path_that_is_too_long_is_explained(socket_path: str) -> None:
    message = message_of(lambda: listen_unix("a" * 150, backlog=16))
    assert "too long (150 bytes" in message


def test_a_path_that_is_too_long_is_explained_though_a_socket_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind("app.sock")
    assert "too long" in message_of(lambda: listen_unix(str(folder / "app.sock"), backlog=16))


@for_each_row(
    ("code", "expected"),
    [
        (errno.EACCES, "may not create app.sock"),
        (errno.EROFS, "may not create app.sock"),
        (errno.EADDRINUSE, "took app.sock this moment"),
        (errno.ENOENT, f"Cannot listen on app.sock: {os.strerror(errno.ENOENT)}"),  # as in /proc
        (errno.ENOSPC, f"Cannot listen on app.sock: {os.strerror(errno.ENOSPC)}"),
    ],
)
def test_refusals_of_the_system_for_a_unix_socket_are_explained(code: int, expected: str) -> None:
    assert expected in module._explain_unix(OSError(code, os.strerror(code)), "app.sock")


def test_a_socket_that_may_not_be_probed_is_left_alone(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(socket_path)
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: errno.EACCES)
    assert "this user may not connect to it" in message_of(lambda: listen_unix(socket_path, backlog=16))
    assert os.path.lexists(socket_path)


# --- Descriptors ---


def test_a_listening_descriptor_is_taken_over(opened: list[Listener]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        opened.append(listen_fd(server.detach()))
    assert opened[0].address == f"http://127.0.0.1:{port}"
    assert opened[0].sock.getblocking() is False
    assert opened[0].sock.get_inheritable() is False
    assert connects(opened[0].sock)


def test_the_file_of_a_socket_taken_over_is_not_ours_to_remove(socket_path: str) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(socket_path)
    server.listen()
    listener = listen_fd(server.detach())
    assert (listener.address, listener.path) == (f"unix:{socket_path}", "")
    listener.close()
    assert os.path.lexists(socket_path)


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    assert f"fd://{reading}: no descriptor with this number is open" in message_of(lambda: listen_fd(reading))


def test_a_descriptor_that_is_no_socket_is_refused_and_left_open() -> None:
    reading, writing = os.pipe()
    assert "is not a socket" in message_of(lambda: listen_fd(reading))
    os.close(reading)
    os.close(writing)


def test_a_socket_that_is_not_listening_is_refused_and_left_open() -> None:
    with socket.socket() as sock:
        assert "is not listening" in message_of(lambda: listen_fd(sock.fileno()))
        assert sock.getsockname()


def test_a_socket_that_carries_no_stream_is_refused_and_left_open() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert "carries no HTTP" in message_of(lambda: listen_fd(sock.fileno()))
        assert sock.getsockname()
