"""The process that supervises the workers: it owns their sockets and handles signals.

Facts and rules:
- It serves nothing, and loads neither the application nor anything compiled, nor an event loop: so it stays small, and
  a fault that ends a worker does not end it. It has one thread, since it forks.
- Each event (a signal, the end of a process, a report of a worker, the time) is handled alike: it notes the event, and
  then workers.py does the work that is due.
"""
# ruff: noqa: PTH100, PTH109, PTH118, PTH121  (pathlib takes 5 ms to import)

import contextlib
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from functools import partial
from types import FrameType

from ianus._version import __version__
from ianus.errors import StartupError
from ianus.hooks import ServerInfo
from ianus.process.after_fork import close_in_children, set_handler
from ianus.process.fork import HANDLED, Forked, fork
from ianus.process.hooks import Hooks
from ianus.process.open_files import check_supervisor, raise_limit
from ianus.process.privileges import give_log, resolve
from ianus.process.resources import open_log
from ianus.process.scoreboard import Scoreboard
from ianus.process.stop_level import StopLevel
from ianus.process.supervisor import upgrade
from ianus.process.supervisor.pid_file import PidFile
from ianus.process.supervisor.slot import Generation, WorkerProcess
from ianus.process.supervisor.sockets import Sockets
from ianus.process.supervisor.systemd import notify
from ianus.process.supervisor.template import become_subreaper
from ianus.process.supervisor.templates import Templates
from ianus.process.supervisor.watcher import Watcher, prepare, with_short_shutdown
from ianus.process.supervisor.workers import Workers
from ianus.process.title import name_process
from ianus.process.unix_access import log_restrictions
from ianus.process.worker_spec import SupervisorLink, WorkerEntry, WorkerSpec
from ianus.settings.paths import resolve_paths
from ianus.settings.schema import Settings
from ianus.settings.sources import Reader
from ianus.telemetry.logger import logger
from ianus.telemetry.logs import ErrorLog, apply_config


