"""The state machine of the workers: the present ones, the wanted ones, and the steps between.

Facts and rules:
- step() moves the present state towards the wanted one; all other methods only record events.
- All methods get the time as an argument, so that tests set it.
- The decisions are those of Slots (which slots there are), Generations (which configuration is in effect), Restarts
  (exits and failed starts), Replacements (rolling reload and recycling), StartLimits and ServingLimits.
"""

import os
import signal
from collections.abc import Callable, Iterator

from ianus.errors import StartupError
from ianus.hooks import ServerInfo
from ianus.process.supervisor.certificate_changes import CertificateChanges
from ianus.process.supervisor.generation import Generation
from ianus.process.supervisor.generations import Generations
from ianus.process.supervisor.replacements import Replacements
from ianus.process.supervisor.restarts import Restarts
from ianus.process.supervisor.serving_limits import ServingLimits
from ianus.process.supervisor.slot import Slot
from ianus.process.supervisor.slots import Slots
from ianus.process.supervisor.sockets import Sockets
from ianus.process.supervisor.start_limits import StartLimits
from ianus.process.supervisor.worker_process import Stage, WorkerProcess
from ianus.telemetry.logger import logger

# Maximum delay of a step, in seconds, after which heartbeats are still checked.
MAX_STEP_DELAY_SECONDS = 1.0

# Starts a worker: SpawnWorker(generation, slot, now); None if that has to wait. Raises OSError and StartupError.
SpawnWorker = Callable[[Generation, int, float], WorkerProcess | None]


