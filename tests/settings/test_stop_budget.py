"""The shares of a stop's total."""

import itertools
import math

import pytest

from ianus.errors import ConflictError
from ianus.settings.schema import Settings
from ianus.settings.stop_budget import STARTING_SECONDS, smallest_total, stop_budget
from tests.rows import for_each_row

TOTALS = (0.01, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 30.0, 90.0, 3600.0)


@for_each_row("total", TOTALS)
def test_each_part_has_a_share_and_all_end_before_the_total(total: float) -> None:
    budget = stop_budget(total)
    times = (0.0, *budget, total)
    assert all(before < after for before, after in itertools.pairwise(times))
    assert budget.cancel_after >= 0.49 * total


def test_large_totals_are_for_the_requests() -> None:
    assert stop_budget(120.0).cancel_after == 120.0 - 9.5
    assert stop_budget(25.0) == (15.5, 17.0, 22.0, 23.0, 24.0, 24.75)


def test_the_lifespan_has_the_time_that_is_set() -> None:
    budget = stop_budget(25.0, 12.0)
    assert budget.end_after - budget.lifespan_after == 12.0
    assert budget[2:] == stop_budget(25.0)[2:]


def test_a_stop_without_a_limit() -> None:
    assert stop_budget(0.0) == (math.inf,) * 6
    assert stop_budget(0.0).interrupt_after(is_starting=False) == math.inf


@pytest.mark.parametrize(("total", "expected"), [(1.0, 0.6), (10.0, STARTING_SECONDS), (0.0, STARTING_SECONDS)])
def test_a_start_is_interrupted_soon(total: float, expected: float) -> None:
    assert stop_budget(total).interrupt_after(is_starting=True) == pytest.approx(expected)


@pytest.mark.parametrize("seconds", [0.0, 5.0, 20.0])
def test_the_total_that_a_message_proposes_is_the_smallest_one(seconds: float) -> None:
    total = smallest_total(0.0, seconds)
    assert stop_budget(total).cancel_after > seconds
    assert total == 1 or stop_budget(total - 1).cancel_after <= seconds
    Settings(timeout_stop=total, drain_delay=seconds / 2, ws_drain_spread=seconds / 2)


@pytest.mark.parametrize(
    ("values", "name", "free", "total"),
    [
        ({"ws_drain_spread": 20}, "ws_drain_spread", "25 s), which has 15.5", "30s"),
        ({"drain_delay": 10, "ws_drain_spread": 6}, "drain_delay", "25 s), which has 15.5", "26s"),
        (
            {"timeout_stop": 10, "timeout_lifespan_shutdown": 8},
            "timeout_lifespan_shutdown",
            "10 s), which has 0",
            "12s",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(values: dict[str, float], name: str, free: str, total: str) -> None:
    with pytest.raises(ConflictError) as caught:
        Settings(**values)  # type: ignore[arg-type]
    assert caught.value.message == (
        f"{name} does not fit into timeout_stop ({free} s for --drain-delay, --ws-drain-spread and requests; raise"
        f" timeout_stop to {total}, or lower {name}."
    )
    assert caught.value.exit_code == 3


def test_a_part_of_no_limit_is_refused() -> None:
    with pytest.raises(ConflictError, match="is a part of timeout_stop, which has no limit; remove one"):
        Settings(timeout_stop=0, timeout_lifespan_shutdown=8)


def test_parts_of_a_stop_without_a_limit_fit() -> None:
    Settings(timeout_stop=0, drain_delay=100, ws_drain_spread=100)
