"""The data that a server gets from the previous one, and the pipes between the two."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from ianus.process.activation import ActivatedSocket
from ianus.process.fork import Forked
from ianus.process.supervisor import upgrade
from ianus.process.supervisor.upgrade import VARIABLE, Upgrade
from ianus.process.transfer_queue import TransferQueue


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Upgrade:
    """An upgrade whose new server is a fake process, 4711."""
    monkeypatch.setattr(upgrade, "fork", lambda function: 4711)
    each = Upgrade()
    each.start(None, [], None, {}, b"")  # type: ignore[arg-type]
    return each


def test_a_server_without_a_predecessor() -> None:
    each = Upgrade()
    assert each.inherited_fds is None
    assert not each.has_predecessor()
    assert not each.shares_sockets()
    each.close_in_child()


def test_a_server_gets_sockets_and_a_pipe_from_its_predecessor(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    queue = TransferQueue()
    ends = queue.writer.detach(), queue.reader.detach()
    for fd in (reader, *ends):
        os.set_inheritable(fd, True)
    sockets = '{"127.0.0.1:8000 0": [[5, 6]]}'
    monkeypatch.setenv(
        VARIABLE, f'{{"sockets": {sockets}, "activated": [[3, "web"]], "queue": {[*ends]}, "alive": {reader}}}'
    )
    each = Upgrade()
    assert each.inherited_fds == {"127.0.0.1:8000 0": [[5, 6]]}
    assert each.activated == [ActivatedSocket(3, "web")]
    assert each.predecessor_pipe == reader
    assert each.queue_ends == ends
    for fd in (reader, *ends):
        assert not os.get_inheritable(fd), "a worker would hold the pipe"
    assert VARIABLE not in os.environ
    assert each.has_predecessor()
    assert each.shares_sockets()
    each.close_predecessor_pipe()
    assert not each.shares_sockets()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)
    os.close(writer)
    queue.close()
    TransferQueue(ends).close()


def test_a_server_has_the_secret_of_its_predecessor(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    secrets, end = os.pipe()
    os.write(end, b"s" * 32)
    os.close(end)
    monkeypatch.setenv(VARIABLE, f'{{"sockets": {{}}, "alive": {reader}, "tickets": {secrets}}}')
    each = Upgrade()
    assert each.ticket_secret == b"s" * 32
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(secrets)
    each.close_predecessor_pipe()
    os.close(writer)


def test_a_server_of_an_earlier_version_hands_over_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setenv(VARIABLE, f'{{"sockets": {{}}, "alive": {reader}}}')
    each = Upgrade()
    assert each.queue_ends is None
    each.close_predecessor_pipe()
    os.close(writer)


def test_the_exit_of_the_new_server_ends_the_upgrade(started: Upgrade) -> None:
    assert started.shares_sockets()
    assert not started.on_exit(4710)
    assert started.on_exit(4711)
    assert not started.shares_sockets()
    assert not started.on_exit(4711), "its pid may be that of another process by now"


def test_the_new_server_has_a_pipe_that_ends_with_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: list[Any] = []

    def fork(function: Any) -> int:
        arguments.extend(function.args)
        arguments[3] = os.dup(arguments[3])
        return 4711

    monkeypatch.setattr(upgrade, "fork", fork)
    each = Upgrade()
    each.start(None, [], None, {}, b"")  # type: ignore[arg-type]
    alive = arguments[3]
    os.set_blocking(alive, False)
    with pytest.raises(BlockingIOError):
        os.read(alive, 1)
    each.close_in_child()
    assert os.read(alive, 1) == b""
    os.close(alive)


@pytest.mark.parametrize("error", [BlockingIOError(11, "Resource temporarily unavailable"), Forked(lambda: 0)])
def test_a_failed_start_has_no_successor(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fork(function: Callable[[], int]) -> int:
        raise error

    monkeypatch.setattr(upgrade, "fork", fork)
    each = Upgrade()
    with pytest.raises(type(error)):
        each.start(None, [], None, {}, b"")  # type: ignore[arg-type]
    assert not each.shares_sockets()
