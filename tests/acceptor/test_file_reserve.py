"""The descriptors reserved for the application. The limit of open files is a number that the test has chosen."""

import logging
import os
import resource

import pytest

from ianus.acceptor.file_reserve import FileReserve
from ianus.acceptor.recording import admits, note, report_shortage

START = 1000.0
ANY_FD = 0


def lowest_free() -> int:
    fd = os.dup(ANY_FD)
    os.close(fd)
    return fd


def reserve_of(monkeypatch: pytest.MonkeyPatch, limit: int) -> FileReserve:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    return FileReserve()


@pytest.mark.parametrize(("limit", "first"), [(400, 300), (4096, 3840), (100_000, 99_744)])
def test_a_connection_with_the_last_number_below_the_reserve_shows_a_shortage(
    monkeypatch: pytest.MonkeyPatch, limit: int, first: int
) -> None:
    """A quarter of the descriptors is reserved, but at most 256."""
    reserve = reserve_of(monkeypatch, limit)
    note(reserve, first - 2, 100)
    assert not reserve.is_short
    note(reserve, first - 1, 101)
    assert reserve.is_short


def test_without_a_limit_of_open_files_nothing_is_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = reserve_of(monkeypatch, resource.RLIM_INFINITY)
    note(reserve, 1 << 29, 1 << 20)
    assert not reserve.is_short


def test_in_a_shortage_connections_are_refused_while_no_lower_number_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = max(lowest_free(), 8)  # its first reserved number is lower than each free one
    reserve = reserve_of(monkeypatch, limit)
    note(reserve, limit, 100)
    assert not admits(reserve, ANY_FD, 100)
    assert not admits(reserve, ANY_FD, limit // 4)
    assert admits(reserve, ANY_FD, limit // 4 - 1), "as many as the reserve has descriptors are always accepted"


def test_a_shortage_ends_when_a_quarter_of_the_connections_has_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 4 * (lowest_free() + 10)  # a number below the reserve is free
    reserve = reserve_of(monkeypatch, limit)
    note(reserve, limit, 1000)
    assert admits(reserve, ANY_FD, 999)
    assert admits(reserve, ANY_FD, 751)
    assert reserve.is_short
    assert admits(reserve, ANY_FD, 750)
    assert not reserve.is_short


def test_a_shortage_is_reported_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reserve = reserve_of(monkeypatch, 400)
    with caplog.at_level(logging.ERROR, "ianus"):
        for seconds in range(0, 122, 2):
            report_shortage(reserve, 100 + seconds, START + seconds)
    assert [record.message.partition("; ")[0] for record in caplog.records] == [
        "cannot accept more connections: open files: 300, connections: 100",
        "cannot accept more connections: open files: 300, connections: 162",
    ]
