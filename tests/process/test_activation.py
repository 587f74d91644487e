"""Sockets of an init system: the variables, the descriptors, and the addresses of --bind that stand for them."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ianus.errors import StartupError
from ianus.process import activation
from ianus.process.activation import ActivatedSocket, Activation
from ianus.settings.schema import Settings
from ianus.settings.values import FdBind

# Numbers that are free in the process of the tests.
FIRST_FD = 300

Give = Callable[..., dict[str, str]]


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Iterator[Give]:
    """give(*sockets, names=...): the environment of a process that gets copies of these sockets."""
    monkeypatch.setattr(activation, "FIRST_FD", FIRST_FD)
    given: set[int] = set()

    def run(*sockets: socket.socket | int, names: str = "") -> dict[str, str]:
        for index, each in enumerate(sockets):
            fd = each if isinstance(each, int) else each.fileno()
            given.add(os.dup2(fd, FIRST_FD + index))
        variables = {"LISTEN_FDS": str(len(sockets)), "LISTEN_PID": str(os.getpid()), "OTHER": "1"}
        return variables | ({"LISTEN_FDNAMES": names} if names else {})

    yield run
    for fd in given:
        os.close(fd)


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "app.sock"))
        sock.listen()
        yield sock


def binds(activated: Activation, *bind: str) -> list[str]:
    given = Settings(bind=bind) if bind else Settings()  # type: ignore[arg-type]
    return [str(each) for each in activated.apply(given).bind]


FIRST, SECOND = f"fd://{FIRST_FD}", f"fd://{FIRST_FD + 1}"


def test_without_an_init_system_the_settings_stay() -> None:
    settings = Settings(bind="127.0.0.1:9000")  # type: ignore[arg-type]
    for environ in ({}, {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())}):
        assert Activation(environ).apply(settings) is settings


def test_without_bind_the_sockets_are_the_addresses(give: Give, tcp: socket.socket, unix: socket.socket) -> None:
    environ = give(tcp, unix, names="web:local")
    activated = Activation(environ)
    assert activated.sockets == [ActivatedSocket(FIRST_FD, "web"), ActivatedSocket(FIRST_FD + 1, "local")]
    assert binds(activated) == [FIRST, SECOND]
    assert environ == {"OTHER": "1"}, "a child would take the sockets"
    assert not os.get_inheritable(FIRST_FD)


def test_the_path_in_bind_stands_for_the_socket(give: Give, unix: socket.socket, tmp_path: Path) -> None:
    activated = Activation(give(unix))
    (tmp_path / "link").symlink_to(tmp_path)
    assert activated.sockets[0].name == "unknown"
    for path in (tmp_path / "app.sock", tmp_path / "link" / "app.sock", tmp_path / "x" / ".." / "app.sock"):
        assert binds(activated, f"unix:{path}") == [FIRST]
    # A path of its own is another address, and the socket is served all the same.
    assert binds(activated, f"unix:{tmp_path}/other.sock") == [f"unix:{tmp_path}/other.sock", FIRST]


def test_the_address_in_bind_stands_for_the_socket(give: Give, tcp: socket.socket) -> None:
    activated = Activation(give(tcp))
    port = tcp.getsockname()[1]
    assert binds(activated, f"127.0.0.1:{port}") == [FIRST]
    assert binds(activated, f"localhost:{port}", "127.0.0.1:1") == [FIRST, "127.0.0.1:1"]
    for other in (f"127.0.0.2:{port}", f"*:{port}", "127.0.0.1:1", "not-a-host.invalid:1"):
        assert binds(activated, other) == [other, FIRST]


@pytest.mark.parametrize(
    ("host", "same", "other"),
    [("0.0.0.0", ("127.0.0.1", "*", "0.0.0.0"), ("[::1]",)), ("::", ("127.0.0.1", "*", "[::1]", "[::]"), ())],
)
def test_a_socket_of_every_interface(give: Give, host: str, same: tuple[str, ...], other: tuple[str, ...]) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as sock:
        activated = Activation(give(sock))
        port = sock.getsockname()[1]
        for each in same:
            assert binds(activated, f"{each}:{port}") == [FIRST]
        for each in other:
            assert binds(activated, f"{each}:{port}") == [f"{each}:{port}", FIRST]


def test_sockets_by_name(give: Give, tcp: socket.socket, unix: socket.socket) -> None:
    activated = Activation(give(unix, tcp, names="admin:web"))
    assert binds(activated, "fd://web") == [SECOND]
    assert binds(activated, "fd://admin", "fd://web", FIRST) == [FIRST, SECOND]
    with pytest.raises(StartupError, match=r"fd://other: .*\(passed: admin, web\)"):
        binds(activated, "fd://other")


def test_a_name_without_an_init_system() -> None:
    with pytest.raises(StartupError, match=r"fd://web: .*\(passed: none\)"):
        binds(Activation({}), "fd://web")


def test_sockets_for_another_process_are_ignored(give: Give, tcp: socket.socket) -> None:
    environ = give(tcp) | {"LISTEN_PID": "1"}
    activated = Activation(environ)
    assert activated.sockets == []
    assert activated.ignored == f"LISTEN_FDS is for the process 1, and this one is {os.getpid()}"
    assert environ == {"OTHER": "1"}


def test_what_is_not_a_listening_stream_socket_is_refused(give: Give, tmp_path: Path) -> None:
    left, right = socket.socketpair()
    with left, right, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, (tmp_path / "f").open("w") as file:
        for given, problem in (
            (datagram, "is not a stream socket. Use ListenStream="),
            (left, "is not listening. Remove Accept=yes"),
            (file.fileno(), "is not a socket"),
        ):
            with pytest.raises(StartupError, match=problem) as caught:
                Activation(give(given, names="web"))
            assert f"LISTEN_FDS: the descriptor {FIRST_FD} (web)" in caught.value.message
            assert caught.value.exit_code == 3
            os.fstat(FIRST_FD)  # It is not ours to close.


def test_a_descriptor_that_is_not_open(give: Give) -> None:
    environ = give() | {"LISTEN_FDS": "1"}
    with contextlib.suppress(OSError):
        os.close(FIRST_FD)
    with pytest.raises(StartupError, match="is not open"):
        Activation(environ)
    with pytest.raises(StartupError, match="'x', which is not a number"):
        Activation({"LISTEN_FDS": "x"})
    with pytest.raises(StartupError, match=r"'9{20}', which is too large"):
        Activation({"LISTEN_FDS": "9" * 5000})


def test_a_new_server_has_the_sockets_of_the_previous_one(give: Give, tcp: socket.socket) -> None:
    give(tcp)
    activated = Activation({}, inherited=[ActivatedSocket(FIRST_FD, "web")])
    assert binds(activated) == binds(activated, "fd://web") == [FIRST]
    assert binds(activated, f"127.0.0.1:{tcp.getsockname()[1]}") == [FIRST]
    assert isinstance(activated.apply(Settings()).bind[0], FdBind)


def test_sockets_that_systemd_has_kept_are_no_addresses_of_an_init_system(give: Give, tcp: socket.socket) -> None:
    activated = Activation(give(tcp, names="ianus.0.127.0.0.1%3a8000%200"))
    assert activated.sockets == []
    assert activated.stored == [ActivatedSocket(FIRST_FD, "ianus.0.127.0.0.1%3a8000%200")]
    assert binds(activated) == ["127.0.0.1:8000"]
