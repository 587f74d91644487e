"""Decides whether and when a worker is started after another one has exited or failed to start.

Facts and rules:
- A worker that exits by itself is replaced at once. One that exits soon after its start is replaced after a pause that
  grows.
- Until all workers have accepted connections for the first time, a failed start is not repeated: the server reports
  the failure to the process that started it.
- A failed start with a new configuration is not repeated. The present workers continue to serve.
"""

import signal

from ianus.errors import StartupError
from ianus.process.supervisor.control_groups import MemoryKills
from ianus.process.supervisor.exit_codes import EXTERNAL_STOP_CODES, describe_exit
from ianus.process.supervisor.generations import Generations
from ianus.process.supervisor.slot import Slot
from ianus.process.supervisor.slots import Slots
from ianus.process.supervisor.worker_process import Stage, WorkerProcess
from ianus.telemetry.logger import logger

# A worker that exits within this time of its start, in seconds, is likely to do so again.
EARLY_EXIT_SECONDS = 5.0

# Seconds in which workers that lack threads are logged once.
REFUSAL_LOG_SECONDS = 60.0


class Restarts:
    """The policy for exits and failed starts.

    has_started: all workers have accepted connections at the same time, at least once.
    failed: a start has failed before that, and no worker is started.
    """

    def __init__(self, slots: Slots, generations: Generations) -> None:
        self.has_started = False
        self.failed = False
        self._slots = slots
        self._generations = generations
        self._memory_kills = MemoryKills()
        self._refusal_logged_at = -REFUSAL_LOG_SECONDS  # when workers that lack threads were logged last

    def on_exit(self, process: WorkerProcess, slot: Slot, code: int, now: float, *, is_expected: bool) -> None:
        """Logs the exit of a worker, and delays the next start in its slot if that might fail too.

        code: as of os.waitstatus_to_exitcode(). is_expected: all workers are to stop.
        """
        reason = self._explain(code)
        if process.stage is Stage.STARTING and not is_expected:
            self._on_failed_start(process, slot, code, reason, now)
        elif process.stage is Stage.SERVING and not is_expected:
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
            process.log_last_activity()
        if now - process.started_at >= EARLY_EXIT_SECONDS and process.stage is not Stage.STARTING:
            slot.failures = 0

    def on_template_exit(self, number: int, code: int, now: float) -> None:
        """Handles the exit of the template of the generation with this number."""
        generations = self._generations
        if generations.pending is not None and generations.pending.number == number:
            self._drop_pending_generation(describe_exit(code))
        elif generations.active.number == number:
            for slot in self._slots:
                slot.delay_next_start(now)
            if self.has_started:
                logger.error("template exited (%s), starting another one with the next worker", describe_exit(code))
            else:
                if code != StartupError.exit_code:
                    logger.error("template failed to load the application (%s)", describe_exit(code))
                self._fail()

    def on_spawn_error(self, slot: Slot, error: OSError | StartupError, now: float) -> None:
        """Handles the failure to create a process for a worker."""
        if not self.has_started and isinstance(error, BlockingIOError):  # EAGAIN of fork()
            logger.error(
                "cannot start a worker (%s): raise the limit on processes, which is that of the user (ulimit -u), "
                "of the service (TasksMax=) or of the container (pids limit)",
                error,
            )
            self._fail()
            return
        slot.delay_next_start(now)
        logger.error("cannot start a worker (%s), next attempt in %.1f s", error, slot.not_before - now)

    def log_refusal(self, process: WorkerProcess, reason: str, now: float) -> None:
        """Logs that a worker got no threads from the system, once for all workers of that time."""
        if now - self._refusal_logged_at >= REFUSAL_LOG_SECONDS:
            self._refusal_logged_at = now
            logger.critical("worker failed to start: %s: %s", process, reason)

    def _explain(self, code: int) -> str:
        """Returns a description of an exit code of a worker."""
        # A worker that this process has killed is not one more of the kernel's count.
        if code == -signal.SIGKILL and self._memory_kills.take_one():
            return "killed by the kernel for want of memory"
        return describe_exit(code)

    def _on_failed_start(self, process: WorkerProcess, slot: Slot, code: int, reason: str, now: float) -> None:
        if process.generation == self._generations.pending:
            self._drop_pending_generation(reason)
            return
        if process.generation.number < self._generations.active.number:
            logger.warning("worker failed to start (%s), trying the newer configuration: %s", reason, process)
            return
        slot.delay_next_start(now)
        if not self.has_started and code in EXTERNAL_STOP_CODES:
            logger.warning("worker was stopped by another process before it had started (%s): %s", reason, process)
        elif not self.has_started:
            if code != StartupError.exit_code:  # that worker has logged the reason
                logger.error("worker failed to start (%s): %s", reason, process)
            self._fail()
        else:
            pause = slot.not_before - now
            logger.error("worker failed to start (%s), next attempt in %.1f s: %s", reason, pause, process)

    def _fail(self) -> None:
        """Starts no more workers: the server cannot start."""
        self.failed = True
        if self._generations.active.settings.reload:
            logger.info("waiting for a file change to start again")

    def _drop_pending_generation(self, reason: str) -> None:
        logger.error("worker failed to start with the new configuration (%s); keeping the current workers", reason)
        self._generations.drop_pending()