class Workers:
    """All workers of a supervisor.

    spawn: starts a worker. server: returns the information for hooks.
    ready_facts: the report of the last worker that became ready.
    """

    def __init__(
        self, generation: Generation, sockets: Sockets, spawn: SpawnWorker, server: Callable[[], ServerInfo]
    ) -> None:
        self.generations = Generations(generation)
        self.slots = Slots(generation.workers)
        self.restarts = Restarts(self.slots, self.generations)
        self.start_limits = StartLimits(self.slots, self.generations, self.restarts)
        self.ready_facts: list[str] = []
        self._replacements = Replacements(self.slots, self.generations)
        self._serving_limits = ServingLimits(self.slots, self._replacements)
        self._certificates = CertificateChanges()
        self._sockets = sockets
        self._spawn = spawn
        self._server = server
        self._is_scaled_to_zero = False
        self._is_stopping = False
        self._is_delayed = False  # whether the stop was only announced (--drain-delay)
        self._bounded_generation = 0  # the last one whose number of workers was bounded by memory
        self._next_step_at = 0.0  # when the next step was due

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(self.slots.processes())

    def is_settled(self) -> bool:
        """Returns whether no configuration is being tried, and all workers have the one that is in effect."""
        generations = self.generations
        if generations.pending is not None or any(self.slots.starting()):
            return False
        return all(process.generation.number == generations.active.number for process in self.slots.serving())

    def has_progress(self) -> bool:
        """Returns whether a worker accepts connections or is starting, unless there is to be none."""
        if self._is_scaled_to_zero or not self.restarts.has_started:
            return True
        return any(not process.is_aborted for process in (*self.slots.serving(), *self.slots.starting()))

    # --- The wanted state ---

    def start_generation(self, generation: Generation) -> None:
        """Replaces all workers by ones with this generation, whose number does not matter, once one has started."""
        pending = self.generations.add(generation)
        self.restarts.failed = self._is_scaled_to_zero = False
        self.slots.permit_starts()
        if not self.restarts.has_started or not any(self.slots.serving()):
            self._activate(pending)

    def reload_application(self) -> None:
        """Starts a generation with the last configuration, after a change of the application."""
        generations = self.generations
        self.start_generation(generations.pending or generations.active._replace(workers=self.slots.count))

    def count_after(self, generation: Generation) -> int:
        """Returns the number of workers once this generation is in effect."""
        return self.slots.count if generation == self.generations.active else generation.workers

    def resize(self, by: int) -> None:
        """Adds a slot after SIGTTIN, or removes one after SIGTTOU; the last one stays."""
        before = 0 if self._is_scaled_to_zero else self.slots.count
        if before + by < 1:
            logger.info("already at the minimum of 1 worker")
            return
        self._is_scaled_to_zero = False
        logger.info("workers: %d, before: %d", before + by, before)
        self._set_count(before + by, before)

    def scale_to_zero(self, now: float) -> None:
        """Stops all workers after SIGWINCH; the sockets stay open for the other server."""
        self._is_scaled_to_zero = True
        for slot in self.slots:
            for process in slot.retire():
                process.stop(now, successor=True)

    def stop(self, now: float, *, successor: bool, is_delayed: bool = False) -> None:
        """Stops all workers gracefully. successor: another server has the sockets. is_delayed: those that serve
        continue until end_delay()."""
        self._is_stopping = True
        self._is_delayed = is_delayed
        for process in self:
            if process.stage is not Stage.STOPPING or not successor:
                process.stop(now, successor=successor)

    def stop_now(self, number: signal.Signals, now: float) -> None:
        """Stops all workers without waiting for requests: SIGQUIT, and then SIGKILL."""
        self._is_stopping = True
        self._is_delayed = False
        for process in self:
            process.stop_now(number, now)

    def end_delay(self) -> None:
        """Has the workers drain whose stop was announced, after --drain-delay."""
        self._is_delayed = False
        for process in self:
            process.end_delay()

    def serving_slots(self) -> set[int]:
        """Returns the slots with a worker that serves; none during the stop, after --drain-delay."""
        if self._is_stopping and not self._is_delayed:
            return set()
        return {slot.number for slot in self.slots if slot.serving is not None}

    def send_signal(self, number: signal.Signals) -> None:
        """Sends all workers a signal that does not stop them."""
        for process in self:
            if process.stage is Stage.STARTING:
                process.deferred_signals.append(number)
            else:
                process.send_signal(number)

    # --- Events ---

    def on_line(self, process: WorkerProcess, line: str, now: float) -> None:
        """Handles a report of a worker; process/worker_spec has the list."""
        event, _, more = line.partition("\t")
        if event == "ready" and process.stage is Stage.STARTING:
            self._on_ready(process, more.split("\t"), now)
        elif event == "recycle" and process.stage is Stage.SERVING:
            self._replacements.recycle(process, more)
        elif event == "draining" and process.stage is Stage.SERVING and not self._is_stopping:
            # It was asked by another process, which may have signalled all processes of the group. Then the signal to
            # this one is on its way, and no worker is started (_fill_slots).
            self.slots[process.slot].on_external_stop(now)
        elif event == "draining" and self._is_delayed and process is self.slots[process.slot].serving:
            # It was asked by another process, or has ended the delay by itself.
            self.slots[process.slot].on_early_drain()
        elif event == "starting" and process.stage is Stage.STARTING:
            process.limit_start(_parse_seconds(more), now)
        elif event == "refused":
            self.restarts.log_refusal(process, more, now)
        elif event == "certificates" and not self._is_stopping:
            self._reload_certificates(now)
        elif event == "closing":
            process.on_closing(now)
        elif event == "stuck" and process.stage is not Stage.STARTING:
            process.abort(more, now)

    def _reload_certificates(self, now: float) -> None:
        """Starts a generation with certificates that have changed, and that the workers must not read."""
        generation = self.generations.newest()
        if generation.tls is not None and (files := self._certificates.find_changed(generation.tls, now)) is not None:
            logger.info("certificates have changed, replacing the workers, which must not read the files")
            self.start_generation(generation._replace(tls=files, workers=self.count_after(generation)))

    def _on_ready(self, process: WorkerProcess, facts: list[str], now: float) -> None:
        self.ready_facts = facts
        before = self.slots[process.slot].promote()
        self.start_limits.note_start(now - process.started_at)
        process.last_seen_at = now
        for number in process.deferred_signals:
            process.send_signal(number)
        if process.generation.number > self.generations.active.number:
            self._activate(process.generation)
        if process.generation.number > self._bounded_generation:
            self._bounded_generation = process.generation.number
            self._bound_by_memory(process)
        if self.restarts.has_started:
            logger.info("worker started: %s%s", process, f", replaces pid {before.pid}" if before is not None else "")
        if before is not None:
            before.stop(now, successor=True)
        self._serving_limits.set_limits(process, now)

    def on_exit(self, process: WorkerProcess, status: int, now: float) -> None:
        """Handles the exit of a worker. status: as of os.waitpid()."""
        slot = self.slots[process.slot]
        slot.remove(process)
        process.generation.hooks.call("child_exit", self._server(), process.info())
        self.restarts.on_exit(process, slot, os.waitstatus_to_exitcode(status), now, is_expected=self._is_stopping)
        self.close_unused_sockets()
        process.close()

    def on_template_exit(self, number: int, code: int, now: float) -> None:
        """Handles the exit of the template of the generation with this number."""
        self.restarts.on_template_exit(number, code, now)
        self.close_unused_sockets()

    def _activate(self, generation: Generation) -> None:
        """Puts a generation into effect, with its number of workers."""
        self.generations.activate(generation)
        if generation.workers != self.slots.count:
            self._set_count(generation.workers, self.slots.count)

    def _bound_by_memory(self, process: WorkerProcess) -> None:
        """Reduces the number of workers to those for which there is memory. process: the first of its generation."""
        if process.generation.settings.workers == "auto":
            from ianus.process.supervisor.memory_bound import bound_by_memory  # Imported only if needed.

            count = bound_by_memory(process.generation.workers, process.pid)
            if count != self.slots.count:
                self._set_count(count, self.slots.count)

    def _set_count(self, count: int, before: int) -> None:
        self.slots.count = count
        self.generations.active.hooks.call("nworkers_changed", self._server(), count, before)

    def close_unused_sockets(self) -> None:
        """Closes sockets that no generation or process needs any more."""
        generations = [*self.generations.needed(), *(each.generation for each in self)]
        self._sockets.close_unused([generation.settings for generation in generations], len(self.slots))

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
        if self._is_delayed:
            self._steer_connections()
        if self._is_stopping or self._is_scaled_to_zero:
            return
        if not self.restarts.has_started and self.slots.are_all_served():
            self.restarts.has_started = True
        self._serving_limits.step(now)
        self.start_limits.step(now)
        if self.slots.retire(now):
            self.close_unused_sockets()
        self._fill_slots(now)
        self._replace_one(now)
        self._steer_connections()

    def due(self, now: float) -> float:
        """Returns the time at which step() will have work if no event happens before; 0 for never."""
        times = [process.due() for process in self]
        if not self._is_stopping and not self._is_scaled_to_zero:
            times += [*self.slots.due(now), *self.start_limits.due(), *self._serving_limits.due()]
        self._next_step_at = min((each for each in times if each), default=0.0)
        return self._next_step_at

    def _fill_slots(self, now: float) -> None:
        """Starts workers for vacant slots; at first only one, so that the reason of a failure is logged once."""
        self.slots.add_missing()
        if self.restarts.failed:
            return
        wanted = self.slots.wanted()
        if not self.restarts.has_started and wanted[0].serving is None:
            wanted = wanted[:1]
        # A vacant slot may try the newest configuration.
        newest = self.generations.newest()
        generation = self.generations.active if any(self.slots.serving()) else newest
        for slot in wanted:
            if slot.is_vacant() and now >= slot.not_before and not self.slots.is_retiring(slot.number):
                if slot.externally_stopped is not None:
                    logger.warning(
                        "worker was stopped by another process, starting a replacement: %s", slot.externally_stopped
                    )
                    slot.externally_stopped = None
                self._start(newest if slot.is_overtaken else generation, slot, now)
                slot.is_overtaken = slot.is_overtaken and slot.starting is None

    def _replace_one(self, now: float) -> None:
        """Starts the next replacement, unless one is in progress."""
        if self.restarts.has_started and (found := self._replacements.find_next(now)) is not None:
            slot, generation = found
            self._start(generation, slot, now)

    def _start(self, generation: Generation, slot: Slot, now: float) -> None:
        """Starts a worker in a slot, if the template and the system permit."""
        try:
            slot.starting = self._spawn(generation, slot.number, now)
        except (OSError, StartupError) as error:
            self.restarts.on_spawn_error(slot, error, now)

    def _steer_connections(self) -> None:
        """Sends new connections only to slots with a worker that serves, and to none that is being removed."""
        slots = self.slots.wanted()
        serving = [slot.number for slot in slots if slot.serving is not None]
        self._sockets.steer(serving or [slot.number for slot in slots])


def _parse_seconds(text: str) -> float:
    """Returns a number from a worker's report; 0.0 if it is not one."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0
