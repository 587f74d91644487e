"""The number of workers of --workers auto in a container with little memory."""

import os

import pytest

from ianus.process.supervisor import memory_bound
from ianus.process.supervisor.memory_bound import bound_by_memory, fitting_workers
from tests.process.supervisor.harness import Harness, served
from tests.rows import for_each_row

MIB = 1 << 20


@for_each_row(
    ("limit", "worker", "expected"),
    [(512, 100, 2), (512, 50, 5), (512, 400, 1), (512, 4000, 1), (4096, 100, 16), (16, 10, 1), (2048, 250, 4)],
)
def test_workers_fit_into_the_memory(limit: int, worker: int, expected: int) -> None:
    assert fitting_workers(16, limit=limit * MIB, own=20 * MIB, worker=worker * MIB) == expected


def test_the_choice_is_logged_with_its_reasons(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ianus.error")
    monkeypatch.setattr(memory_bound, "resident_bytes", lambda pid: 20 * MIB if pid == os.getpid() else 100 * MIB)
    monkeypatch.setattr(memory_bound, "memory_limit", lambda: 512 * MIB)
    assert bound_by_memory(8, 1) == 2
    monkeypatch.setattr(memory_bound, "memory_limit", lambda: 0)
    assert bound_by_memory(8, 1) == 8
    assert caplog.messages == [
        (
            "workers: 2 (--workers auto): 8 for the CPUs, limited by 512 MiB of memory; a worker has 100 MiB after its"
            " start and is expected to need 150 MiB"
        ),
        "workers: 8 (--workers auto): one for each CPU; there is no limit of memory",
    ]


def test_the_first_worker_of_each_configuration_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter([3, 5])
    monkeypatch.setattr(memory_bound, "bound_by_memory", lambda workers, pid: next(sizes))
    harness = Harness(4, workers="auto")
    harness.step()
    harness.ready(harness.last())
    assert len(harness.spawned) == 3, "the first one and two more"
    harness.ready(*harness.spawned[1:])
    assert harness.workers.slots.count == 3
    harness.workers.resize(1)
    harness.step()
    harness.ready(harness.last())
    assert harness.workers.slots.count == 4, "a signal can still change the number"
    harness.change(8)
    harness.replacements()
    assert harness.workers.slots.count == 5


def test_a_configured_number_of_workers_is_not_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_bound, "bound_by_memory", lambda workers, pid: 1)
    assert served(4).workers.slots.count == 4
