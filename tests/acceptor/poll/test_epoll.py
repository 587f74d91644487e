"""The contract of a poll driver, with the one for Linux."""

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ianus.acceptor.poll.epoll import Epoll
from ianus.acceptor.recording import (
    TIMER_KEY,
    WAKER_KEY,
    Condition,
    acknowledge_timer,
    change,
    close,
    fileno,
    nested,
    set_timer,
    unwatch,
    wait,
    watch,
)

KEY = (7, 0xFFFFFFFF)
# Until the network of this machine has delivered; nothing waits for as long.
DELIVERY_MILLISECONDS = 10_000

READABLE, WRITABLE, PEER_FINISHED = Condition.READABLE, Condition.WRITABLE, Condition.PEER_FINISHED


@pytest.fixture
def poll() -> Iterator[Epoll]:
    driver = Epoll()
    yield driver
    close(driver)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peer = socket.socketpair()
    with ours, peer:
        yield ours, peer


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_nothing_is_ready_at_first(poll: Epoll) -> None:
    assert wait(poll) == []


def test_an_event_has_its_key_and_is_repeated_until_the_input_is_read(
    poll: Epoll, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, peer = ends
    watch(poll, ours.fileno(), READABLE, KEY)
    assert wait(poll) == []
    peer.send(b"x")
    assert wait(poll) == wait(poll) == [(KEY, READABLE)]
    ours.recv(1)
    assert wait(poll) == []


def test_only_the_conditions_that_are_watched_are_reported(
    poll: Epoll, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, peer = ends
    peer.send(b"x")
    peer.shutdown(socket.SHUT_WR)
    watch(poll, ours.fileno(), READABLE | WRITABLE | PEER_FINISHED, KEY)
    assert wait(poll) == [(KEY, READABLE | WRITABLE | PEER_FINISHED)]
    for flags in READABLE, WRITABLE, PEER_FINISHED:
        change(poll, ours.fileno(), flags, KEY)
        assert wait(poll) == [(KEY, flags)]
    change(poll, ours.fileno(), 0, KEY)
    assert wait(poll) == []


def test_the_end_of_both_directions_is_reported_to_each_watcher(
    poll: Epoll, ends: tuple[socket.socket, socket.socket]
) -> None:
    ours, peer = ends
    watch(poll, ours.fileno(), 0, KEY)
    peer.close()
    assert wait(poll) == [(KEY, Condition.HANGUP)]


def test_a_reset_is_reported_to_each_watcher(poll: Epoll) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        with listener.accept()[0] as ours:
            watch(poll, ours.fileno(), 0, KEY)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            assert wait(poll, milliseconds=DELIVERY_MILLISECONDS) == [(KEY, Condition.BROKEN | Condition.HANGUP)]


def test_what_is_not_watched_any_more_is_not_reported(poll: Epoll, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = ends
    watch(poll, ours.fileno(), WRITABLE, KEY)
    unwatch(poll, ours.fileno())
    assert wait(poll) == []
    unwatch(poll, ours.fileno())


def test_a_descriptor_that_cannot_be_watched_raises(poll: Epoll, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = ends
    watch(poll, ours.fileno(), READABLE, KEY)
    with pytest.raises(FileExistsError):
        watch(poll, ours.fileno(), READABLE, KEY)
    unwatch(poll, ours.fileno())
    with pytest.raises(FileNotFoundError):
        change(poll, ours.fileno(), READABLE, KEY)


def test_the_caller_limits_the_events(poll: Epoll) -> None:
    pairs = [socket.socketpair() for _ in range(5)]
    for number, (ours, _) in enumerate(pairs):
        watch(poll, ours.fileno(), WRITABLE, (number, 1))
    assert len(wait(poll, max_events=3)) == 3
    assert sorted(wait(poll)) == [((number, 1), WRITABLE) for number in range(5)]
    for ours, peer in pairs:
        ours.close()
        peer.close()


def test_the_timer_fires_until_it_is_acknowledged(poll: Epoll) -> None:
    set_timer(poll, time.monotonic() + 3600)
    assert wait(poll) == []
    set_timer(poll, time.monotonic() - 1)
    assert wait(poll) == wait(poll) == [(TIMER_KEY, READABLE)]
    acknowledge_timer(poll)
    assert wait(poll) == []
    set_timer(poll, time.monotonic() + 0.01)
    assert wait(poll, milliseconds=DELIVERY_MILLISECONDS) == [(TIMER_KEY, READABLE)]


def test_a_wake_up_is_reported_until_it_is_acknowledged(poll: Epoll) -> None:
    os.write(poll.waker.fd, (1).to_bytes(8, "little"))
    assert wait(poll) == wait(poll) == [(WAKER_KEY, READABLE)]
    poll.waker.acknowledge_wake()
    assert wait(poll) == []


def test_an_event_loop_can_watch_the_driver(poll: Epoll, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = ends
    watch(poll, ours.fileno(), READABLE, KEY)
    assert select.select([fileno(poll)], [], [], 0)[0] == []
    peer.send(b"x")
    assert select.select([fileno(poll)], [], [], 0)[0] == [fileno(poll)]


def test_a_closed_driver_has_no_descriptors(poll: Epoll) -> None:
    before = _open_files()
    other = Epoll()
    assert fileno(other) >= 0
    assert not os.get_inheritable(fileno(other))
    close(other)
    close(other)
    assert fileno(other) == -1
    assert other.waker.fd == -1
    assert _open_files() == before


def test_a_nested_set_is_one_event_while_a_descriptor_in_it_is_ready(poll: Epoll) -> None:
    inner = nested(poll, 9)
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(3)]
        for key, (ours, peer) in enumerate(pairs):
            stack.enter_context(ours)
            stack.enter_context(peer)
            watch(inner, ours.fileno(), READABLE, (key, 0))
        assert wait(poll) == wait(inner) == []
        for _, peer in pairs:
            peer.sendall(b"x")
        assert wait(poll, milliseconds=DELIVERY_MILLISECONDS) == [((9, 0), READABLE)]
        # Those that were not reported yet are first, so that none waits for ever.
        keys = [event[0][0] for _ in range(6) for event in wait(inner, max_events=1)]
        assert keys[:3] == keys[3:]
        assert sorted(keys[:3]) == [0, 1, 2]
        assert wait(poll) == [((9, 0), READABLE)]
        for ours, _ in pairs:
            ours.recv(1)
        assert wait(inner) == wait(poll) == []
    close(inner)
    assert wait(poll) == []
