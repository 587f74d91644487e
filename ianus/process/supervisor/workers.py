"""The state machine of the workers: the present ones, the wanted ones, and the steps between.

Facts and rules:
- step() moves the present state towards the wanted one; all other methods only note events.
- A new worker serves before the old one stops, and one is replaced at a time.
- A new configuration is in effect once a worker has started with it. Until then replacements start with the previous
  one. If the new one fails, the present workers continue to serve.
- A worker that exits by itself is replaced at once. One that exits soon after its start is replaced after a pause that
  grows.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator

from ianus.errors import StartupError
from ianus.hooks import ServerInfo
from ianus.process.supervisor.slot import ABORT_SECONDS, QUIT_SECONDS, Generation, Slot, Stage, WorkerProcess
from ianus.process.supervisor.sockets import Sockets
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger

# Seconds from one look at the memory of workers to the next.
MEMORY_CHECK_SECONDS = 5.0

# Seconds that connections get to arrive at a slot that is to go, from the moment when new ones go to others.
SLOT_RETIRE_DELAY_SECONDS = 1.0

# A start may take this multiple of the longest one that succeeded.
START_FACTOR = 3.0

# Minimum seconds of a start before a newer configuration overtakes it.
OVERTAKE_SECONDS = 1.0

# Seconds in which workers that lack threads are logged once.
REFUSAL_LOG_SECONDS = 60.0

# Maximum delay of a step, in seconds, after which heartbeats are still checked.
MAX_STEP_DELAY_SECONDS = 1.0

# A worker that exits within this time of its start, in seconds, is likely to do so again.
EARLY_EXIT_SECONDS = 5.0

# Exit codes of workers that another process stopped before they could handle signals. If all processes got the
# signal, the supervisor stops too.
EXTERNAL_STOP_CODES = (-signal.SIGTERM, -signal.SIGQUIT)

PAGE_SIZE = os.sysconf("SC_PAGESIZE")

# Starts a worker: SpawnWorker(generation, slot, now); None if that has to wait. Raises OSError and StartupError.
SpawnWorker = Callable[[Generation, int, float], WorkerProcess | None]


class Workers:
    """All of them.

    generation: the last one that has started; pending_generation: the one that is being tried.
    count: of slots that are to be served; at first the generation's.
    failed: before all have started for the first time one has ended, or the template has.
    """

    def __init__(
        self, generation: Generation, sockets: Sockets, spawn: SpawnWorker, server: Callable[[], ServerInfo]
    ) -> None:
        self.generation = generation
        self.pending_generation: Generation | None = None
        self.count = generation.workers
        self.failed = False
        self.has_started = False
        self.ready_facts: list[str] = []  # the report of the last worker that became ready
        self._last_number = generation.number  # of generations so far
        self._sockets = sockets
        self._spawn = spawn
        self._server = server
        self._slots: list[Slot] = []
        self._retire_at: dict[int, float] = {}  # slots that are to go, and until when they serve; 0 for no more
        self._recycle_queue: deque[WorkerProcess] = deque()
        self._is_scaled_to_zero = False
        self._is_stopping = False
        self._next_memory_check = 0.0
        self._next_step_at = 0.0  # when the next step was due
        self._longest_start = 0.0  # seconds that a worker took to become ready
        self._refusal_logged_at = -REFUSAL_LOG_SECONDS  # when that was logged last

    # --- The wanted state ---

    def start_generation(self, generation: Generation) -> None:
        """Replaces all by workers with this generation, whose number does not matter, once one of them has started."""
        self._last_number += 1
        self.pending_generation = generation._replace(number=self._last_number)
        self.failed = self._is_scaled_to_zero = False
        for slot in self._slots:
            slot.not_before = 0.0
        if not self.has_started or not any(self._serving()):
            self._activate(self.pending_generation)

    def reload_application(self) -> None:
        """Starts a generation with the last configuration, after a change of the application."""
        self.start_generation(self.pending_generation or self.generation._replace(workers=self.count))

    def count_after(self, generation: Generation) -> int:
        """Returns the number of workers once this generation is in effect."""
        return self.count if generation == self.generation else generation.workers

    def resize(self, by: int) -> None:
        """TTIN and TTOU: one slot more, or one less; the last one stays."""
        before = 0 if self._is_scaled_to_zero else self.count
        if before + by < 1:
            logger.info("already at the minimum of 1 worker")
            return
        self._is_scaled_to_zero = False
        logger.info("workers: %d, before: %d", before + by, before)
        self._set_count(before + by, before)

    def scale_to_zero(self, now: float) -> None:
        """Stops all workers after SIGWINCH; the sockets stay open for the other server."""
        self._is_scaled_to_zero = True
        for slot in self._slots:
            for process in slot.retire():
                process.stop(now, successor=True)

    def stop(self, now: float, *, successor: bool) -> None:
        """Stops all workers gracefully. successor: another server has the sockets."""
        self._is_stopping = True
        for process in self:
            if process.stage is not Stage.STOPPING or not successor:
                process.stop(now, successor=successor)

    def stop_now(self, number: signal.Signals, now: float) -> None:
        """Stops all workers without waiting for requests: SIGQUIT, and then SIGKILL."""
        self._is_stopping = True
        for process in self:
            if process.stage is Stage.STARTING:
                process.expected_exit_codes.add(-number)
            process.stage = Stage.STOPPING
            process.send_stop_signal(number, now, QUIT_SECONDS)

    def send_signal(self, number: signal.Signals) -> None:
        """Sends all workers a signal that does not stop them."""
        for process in self:
            if process.stage is Stage.STARTING:
                process.deferred_signals.append(number)
            else:
                process.send_signal(number)

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter([process for slot in self._slots for process in slot.processes()])

    # --- Events ---

    def on_line(self, process: WorkerProcess, line: str, now: float) -> None:
        """Handles a report of a worker (process/worker)."""
        event, _, more = line.partition("\t")
        if event == "ready" and process.stage is Stage.STARTING:
            self._on_ready(process, more.split("\t"), now)
        elif event == "recycle" and process.stage is Stage.SERVING:
            self._recycle(process, more)
        elif event == "draining" and process.stage is Stage.SERVING and not self._is_stopping:
            # It was asked by another process, which may have signalled all processes of the group. Then the signal to
            # this one is on its way, and no worker is started (_fill_slots).
            self._slots[process.slot].on_external_stop(now)
        elif event == "starting" and process.stage is Stage.STARTING:
            process.limit_start(_parse_seconds(more), now)
        elif event == "refused":
            self._on_refused(process, more, now)
        elif event == "closing":
            process.on_closing(now)
        elif event == "exiting":
            process.on_exiting(now, _parse_seconds(more))
        elif event == "stuck" and process.stage is not Stage.STARTING:
            self._abort(process, more, now)

    def _on_ready(self, process: WorkerProcess, facts: list[str], now: float) -> None:
        self.ready_facts = facts
        slot = self._slots[process.slot]
        before = slot.promote()
        self._longest_start = max(self._longest_start, now - process.started_at)
        process.last_seen_at = now
        for number in process.deferred_signals:
            process.send_signal(number)
        if process.generation.number > self.generation.number:
            self._activate(process.generation)
        if self.has_started:
            logger.info("worker started: %s%s", process, f", replaces pid {before.pid}" if before is not None else "")
        if before is not None:
            before.stop(now, successor=True)
        settings = process.generation.settings
        if settings.workers_lifetime or settings.workers_max_rss:
            import random  # 4 ms, which few starts need.

            if settings.workers_lifetime:
                jitter = random.uniform(0, settings.workers_lifetime_jitter)
                process.retire_at = now + settings.workers_lifetime + jitter
            if settings.workers_max_rss:
                mebibytes = settings.workers_max_rss + random.randint(0, settings.workers_max_rss_jitter)
                process.memory_limit = mebibytes << 20

    def _on_refused(self, process: WorkerProcess, why: str, now: float) -> None:
        if now - self._refusal_logged_at >= REFUSAL_LOG_SECONDS:
            self._refusal_logged_at = now
            logger.critical("worker failed to start: %s: %s", process, why)

    def on_exit(self, process: WorkerProcess, status: int, now: float) -> None:
        """A worker has ended. status: as of os.waitpid()."""
        slot = self._slots[process.slot]
        slot.remove(process)
        code = os.waitstatus_to_exitcode(status)
        reason = _describe_exit(code)
        process.generation.hooks.call("child_exit", self._server(), process.info())
        if process.stage is Stage.STARTING and not self._is_stopping:
            self._on_failed_start(process, slot, code, reason, now)
        elif process.stage is Stage.SERVING and not self._is_stopping:
            if process.is_aborted:
                logger.error("worker killed, starting a replacement: %s", process)
            else:
                logger.error("worker exited unexpectedly (%s), starting a replacement: %s", reason, process)
            if now - process.started_at < EARLY_EXIT_SECONDS and not process.is_aborted:
                slot.delay_next_start(now)
        elif code not in process.expected_exit_codes:
            logger.warning("worker exited while stopping (%s): %s", reason, process)
        else:
            logger.debug("worker exited: %s", process)
        if code < 0 or process.stage is Stage.SERVING:
            self._log_last_activity(process)
        if now - process.started_at >= EARLY_EXIT_SECONDS and process.stage is not Stage.STARTING:
            slot.failures = 0
        self.close_unused_sockets()
        process.close()

    def _on_failed_start(self, process: WorkerProcess, slot: Slot, code: int, reason: str, now: float) -> None:
        if process.generation == self.pending_generation:
            self._drop_pending_generation(reason)
            return
        if process.generation.number < self.generation.number:
            logger.warning("worker failed to start (%s), trying the newer configuration: %s", reason, process)
            return
        slot.delay_next_start(now)
        if not self.has_started and code in EXTERNAL_STOP_CODES:
            logger.warning("worker was stopped by another process before it had started (%s): %s", reason, process)
        elif not self.has_started:
            if code != StartupError.exit_code:  # that worker has logged the reason
                logger.error("worker failed to start (%s): %s", reason, process)
            self._fail_start()
        else:
            pause = slot.not_before - now
            logger.error("worker failed to start (%s), next attempt in %.1f s: %s", reason, pause, process)

    def on_template_exit(self, number: int, code: int, now: float) -> None:
        """Notes that the template of a generation could not load the application."""
        if self.pending_generation is not None and self.pending_generation.number == number:
            self._drop_pending_generation(_describe_exit(code))
        elif self.generation.number == number:
            for slot in self._slots:
                slot.delay_next_start(now)
            if self.has_started:
                logger.error("template exited (%s), starting another one with the next worker", _describe_exit(code))
            else:
                if code != StartupError.exit_code:
                    logger.error("template failed to load the application (%s)", _describe_exit(code))
                self._fail_start()

    def _fail_start(self) -> None:
        """Starts no more workers: the server cannot start."""
        self.failed = True
        if self.generation.settings.reload:
            logger.info("waiting for a file change to start again")

    def _drop_pending_generation(self, reason: str) -> None:
        """The pending_generation does not start."""
        logger.error("worker failed to start with the new configuration (%s); keeping the current workers", reason)
        self.pending_generation = None
        self.close_unused_sockets()

    def _log_last_activity(self, process: WorkerProcess) -> None:
        """Logs the requests and stacks that a worker had, from its scoreboard."""
        if requests := process.scoreboard.requests():
            lines = [f"{line} ({age:.1f} s)" for line, age in requests]
            if unlisted := process.scoreboard.unlisted():
                lines.append(f"and {unlisted} more")
            logger.error("requests in flight in %s:\n%s", process, "\n".join(lines))
        if stacks := process.scoreboard.take_stacks():
            logger.error("Python stacks of %s:\n%s", process, stacks)

    def _activate(self, generation: Generation) -> None:
        """Puts a generation into effect. A later pending_generation stays pending."""
        self.generation = generation
        if generation == self.pending_generation:
            self.pending_generation = None
        if generation.workers != self.count:
            self._set_count(generation.workers, self.count)

    def _set_count(self, count: int, before: int) -> None:
        self.count = count
        self.generation.hooks.call("nworkers_changed", self._server(), count, before)

    def close_unused_sockets(self) -> None:
        """Closes sockets that no generation or process needs any more."""
        generations = [
            self.generation,
            *([self.pending_generation] if self.pending_generation is not None else []),
            *(each.generation for each in self),
        ]
        self._sockets.close_unused([generation.settings for generation in generations], len(self._slots))

    # --- Steps ---

    def step(self, now: float) -> None:
        """Does the work that is due."""
        if self._next_step_at and now > self._next_step_at + MAX_STEP_DELAY_SECONDS:
            # This process did not run itself: the machine slept, or all processes were stopped. Such time does not
            # count against a worker.
            for process in self:
                process.last_seen_at = now
        self._next_step_at = 0.0
        for process in self:
            process.escalate(now)
        if self._is_stopping or self._is_scaled_to_zero:
            return
        if not self.has_started and self.count == sum(slot.serving is not None for slot in self._slots[: self.count]):
            self.has_started = True
        self._check_workers(now)
        self._limit_starts(now)
        self._overtake(now)
        self._retire_slots(now)
        self._fill_slots(now)
        self._replace_one(now)
        self._steer_connections()

    def due(self, now: float) -> float:
        """When step() will have something to do, if nothing happens before; 0 for never."""
        times = [process.due() for process in self]
        if not self._is_stopping and not self._is_scaled_to_zero:
            times += self._retire_at.values()
            times += [slot.not_before for slot in self._slots if slot.not_before > now]
            for starting in self._starting():
                if not starting.is_aborted:
                    times.append(starting.start_report.due())
                    if limit := self.start_limit(starting.generation.settings):
                        times.append(starting.last_seen_at + limit)
            times += [self._overtaken_at(process) for _, process in self._outdated_starts()]
            for process in self._serving():
                settings = process.generation.settings
                times.append(process.retire_at)
                if settings.timeout and process.last_heartbeat and not process.is_aborted:
                    times.append(process.last_seen_at + settings.timeout * HEARTBEAT_TIMEOUT_FACTOR)
                if process.memory_limit:
                    times.append(self._next_memory_check)
            times += [process.start_deadline for process in self._starting()]
        self._next_step_at = min((each for each in times if each), default=0.0)
        return self._next_step_at

    def _serving(self) -> Iterator[WorkerProcess]:
        return (slot.serving for slot in self._slots if slot.serving is not None)

    def _starting(self) -> Iterator[WorkerProcess]:
        return (slot.starting for slot in self._slots if slot.starting is not None)

    def _check_workers(self, now: float) -> None:
        """Replaces workers that reach a limit of age or memory, or whose heartbeat has stopped."""
        for process in self._starting():
            if process.start_deadline and now >= process.start_deadline:
                process.start_deadline = 0.0
                self._abort(process, "its event loop is blocked, and --timeout-lifespan-startup is over", now)
        look = now >= self._next_memory_check
        for process in self._serving():
            if process.retire_at and now >= process.retire_at:
                process.retire_at = 0.0
                self._recycle(process, f"it has lived for {now - process.started_at:.0f} s")
            if look and process.memory_limit and (size := _resident_bytes(process.pid)) > process.memory_limit:
                self._recycle(process, f"it takes {size >> 20} MiB of memory")
            self._check_heartbeat(process, now)
        if look:
            self._next_memory_check = now + MEMORY_CHECK_SECONDS

    def _limit_starts(self, now: float) -> None:
        """Reports starts that take long, and ends those that take too long."""
        for process in self._starting():
            if process.is_aborted:
                continue
            process.start_report.step(process, process.send_signal, now)
            if (limit := self.start_limit(process.generation.settings)) and now >= process.last_seen_at + limit:
                self._abort(process, f"it has not started within {limit:.0f} s", now)

    def start_limit(self, settings: Settings) -> float:
        """Returns the maximum seconds of a start, 0 for no limit: an import may hang while others serve.

        The first start has no limit; the limit of later ones grows with its time.
        """
        if not self.has_started or not settings.timeout or not settings.timeout_lifespan_startup:
            return 0.0
        return max(settings.timeout + settings.timeout_lifespan_startup, START_FACTOR * self._longest_start)

    def _overtake(self, now: float) -> None:
        """Stops starts that delay a newer configuration, as they may hang."""
        for slot, process in self._outdated_starts():
            if now >= self._overtaken_at(process):
                logger.warning("worker stopped before it had started, starting the newer configuration: %s", process)
                slot.abandon_start(now)

    def _outdated_starts(self) -> list[tuple[Slot, WorkerProcess]]:
        """Returns starts with an older configuration, none while one has the newest."""
        newest = (self.pending_generation or self.generation).number
        starting = [(slot, slot.starting) for slot in self._slots[: self.count] if slot.starting is not None]
        if any(process.generation.number == newest for _, process in starting):
            return []
        return [(slot, process) for slot, process in starting if not process.is_aborted]

    def _overtaken_at(self, process: WorkerProcess) -> float:
        """Each start has as long as the longest one took: frequent changes must not prevent all of them."""
        return process.started_at + max(OVERTAKE_SECONDS, self._longest_start)

    def _check_heartbeat(self, process: WorkerProcess, now: float) -> None:
        """Hears whether its heart beats; that is written into shared memory by a thread that needs nothing else."""
        timeout = process.generation.settings.timeout
        beat = process.scoreboard.last_heartbeat()
        if beat != process.last_heartbeat:
            process.last_heartbeat, process.last_seen_at = beat, now
        elif (
            beat
            and timeout
            and now - process.last_seen_at >= timeout * HEARTBEAT_TIMEOUT_FACTOR
            and not process.is_aborted
        ):
            self._abort(process, f"it has given no sign of life for {now - process.last_seen_at:.0f} s", now)

    def _recycle(self, process: WorkerProcess, because: str) -> None:
        if process not in self._recycle_queue:
            logger.info("worker will be replaced: %s: %s", process, because)
            self._recycle_queue.append(process)

    def _abort(self, process: WorkerProcess, because: str, now: float) -> None:
        """Kills a worker, after it has written its stacks."""
        if not process.is_aborted:
            process.is_aborted = True
            logger.critical("worker is stuck and will be killed: %s: %s", process, because)
            process.generation.hooks.call("worker_abort", process.info())
            process.send_stop_signal(signal.SIGABRT, now, ABORT_SECONDS)

    def _retire_slots(self, now: float) -> None:
        """Removes the slots after the first `count`, the last one first.

        New connections go to the other slots first. After SLOT_RETIRE_DELAY_SECONDS, for those that are still on
        their way to this slot, its worker is stopped.
        """
        for number in range(self.count, len(self._slots)):
            self._retire_at.setdefault(number, now + SLOT_RETIRE_DELAY_SECONDS)
        for number, until in list(self._retire_at.items()):
            if number < self.count:
                del self._retire_at[number]  # It is wanted again.
            elif until and now >= until:
                self._retire_at[number] = 0.0
                for process in self._slots[number].retire():
                    process.stop(now)
        while len(self._slots) > self.count and not any(self._slots[-1].processes()):
            self._retire_at.pop(len(self._slots) - 1, None)
            self._slots.pop()
            self.close_unused_sockets()

    def _steer_connections(self) -> None:
        """Sends no new connections to slots that are being removed, nor to slots whose workers failed to start."""
        slots = self._slots[: self.count]
        self._sockets.steer([slot.number for slot in slots if slot.serving is not None or not slot.failures])

    def _fill_slots(self, now: float) -> None:
        """Starts workers for vacant slots; at first only one, so that the reason of a failure is logged once."""
        while len(self._slots) < self.count:
            self._slots.append(Slot(len(self._slots)))
        if self.failed:
            return
        wanted = self._slots[: self.count if self.has_started or self._slots[0].serving else 1]
        # A vacant slot may try the newest configuration.
        newest = self.pending_generation or self.generation
        generation = self.generation if any(self._serving()) else newest
        for slot in wanted:
            if slot.is_vacant() and now >= slot.not_before and slot.number not in self._retire_at:
                if slot.externally_stopped is not None:
                    logger.warning(
                        "worker was stopped by another process, starting a replacement: %s", slot.externally_stopped
                    )
                    slot.externally_stopped = None
                slot.starting = self._try_spawn(newest if slot.is_overtaken else generation, slot, now)
                slot.is_overtaken = slot.is_overtaken and slot.starting is None

    def _replace_one(self, now: float) -> None:
        """Starts the successor of an outdated worker, unless a replacement is in progress."""
        if not self.has_started or any(slot.starting for slot in self._slots):
            return
        generation = self.pending_generation or self.generation
        for process in self._serving():
            slot = self._slots[process.slot]
            if process.generation.number < generation.number and now >= slot.not_before:
                slot.starting = self._try_spawn(generation, slot, now)
                return
        while self._recycle_queue and self._recycle_queue[0] not in self._serving():
            self._recycle_queue.popleft()
        if self._recycle_queue and now >= (slot := self._slots[self._recycle_queue[0].slot]).not_before:
            slot.starting = self._try_spawn(self.generation, slot, now)

    def _try_spawn(self, generation: Generation, slot: Slot, now: float) -> WorkerProcess | None:
        try:
            return self._spawn(generation, slot.number, now)
        except (OSError, StartupError) as error:
            if not self.has_started and isinstance(error, BlockingIOError):  # EAGAIN of fork()
                logger.error(
                    "cannot start a worker (%s): raise the limit on processes, which is that of the user (ulimit -u), "
                    "of the service (TasksMax=) or of the container (pids limit)",
                    error,
                )
                self._fail_start()
                return None
            slot.delay_next_start(now)
            pause = slot.not_before - now
            logger.error("cannot start a worker (%s), next attempt in %.1f s", error, pause)
            return None


# A heart beats three times in the time after which it counts as stopped; the supervisor gives one beat more.
HEARTBEAT_TIMEOUT_FACTOR = 4 / 3


def _parse_seconds(text: str) -> float:
    """Returns a number from a worker's report; 0.0 if it is not one."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0


def _describe_exit(code: int) -> str:
    """How a process has ended. code: as of os.waitstatus_to_exitcode()."""
    return f"killed by {_signal_name(-code)}" if code < 0 else f"exit code {code}"


def _signal_name(number: int) -> str:
    """Of a signal; those for real time have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _resident_bytes(pid: int) -> int:
    """Bytes of memory that a process has; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123  (pathlib takes 5 ms to import)
            return int(file.read().split()[1]) * PAGE_SIZE
    except (OSError, IndexError):
        return 0
