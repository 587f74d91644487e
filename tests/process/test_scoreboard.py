"""What a supervisor can read of a worker, alive or dead, whatever that has written."""

import mmap
import os
import time
from collections.abc import Iterator

import pytest

from ianus.process.scoreboard import ENTRIES, ENTRY, HEADER, SIZE, STACKS_SHOWN, Board


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board()
    yield board
    board.close()


def write(board: Board, index: int, since: float, size: int, line: bytes) -> None:
    with mmap.mmap(board.fd, SIZE) as memory:
        ENTRY.pack_into(memory, HEADER.size + index * ENTRY.size, since, size, line)


def test_a_new_one_is_empty(board: Board) -> None:
    assert (board.beat(), board.requests(), board.unlisted(), board.stacks()) == (0.0, [], 0, "")


def test_requests_come_oldest_first_with_their_age(board: Board) -> None:
    now = time.monotonic()
    write(board, 0, now - 1.0, 8, b"GET /new")
    write(board, 7, now - 60.0, 9, b"POST /old")
    write(board, 9, 0.0, 9, b"GET /gone")
    (old, old_age), (new, new_age) = board.requests()
    assert (old, new) == ("POST /old", "GET /new")
    assert 60.0 <= old_age == pytest.approx(new_age + 59.0)


def test_a_torn_entry_cannot_harm(board: Board) -> None:
    now = time.monotonic()
    odd = [
        (now - 1.0, 0xFFFF, b"GET /\xff\x00\n\x1b[2J\\"),
        (float("nan"), 5, b"GET /"),
        (float("inf"), 5, b"GET /"),
        (-1.0, 5, b"GET /"),
        (now + 1e9, 5, b"GET /"),
    ]
    for index, (since, size, line) in enumerate(odd):
        write(board, index, since, size, line)
    ((line_shown, _),) = board.requests()
    assert line_shown.startswith("GET /\\xff\\x00\\n\\x1b[2J\\\\")
    assert line_shown.isprintable()


def test_whatever_is_in_memory_can_be_read(board: Board) -> None:
    for _ in range(100):
        with mmap.mmap(board.fd, SIZE) as memory:
            memory[:] = os.urandom(SIZE)
        assert len(board.requests()) <= ENTRIES
        board.beat()
        board.unlisted()


def test_one_that_was_cut_short_reads_as_empty(board: Board) -> None:
    os.ftruncate(board.fd, 4)
    assert (board.beat(), board.requests(), board.unlisted(), board.stacks()) == (0.0, [], 0, "")


def test_stacks_are_shown_once_and_begin_anew(board: Board) -> None:
    os.write(board.fd, b"first \xff\n\n")
    assert board.stacks() == "first \ufffd"
    assert board.stacks() == ""
    os.write(board.fd, b"second")
    assert board.stacks() == "second"
    os.write(board.fd, b"x" * (STACKS_SHOWN + 1))
    assert len(board.stacks()) == STACKS_SHOWN
    assert board.stacks() == ""
    assert board.requests() == []


def test_another_process_reads_it_by_its_descriptor_alone(board: Board) -> None:
    write(board, 0, time.monotonic() - 5.0, 5, b"GET /")
    os.write(board.fd, b"stack")
    again = Board(os.dup(board.fd))
    assert [line for line, _ in again.requests()] == ["GET /"]
    assert again.stacks() == "stack"
    again.close()
    assert board.stacks() == ""


def test_it_is_not_inherited_by_programs_and_closed_once(board: Board) -> None:
    assert not os.get_inheritable(board.fd)
    fd = board.fd
    board.close()
    board.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
