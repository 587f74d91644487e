"""Rolling reloads, and the replacement of recycled workers."""

import pytest

from ianus.process.supervisor.restarts import EARLY_EXIT_SECONDS
from ianus.process.supervisor.slot import FIRST_RETRY_SECONDS
from ianus.process.supervisor.slots import SLOT_RETIRE_DELAY_SECONDS
from ianus.process.supervisor.worker_process import Stage
from tests.process.supervisor.harness import BOUND, REPLACED, Harness, served


def test_a_reload_during_the_first_start_replaces_all_workers() -> None:
    harness = Harness(2)
    harness.step()
    harness.change()
    harness.ready(harness.spawned[0])
    assert harness.starting() == [(1, 2)]
    harness.ready(harness.spawned[1])
    assert harness.starting() == [(0, 2)]
    harness.replacements()
    assert harness.serving() == [(0, 2), (1, 2)]


def test_a_replaced_worker_that_crashes_while_stopping_is_not_replaced_again(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1)
    harness.change()
    harness.ready(harness.last())
    first = harness.spawned[0]
    assert first.take_signals() == [REPLACED]
    harness.end(first, code=-9)
    assert "worker exited while stopping (killed by SIGKILL): worker 1 (pid 100)" in caplog.text
    assert harness.serving() == [(0, 2)]
    assert harness.starting() == []


def test_a_reload_replaces_one_worker_after_another() -> None:
    harness = served(3)
    harness.change()
    assert harness.workers.generations.pending is not None
    for slot in range(3):
        assert harness.starting() == [(slot, 2)]
        assert harness.spawned[slot].noted_signals == []
        harness.ready(harness.last())
        assert harness.workers.generations.pending is None
        assert harness.spawned[slot].take_signals() == [REPLACED]
    assert harness.starting() == []
    assert harness.in_stage(Stage.STOPPING) == [(0, 1), (1, 1), (2, 1)]
    harness.end(*harness.spawned[:3])
    assert harness.serving() == [(0, 2), (1, 2), (2, 2)]


def test_a_new_configuration_that_does_not_start_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(2)
    harness.change()
    harness.end(harness.last(), code=3)
    assert "worker failed to start with the new configuration (exit code 3); keeping the current workers" in caplog.text
    harness.step(100)
    assert harness.serving() == [(0, 1), (1, 1)]
    assert len(harness.spawned) == 3
    harness.step(EARLY_EXIT_SECONDS)
    harness.end(harness.spawned[1])
    assert harness.starting() == [(1, 1)]


def test_a_worker_that_exits_during_a_reload_is_replaced_with_the_old_configuration() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    harness.change()
    harness.end(harness.spawned[1])
    assert harness.starting() == [(0, 2), (1, 1)]
    harness.ready(harness.spawned[3], harness.spawned[2])
    assert harness.starting() == [(1, 2)]
    harness.replacements()
    assert harness.serving() == [(0, 2), (1, 2)]


def test_the_new_configuration_is_tried_if_no_worker_serves() -> None:
    harness = served(1)
    harness.step(EARLY_EXIT_SECONDS)
    harness.change()
    harness.end(harness.spawned[0], code=1)
    harness.end(harness.spawned[1], code=1)
    assert harness.starting() == [(0, 1)], "the change did not start, so there is what was before"
    harness.end(harness.last(), code=1)
    harness.change()
    assert harness.starting() == [(0, 3)], "there is nothing to lose"


def test_a_reload_does_not_wait_for_a_worker_with_the_old_configuration() -> None:
    harness = served(1)
    harness.step(EARLY_EXIT_SECONDS)
    harness.workers.start_generation(harness.generation(1))
    harness.end(harness.spawned[0], code=1)
    assert harness.starting() == [(0, 2)]


