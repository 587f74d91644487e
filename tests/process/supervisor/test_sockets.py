"""The sockets of the supervisor: their number, the spread of connections, and the takeover by another server."""

import os
import select
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ianus.acceptor.listener import Listener
from ianus.errors import StartupError
from ianus.process.supervisor.fd_store import InheritedFds
from ianus.process.supervisor.sockets import Sockets
from ianus.settings.schema import Settings
from tests.helpers import WAIT_SECONDS

TCP = "127.0.0.1:0"

steers = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told where connections go")


def settings(*bind: str) -> Settings:
    return Settings.from_values({"bind": list(bind)})


@pytest.fixture
def listen() -> Iterator[Callable[..., Sockets]]:
    """listen(*bind): Sockets, which are closed in the end."""
    opened: list[Sockets] = []

    def listen(*bind: str, inherited: InheritedFds | None = None) -> Sockets:
        opened.append(Sockets(settings(*bind), inherited))
        return opened[-1]

    yield listen
    for each in opened:
        each.close()


def port(listener: Listener) -> int:
    number: int = listener.sock.getsockname()[1]
    return number


def is_open(listener: Listener) -> bool:
    return listener.sock.fileno() >= 0


def copies(sockets: Sockets) -> dict[str, list[list[int]]]:
    """Returns copies of the descriptors that another process would get."""
    return {
        name: [[os.dup(fd) for fd in fds] for fds in several] for name, several in sockets.fds_to_hand_over().items()
    }


def spread(listeners: Sequence[Listener], count: int = 100) -> Counter[int]:
    """Connects `count` times and accepts all; returns the number of connections of each socket."""
    listening = listeners[0].sock
    found: Counter[int] = Counter()
    poll = select.poll()
    by_fd = {listener.sock.fileno(): index for index, listener in enumerate(listeners)}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    for _ in range(count):
        with socket.socket(listening.family) as client:
            client.connect(listening.getsockname())
            ((fd, _),) = poll.poll(WAIT_SECONDS * 1000)
            listeners[by_fd[fd]].sock.accept()[0].close()
            found[by_fd[fd]] += 1
    return found


# --- Slots ---


def test_each_slot_has_a_socket_of_its_own_at_a_tcp_address(listen: Callable[..., Sockets]) -> None:
    sockets = listen(TCP)
    given = settings(TCP)
    first, second, third = (sockets.for_slot(slot, given)[0] for slot in range(3))
    assert len({each.sock.fileno() for each in (first, second, third)}) == 3
    assert port(first) == port(second) == port(third)
    assert sockets.for_slot(1, given) == [second]
    assert sockets.addresses(given) == [f"http://127.0.0.1:{port(first)}"]
    assert list(sockets.listeners()) == [first, second, third]
    assert set(spread([first, second, third], 200)) == {0, 1, 2}


def test_slots_may_be_asked_for_in_any_order(listen: Callable[..., Sockets]) -> None:
    sockets = listen(TCP)
    last = sockets.for_slot(2, settings(TCP))[0]
    assert list(sockets.listeners())[2] is last


