"""How long a stop may take at most, by what the settings allow its parts."""

from ianus.process.stop_limits import ATEXIT_SECONDS, MARGIN, of_all, of_closing, of_exiting, until_closing
from ianus.process.worker.exit import REACTION_SECONDS
from ianus.process.worker.worker import CANCEL_GRACE
from ianus.settings.schema import Settings
from ianus.settings.values import Mount


def test_no_part_of_a_worker_s_own_end_takes_longer() -> None:
    assert MARGIN > 3 * CANCEL_GRACE
    # After the clean-up: tasks, asynchronous generators, threads; then functions of atexit that do not return.
    assert MARGIN >= 3 * CANCEL_GRACE + 2 * REACTION_SECONDS


def test_the_parts_and_both() -> None:
    settings = Settings(timeout_graceful_shutdown=1.0, timeout_lifespan_shutdown=2.0, mount=(Mount("/api", "api:app"),))
    assert until_closing(settings) == 1.0 + MARGIN
    assert of_closing(settings) == 2 * 2.0 + MARGIN
    assert of_exiting(1.0) == 1.0 + ATEXIT_SECONDS + MARGIN
    assert of_all(settings) == 5.0 + ATEXIT_SECONDS + 3 * MARGIN


def test_a_part_without_a_limit_leaves_the_whole_without_one() -> None:
    endless = Settings(timeout_graceful_shutdown=0.0)
    assert (until_closing(endless), of_closing(endless) > 0, of_all(endless)) == (0.0, True, 0.0)
    assert of_exiting(0.0) == 0.0
    assert of_all(Settings(timeout_lifespan_shutdown=0.0)) == 0.0
