"""The watch of a backlog: each look is one that the test has chosen, and the reactor is the test itself."""

import contextlib
import mmap
import os
import socket
from collections.abc import Iterator

import pytest

from ianus.acceptor.recording import DrivenBacklogWatch, take
from ianus.acceptor.transfers import Transfers
from ianus.process.transfer_queue import SIZE, TransferQueue
from ianus.runtime.mapped_memory import MappedMemory
from ianus.runtime.waker import Waker

SLEEPS = -1


class Backlog:
    """A listener, its watch, and the transfer queue."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack = stack
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.listener.setblocking(False)
        self.queue = stack.enter_context(contextlib.closing(TransferQueue()))
        self.queue.set_serving(2)
        mapped = mmap.mmap(self.queue.memory_fd, SIZE, prot=mmap.PROT_READ)
        self.transfers = Transfers(self.queue, MappedMemory(mapped))
        self.waker = Waker()
        self.watch = DrivenBacklogWatch(self.transfers, self.waker, [self.listener.fileno()])

    def connect(self) -> socket.socket:
        client = self.stack.enter_context(socket.create_connection(self.listener.getsockname()))
        client.settimeout(10)
        return client

    def accept(self) -> None:
        """Accepts a connection as the reactor does."""
        self.listener.accept()[0].close()
        self.watch.note_accept()
        self.waker.acknowledge_wake()

    def take(self) -> socket.socket | None:
        fd = take(self.transfers)
        return self.stack.enter_context(socket.socket(fileno=fd)) if fd >= 0 else None


@pytest.fixture
def backlog() -> Iterator[Backlog]:
    with contextlib.ExitStack() as stack:
        yield Backlog(stack)


def test_a_worker_without_new_connections_is_not_woken(backlog: Backlog) -> None:
    assert backlog.watch.look() == SLEEPS
    backlog.connect()
    assert backlog.watch.look() > 0
    backlog.accept()
    assert backlog.watch.look() > 0, "there may be more"
    while backlog.watch.look() != SLEEPS:
        pass
    assert backlog.take() is None


def test_connections_of_a_worker_that_accepts_are_not_passed_on(backlog: Backlog) -> None:
    backlog.connect()
    for _ in range(10):
        backlog.connect()
        assert backlog.watch.look() > 0
        backlog.accept()
    assert backlog.take() is None


def test_connections_of_a_blocked_worker_are_passed_on(backlog: Backlog) -> None:
    clients = [backlog.connect() for _ in range(3)]
    assert backlog.watch.look() > 0
    assert backlog.watch.look() == SLEEPS
    for client in clients:
        taken = backlog.take()
        assert taken is not None
        assert taken.getpeername() == client.getsockname()
        taken.sendall(b"served")
        assert client.recv(6) == b"served"
    assert backlog.take() is None


def test_connections_of_a_worker_that_remains_blocked_are_passed_on_sooner(backlog: Backlog) -> None:
    backlog.connect()
    first = backlog.watch.look()
    backlog.watch.look()
    assert backlog.take() is not None
    backlog.connect()
    assert 0 < backlog.watch.look() < first
    backlog.watch.look()
    assert backlog.take() is not None
    # An event shows that it is not blocked any more.
    backlog.connect()
    backlog.watch.look()
    backlog.waker.acknowledge_wake()
    assert backlog.watch.look() == first
    assert backlog.take() is None


def test_connections_of_a_worker_at_a_limit_are_passed_on_though_it_serves_others(backlog: Backlog) -> None:
    backlog.watch.set_paused(True)
    backlog.connect()
    assert backlog.watch.look() > 0
    backlog.waker.acknowledge_wake()
    backlog.watch.look()
    assert backlog.take() is not None
    backlog.watch.set_paused(False)
    backlog.connect()
    for _ in range(3):
        assert backlog.watch.look() > 0
        backlog.waker.acknowledge_wake()
    assert backlog.take() is None


def test_no_connection_is_passed_on_if_no_other_worker_serves(backlog: Backlog) -> None:
    backlog.queue.set_serving(1)
    backlog.connect()
    looks = [backlog.watch.look() for _ in range(5)]
    assert min(looks) > 0
    assert backlog.take() is None
    backlog.queue.set_serving(2)
    backlog.watch.look()
    assert backlog.take() is not None


def test_no_more_connections_are_passed_on_than_other_workers_take(backlog: Backlog) -> None:
    backlog.connect()
    backlog.watch.look()
    backlog.watch.look()
    backlog.connect()
    for _ in range(5):
        assert backlog.watch.look() > 0
    assert backlog.take() is not None
    assert backlog.take() is None
    backlog.watch.look()
    assert backlog.take() is not None


@pytest.fixture
def holding(backlog: Backlog) -> Iterator[tuple[Backlog, socket.socket]]:
    """A watch that holds the connection of a client: the queue was writable, but did not take it."""
    reader, writer = os.pipe()
    # A pipe is writable, and takes no descriptors.
    backlog.watch.replace_writer(writer)
    client = backlog.connect()
    backlog.watch.look()
    backlog.watch.look()
    yield backlog, client
    os.close(reader)
    os.close(writer)


def test_a_connection_that_the_queue_does_not_take_is_held(holding: tuple[Backlog, socket.socket]) -> None:
    backlog, first = holding
    second = backlog.connect()
    # It does not sleep, or the connection would wait for the next one. It accepts no further one.
    for _ in range(5):
        assert backlog.watch.look() > 0
    assert backlog.take() is None
    backlog.watch.replace_writer(backlog.queue.writer.fileno())
    backlog.watch.look()
    for client in first, second:
        taken = backlog.take()
        assert taken is not None
        assert taken.getpeername() == client.getsockname()
        backlog.watch.look()
    assert backlog.take() is None


def test_a_held_connection_outlives_the_watch(holding: tuple[Backlog, socket.socket]) -> None:
    backlog, client = holding
    with socket.socket(fileno=backlog.watch.stop()) as held:
        assert held.getpeername() == client.getsockname()
        held.sendall(b"served")
        assert client.recv(6) == b"served"
    assert backlog.watch.stop() == -1
