"""The maximum time of a stop is the sum of the settings for its parts."""

from ianus.process.stop_limits import (
    ATEXIT_SECONDS,
    MARGIN_SECONDS,
    drain_budget,
    exit_budget,
    lifespan_budget,
    total_stop_budget,
)
from ianus.process.worker.exit import REACTION_SECONDS
from ianus.process.worker.worker import CANCEL_SECONDS
from ianus.settings.schema import Settings
from ianus.settings.values import Mount


def test_no_part_of_a_worker_s_own_end_takes_longer() -> None:
    assert MARGIN_SECONDS > 3 * CANCEL_SECONDS
    # After the clean-up: tasks, asynchronous generators, threads; then functions of atexit that do not return.
    assert MARGIN_SECONDS >= 3 * CANCEL_SECONDS + 2 * REACTION_SECONDS


def test_the_parts_and_both() -> None:
    settings = Settings(timeout_graceful_shutdown=1.0, timeout_lifespan_shutdown=2.0, mount=(Mount("/api", "api:app"),))
    assert drain_budget(settings) == 1.0 + MARGIN_SECONDS
    assert lifespan_budget(settings) == 2 * 2.0 + MARGIN_SECONDS
    assert exit_budget(1.0) == 1.0 + ATEXIT_SECONDS + MARGIN_SECONDS
    assert total_stop_budget(settings) == 5.0 + ATEXIT_SECONDS + 3 * MARGIN_SECONDS


def test_the_whole_has_no_limit_if_a_part_has_none() -> None:
    endless = Settings(timeout_graceful_shutdown=0.0)
    assert (drain_budget(endless), lifespan_budget(endless) > 0, total_stop_budget(endless)) == (0.0, True, 0.0)
    assert exit_budget(0.0) == 0.0
    assert total_stop_budget(Settings(timeout_lifespan_shutdown=0.0)) == 0.0
