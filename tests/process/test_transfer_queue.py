"""The transfer queue: connections outlive their sender, and a full one takes no further connection."""

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from ianus.process.transfer_queue import SERVING, TransferQueue


@pytest.fixture
def queue() -> Iterator[TransferQueue]:
    with contextlib.closing(TransferQueue()) as queue:
        yield queue


def take(queue: TransferQueue) -> socket.socket:
    data, fds, _, _ = socket.recv_fds(queue.reader, 16, 4)
    assert len(data) == len(fds) == 1
    return socket.socket(fileno=fds[0])


def test_a_connection_outlives_the_descriptor_of_its_sender(queue: TransferQueue) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        assert queue.put(theirs)
        theirs.close()
        ours.sendall(b"request")
        with take(queue) as taken:
            assert not os.get_blocking(taken.fileno())
            assert taken.recv(7) == b"request"
            taken.sendall(b"response")
        assert ours.recv(8) == b"response"


def test_connections_are_taken_in_their_order(queue: TransferQueue) -> None:
    with contextlib.ExitStack() as stack:
        pairs = [[stack.enter_context(each) for each in socket.socketpair()] for _ in range(3)]
        for number, (ours, theirs) in enumerate(pairs):
            ours.sendall(b"%d" % number)
            assert queue.put(theirs)
        assert [stack.enter_context(take(queue)).recv(1) for _ in pairs] == [b"0", b"1", b"2"]
        with pytest.raises(BlockingIOError):
            take(queue)


def test_the_ends_of_another_server_have_a_memory_of_this_one(queue: TransferQueue) -> None:
    """During an upgrade, each server counts its own workers."""
    ours, theirs = socket.socketpair()
    ends = os.dup(queue.writer.fileno()), os.dup(queue.reader.fileno())
    with ours, theirs, contextlib.closing(TransferQueue(ends)) as other:
        queue.set_serving(1)
        other.set_serving(2)
        assert SERVING.unpack(os.pread(queue.memory_fd, SERVING.size, 0)) == (1,)
        assert queue.put(theirs)
        with take(other) as taken:
            ours.sendall(b"request")
            assert taken.recv(7) == b"request"


def test_discarded_connections_are_closed_and_counted(queue: TransferQueue) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        assert queue.discard() == 0
        for _ in range(3):
            assert queue.put(theirs)
        theirs.close()
        assert queue.discard() == 3
        assert ours.recv(1) == b""


def test_a_full_queue_takes_no_connection(queue: TransferQueue) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        count = 0
        while queue.put(theirs):
            count += 1
            assert count < 100000
        assert count > 100
        assert not queue.has_space()
        for _ in range(count):
            take(queue).close()
        assert queue.has_space()
        assert queue.put(theirs)


def test_another_process_uses_the_same_queue(queue: TransferQueue) -> None:
    copies = [os.dup(fd) for fd in queue.fds()]
    with contextlib.closing(TransferQueue((copies[0], copies[1]), copies[2])) as other:
        other.set_serving(3)
        assert os.pread(queue.memory_fd, SERVING.size, 0) == SERVING.pack(3)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert other.put(theirs)
            take(queue).close()
    other.close()
