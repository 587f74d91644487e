"""The templates that a supervisor has (--preload): one for each configuration that workers are forked with."""

import os
import signal
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

from ianus.hooks import ServerInfo
from ianus.process.failures import write_failed_start
from ianus.process.scoreboard import Board
from ianus.process.start_reports import StartReport
from ianus.process.supervisor.slot import ABORTING, Plan
from ianus.process.supervisor.template import Template
from ianus.process.worker_spec import WorkerEntry
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger

if TYPE_CHECKING:
    from ianus.process.supervisor.workers import Workers


class _State:
    """A template and its state. plan, settings: for it and its workers."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        entry: WorkerEntry,
        leave: Callable[[], None],
        server: ServerInfo,
        now: float,
    ) -> None:
        """Raises Forked in the template and its workers."""
        self.plan = plan
        self.is_loaded = False
        self.is_aborted = False
        self.started = now
        self.board = Board()
        self.start = StartReport(self.board, now)
        self.killed_at = 0.0  # when KILL follows ABRT; 0: never
        try:
            self.template = Template(
                leave,
                partial(entry.preload, plan.app, settings, plan.identity, self.board),
                partial(entry.serve_preloaded, plan.app, settings, plan.hooks, server, self.board),
                partial(write_failed_start, settings=settings, process="template"),
            )
        except OSError:
            self.board.close()
            raise

    def __str__(self) -> str:
        return f"template (pid {self.template.pid})"

    def tell(self, number: signal.Signals) -> None:
        """Sends a signal."""
        if self.template.pid:
            os.kill(self.template.pid, number)

    def abort(self, because: str, now: float) -> None:
        """Has the template write its stacks and end; step() kills it later."""
        self.is_aborted = True
        self.killed_at = now + ABORTING
        logger.critical("%s is stuck and will be killed: %s", self, because)
        self.tell(signal.SIGABRT)

    def close(self) -> None:
        """Ends the process."""
        self.template.close()
        self.board.close()


class Templates:
    """All templates of a supervisor, by the number of their plan.

    workers: the state machine of the workers. entry: the functions of a worker.
    leave: called first in a new process, closes the supervisor's files.
    watch, forget: start and end waiting for a descriptor.
    """

    def __init__(
        self,
        workers: "Workers",
        entry: WorkerEntry,
        leave: Callable[[], None],
        watch: Callable[[int, Callable[[], object]], None],
        forget: Callable[[int], None],
    ) -> None:
        self._workers = workers
        self._entry = entry
        self._leave = leave
        self._watch = watch
        self._forget = forget
        self._entries: dict[int, _State] = {}
        self._watched: set[int] = set()

    def loaded(self, plan: Plan, settings: Settings, server: ServerInfo, now: float) -> Template | None:
        """Returns the template that has loaded the application for this plan, None while it loads. Raises OSError."""
        if plan.number not in self._entries:
            each = _State(plan, settings, self._entry, self._leave, server, now)
            self._entries[plan.number] = each
            self._watched.add(plan.number)
            self._watch(each.template.fd, partial(self._read, plan.number))
        each = self._entries[plan.number]
        return each.template if each.is_loaded else None

    def step(self, now: float) -> None:
        """Reports templates that load for long, and kills those that exceed the limit."""
        for each in self._loading():
            if each.is_aborted:
                if each.killed_at and now >= each.killed_at:
                    each.killed_at = 0.0
                    each.tell(signal.SIGKILL)
                continue
            each.start.step(each, each.tell, now)
            limit = self._workers.start_limit(each.plan.settings)
            if limit and now >= each.started + limit:
                each.abort(f"it has not loaded the application within {limit:.0f} s", now)

    def due(self) -> float:
        """Returns the time of the next step(), 0 for none."""
        times = []
        for each in self._loading():
            if each.is_aborted:
                times.append(each.killed_at)
            else:
                times.append(each.start.due())
                if limit := self._workers.start_limit(each.plan.settings):
                    times.append(each.started + limit)
        return min((each for each in times if each), default=0.0)

    def on_exit(self, pid: int, status: int, now: float) -> None:
        """Handles the end of a process, which may be a template."""
        for number, each in self._entries.items():
            if each.template.pid == pid:
                name = str(each)
                each.template.pid = 0
                if stacks := each.board.stacks():
                    logger.error("the Python stacks of %s were:\n%s", name, stacks)
                self._workers.reject(number, os.waitstatus_to_exitcode(status), now)

    def keep(self, numbers: Collection[int]) -> None:
        """Ends templates of other plans, and removes those that have ended."""
        for number, each in list(self._entries.items()):
            if number not in numbers or not each.template.pid:
                self._unwatch(number)
                each.close()
                del self._entries[number]

    def leave(self) -> None:
        """Closes all descriptors, in a process that was forked from the supervisor."""
        for each in self._entries.values():
            each.template.leave()
            each.board.close()

    def _loading(self) -> Iterator[_State]:
        return (each for each in self._entries.values() if each.template.pid and not each.is_loaded)

    def _read(self, number: int) -> None:
        each = self._entries[number]
        if each.template.read():
            each.is_loaded = True
        else:
            self._unwatch(number)  # Its exit code says why.

    def _unwatch(self, number: int) -> None:
        if number in self._watched:
            self._watched.remove(number)
            self._forget(self._entries[number].template.fd)
