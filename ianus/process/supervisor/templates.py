"""The templates that a supervisor has (--preload): one for each configuration that workers are forked with."""

import os
import signal
from collections.abc import Callable, Collection, Iterator
from functools import partial

from ianus.hooks import ServerInfo
from ianus.process.failures import write_failed_start
from ianus.process.scoreboard import Scoreboard
from ianus.process.start_reports import StartReport
from ianus.process.supervisor.generation import Generation
from ianus.process.supervisor.template import Template
from ianus.process.supervisor.wakeups import Wakeups
from ianus.process.supervisor.worker_process import ABORT_SECONDS
from ianus.process.supervisor.workers import Workers
from ianus.process.worker_spec import WorkerEntry
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger


class _TemplateProcess:
    """A template and its state. generation, settings: for it and its workers."""

    def __init__(
        self,
        generation: Generation,
        settings: Settings,
        entry: WorkerEntry,
        close_supervisor_files: Callable[[], None],
        server: ServerInfo,
        now: float,
    ) -> None:
        """Raises Forked in the template and its workers."""
        self.generation = generation
        self.is_loaded = False
        self.is_aborted = False
        self.started_at = now
        self.scoreboard = Scoreboard()
        self.start_report = StartReport(self.scoreboard, now)
        self.kill_at = 0.0  # when KILL follows ABRT; 0: never
        try:
            self.template = Template(
                close_supervisor_files,
                partial(entry.preload, generation.app, settings, generation.identity, self.scoreboard),
                partial(
                    entry.serve_preloaded,
                    generation.app,
                    settings,
                    generation.hooks,
                    server,
                    generation.tls,
                    self.scoreboard,
                ),
                partial(write_failed_start, settings=settings, process="template"),
            )
        except OSError:
            self.scoreboard.close()
            raise

    def __str__(self) -> str:
        return f"template (pid {self.template.pid})"

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        if self.template.pid:
            os.kill(self.template.pid, number)

    def abort(self, because: str, now: float) -> None:
        """Has the template write its stacks and end; step() kills it later."""
        self.is_aborted = True
        self.kill_at = now + ABORT_SECONDS
        logger.critical("template is stuck and will be killed: %s: %s", self, because)
        self.send_signal(signal.SIGABRT)

    def close(self) -> None:
        """Ends the process."""
        self.template.close()
        self.scoreboard.close()


class Templates:
    """All templates of a supervisor, by the number of their generation.

    workers: the state machine of the workers. entry: the functions of a worker.
    close_supervisor_files: called first in a new process, closes the supervisor's files.
    wakeups: waits for the descriptors of templates.
    """

    def __init__(
        self,
        workers: Workers,
        entry: WorkerEntry,
        close_supervisor_files: Callable[[], None],
        wakeups: Wakeups,
    ) -> None:
        self._workers = workers
        self._entry = entry
        self._close_supervisor_files = close_supervisor_files
        self._wakeups = wakeups
        self._entries: dict[int, _TemplateProcess] = {}

    def get_loaded(self, generation: Generation, settings: Settings, server: ServerInfo, now: float) -> Template | None:
        """Returns the template that has loaded this generation's application, None while it loads. Raises OSError."""
        if generation.number not in self._entries:
            each = _TemplateProcess(generation, settings, self._entry, self._close_supervisor_files, server, now)
            self._entries[generation.number] = each
            self._wakeups.watch(each.template.fd, partial(self._read, generation.number))
        each = self._entries[generation.number]
        return each.template if each.is_loaded else None

    def step(self, now: float) -> None:
        """Reports templates that load for long, and kills those that exceed the limit."""
        for each in self._loading():
            if each.is_aborted:
                if each.kill_at and now >= each.kill_at:
                    each.kill_at = 0.0
                    each.send_signal(signal.SIGKILL)
                continue
            each.start_report.step(each, each.send_signal, now)
            limit = self._workers.start_limits.limit(each.generation.settings)
            if limit and now >= each.started_at + limit:
                each.abort(f"it has not loaded the application within {limit:.0f} s", now)

    def due(self) -> float:
        """Returns the time of the next step(), 0 for none."""
        times = []
        for each in self._loading():
            if each.is_aborted:
                times.append(each.kill_at)
            else:
                times.append(each.start_report.due())
                if limit := self._workers.start_limits.limit(each.generation.settings):
                    times.append(each.started_at + limit)
        return min((each for each in times if each), default=0.0)

    def on_exit(self, pid: int, status: int, now: float) -> None:
        """Handles the end of a process, which may be a template."""
        for number, each in self._entries.items():
            if each.template.pid == pid:
                name = str(each)
                each.template.pid = 0
                if stacks := each.scoreboard.take_stacks():
                    logger.error("Python stacks of %s:\n%s", name, stacks)
                self._workers.on_template_exit(number, os.waitstatus_to_exitcode(status), now)

    def keep(self, numbers: Collection[int]) -> None:
        """Ends templates of other generations, and removes those that have ended."""
        for number, each in list(self._entries.items()):
            if number not in numbers or not each.template.pid:
                self._wakeups.unwatch(each.template.fd)
                each.close()
                del self._entries[number]

    def close_in_child(self) -> None:
        """Closes all descriptors, in a process that was forked from the supervisor."""
        for each in self._entries.values():
            each.template.close_in_child()
            each.scoreboard.close()

    def _loading(self) -> Iterator[_TemplateProcess]:
        return (each for each in self._entries.values() if each.template.pid and not each.is_loaded)

    def _read(self, number: int) -> None:
        each = self._entries[number]
        if each.template.read():
            each.is_loaded = True
        else:
            self._wakeups.unwatch(each.template.fd)  # Its exit code has the reason.
