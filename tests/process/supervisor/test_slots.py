"""The number of slots, and the connections that they get."""

import pytest

from ianus.process.supervisor.restarts import EARLY_EXIT_SECONDS
from ianus.process.supervisor.slot import FIRST_RETRY_SECONDS
from ianus.process.supervisor.slots import SLOT_RETIRE_DELAY_SECONDS
from ianus.process.supervisor.worker_process import Stage
from tests.process.supervisor.harness import BOUND, REPLACED, TERM, served


def test_a_reload_changes_the_number_of_workers() -> None:
    harness = served(2)
    harness.change(count=3)
    assert harness.starting() == [(0, 2)], "whether it can be had is not known yet"
    harness.replacements()
    assert [(name, *more) for name, _, *more in harness.calls if name != "child_exit"] == [("nworkers_changed", 3, 2)]
    assert harness.serving() == [(0, 2), (1, 2), (2, 2)]
    harness.change(count=1)
    harness.replacements()
    assert harness.sockets.steered == [0]
    harness.step(SLOT_RETIRE_DELAY_SECONDS)
    for process in harness.spawned:
        if process.stage is Stage.STOPPING and process.take_signals():
            harness.end(process)
    assert harness.serving() == [(0, 3)]
    assert harness.sockets.kept == (1, BOUND)


def test_the_number_of_a_configuration_that_does_not_start_is_not_applied() -> None:
    harness = served(1)
    harness.change(count=2)
    assert (
        harness.workers.count_after(harness.workers.generations.active),
        harness.workers.count_after(harness.last().generation),
    ) == (1, 2)
    harness.end(harness.last(), code=3)
    harness.step(100)
    assert harness.serving() == [(0, 1)]
    assert len(harness.spawned) == 2
    assert not any(name == "nworkers_changed" for name, *_ in harness.calls)
    harness.workers.resize(1)
    harness.step()
    assert harness.starting() == [(1, 1)]


def test_sigttin_adds_a_worker() -> None:
    harness = served(1)
    harness.workers.resize(1)
    harness.step()
    assert harness.starting() == [(1, 1)]
    harness.ready(harness.last())
    assert harness.serving() == [(0, 1), (1, 1)]
    assert [(name, server.workers, *more) for name, server, *more in harness.calls] == [("nworkers_changed", 2, 2, 1)]


def test_a_removed_slot_serves_connections_on_their_way() -> None:
    harness = served(3)
    last = harness.last()
    harness.workers.resize(-1)
    harness.step()
    assert harness.sockets.steered == [0, 1]
    harness.step(SLOT_RETIRE_DELAY_SECONDS - 0.1)
    assert last.noted_signals == []
    harness.step(0.1)
    assert last.take_signals() == [TERM]
    harness.step(10)
    assert harness.sockets.steered == [0, 1]
    harness.end(last)
    assert harness.serving() == [(0, 1), (1, 1)]
    assert harness.sockets.steered == [0, 1]
    assert harness.sockets.kept == (2, BOUND)


def test_removing_and_adding_a_slot_at_once_changes_nothing() -> None:
    harness = served(2)
    for by in (-1, 1):
        harness.workers.resize(by)
        harness.step()
    harness.step(10)
    assert harness.sockets.steered == [0, 1]
    assert [each.noted_signals for each in harness.spawned] == [[], []]


def test_a_slot_is_added_again_while_its_worker_stops() -> None:
    harness = served(2)
    harness.workers.resize(-1)
    harness.step(SLOT_RETIRE_DELAY_SECONDS)
    harness.workers.resize(1)
    harness.step()
    assert harness.starting() == [(1, 1)]
    harness.ready(harness.last())
    harness.end(harness.spawned[1])
    assert harness.serving() == [(0, 1), (1, 1)]


def test_several_slots_are_removed_at_once() -> None:
    harness = served(4)
    for _ in range(5):
        harness.workers.resize(-1)
        harness.step()
    harness.step(SLOT_RETIRE_DELAY_SECONDS)
    leaving = [each for each in harness.spawned if each.take_signals()]
    assert len(leaving) == 3, "all at once"
    harness.end(*leaving)
    assert harness.serving() == [(0, 1)]
    assert [tuple(more) for name, _, *more in harness.calls if name == "nworkers_changed"] == [(3, 4), (2, 3), (1, 2)]


def test_a_worker_that_exits_before_its_slot_is_removed_is_not_replaced() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    harness.workers.resize(-1)
    harness.step()
    harness.end(harness.spawned[1])
    harness.step(10)
    assert harness.serving() == [(0, 1)]
    assert len(harness.spawned) == 2


def test_a_slot_without_a_worker_gets_no_connections() -> None:
    harness = served(3)
    harness.end(harness.spawned[1], code=1)
    assert harness.sockets.steered == [0, 2]
    harness.step(FIRST_RETRY_SECONDS)
    assert harness.sockets.steered == [0, 2]
    harness.ready(harness.last())
    assert harness.sockets.steered == [0, 1, 2]


def test_no_connection_waits_for_a_replacement_while_another_worker_serves() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    harness.end(harness.spawned[1], code=-11)
    assert harness.starting() == [(1, 1)]
    assert harness.sockets.steered == [0]
    harness.ready(harness.last())
    assert harness.sockets.steered == [0, 1]


def test_no_connection_waits_for_a_worker_that_is_added() -> None:
    harness = served(2)
    harness.workers.resize(1)
    harness.step()
    assert harness.starting() == [(2, 1)]
    assert harness.sockets.steered == [0, 1]
    assert harness.workers.serving_slots() == {0, 1}


def test_connections_wait_in_all_slots_if_no_worker_serves() -> None:
    harness = served(2)
    harness.end(*harness.spawned, code=1)
    assert harness.sockets.steered == [0, 1]
    assert harness.workers.serving_slots() == set()


def test_sigwinch_stops_all_workers_and_the_sockets_stay_open() -> None:
    harness = served(2)
    harness.workers.scale_to_zero(harness.now)
    harness.step()
    assert [each.noted_signals for each in harness.spawned] == [[REPLACED]] * 2
    harness.end(*harness.spawned)
    harness.step(1000)
    assert len(harness.spawned) == 2
    assert harness.sockets.kept == (2, BOUND)
    harness.change()
    assert harness.starting() == [(0, 2), (1, 2)]
    harness.ready(*harness.spawned[2:])
    assert harness.serving() == [(0, 2), (1, 2)]


@pytest.mark.parametrize("count", [1, 3])
def test_sigttin_after_sigwinch_starts_one_worker(count: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    harness = served(count)
    harness.workers.scale_to_zero(harness.now)
    harness.workers.resize(-1)
    harness.step()
    assert len(harness.spawned) == count, "there are no fewer than none"
    harness.workers.resize(1)
    harness.step()
    harness.ready(harness.last())
    assert harness.serving() == [(0, 1)]
    assert "workers: 1" in caplog.text
