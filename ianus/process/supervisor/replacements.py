"""Chooses the worker that is replaced next, in a rolling reload or since it has reached a limit of its own.

A replacement accepts connections before the old worker stops, and one worker is replaced at a time.
"""

from collections import deque

from ianus.process.supervisor.generation import Generation
from ianus.process.supervisor.generations import Generations
from ianus.process.supervisor.slot import Slot
from ianus.process.supervisor.slots import Slots
from ianus.process.supervisor.worker_process import WorkerProcess
from ianus.telemetry.logger import logger


class Replacements:
    """The workers that are to be replaced: those of older generations first, then those that are recycled."""

    def __init__(self, slots: Slots, generations: Generations) -> None:
        self._slots = slots
        self._generations = generations
        self._recycle_queue: deque[WorkerProcess] = deque()

    def recycle(self, process: WorkerProcess, because: str) -> None:
        """Adds a worker that has reached a limit, such as --max-requests."""
        if process not in self._recycle_queue:
            logger.info("worker will be replaced: %s: %s", process, because)
            self._recycle_queue.append(process)

    def find_next(self, now: float) -> tuple[Slot, Generation] | None:
        """Returns the slot and the generation of the next replacement; None if none is due, or one is in progress."""
        if any(self._slots.starting()):
            return None
        newest = self._generations.newest()
        for process in self._slots.serving():
            slot = self._slots[process.slot]
            if process.generation.number < newest.number and now >= slot.not_before:
                return slot, newest
        serving = list(self._slots.serving())
        while self._recycle_queue and self._recycle_queue[0] not in serving:
            self._recycle_queue.popleft()
        if self._recycle_queue and now >= (slot := self._slots[self._recycle_queue[0].slot]).not_before:
            return slot, self._generations.active
        return None
