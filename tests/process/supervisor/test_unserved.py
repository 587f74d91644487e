"""The sockets of slots without a worker that serves: their connections are passed on while other workers serve."""

import contextlib
import os
import socket
from collections.abc import Iterator
from time import monotonic

import pytest

from ianus.process.supervisor.sockets import Sockets
from ianus.process.supervisor.unserved import MAX_PASSED, UnservedSlots
from ianus.process.supervisor.wakeups import Wakeups
from ianus.process.transfer_queue import SERVING, TransferQueue
from ianus.settings.schema import Settings

SLOTS = 2


class Supervised:
    """The sockets of two slots, and the transfer queue of their workers."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        settings = Settings.from_values({"bind": "127.0.0.1:0"})
        self.stack = stack
        self.sockets = Sockets(settings)
        stack.callback(self.sockets.close)
        self.listeners = [self.sockets.for_slot(slot, settings)[0].sock for slot in range(SLOTS)]
        self.queue = stack.enter_context(contextlib.closing(TransferQueue()))
        self.wakeups = Wakeups()
        self.unserved = UnservedSlots(self.sockets, self.queue, self.wakeups)
        stack.callback(self.unserved.close_in_child)

    def step(self, *serving: int) -> None:
        self.unserved.step(serving, monotonic())

    def connect(self, slot: int) -> socket.socket:
        """Makes a connection that the kernel gives to the socket of this slot."""
        self.sockets.steer([slot])
        return self.stack.enter_context(socket.create_connection(self.listeners[0].getsockname()))

    def passed_on(self) -> list[object]:
        """Handles one event, and returns the clients of the connections in the queue."""
        self.wakeups.wait(0)
        found: list[object] = []
        while True:
            try:
                _, fds, _, _ = socket.recv_fds(self.queue.reader, 16, 4)
            except BlockingIOError:
                return found
            with socket.socket(fileno=fds[0]) as connection:
                found.append(connection.getpeername())

    def serving(self) -> int:
        (count,) = SERVING.unpack(os.pread(self.queue.memory_fd, SERVING.size, 0))
        assert isinstance(count, int)
        return count


@pytest.fixture
def supervised() -> Iterator[Supervised]:
    with contextlib.ExitStack() as stack:
        yield Supervised(stack)


def test_connections_of_a_crashed_worker_are_passed_on(supervised: Supervised) -> None:
    clients = [supervised.connect(1) for _ in range(3)]
    supervised.step(0)
    assert supervised.passed_on() == [each.getsockname() for each in clients]


def test_connections_of_workers_that_serve_are_not_passed_on(supervised: Supervised) -> None:
    supervised.step(0)
    supervised.connect(0)
    assert supervised.passed_on() == []
    supervised.step(0, 1)
    supervised.connect(1)
    assert supervised.passed_on() == []


def test_connections_wait_in_the_backlog_if_no_worker_serves(supervised: Supervised) -> None:
    supervised.step(0)
    supervised.step()
    client = supervised.connect(1)
    assert supervised.passed_on() == []
    supervised.step(0)
    assert supervised.passed_on() == [client.getsockname()]


def test_workers_know_how_many_of_them_serve(supervised: Supervised) -> None:
    for serving in ((0,), (0, 1), ()):
        supervised.step(*serving)
        assert supervised.serving() == len(serving)


def test_connections_wait_while_the_queue_is_full(supervised: Supervised) -> None:
    filling = supervised.connect(0)
    while supervised.queue.put(filling):
        pass
    client = supervised.connect(1)
    supervised.step(0)
    assert client.getsockname() not in supervised.passed_on()
    due = supervised.unserved.due()
    assert due > 0
    supervised.unserved.step((0,), due - 0.001)
    assert supervised.passed_on() == [], "not before that time"
    supervised.unserved.step((0,), due)
    assert supervised.passed_on() == [client.getsockname()]


def test_the_last_connections_are_passed_on_before_the_sockets_are_closed(supervised: Supervised) -> None:
    clients = [supervised.connect(1) for _ in range(MAX_PASSED + 1)]
    supervised.unserved.finish((0,), monotonic())
    assert supervised.passed_on() == [each.getsockname() for each in clients]
    assert supervised.serving() == 0
    supervised.connect(1)
    assert supervised.passed_on() == [], "the socket is not watched any more"


def test_no_connection_is_taken_at_the_end_if_no_worker_can_serve_it(supervised: Supervised) -> None:
    supervised.connect(1)
    supervised.unserved.finish((), monotonic())
    assert supervised.passed_on() == []


def test_a_closed_socket_is_not_watched_any_more(supervised: Supervised) -> None:
    supervised.step(0)
    supervised.sockets.close_unused([], 1)
    supervised.step(0)
    supervised.wakeups.wait(0)
    assert supervised.unserved.due() == 0
