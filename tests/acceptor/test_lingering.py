"""The limits of lingering closes, with a clock that is a number."""

from itertools import count

import pytest

from ianus.acceptor.lingering import Lingering
from ianus.acceptor.recording import RecordingTransport, share

START = 1000.0
PIECE_BYTES = 64 * 1024
WINDOW_BYTES = 32 * 1024 * 1024


@pytest.mark.parametrize(("limit_connections", "maximum"), [(1, 1), (4, 1), (12, 3)])
def test_the_oldest_connection_is_closed_above_a_quarter_of_the_connections(
    limit_connections: int, maximum: int
) -> None:
    lingering = Lingering(limit_connections)
    transports = [RecordingTransport(lingering, number) for number in range(maximum)]
    assert not any(transport.is_closed for transport in transports)
    transports += [RecordingTransport(lingering, maximum + number) for number in range(2)]
    assert [transport.is_closed for transport in transports] == [True, True] + [False] * maximum


def test_one_connection_discards_a_piece_in_a_turn() -> None:
    lingering = Lingering(0)
    assert share(lingering, START) == PIECE_BYTES


def test_many_connections_share_a_turn() -> None:
    lingering = Lingering(0)
    transports = [RecordingTransport(lingering, number) for number in range(127)]
    assert share(lingering, START) == 4 * 1024 * 1024 // (len(transports) + 1)


def test_the_rate_of_all_connections_is_limited() -> None:
    lingering = Lingering(0)
    total = sum(iter(lambda: share(lingering, START), 0))
    assert total == WINDOW_BYTES
    assert share(lingering, START + 0.09) == 0
    assert share(lingering, START + 0.11) == PIECE_BYTES


def test_a_rate_below_the_limit_is_never_refused() -> None:
    lingering = Lingering(0)
    times = (START + number * 0.001 for number in count())
    assert all(share(lingering, next(times)) == PIECE_BYTES for _ in range(2000))
