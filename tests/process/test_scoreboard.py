"""A supervisor can read the scoreboard of a worker, alive or dead, with any content."""

import mmap
import os
import time
from collections.abc import Iterator

import pytest

from ianus.process.scoreboard import ENTRIES, ENTRY, HEADER, MAX_STACKS_BYTES, SIZE, Scoreboard


@pytest.fixture
def scoreboard() -> Iterator[Scoreboard]:
    scoreboard = Scoreboard()
    yield scoreboard
    scoreboard.close()


def write(scoreboard: Scoreboard, index: int, since: float, size: int, line: bytes) -> None:
    with mmap.mmap(scoreboard.fd, SIZE) as memory:
        ENTRY.pack_into(memory, HEADER.size + index * ENTRY.size, since, size, line)


def test_a_new_one_is_empty(scoreboard: Scoreboard) -> None:
    assert (scoreboard.last_heartbeat(), scoreboard.requests(), scoreboard.unlisted(), scoreboard.take_stacks()) == (
        0.0,
        [],
        0,
        "",
    )


def test_requests_are_listed_oldest_first_with_their_age(scoreboard: Scoreboard) -> None:
    now = time.monotonic()
    write(scoreboard, 0, now - 1.0, 8, b"GET /new")
    write(scoreboard, 7, now - 60.0, 9, b"POST /old")
    write(scoreboard, 9, 0.0, 9, b"GET /gone")
    (old, old_age), (new, new_age) = scoreboard.requests()
    assert (old, new) == ("POST /old", "GET /new")
    assert 60.0 <= old_age == pytest.approx(new_age + 59.0)


def test_a_torn_entry_cannot_harm(scoreboard: Scoreboard) -> None:
    now = time.monotonic()
    odd = [
        (now - 1.0, 0xFFFF, b"GET /\xff\x00\n\x1b[2J\\"),
        (float("nan"), 5, b"GET /"),
        (float("inf"), 5, b"GET /"),
        (-1.0, 5, b"GET /"),
        (now + 1e9, 5, b"GET /"),
    ]
    for index, (since, size, line) in enumerate(odd):
        write(scoreboard, index, since, size, line)
    ((line_shown, _),) = scoreboard.requests()
    assert line_shown.startswith("GET /\\xff\\x00\\n\\x1b[2J\\\\")
    assert line_shown.isprintable()


def test_whatever_is_in_memory_can_be_read(scoreboard: Scoreboard) -> None:
    for _ in range(100):
        with mmap.mmap(scoreboard.fd, SIZE) as memory:
            memory[:] = os.urandom(SIZE)
        assert len(scoreboard.requests()) <= ENTRIES
        scoreboard.last_heartbeat()
        scoreboard.unlisted()


def test_a_truncated_scoreboard_reads_as_empty(scoreboard: Scoreboard) -> None:
    os.ftruncate(scoreboard.fd, 4)
    assert (scoreboard.last_heartbeat(), scoreboard.requests(), scoreboard.unlisted(), scoreboard.take_stacks()) == (
        0.0,
        [],
        0,
        "",
    )


def test_stacks_are_returned_once_and_then_start_empty(scoreboard: Scoreboard) -> None:
    os.write(scoreboard.fd, b"first \xff\n\n")
    assert scoreboard.take_stacks() == "first \ufffd"
    assert scoreboard.take_stacks() == ""
    os.write(scoreboard.fd, b"second")
    assert scoreboard.take_stacks() == "second"
    os.write(scoreboard.fd, b"x" * (MAX_STACKS_BYTES + 1))
    assert len(scoreboard.take_stacks()) == MAX_STACKS_BYTES
    assert scoreboard.take_stacks() == ""
    assert scoreboard.requests() == []


def test_another_process_reads_it_by_its_descriptor_alone(scoreboard: Scoreboard) -> None:
    write(scoreboard, 0, time.monotonic() - 5.0, 5, b"GET /")
    os.write(scoreboard.fd, b"stack")
    again = Scoreboard(os.dup(scoreboard.fd))
    assert [line for line, _ in again.requests()] == ["GET /"]
    assert again.take_stacks() == "stack"
    again.close()
    assert scoreboard.take_stacks() == ""


def test_a_scoreboard_is_not_inherited_by_programs_and_closed_once(scoreboard: Scoreboard) -> None:
    assert not os.get_inheritable(scoreboard.fd)
    fd = scoreboard.fd
    scoreboard.close()
    scoreboard.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
