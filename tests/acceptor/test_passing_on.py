"""Connections that a reactor passes on or takes, with a transfer queue. Each event is one that the test has chosen."""

import contextlib
import logging
import mmap
import socket
from collections.abc import Iterator

import pytest

from ianus.acceptor.recording import Condition, expire_deadlines, set_full, take
from ianus.acceptor.transfers import Transfers
from ianus.process.transfer_queue import SIZE, TransferQueue
from ianus.runtime.mapped_memory import MappedMemory
from tests.acceptor.driven import LISTENER_ID, DrivenReactor
from tests.acceptor.test_accepting import no_descriptors

QUEUE_KEY = (LISTENER_ID, 0xFFFFFFFF)
HEAD = b"GET / HTTP/1.1\r\n"


class Passing:
    """A reactor that shares a transfer queue with another worker, which is the test."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack = stack
        self.driven = DrivenReactor(stack)
        self.reactor = self.driven.reactor
        self.queue = stack.enter_context(contextlib.closing(TransferQueue()))
        self.queue.set_serving(2)
        mapped = mmap.mmap(self.queue.memory_fd, SIZE, prot=mmap.PROT_READ)
        self.transfers = Transfers(self.queue, MappedMemory(mapped))
        self.reactor.accepting.join_transfers(self.transfers, self.reactor.waker)

    def connect(self, data: bytes) -> socket.socket:
        """Returns the client of an accepted connection, which has sent this."""
        (client,) = self.driven.connect()
        self.driven.accept()
        client.sendall(data)
        return client

    def read(self) -> None:
        """Reports the last connection as readable."""
        self.driven.dispatch(self.driven.connection_keys()[-1], Condition.READABLE)

    def taken(self) -> socket.socket | None:
        """Returns the next connection of the queue."""
        fd = take(self.transfers)
        return self.stack.enter_context(socket.socket(fileno=fd)) if fd >= 0 else None

    def put(self) -> socket.socket:
        """Puts a connection into the queue, as another worker; returns its client."""
        ours, theirs = socket.socketpair()
        self.stack.enter_context(ours)
        with theirs:
            assert self.queue.put(theirs)
        return ours

    def is_watched(self) -> bool:
        return self.queue.reader.fileno() in self.driven.poll.watched


@pytest.fixture
def passing() -> Iterator[Passing]:
    with contextlib.ExitStack() as stack:
        yield Passing(stack)


# ---------------------------------------------------------------- to other workers


def test_a_connection_is_passed_on_with_its_request_unread(passing: Passing) -> None:
    set_full(passing.reactor, True)
    client = passing.connect(HEAD)
    passing.read()
    taken = passing.taken()
    assert taken is not None
    assert taken.recv(100) == HEAD
    taken.sendall(b"served")
    assert client.recv(6) == b"served"
    assert passing.reactor.connections == 0
    assert passing.driven.connection_keys() == []


def test_a_worker_that_can_serve_a_request_reads_it(passing: Passing) -> None:
    passing.connect(HEAD)
    passing.read()
    assert passing.taken() is None
    assert passing.reactor.connections == 1


def test_no_connection_is_passed_on_without_another_worker(passing: Passing) -> None:
    passing.queue.set_serving(1)
    set_full(passing.reactor, True)
    passing.connect(HEAD)
    passing.read()
    assert passing.taken() is None
    assert passing.reactor.connections == 1


def test_a_connection_with_a_part_of_a_head_is_not_passed_on(passing: Passing) -> None:
    client = passing.connect(HEAD)
    passing.read()
    set_full(passing.reactor, True)
    client.sendall(b"Host: a\r\n")
    passing.read()
    assert passing.taken() is None
    assert passing.reactor.connections == 1


def test_a_connection_without_a_byte_is_not_passed_on(passing: Passing) -> None:
    set_full(passing.reactor, True)
    passing.connect(b"")
    passing.read()
    assert passing.taken() is None
    assert passing.reactor.connections == 1


# ---------------------------------------------------------------- from other workers


def test_a_worker_takes_one_connection_in_a_turn(passing: Passing) -> None:
    for _ in range(2):
        passing.put()
    for number in 1, 2:
        passing.driven.dispatch(QUEUE_KEY, Condition.READABLE)
        assert passing.reactor.connections == number
    # Another worker was faster.
    passing.driven.dispatch(QUEUE_KEY, Condition.READABLE)
    assert passing.reactor.connections == 2
    assert passing.is_watched()


def test_a_worker_that_makes_all_its_calls_takes_none(passing: Passing) -> None:
    passing.put()
    set_full(passing.reactor, True)
    passing.driven.dispatch(QUEUE_KEY, Condition.READABLE)
    assert passing.reactor.connections == 0
    assert not passing.is_watched()
    assert passing.taken() is not None


def test_a_connection_remains_in_the_queue_without_descriptors(
    passing: Passing, caplog: pytest.LogCaptureFixture
) -> None:
    client = passing.put()
    with no_descriptors(), caplog.at_level(logging.ERROR, "ianus"):
        for _ in range(2):
            passing.driven.dispatch(QUEUE_KEY, Condition.READABLE)
            assert passing.reactor.connections == 0
            assert not passing.is_watched()
            expire_deadlines(passing.reactor, passing.driven.poll.timer_at)
            assert passing.is_watched()
    (record,) = caplog.records
    assert record.message == (
        "cannot accept connections: Too many open files; trying again every second "
        "(raise the limit of open files, or set --limit-connections)"
    )
    passing.driven.dispatch(QUEUE_KEY, Condition.READABLE)
    assert passing.reactor.connections == 1
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)


def test_a_worker_that_stops_without_descriptors_leaves_connections_in_the_queue(
    passing: Passing, caplog: pytest.LogCaptureFixture
) -> None:
    client = passing.put()
    with no_descriptors(), caplog.at_level(logging.ERROR, "ianus"):
        passing.reactor.drain(lambda: None)
    # The next record is about the backlog.
    assert caplog.records[0].message == (
        "connections from other workers remain in the transfer queue: Too many open files"
    )
    taken = passing.taken()
    assert taken is not None
    taken.sendall(b"served")
    assert client.recv(6) == b"served"


def test_a_worker_that_stops_takes_all_connections(passing: Passing) -> None:
    for _ in range(3):
        passing.put()
    passing.reactor.drain(lambda: None)
    assert passing.reactor.connections == 3
    assert passing.taken() is None
