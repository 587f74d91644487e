"""The list of requests in flight, as the compiled side writes it and the supervisor's side reads it."""

import mmap
import time
from collections.abc import Iterator

import pytest

from ianus.process.scoreboard import ENTRIES, ENTRY, SIZE, Scoreboard
from ianus.runtime.mapped_memory import MappedMemory
from ianus.telemetry.in_flight import InFlight


@pytest.fixture
def scoreboard() -> Iterator[Scoreboard]:
    scoreboard = Scoreboard()
    yield scoreboard
    scoreboard.close()


@pytest.fixture
def in_flight(scoreboard: Scoreboard) -> InFlight:
    return InFlight(MappedMemory(mmap.mmap(scoreboard.fd, SIZE)))


def lines(scoreboard: Scoreboard) -> list[str]:
    return sorted(line for line, _ in scoreboard.requests())


def test_both_sides_have_the_same_layout() -> None:
    for size in (SIZE - 1, SIZE + 1, 0):
        memory = MappedMemory(bytearray(size) if size else memoryview(bytearray(1))[:0])
        with pytest.raises(ValueError, match=f"the memory has {size} bytes, not {SIZE}"):
            InFlight(memory)


def test_read_only_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="the memory is read-only"):
        InFlight(MappedMemory(bytes(SIZE)))


def test_a_request_is_listed_until_it_ends(scoreboard: Scoreboard, in_flight: InFlight) -> None:
    before = time.monotonic()
    entry = in_flight.begin("GET", b"/path?query=1")
    ((line, age),) = scoreboard.requests()
    assert line == "GET /path?query=1"
    # The clock that is written is a few milliseconds old.
    assert 0.0 <= age <= time.monotonic() - before + 0.1
    in_flight.end(entry)
    assert scoreboard.requests() == []


def test_a_long_line_is_cut(scoreboard: Scoreboard, in_flight: InFlight) -> None:
    room = ENTRY.size - 10  # a double and a short are before it
    in_flight.begin("GET", b"/" + b"x" * 10_000)
    in_flight.begin("M" * 1000, b"/")
    in_flight.begin("POST", b"/" + b"y" * (room - len("POST /")))
    assert lines(scoreboard) == [
        ("GET /" + "x" * 10_000)[:room],
        "M" * (room - 1) + " ",
        "POST /" + "y" * (room - len("POST /")),
    ]


def test_as_many_are_listed_as_there_is_room_for_and_the_others_counted(
    scoreboard: Scoreboard, in_flight: InFlight
) -> None:
    entries = [in_flight.begin("GET", b"/%d" % number) for number in range(ENTRIES + 3)]
    assert lines(scoreboard) == sorted(f"GET /{number}" for number in range(ENTRIES))
    assert scoreboard.unlisted() == 3
    # Requests that were not listed stay so, and the next one is listed.
    in_flight.end(entries[10])
    in_flight.end(entries[ENTRIES])
    in_flight.begin("GET", b"/next")
    assert scoreboard.unlisted() == 2
    assert lines(scoreboard) == sorted(["GET /next", *(f"GET /{number}" for number in range(ENTRIES) if number != 10)])
    for entry in (*entries[:10], *entries[11:ENTRIES], *entries[ENTRIES + 1 :]):
        in_flight.end(entry)
    assert (lines(scoreboard), scoreboard.unlisted()) == (["GET /next"], 0)


def test_nothing_ends_that_was_never_listed(scoreboard: Scoreboard, in_flight: InFlight) -> None:
    in_flight.end(0)
    numbers = {in_flight.begin("GET", b"/") for _ in range(ENTRIES)}
    assert len(numbers) == ENTRIES
    assert scoreboard.unlisted() == 0
