"""Checks the workers that accept connections: heartbeat, age and memory."""

import os

from ianus.process.supervisor.replacements import Replacements
from ianus.process.supervisor.slots import Slots
from ianus.process.supervisor.worker_process import WorkerProcess

# Seconds between two checks of the memory of workers.
MEMORY_CHECK_SECONDS = 5.0

# A worker writes three heartbeats in the time after which it counts as stuck; the supervisor waits for one more.
HEARTBEAT_TIMEOUT_FACTOR = 4 / 3

PAGE_SIZE = os.sysconf("SC_PAGESIZE")


class ServingLimits:
    """Kills workers without a heartbeat, and recycles those that reach a limit of age or memory."""

    def __init__(self, slots: Slots, replacements: Replacements) -> None:
        self._slots = slots
        self._replacements = replacements
        self._next_memory_check = 0.0

    def set_limits(self, process: WorkerProcess, now: float) -> None:
        """Sets the limits of age and memory of a worker that has started, with jitter."""
        settings = process.generation.settings
        if settings.workers_lifetime or settings.workers_max_rss:
            import random  # 4 ms, which few starts need.

            if settings.workers_lifetime:
                jitter = random.uniform(0, settings.workers_lifetime_jitter)
                process.retire_at = now + settings.workers_lifetime + jitter
            if settings.workers_max_rss:
                mebibytes = settings.workers_max_rss + random.randint(0, settings.workers_max_rss_jitter)
                process.memory_limit = mebibytes << 20

    def step(self, now: float) -> None:
        """Does the checks that are due."""
        checks_memory = now >= self._next_memory_check
        for process in self._slots.serving():
            if process.retire_at and now >= process.retire_at:
                process.retire_at = 0.0
                self._replacements.recycle(process, f"it has lived for {now - process.started_at:.0f} s")
            if checks_memory and process.memory_limit:
                size = resident_bytes(process.pid)
                if size > process.memory_limit:
                    self._replacements.recycle(process, f"it takes {size >> 20} MiB of memory")
            self._check_heartbeat(process, now)
        if checks_memory:
            self._next_memory_check = now + MEMORY_CHECK_SECONDS

    def due(self) -> list[float]:
        """Returns the times of the next checks; 0 for none."""
        times = []
        for process in self._slots.serving():
            settings = process.generation.settings
            times.append(process.retire_at)
            if settings.timeout and not process.is_aborted:
                times.append(process.last_seen_at + settings.timeout * HEARTBEAT_TIMEOUT_FACTOR)
            if process.memory_limit:
                times.append(self._next_memory_check)
        return times

    def _check_heartbeat(self, process: WorkerProcess, now: float) -> None:
        """Aborts a worker whose heartbeat has stopped. A native thread of the worker writes it to shared memory."""
        timeout = process.generation.settings.timeout
        beat = process.scoreboard.last_heartbeat()
        if beat != process.last_heartbeat:
            process.last_heartbeat, process.last_seen_at = beat, now
        elif timeout and now - process.last_seen_at >= timeout * HEARTBEAT_TIMEOUT_FACTOR and not process.is_aborted:
            if beat:
                process.abort(f"it has given no sign of life for {now - process.last_seen_at:.0f} s", now)
            else:
                # Its first heartbeat follows soon after the report that it is ready. The next check sees it.
                process.last_seen_at = now


def resident_bytes(pid: int) -> int:
    """Returns the bytes of memory that a process has; 0 if it has exited."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123  (pathlib takes 5 ms to import)
            return int(file.read().split()[1]) * PAGE_SIZE
    except (OSError, IndexError):
        return 0
