"""A place for a worker, and the processes that take it one after another."""

from collections.abc import Iterator

from ianus.process.supervisor.worker_process import Stage, WorkerProcess

# Seconds after which a worker is started in place of one that another process has stopped.
EXTERNAL_STOP_PAUSE_SECONDS = 0.25

# Seconds between two starts that fail.
FIRST_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 10.0


class Slot:
    """A place for a worker, with the sockets that belong to it (sockets.py).

    serving: the worker that accepts connections; starting: its replacement; stopping: the workers before them.
    externally_stopped: the last worker, if another process stopped it.
    is_overtaken: a start was given up here for a newer configuration, whose next worker starts in this slot.
    failures: the number of workers in a row that ended soon after their start.
    not_before: the time at which the next worker may start.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.serving: WorkerProcess | None = None
        self.starting: WorkerProcess | None = None
        self.stopping: list[WorkerProcess] = []
        self.externally_stopped: WorkerProcess | None = None
        self.is_overtaken = False
        self.failures = 0
        self.not_before = 0.0

    def processes(self) -> Iterator[WorkerProcess]:
        """Yields all processes of the slot."""
        if self.serving is not None:
            yield self.serving
        if self.starting is not None:
            yield self.starting
        yield from self.stopping

    def is_vacant(self) -> bool:
        """Returns whether no worker serves or starts."""
        return self.serving is None and self.starting is None

    def promote(self) -> WorkerProcess | None:
        """Makes the starting worker the serving one. Returns the previous one, which is to stop."""
        before, self.serving, self.starting = self.serving, self.starting, None
        assert self.serving is not None
        self.serving.stage = Stage.SERVING
        self.is_overtaken = False
        if before is not None:
            self.stopping.append(before)
        return before

    def on_external_stop(self, now: float) -> None:
        """Notes that another process has stopped the worker that serves."""
        self.not_before = now + EXTERNAL_STOP_PAUSE_SECONDS
        assert self.serving is not None
        self.externally_stopped = self.serving
        self.serving.stage = Stage.STOPPING
        self.serving.limit_stop(now)
        self.stopping.append(self.serving)
        self.serving = None

    def on_early_drain(self) -> None:
        """Notes that the worker that serves drains before the end of --drain-delay."""
        assert self.serving is not None
        self.stopping.append(self.serving)
        self.serving = None

    def abandon_start(self, now: float) -> None:
        """Stops the process that is starting, for a newer configuration."""
        assert self.starting is not None
        process, self.starting = self.starting, None
        self.stopping.append(process)
        process.stop(now)
        self.is_overtaken = True

    def retire(self) -> list[WorkerProcess]:
        """Moves the workers of the slot to `stopping`, without replacements. Returns them."""
        stopped = [each for each in (self.serving, self.starting) if each is not None]
        self.stopping += stopped
        self.serving = self.starting = None
        return stopped

    def remove(self, process: WorkerProcess) -> None:
        """Removes an exited process from the slot."""
        if self.serving is process:
            self.serving = None
        elif self.starting is process:
            self.starting = None
        else:
            self.stopping.remove(process)

    def delay_next_start(self, now: float) -> None:
        """Delays the next start, longer each time."""
        self.not_before = now + min(FIRST_RETRY_SECONDS * 2**self.failures, MAX_RETRY_SECONDS)
        self.failures += 1
