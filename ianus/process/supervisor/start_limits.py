"""Reports and ends starts of workers that take too long, and those that delay a newer configuration."""

from ianus.process.supervisor.generations import Generations
from ianus.process.supervisor.restarts import Restarts
from ianus.process.supervisor.slot import Slot
from ianus.process.supervisor.slots import Slots
from ianus.process.supervisor.worker_process import WorkerProcess
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger

# A start may take this multiple of the longest one that succeeded.
START_FACTOR = 3.0

# Minimum seconds of a start before a newer configuration overtakes it.
OVERTAKE_SECONDS = 1.0


class StartLimits:
    """The time limits of starts, which depend on the time that earlier starts took."""

    def __init__(self, slots: Slots, generations: Generations, restarts: Restarts) -> None:
        self._slots = slots
        self._generations = generations
        self._restarts = restarts
        self._longest_start = 0.0  # seconds that a worker took to become ready

    def note_start(self, seconds: float) -> None:
        """Records the time that a worker took to become ready."""
        self._longest_start = max(self._longest_start, seconds)

    def limit(self, settings: Settings) -> float:
        """Returns the maximum seconds of a start, 0 for no limit: an import may hang while others serve.

        The first start has no limit; the limit of later ones grows with its time.
        """
        if not self._restarts.has_started or not settings.timeout or not settings.timeout_lifespan_startup:
            return 0.0
        startup = settings.timeout_lifespan_startup * (1 + len(settings.warmup))
        return max(settings.timeout + startup, START_FACTOR * self._longest_start)

    def step(self, now: float) -> None:
        """Reports long starts, aborts those over their limit, and stops those that are overtaken."""
        for process in self._slots.starting():
            if process.start_deadline and now >= process.start_deadline:
                process.start_deadline = 0.0
                process.abort("its event loop is blocked, and --timeout-lifespan-startup is over", now)
            if process.is_aborted:
                continue
            process.start_report.step(process, process.send_signal, now)
            if (limit := self.limit(process.generation.settings)) and now >= process.last_seen_at + limit:
                process.abort(f"it has not started within {limit:.0f} s", now)
        for slot, process in self._outdated():
            if now >= self._overtaken_at(process):
                logger.warning("worker stopped before it had started, starting the newer configuration: %s", process)
                slot.abandon_start(now)

    def due(self) -> list[float]:
        """Returns the times of the next steps; 0 for none."""
        times = [self._overtaken_at(process) for _, process in self._outdated()]
        for process in self._slots.starting():
            times.append(process.start_deadline)
            if not process.is_aborted:
                times.append(process.start_report.due())
                if limit := self.limit(process.generation.settings):
                    times.append(process.last_seen_at + limit)
        return times

    def _outdated(self) -> list[tuple[Slot, WorkerProcess]]:
        """Returns starts with an older configuration, none while one has the newest."""
        newest = self._generations.newest().number
        starting = [(slot, slot.starting) for slot in self._slots.wanted() if slot.starting is not None]
        if any(process.generation.number == newest for _, process in starting):
            return []
        return [(slot, process) for slot, process in starting if not process.is_aborted]

    def _overtaken_at(self, process: WorkerProcess) -> float:
        """Returns the time at which a newer configuration overtakes a start.

        Each start has the time that the longest one took: frequent changes must not prevent all of them.
        """
        return process.started_at + max(OVERTAKE_SECONDS, self._longest_start)