class Supervisor:
    """One server.

    app: "MODULE:ATTR". entry: the functions that run in worker processes. reader: reads the settings again at HUP; None
    if a program has made them, which then also has the other end of the pipe `lifeline`.

    Raises StartupError if the server cannot start.
    """

    def __init__(
        self, app: str, settings: Settings, entry: WorkerEntry, reader: Reader | None = None, lifeline: int = -1
    ) -> None:
        self.entry = entry
        self.reader = reader
        self.lifeline = lifeline
        self.stop_level = StopLevel.NONE
        self.exit_code = 0
        self.is_ready = False
        self.directory = _logical_directory()
        self.terminal = os.isatty(0)
        self.successor = 0  # the pid of the server that USR2 has started
        self.successor_pipe = -1  # a pipe that ends with this process, for the successor
        self.signals: deque[int] = deque()
        self.callbacks: dict[int, Callable[[], object]] = {}
        self.poll = select.poll()
        self.log: ErrorLog | None = None
        self.pid_file: PidFile | None = None
        self.watcher: Watcher | None = None
        raise_limit()
        if settings.reload:
            watched = prepare(settings)
            settings = with_short_shutdown(settings)
        if settings.preload:
            become_subreaper()
        generation = _first_generation(app, settings)
        if settings.umask is not None:
            os.umask(settings.umask)
        handover = upgrade.receive_handover()
        self.predecessor_pipe = -1 if handover is None else handover.predecessor_pipe
        self.sockets = Sockets(settings, None if handover is None else handover.inherited_fds)
        self.addresses = tuple(self.sockets.addresses(settings))
        self.workers = Workers(generation, self.sockets, self._spawn_worker, self.info)
        self.templates = Templates(self.workers, entry, self._close_all_in_child, self._watch, self._unwatch)
        try:
            self._set_file_owners(generation)
            self.log = _open_log(settings)
            generation.hooks.call("on_starting", self.info())
            if settings.pid_file:
                self.pid_file = PidFile(settings.pid_file + (".2" if self._has_predecessor() else ""))
            name_process(settings, "supervisor")
            self._listen_to_signals()
            if self._has_predecessor():
                self._watch(self.predecessor_pipe, self._on_predecessor_gone)
            if lifeline >= 0:
                self._watch(lifeline, self._on_caller_gone)
            if settings.reload:
                self.watcher = Watcher(watched, settings.reload_delay, self._become_watcher)
                self._watch(self.watcher.fd, self._on_change)
                how = "polling" if self.watcher.is_polling else "watching"
                logger.info("%s %s for changes, pid %d", how, ", ".join(watched.directories), os.getpid())
        except Forked:
            raise
        except BaseException:
            self._close()
            raise

    def run(self) -> int:
        """Serves until it was asked to stop and every worker has ended. Returns the exit code.

        In a new process it raises Forked.
        """
        while True:
            now = time.monotonic()
            # Signals before exits: a stop signal may have been sent to all processes.
            while self.signals:
                self._on_signal(signal.Signals(self.signals.popleft()), now)
            self._reap(now)
            self.templates.step(now)
            self.workers.step(now)
            if self.workers.failed and not self.workers.generation.settings.reload:
                self.exit_code = StartupError.exit_code
                self._stop(StopLevel.GRACEFUL, now)
            if self.workers.has_started and not self.is_ready:
                self._on_ready()
            if self.stop_level and not any(self.workers):
                break
            self._prune_templates()
            self._sleep(now)
        if not self.exit_code:
            logger.info("stopped")
        self.workers.generation.hooks.call("on_exit", self.info())
        self._close()
        return self.exit_code

    def info(self) -> ServerInfo:
        """Returns the information for hooks."""
        return ServerInfo(pid=os.getpid(), workers=self.workers.count, addresses=self.addresses)

    # --- Events ---

    def _listen_to_signals(self) -> None:
        self.wakeup_reader, self.wakeup_writer = os.pipe()
        for fd in (self.wakeup_reader, self.wakeup_writer):
            os.set_blocking(fd, False)
        self._watch(self.wakeup_reader, lambda: os.read(self.wakeup_reader, 65536))
        signal.set_wakeup_fd(self.wakeup_writer, warn_on_full_buffer=False)
        set_handler(HANDLED, self._note_signal)
        close_in_children(self._close_files_in_child)

    def _watch(self, fd: int, act: Callable[[], object]) -> None:
        self.callbacks[fd] = act
        self.poll.register(fd, select.POLLIN)

    def _unwatch(self, fd: int) -> None:
        del self.callbacks[fd]
        self.poll.unregister(fd)

    def _sleep(self, now: float) -> None:
        """Until something happens, or is due."""
        due = min((each for each in (self.workers.due(now), self.templates.due()) if each), default=0.0)
        # Rounded up, so that it is due then.
        for fd, _ in self.poll.poll(max(int((due - now) * 1000) + 1, 0) if due else None):
            if fd in self.callbacks:
                self.callbacks[fd]()

    def _read_worker(self, process: WorkerProcess) -> None:
        lines = process.read()
        if lines is None and process.channel in self.callbacks:
            # It is about to exit, unless its application has closed the descriptor.
            self._unwatch(process.channel)
        for line in lines or ():
            self.workers.on_line(process, line, time.monotonic())

    def _reap(self, now: float) -> None:
        """Notes the exits of child processes; as the first process of a container, also those of strangers."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.templates.on_exit(pid, status, now)
            if self.watcher is not None and self.watcher.pid == pid:
                self.watcher.pid = 0
            if pid == self.successor:
                self.successor = 0
                self.sockets.reset_steering()
                os.close(self.successor_pipe)
                self.successor_pipe = -1
                logger.error("the new server exited (pid %d); this server continues", pid)
                if not self.stop_level:
                    self._notify_ready()
            for process in self.workers:
                if process.pid == pid:
                    self._read_worker(process)  # its last words
                    if process.channel in self.callbacks:
                        self._unwatch(process.channel)
                    self.workers.on_exit(process, status, now)

    def _on_ready(self) -> None:
        self.is_ready = True
        count = self.workers.count
        facts = [*self.workers.ready_facts, f"{count} worker{'s' if count > 1 else ''}", f"pid {os.getpid()}"]
        logger.info(
            "Ianus %s serves %s on %s; %s", __version__, facts[0], ", ".join(self.addresses), ", ".join(facts[1:])
        )
        log_restrictions(self.sockets.listeners())
        self._notify_ready()
        self.workers.generation.hooks.call("when_ready", self.info())

    def _notify_ready(self) -> None:
        notify(f"READY=1\nMAINPID={os.getpid()}")

    def _on_predecessor_gone(self) -> None:
        self._unwatch(self.predecessor_pipe)
        os.close(self.predecessor_pipe)
        self.predecessor_pipe = -1
        self.sockets.reset_steering()
        self.workers.close_unused_sockets()  # It may have had more workers.
        logger.info("the previous server exited")
        if self.pid_file is not None:
            try:
                self.pid_file.move(self.workers.generation.settings.pid_file)
            except OSError as error:
                logger.error("cannot rename the pid file, it remains %s: %s", self.pid_file.path, error)

    def _on_caller_gone(self) -> None:
        self._unwatch(self.lifeline)
        self._stop(StopLevel.GRACEFUL, time.monotonic())

    def _on_change(self) -> None:
        assert self.watcher is not None
        try:
            changes = self.watcher.read()
        except StartupError as error:
            logger.error("--reload has no effect any more: %s", error.message)
            self._unwatch(self.watcher.fd)
            return
        for text in changes:
            logger.info("changed: %s", text)
        if changes and not self.stop_level:
            try:
                os.chdir(self.directory)  # It may have been removed and made again.
            except OSError as error:
                logger.error("cannot reload, the next change tries again: %s", error)
                return
            self.workers.reload_application()

    def _has_predecessor(self) -> bool:
        return self.predecessor_pipe >= 0

    def _shares_sockets(self) -> bool:
        """Whether there is another server, on the same ones."""
        return self._has_predecessor() or bool(self.successor)

    # --- Signals ---

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)

    def _on_signal(self, number: signal.Signals, now: float) -> None:
        if number == signal.SIGCHLD:
            return  # It has woken us.
        if number == signal.SIGTERM:
            self._stop(StopLevel.GRACEFUL, now)
        elif number == signal.SIGINT:
            self._stop(StopLevel(min(max(self.stop_level + 1, StopLevel.GRACEFUL), StopLevel.FORCED)), now)
        elif number == signal.SIGQUIT:
            self._stop(StopLevel.QUICK, now)
        elif self.stop_level:
            logger.info("ignored %s: the server is stopping", number.name)
        elif number == signal.SIGHUP:
            self._on_hangup(now)
        elif number == signal.SIGUSR1:
            self._reopen_logs()
        elif number == signal.SIGUSR2:
            self._upgrade()
        elif number in (signal.SIGTTIN, signal.SIGTTOU):
            self.workers.resize(1 if number == signal.SIGTTIN else -1)
        elif number == signal.SIGWINCH and not self.terminal:
            # A terminal sends it whenever its window changes.
            logger.info("stopping all workers; send SIGHUP to start new ones")
            self.workers.scale_to_zero(now)

    def _stop(self, level: StopLevel, now: float) -> None:
        if level <= self.stop_level:
            return
        first, self.stop_level = not self.stop_level, level
        if first:
            if not self.exit_code:
                logger.info("stopping")
            if self._has_predecessor():
                notify(f"MAINPID={os.getppid()}")  # The previous server is the main one again.
            elif not self.successor:
                notify("STOPPING=1")
            # Before the workers, which accept the backlog and close their copies: then clients are refused.
            self.sockets.close(keep_files=self._shares_sockets())
        if level == StopLevel.GRACEFUL:
            self.workers.stop(now, successor=self._shares_sockets())
        else:
            # Without SIGTERM before: a worker without requests would already exit, and not handle this signal.
            self.workers.stop_now(signal.SIGQUIT if level == StopLevel.QUICK else signal.SIGKILL, now)

    def _on_hangup(self, now: float) -> None:
        if self.terminal and not os.isatty(0):
            logger.info("the terminal was closed")
            self._stop(StopLevel.GRACEFUL, now)
            return
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._reload()
        notify("READY=1")

    def _reload(self) -> None:
        try:
            os.chdir(self.directory)  # It may be a link that leads elsewhere now.
            before = self.workers.generation
            app, settings = before.app, before.settings
            if self.reader is not None:
                app, settings = self.reader.read()[:2]
            settings = resolve_paths(settings)
            settings = replace(settings, reload=self.watcher is not None)  # Files are watched from the start or never.
            if settings.reload:
                settings = with_short_shutdown(settings)
            if settings.preload:
                become_subreaper()
            generation = _first_generation(app, settings)
            self.sockets.open_missing(settings)
            self._set_file_owners(generation)
            self._replace_log(settings)
        except (StartupError, OSError) as error:
            message = error.message if isinstance(error, StartupError) else str(error)
            logger.error("reload failed, keeping the current configuration: %s", message)
            self.workers.close_unused_sockets()
            return
        if settings.umask is not None:
            os.umask(settings.umask)
        logger.info("reloading settings and application")
        self.addresses = tuple(self.sockets.addresses(settings))
        generation.hooks.call("on_reload", self.info())
        self.workers.start_generation(generation)

    def _replace_log(self, settings: Settings) -> None:
        """Raises StartupError; then the log is the old one."""
        assert self.log is not None
        self.log.close()
        try:
            self.log = _open_log(settings)
        except StartupError:
            self.log = _open_log(self.workers.generation.settings)
            raise

    def _reopen_logs(self) -> None:
        assert self.log is not None
        try:
            self._set_file_owners(self.workers.generation)
        except StartupError as error:
            logger.error("cannot prepare the files of the workers: %s", error)
        try:
            self.log.file.reopen()
        except OSError as error:
            logger.error("cannot reopen log file, keeping the old one: %s: %s", self.log.file.path, error)
        self.workers.send_signal(signal.SIGUSR1)

    def _upgrade(self) -> None:
        if self.successor or self._has_predecessor() or self.reader is None:
            reason = "a program made the settings" if self.reader is None else "an upgrade is in progress already"
            logger.warning("ignored SIGUSR2: %s", reason)
            return
        self.workers.generation.hooks.call("pre_exec", self.info())
        try:
            os.chdir(self.directory)
            alive_pipe, successor_pipe = os.pipe()
            try:
                self.successor = fork(
                    partial(upgrade.exec_new_server, self.sockets, alive_pipe, self.reader.environment())
                )
            except OSError:
                os.close(alive_pipe)
                os.close(successor_pipe)
                raise
        except OSError as error:
            logger.error("cannot start the new server: %s", error)
            return
        os.close(alive_pipe)
        self.successor_pipe = successor_pipe
        logger.info("started the new server (pid %d); send SIGTERM to this one to complete the upgrade", self.successor)

    def _set_file_owners(self, generation: Generation) -> None:
        """Workers reopen the log files, and connect to nothing, as --user. Raises StartupError."""
        if generation.identity is None:
            return
        settings = generation.settings
        logs = {"--error-logfile": settings.error_logfile}
        if settings.access_log:
            logs["--access-logfile"] = settings.access_logfile
        for name, path in logs.items():
            if path != "-":
                give_log(generation.identity, path, name)
        for listener in self.sockets.listeners():
            listener.give(*generation.identity[:2])

    # --- Processes ---

    def _spawn_worker(self, generation: Generation, slot: int, now: float) -> WorkerProcess | None:
        template = None
        if generation.settings.preload:
            template = self.templates.get_loaded(generation, self._worker_settings(generation), self.info(), now)
            if template is None:
                return None
        listeners = self.sockets.for_slot(slot, generation.settings)
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
            self._worker_settings(generation),
            listeners,
            SupervisorLink(slot, scoreboard, lifeline_reader, status_writer),
            generation.identity,
            generation.hooks,
            self.info(),
            process.info,
        )
        generation.hooks.call("pre_fork", self.info(), process.info())
        try:
            if template is not None:
                process.pid = template.fork(
                    slot, [scoreboard.fd, lifeline_reader, status_writer, *(each.sock.fileno() for each in listeners)]
                )
            else:
                process.pid = fork(partial(self.entry.serve, spec), partial(self._become_worker, process, listeners))
        except OSError:
            process.close()
            raise
        else:
            self._watch(status_reader, partial(self._read_worker, process))
            return process
        finally:
            if process.pid != os.getpid():
                os.close(lifeline_reader)
                os.close(status_writer)

    def _worker_settings(self, generation: Generation) -> Settings:
        """Those that a worker is given: as configured, but for the number of workers."""
        return replace(generation.settings, workers=self.workers.count_after(generation))

    def _prune_templates(self) -> None:
        """Removes templates that have exited, and those of generations that start no more workers."""
        generations = (self.workers.generation, self.workers.pending_generation) if not self.stop_level else ()
        self.templates.keep({generation.number for generation in generations if generation is not None})

    def _become_worker(self, process: WorkerProcess, listeners: Container[object]) -> None:
        """In a worker: makes it one."""
        process.pid = os.getpid()
        for fd in (process.lifeline, process.channel):
            os.close(fd)
        self._close_all_in_child(listeners)

    def _become_watcher(self) -> None:
        """In the process that watches files."""
        name_process(self.workers.generation.settings, "watcher")
        self._close_all_in_child()

    def _close_all_in_child(self, except_for: Container[object] = ()) -> None:
        """In a new process: lets go of all that is the supervisor's and other workers', but for these listeners."""
        self._close_files_in_child(except_for)
        if self.log is not None:
            self.log.close()

    def _close_files_in_child(self, except_for: Container[object] = ()) -> None:
        """Closes, in a forked process, the files of the supervisor but for its log."""
        for listener in self.sockets.listeners():
            if listener not in except_for:
                listener.close()
        for each in self.workers:
            each.close()
        for fd in (self.wakeup_reader, self.wakeup_writer):
            os.close(fd)
        self.templates.close_in_child()
        if self.watcher is not None:
            self.watcher.close_in_child()
        for fd in (self.predecessor_pipe, self.successor_pipe, self.lifeline):
            if fd >= 0:
                os.close(fd)

    def _close(self) -> None:
        self._prune_templates()
        if self.watcher is not None:
            self.watcher.close()
        self.sockets.close(keep_files=self._shares_sockets())
        if self.pid_file is not None:
            self.pid_file.remove()
        if self.log is not None:
            self.log.close()


def _open_log(settings: Settings) -> ErrorLog:
    if settings.log_config:
        before = set(sys.modules)
        apply_config(settings.log_config, settings.app_dir)
        _unload(set(sys.modules) - before, settings.app_dir)
    return open_log(settings)


def _unload(names: Iterable[str], app_dir: str) -> None:
    """Has workers import these modules again, if they are the application's: here they would stay as they are now."""
    folder = os.path.join(os.path.abspath(app_dir), "")
    for name in names:
        if (getattr(sys.modules.get(name), "__file__", None) or "").startswith(folder):
            del sys.modules[name]


def _pipe(opened: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for fd in ends:
        opened.callback(os.close, fd)
    return ends


def _first_generation(app: str, settings: Settings) -> Generation:
    """The first one; the number of others does not matter. Raises StartupError."""
    count = settings.workers
    if count == "auto":
        from ianus.process.supervisor.cpus import cpus  # For this answer only.

        count = cpus()
    check_supervisor(settings, count)
    hooks = Hooks.load(settings.hooks, settings.app_dir)
    return Generation(1, app, settings, count, hooks, resolve(settings.user, settings.group))


def _logical_directory() -> str:
    """The current directory as the shell calls it: a deployment may have made a link lead elsewhere since."""
    logical = os.environ.get("PWD", "")
    try:
        if logical and os.path.samefile(logical, "."):
            return logical
    except OSError:
        pass
    return os.getcwd()