def test_other_sockets_are_shared_by_all_slots(listen: Callable[..., Sockets], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        fd = os.dup(opened.fileno())
        bind = (f"unix:{tmp_path / 'socket'}", f"fd://{fd}")
        sockets = listen(*bind)
        assert sockets.for_slot(0, settings(*bind)) == sockets.for_slot(1, settings(*bind)) == list(sockets.listeners())


def test_the_same_name_with_port_0_is_another_address(listen: Callable[..., Sockets]) -> None:
    sockets = listen(TCP, TCP)
    given = settings(TCP, TCP)
    first, second = sockets.for_slot(0, given)
    assert port(first) != port(second)
    assert [port(each) for each in sockets.for_slot(1, given)] == [port(first), port(second)]
    assert sockets.addresses(given) == [first.address, second.address]


def test_an_address_that_is_in_use_is_noticed(listen: Callable[..., Sockets]) -> None:
    first = listen(TCP).for_slot(1, settings(TCP))[0]
    with pytest.raises(StartupError, match=rf"127\.0\.0\.1:{port(first)} is in use by another process"):
        listen(f"127.0.0.1:{port(first)}")


def test_when_one_address_cannot_be_had_none_is(listen: Callable[..., Sockets], tmp_path: Path) -> None:
    taken = port(listen(TCP).for_slot(0, settings(TCP))[0])
    with pytest.raises(StartupError):
        listen(f"unix:{tmp_path / 'socket'}", f"127.0.0.1:{taken}")
    assert not (tmp_path / "socket").exists()


# --- Changes ---


def test_addresses_are_added_and_removed(listen: Callable[..., Sockets], tmp_path: Path) -> None:
    unix = f"unix:{tmp_path / 'socket'}"
    sockets = listen(TCP)
    (first,) = sockets.for_slot(0, settings(TCP))
    sockets.open_missing(settings(unix, TCP))
    assert sockets.for_slot(0, settings(unix, TCP))[1] is first
    (added,) = sockets.for_slot(0, settings(unix))
    sockets.close_unused([settings(TCP), settings(unix)], 1)
    assert [is_open(each) for each in (first, added)] == [True, True]
    sockets.close_unused([settings(TCP)], 1)
    assert [is_open(each) for each in (first, added)] == [True, False]
    assert not (tmp_path / "socket").exists()
    sockets.open_missing(settings(TCP))
    assert sockets.for_slot(0, settings(TCP)) == [first]


def test_slots_are_added_and_removed(listen: Callable[..., Sockets]) -> None:
    sockets = listen(TCP)
    several = [sockets.for_slot(slot, settings(TCP))[0] for slot in range(4)]
    sockets.close_unused([settings(TCP)], 2)
    assert [is_open(each) for each in several] == [True, True, False, False]
    assert set(spread(several[:2])) == {0, 1}
    again = sockets.for_slot(2, settings(TCP))[0]
    assert set(spread([*several[:2], again], 200)) == {0, 1, 2}
    sockets.close_unused([settings(TCP)], 0)
    assert list(sockets.listeners()) == several[:1], "the address stays"


# --- Sockets that get connections ---


@steers
def test_connections_go_to_the_chosen_slots(listen: Callable[..., Sockets]) -> None:
    sockets = listen(TCP)
    several = [sockets.for_slot(slot, settings(TCP))[0] for slot in range(4)]
    for chosen in ([1, 3], [2], [0, 1, 2]):
        sockets.steer(chosen)
        assert set(spread(several)) == set(chosen)
    sockets.steer([0, 1, 2, 3])
    assert set(spread(several, 200)) == {0, 1, 2, 3}
    sockets.steer([])
    assert set(spread(several)) == {0}, "the socket that is never closed"


@steers
def test_chosen_slots_that_have_no_socket_yet(listen: Callable[..., Sockets]) -> None:
    sockets = listen(TCP)
    several = [sockets.for_slot(slot, settings(TCP))[0] for slot in range(2)]
    sockets.steer([1, 2])
    assert set(spread(several)) == {1}
    several.append(sockets.for_slot(2, settings(TCP))[0])
    sockets.steer([1, 2])
    assert set(spread(several)) == {1, 2}


@steers
def test_an_address_that_is_new_is_steered_too(listen: Callable[..., Sockets]) -> None:
    sockets = listen(TCP)
    sockets.for_slot(1, settings(TCP))
    sockets.steer([1])
    both = settings(TCP, TCP)
    sockets.open_missing(both)
    several = [sockets.for_slot(slot, both)[1] for slot in range(2)]
    sockets.steer([1])
    assert set(spread(several)) == {1}


@steers
def test_connections_that_wait_are_not_lost(listen: Callable[..., Sockets]) -> None:
    """Steered away first, a socket is empty when it is closed."""
    sockets = listen(TCP)
    several = [sockets.for_slot(slot, settings(TCP))[0] for slot in range(2)]
    sockets.steer([0])
    with socket.create_connection(several[0].sock.getsockname()) as client:
        sockets.close_unused([settings(TCP)], 1)
        served, _ = several[0].sock.accept()
        with served:
            served.send(b"served")
        assert client.recv(10) == b"served"


@steers
@pytest.mark.parametrize("slots", [[0], [0, 1], []])
def test_a_duplicate_of_a_closed_socket_gets_no_connections(slots: list[int], listen: Callable[..., Sockets]) -> None:
    """Here or in another process. When it is closed, too, the connections in its backlog would be reset."""
    sockets = listen(TCP)
    several = [sockets.for_slot(slot, settings(TCP))[0] for slot in range(3)]
    sockets.steer(slots)
    with several[2].sock.dup():
        sockets.close_unused([settings(TCP)], len(slots))
        sockets.steer(slots)
        assert set(spread(several[: max(len(slots), 1)])) <= set(slots or [0])


@steers
def test_a_slot_that_is_added_again_gets_connections(listen: Callable[..., Sockets]) -> None:
    sockets = listen(TCP)
    first = sockets.for_slot(0, settings(TCP))[0]
    for _ in range(2):
        second = sockets.for_slot(1, settings(TCP))[0]
        sockets.steer([0, 1])
        assert set(spread([first, second])) == {0, 1}
        sockets.steer([0])
        sockets.close_unused([settings(TCP)], 1)
        sockets.steer([0])
        assert set(spread([first])) == {0}


@steers
def test_a_slot_that_is_added_after_a_server_has_taken_over_gets_connections(listen: Callable[..., Sockets]) -> None:
    old = listen(TCP)
    old.for_slot(1, settings(TCP))
    old.steer([0])
    old.close_unused([settings(TCP)], 1)
    new = listen(TCP, inherited=copies(old))
    several = [new.for_slot(slot, settings(TCP))[0] for slot in range(2)]
    new.steer([0, 1])
    assert set(spread(several)) == {0, 1}


def test_shared_sockets_are_not_steered(listen: Callable[..., Sockets], tmp_path: Path) -> None:
    sockets = listen(f"unix:{tmp_path / 'socket'}")
    for chosen in ([1], []):
        sockets.steer(chosen)
        assert spread(list(sockets.listeners()), 3) == {0: 3}


# --- Another server ---


@steers
def test_another_server_takes_over(listen: Callable[..., Sockets], tmp_path: Path) -> None:
    bind = (TCP, f"unix:{tmp_path / 'socket'}", TCP)
    old = listen(*bind)
    before = [old.for_slot(slot, settings(*bind)) for slot in range(2)]
    new = listen(*bind, inherited=copies(old))
    after = [new.for_slot(slot, settings(*bind)) for slot in range(2)]
    names = [[each.sock.getsockname() for each in listeners] for listeners in (*before, *after)]
    assert names[0] == names[1] == names[2] == names[3]
    assert new.addresses(settings(*bind)) == old.addresses(settings(*bind))
    assert set(spread([listeners[0] for listeners in after])) == {0, 1}, "none of them goes to anybody else"
    assert not any(os.get_inheritable(each.sock.fileno()) for each in new.listeners())


@steers
def test_steering_of_one_server_is_replaced_by_that_of_the_next(listen: Callable[..., Sockets]) -> None:
    old = listen(TCP)
    several = [old.for_slot(slot, settings(TCP))[0] for slot in range(3)]
    old.steer([0, 1, 2])
    new = listen(TCP, inherited=copies(old))
    new.steer([0, 1])
    assert set(spread(several)) == {0, 1}
    new.close()
    old.reset_steering()
    old.steer([0, 1, 2])
    assert set(spread(several, 200)) == {0, 1, 2}


@steers
def test_a_server_that_takes_over_knows_nothing_of_how_it_was_steered(listen: Callable[..., Sockets]) -> None:
    old = listen(TCP)
    for slot in range(3):
        old.for_slot(slot, settings(TCP))
    old.steer([0])
    new = listen(TCP, inherited=copies(old))
    new.steer([0, 1, 2])
    assert set(spread(list(new.listeners()), 200)) == {0, 1, 2}


def test_addresses_that_the_other_server_does_not_serve_any_more(
    listen: Callable[..., Sockets], tmp_path: Path
) -> None:
    unix = f"unix:{tmp_path / 'socket'}"
    old = listen(TCP, unix)
    (first, _) = old.for_slot(0, settings(TCP, unix))
    inherited = copies(old)
    new = listen(TCP, inherited=inherited)
    assert [each.sock.getsockname() for each in new.listeners()] == [first.sock.getsockname()]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(inherited[f"{unix} 0"][0][0])
    assert (tmp_path / "socket").exists()


@pytest.mark.parametrize("old_leaves", [True, False])
def test_one_server_removes_the_socket_file(old_leaves: bool, listen: Callable[..., Sockets], tmp_path: Path) -> None:
    unix = f"unix:{tmp_path / 'socket'}"
    old = listen(unix)
    new = listen(unix, inherited=copies(old))
    first, last = (old, new) if old_leaves else (new, old)
    first.close(keep_files=True)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "socket"))
    last.close()
    assert not (tmp_path / "socket").exists()