def test_a_later_reload_follows_an_unfinished_one() -> None:
    harness = served(2)
    harness.change()
    harness.change()
    harness.ready(harness.last())
    assert harness.workers.generations.pending is not None
    for slot in range(2):
        assert harness.starting() == [(slot, 3)]
        harness.ready(harness.last())
    assert harness.serving() == [(0, 3), (1, 3)]


def test_a_configuration_that_has_started_is_kept_if_a_later_one_fails() -> None:
    harness = served(2)
    harness.change()
    harness.change()
    harness.ready(harness.last())
    harness.end(harness.last(), code=3)
    assert harness.serving() == [(0, 2), (1, 1)]
    harness.replacements()
    assert harness.serving() == [(0, 2), (1, 2)]


def test_a_later_reload_is_tried_after_a_failed_start() -> None:
    harness = served(1)
    harness.change()
    harness.change()
    harness.end(harness.last(), code=3)
    harness.step(1)
    assert harness.starting() == [(0, 3)]


def test_a_changed_application_is_started_with_the_last_configuration() -> None:
    harness = served(1)
    harness.change(count=2, workers_lifetime=60.0)
    harness.workers.reload_application()
    harness.step()
    harness.ready(harness.last())
    harness.replacements()
    assert harness.serving() == [(0, 3), (1, 3)]
    assert {each.generation.settings.workers_lifetime for each in harness.workers} == {60.0}
    harness.workers.resize(1)
    harness.step()
    harness.ready(harness.last())
    harness.workers.reload_application()
    harness.step()
    harness.replacements()
    assert harness.serving() == [(0, 4), (1, 4), (2, 4)], "one more than configured, as somebody has asked"


def test_addresses_of_all_needed_configurations_stay_open() -> None:
    """A change that has not started yet has its sockets already, even if a worker ends meanwhile."""
    harness = served(2)
    harness.workers.resize(-1)
    harness.change(bind=("127.0.0.1:9000",))
    harness.step(SLOT_RETIRE_DELAY_SECONDS)
    harness.end(harness.spawned[1])
    assert harness.sockets.kept == (1, {"127.0.0.1:9000", *BOUND})
    harness.ready(harness.last())
    assert harness.sockets.kept == (1, {"127.0.0.1:9000", *BOUND})
    harness.end(harness.spawned[0])
    assert harness.sockets.kept == (1, {"127.0.0.1:9000"})


def test_recycled_workers_are_replaced_in_their_order() -> None:
    harness = served(3)
    first, second, third = harness.spawned
    for process in (third, first, third):
        harness.report(process, "recycle\t--max-requests")
    assert harness.starting() == [(2, 1)]
    assert [each.slot for each in harness.replacements()] == [2, 0]
    assert harness.serving() == [(0, 1), (1, 1), (2, 1)]
    assert second.noted_signals == []


def test_a_worker_that_exits_before_it_is_recycled_is_replaced_once() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    first, second = harness.spawned
    harness.report(first, "recycle\t--max-requests")
    harness.report(second, "recycle\t--max-requests")
    harness.end(second, code=-9)
    assert [each.slot for each in harness.spawned[2:]] == [0, 1]
    harness.ready(*harness.spawned[2:])
    harness.step(10)
    assert len(harness.spawned) == 4


def test_a_replacement_that_does_not_start_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    harness = served(1)
    harness.report(harness.spawned[0], "recycle\t--max-requests")
    harness.end(harness.last(), code=1)
    assert "worker failed to start (exit code 1), next attempt in 0.1 s: worker 1 (pid 101)" in caplog.text
    assert harness.serving() == [(0, 1)]
    harness.step(FIRST_RETRY_SECONDS)
    harness.replacements()
    assert [each.pid for each in harness.workers] == [102]


def test_a_reload_precedes_recycling_and_includes_it() -> None:
    harness = served(2)
    harness.workers.on_line(harness.spawned[1], "recycle\t--max-requests", harness.now)
    harness.change()
    assert [(each.slot, each.generation.number) for each in harness.replacements()] == [(0, 2), (1, 2)]
