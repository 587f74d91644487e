"""The clock of a stop without a supervisor."""

import threading

import pytest

from ianus.process.worker.stop_clock import StopClock
from ianus.settings.stop_budget import StopBudget
from tests.helpers import WAIT_SECONDS

# The application is interrupted at once, and abandoned soon.
SOON = StopBudget(0.0, 0.0, 0.0, 0.0, 0.3, 0.4)


class Process:
    """Counts the signals of a clock."""

    def __init__(self, budget: StopBudget) -> None:
        self.quits = 0
        self.was_abandoned = threading.Event()
        self.has_quit = threading.Event()
        self.clock = StopClock(budget, send_quit=self.note_quit, abandon=self.was_abandoned.set)

    def note_quit(self) -> None:
        self.quits += 1
        self.has_quit.set()


def test_code_that_blocks_the_loop_is_interrupted_by_a_second_signal_and_abandoned_in_the_end() -> None:
    process = Process(SOON)
    process.clock.start()
    assert process.was_abandoned.wait(WAIT_SECONDS)
    assert process.quits >= 2


def test_a_start_is_interrupted_before_requests_would_be() -> None:
    process = Process(SOON._replace(lifespan_after=WAIT_SECONDS))
    process.clock.on_event("ready")
    process.clock.start()
    process.clock.end()
    assert process.quits == 0
    starting = Process(SOON._replace(abort_after=WAIT_SECONDS))
    starting.clock.start()
    assert starting.has_quit.wait(WAIT_SECONDS)
    starting.clock.end()


def test_the_lifespan_shutdown_is_not_interrupted_but_limited() -> None:
    process = Process(SOON)
    process.clock.on_event("closing")
    process.clock.start()
    assert process.was_abandoned.wait(WAIT_SECONDS)
    assert process.quits == 0


@pytest.mark.slow
def test_nothing_is_sent_after_the_end() -> None:
    process = Process(SOON)
    process.clock.end()
    process.clock.start()
    assert not process.was_abandoned.wait(0.5)
    assert process.quits == 0