def test_a_server_that_cannot_take_over_keeps_the_socket_file(listen: Callable[..., Sockets], tmp_path: Path) -> None:
    """The new server listens on one more address, which another process uses."""
    path = tmp_path / "a.sock"
    old = listen(f"unix:{path}")
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(StartupError, match="is in use"):
        listen(f"unix:{path}", f"127.0.0.1:{other.getsockname()[1]}", inherited=copies(old))
    assert path.is_socket()
    assert next(old.listeners()).path == str(path)


def test_the_socket_file_of_a_process_manager_is_never_removed(listen: Callable[..., Sockets], tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))
        opened.listen()
        bind = f"fd://{os.dup(opened.fileno())}"
        old = listen(bind)
        new = listen(bind, inherited=copies(old))
        for each in (old, new):
            each.close()
            assert path.exists()


# Answers each connection with the index of the socket that has accepted it.
SERVER = """
import select, sys
from ianus.process.supervisor.sockets import Sockets
from ianus.settings.schema import Settings
sockets = Sockets(Settings.from_values({"bind": sys.argv[1]}), eval(sys.argv[2]))
by_fd = {listener.sock.fileno(): listener.sock for listener in sockets.listeners()}
poll = select.poll()
for fd in by_fd:
    poll.register(fd, select.POLLIN)
while True:
    for fd, _ in poll.poll():
        by_fd[fd].accept()[0].send(b"%d" % fd)
"""


