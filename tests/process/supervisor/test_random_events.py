"""Random events in any order, after which the workers return to the wanted state."""

import random
from typing import Any

import pytest

from ianus.process.supervisor.worker_process import Stage
from tests.process.supervisor.harness import KILL, REOPEN, FakeProcess, Harness


class Chaos:
    """A harness in which things happen at random."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        limits: dict[str, Any] = {"timeout": 30.0, "workers_lifetime": 300.0} if self.random.random() < 0.5 else {}
        self.harness = Harness(self.random.randint(1, 4), **limits)
        self.trace: list[str] = []

    def happen(self) -> None:
        """One event, and then perhaps some time."""
        harness, workers = self.harness, self.harness.workers
        present = [each for each in harness.spawned if each in list(workers)]
        kinds = ["time"] * 3 + ["change", "resize", "wind_down", "refuse", "tell"] + ["ready", "end", "say", "beat"] * 4
        kind = self.random.choice(kinds)
        process = self.random.choice(present) if present else None
        self.trace.append(f"{kind} {process}")
        if kind == "time":
            harness.step(self.random.choice([0.05, 0.5, 3.0, 20.0, 100.0]))
        elif kind == "change":
            workers.start_generation(harness.generation(self.random.randint(1, 4)))
        elif kind == "resize":
            workers.resize(self.random.choice([-1, 1]))
        elif kind == "wind_down" and self.random.random() < 0.2:
            workers.scale_to_zero(harness.now)
        elif kind == "refuse":
            harness.refusal = OSError(24, "no") if harness.refusal is None and self.random.random() < 0.5 else None
        elif kind == "tell":
            workers.send_signal(REOPEN)
        elif process is not None and kind == "ready":
            workers.on_line(process, "ready\tmain:app", harness.now)
        elif process is not None and kind == "say":
            workers.on_line(process, self.random.choice(["recycle\tx", "stuck\tx", "draining", "closing"]), harness.now)
        elif process is not None and kind == "beat":
            process.memory.heartbeat = harness.now
        elif process is not None and kind == "end":
            workers.on_exit(process, self.random.choice([0, 3 << 8, 9]), harness.now)
        if workers.restarts.failed and workers.generations.pending is None:
            workers.start_generation(harness.generation(workers.slots.count))
        harness.step()
        assert workers.slots.count >= 1
        assert len({(each.slot, each.stage) for each in present if each.stage is Stage.SERVING}) == len(
            [each for each in present if each.stage is Stage.SERVING]
        )

    def calm_down(self) -> None:
        """Makes all processes obey from now on."""
        harness, workers = self.harness, self.harness.workers
        harness.refusal = None
        for _ in range(100):
            for process in list(workers):
                assert isinstance(process, FakeProcess)
                if process.stage is Stage.STARTING:
                    harness.ready(process)
                elif process.stage is Stage.STOPPING or process.is_aborted:
                    harness.end(process)
                else:
                    process.memory.heartbeat = harness.now
            harness.step(0.5)


@pytest.mark.parametrize("seed", [*range(10), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(10, 100))])
def test_random_events_in_any_order(seed: int) -> None:
    chaos = Chaos(seed)
    harness = chaos.harness
    harness.step()
    try:
        for _ in range(60):
            chaos.happen()
        harness.workers.resize(1)
        chaos.calm_down()
        number = harness.workers.generations.active.number
        assert harness.workers.generations.pending is None
        assert harness.serving() == [(slot, number) for slot in range(harness.workers.slots.count)]
        assert len(list(harness.workers)) == harness.workers.slots.count
        assert harness.sockets.steered == list(range(harness.workers.slots.count))
        harness.workers.stop(harness.now, successor=False)
        harness.step(1000)
        assert all(KILL in each.noted_signals for each in harness.spawned if each in list(harness.workers))
    except Exception as error:
        error.add_note("\n".join(chaos.trace))
        raise
