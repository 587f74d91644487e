"""The log lines about clients that are refused: one a minute for each address, of a limited number."""

from types import SimpleNamespace

import pytest

from ianus.exchange import refusals
from ianus.exchange.refusals import MAX_ADDRESSES, LineLimit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The present time is its last entry."""
    times = [1000.0]
    monkeypatch.setattr(refusals, "time", SimpleNamespace(monotonic=lambda: times[-1]))
    return times


def test_an_address_has_a_line_a_minute_whatever_its_port(clock: list[float]) -> None:
    lines = LineLimit()
    assert lines.admits(("192.0.2.1", 1))
    assert not lines.admits(("192.0.2.1", 2))
    assert lines.admits(("192.0.2.2", 1))
    clock.append(1059.9)
    assert not lines.admits(("192.0.2.1", 3))
    clock.append(1060.0)
    assert lines.admits(("192.0.2.1", 4))
    assert not lines.admits(("192.0.2.1", 5))


def test_clients_of_unix_sockets_share_a_line(clock: list[float]) -> None:
    lines = LineLimit()
    assert lines.admits(None)
    assert not lines.admits(None)


def test_the_oldest_address_is_forgotten_at_the_limit(clock: list[float]) -> None:
    lines = LineLimit()
    for number in range(MAX_ADDRESSES + 1):
        assert lines.admits((f"192.0.2.{number}", 1))
    assert lines.admits(("192.0.2.0", 1))
    assert not lines.admits((f"192.0.2.{MAX_ADDRESSES}", 1))