def test_another_process_takes_over(listen: Callable[..., Sockets]) -> None:
    sockets = listen(TCP)
    several = [sockets.for_slot(slot, settings(TCP))[0] for slot in range(2)]
    address = several[0].sock.getsockname()
    fds = [each.sock.fileno() for each in several]
    process = subprocess.Popen([sys.executable, "-c", SERVER, TCP, repr(sockets.fds_to_hand_over())], pass_fds=fds)
    try:
        sockets.close()
        answers = set()
        for _ in range(100):
            with socket.create_connection(address, WAIT_SECONDS) as client:
                answers.add(int(client.recv(10)))
        assert answers == set(fds)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("before", "added", "address"),
    [
        ("[::]:{}", "0.0.0.0:{}", r"http://\[::\]:\d+ for IPv4 too"),
        ("[::]:{}", "127.0.0.1:{}", r"http://\[::\]:\d+ for IPv4 too"),
        ("0.0.0.0:{}", "127.0.0.1:{}", r"http://0\.0\.0\.0:\d+"),
    ],
)
def test_an_address_that_the_server_has_taken_itself_is_not_called_that_of_another_process(
    listen: Callable[..., Sockets], before: str, added: str, address: str
) -> None:
    """Once, the message of a reload asked to stop "another process"."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    sockets = listen(before.format(number))
    with pytest.raises(StartupError, match=f"in use by this server itself, which listens on {address}. .*restart"):
        sockets.open_missing(settings(before.format(number), added.format(number)))
    assert len(list(sockets.listeners())) == 1


def test_an_inherited_unix_socket_without_its_file_is_opened_again(
    listen: Callable[..., Sockets], tmp_path: Path
) -> None:
    """systemd removes RuntimeDirectory= at a restart, and keeps the socket."""
    path = tmp_path / "app.sock"
    bind = f"unix:{path}"
    before = listen(bind)
    inherited = copies(before)
    path.unlink()
    (again,) = listen(bind, inherited=inherited).listeners()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        again.sock.accept()[0].close()
