"""Starts the process of a worker: a fork of the supervisor, or of a template that has loaded the application."""

import contextlib
import os
from collections.abc import Callable, Container
from functools import partial

from ianus.acceptor.listener import Listener
from ianus.hooks import ServerInfo
from ianus.process.fork import fork
from ianus.process.scoreboard import Scoreboard
from ianus.process.supervisor.generation import Generation
from ianus.process.supervisor.template import Template
from ianus.process.supervisor.worker_process import WorkerProcess
from ianus.process.transfer_queue import TransferQueue
from ianus.process.worker_spec import SupervisorLink, WorkerEntry, WorkerSpec
from ianus.settings.schema import Settings


class Spawner:
    """Starts workers.

    entry: the functions that run in worker processes. close_files: called in a new process, closes the supervisor's
    files except for these listeners and the transfer queue. server: returns the information for hooks. transfers: for
    all workers.
    """

    def __init__(
        self,
        entry: WorkerEntry,
        close_files: Callable[[Container[object]], None],
        server: Callable[[], ServerInfo],
        transfers: TransferQueue,
    ) -> None:
        self._entry = entry
        self._transfers = transfers
        self._close_files = close_files
        self._server = server

    def spawn(
        self,
        generation: Generation,
        settings: Settings,
        slot: int,
        listeners: list[Listener],
        template: Template | None,
        now: float,
    ) -> WorkerProcess:
        """Starts a worker, from the template if there is one. settings: the generation's, as the worker gets them.

        Raises OSError if a limit of the system is reached, and Forked in the new process.
        """
        with contextlib.ExitStack() as opened:  # all descriptors, or none if the system's limit is reached
            scoreboard = Scoreboard()
            opened.callback(scoreboard.close)
            status_reader, status_writer = _pipe(opened)
            lifeline_reader, lifeline_writer = _pipe(opened)
            opened.pop_all()
        os.set_blocking(status_reader, False)
        process = WorkerProcess(generation, slot, scoreboard, lifeline_writer, status_reader, now)
        spec = WorkerSpec(
            generation.app,
            settings,
            listeners,
            SupervisorLink(slot, scoreboard, lifeline_reader, status_writer, self._transfers),
            generation.identity,
            generation.hooks,
            self._server(),
            process.info,
            tls=generation.tls,
        )
        generation.hooks.call("pre_fork", self._server(), process.info())
        try:
            if template is not None:
                own = [scoreboard.fd, lifeline_reader, status_writer, *self._transfers.fds()]
                fds = [*own, *(each.sock.fileno() for each in listeners)]
                process.pid = template.fork(slot, fds, sum(not each.is_tls for each in listeners))
            else:
                process.pid = fork(partial(self._entry.serve, spec), partial(self._become_worker, process, listeners))
        except OSError:
            process.close()
            raise
        else:
            return process
        finally:
            if process.pid != os.getpid():
                os.close(lifeline_reader)
                os.close(status_writer)

    def _become_worker(self, process: WorkerProcess, listeners: list[Listener]) -> None:
        """Closes the supervisor's files, in the process of a worker."""
        process.pid = os.getpid()
        for fd in (process.lifeline, process.channel):
            os.close(fd)
        self._close_files([*listeners, self._transfers])


def _pipe(opened: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for fd in ends:
        opened.callback(os.close, fd)
    return ends
