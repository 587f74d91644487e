"""The process that supervises the workers: it owns their sockets and handles signals.

Facts and rules:
- It serves nothing, and loads neither the application nor anything compiled, nor an event loop: so it stays small, and
  a fault that ends a worker does not end it. It has one thread, since it forks.
- Each event (a signal, the end of a process, a report of a worker, the time) is handled alike: the supervisor records
  it, and then Workers does the work that is due.
"""
# ruff: noqa: PTH109, PTH121  (pathlib takes 5 ms to import)

import os
import signal
import time
from collections.abc import Container
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ianus._version import __version__
from ianus.errors import StartupError
from ianus.hooks import ServerInfo
from ianus.process.activation import Activation
from ianus.process.after_fork import close_in_children
from ianus.process.fork import HANDLED, Forked
from ianus.process.issued_certificates import with_issued_certificates
from ianus.process.open_files import raise_limit
from ianus.process.stop_level import REPEAT_SECONDS, StopLevel
from ianus.process.supervisor.admin import AdminSocket
from ianus.process.supervisor.admin_status import ServerState
from ianus.process.supervisor.certificate_issuer import CertificateIssuer
from ianus.process.supervisor.fd_store import FdStore, group_stored
from ianus.process.supervisor.file_owners import set_file_owners
from ianus.process.supervisor.generation import Generation, build_generation
from ianus.process.supervisor.pid_file import PidFile
from ianus.process.supervisor.server_log import ServerLog
from ianus.process.supervisor.sockets import Sockets
from ianus.process.supervisor.spawner import Spawner
from ianus.process.supervisor.systemd import Watchdog, format_extension, notify
from ianus.process.supervisor.template import become_subreaper
from ianus.process.supervisor.templates import Templates
from ianus.process.supervisor.unserved import UnservedSlots
from ianus.process.supervisor.upgrade import Upgrade
from ianus.process.supervisor.waiting_connections import WaitingConnections
from ianus.process.supervisor.wakeups import Wakeups
from ianus.process.supervisor.worker_process import WorkerProcess
from ianus.process.supervisor.workers import Workers
from ianus.process.supervisor.working_directory import enter
from ianus.process.title import name_process
from ianus.process.tls_files import make_ticket_secret
from ianus.process.transfer_queue import TransferQueue
from ianus.process.unix_access import log_restrictions
from ianus.process.worker_spec import WorkerEntry
from ianus.settings.gunicorn_view import GunicornView
from ianus.settings.paths import resolve_paths
from ianus.settings.schema import Settings
from ianus.settings.sources import Reader
from ianus.telemetry.logger import logger

if TYPE_CHECKING:
    from ianus.process.supervisor.watched import Watched
    from ianus.process.supervisor.watcher import Watcher


class Supervisor:
    """The supervisor of one server.

    app: "MODULE:ATTR". entry: the functions that run in worker processes. reader: reads the settings again at SIGHUP;
    None if a program has made them, which then also has the other end of the pipe `lifeline`.

    Raises StartupError if the server cannot start.
    """

    def __init__(
        self, app: str, settings: Settings, entry: WorkerEntry, reader: Reader | None = None, lifeline: int = -1
    ) -> None:
        self.reader = reader
        self.lifeline = lifeline
        self.stop_level = StopLevel.NONE
        self.announced_at = -REPEAT_SECONDS  # when the stop was announced (--drain-delay)
        self.drain_at = 0.0  # when the stop follows; 0: never, or it has started
        self.exit_code = 0
        self.is_ready = False
        self.is_reloading = False
        self.start_deadline = 0.0  # of which systemd was notified
        self.directory = _logical_directory()
        enter(settings)
        self.terminal = os.isatty(0)
        self.wakeups = Wakeups()
        self.admin = AdminSocket(self.wakeups, self._state)
        self.started_at, self.started_unix = time.monotonic(), time.time()
        self.log: ServerLog | None = None
        self.pid_file: PidFile | None = None
        self.watcher: Watcher | None = None
        raise_limit()
        if settings.reload:
            from ianus.process.supervisor.watcher import prepare, with_short_shutdown  # Late: only --reload needs it.

            watched = prepare(app, settings)
            settings = with_short_shutdown(settings)
        if settings.preload:
            become_subreaper()
        self.upgrade = Upgrade()
        self.ticket_secret = self.upgrade.ticket_secret or make_ticket_secret()
        self.activation = Activation(inherited=self.upgrade.activated)
        settings = with_issued_certificates(self.activation.apply(settings), forks=True)
        generation = build_generation(app, settings, reader.hooks if reader is not None else None, self.ticket_secret)
        if settings.umask is not None:
            os.umask(settings.umask)
        inherited = self.upgrade.inherited_fds or group_stored(self.activation.stored) or None
        self.fd_store = FdStore(inherited)
        self.sockets = Sockets(settings, inherited, is_shared=self.fd_store.is_enabled())
        self.watchdog = Watchdog()
        self.addresses = tuple(self.sockets.addresses(settings))
        self.transfers = _create_transfer_queue(self.upgrade.queue_ends)
        self.unserved = UnservedSlots(self.sockets, self.transfers, self.wakeups)
        self.waiting = WaitingConnections(self.sockets, self.transfers, self.wakeups)
        self.spawner = Spawner(entry, self._close_all_in_child, self.info, self.transfers)
        self.workers = Workers(generation, self.sockets, self._spawn_worker, self.info)
        self.issuer = CertificateIssuer(self._close_files_in_child)
        self.templates = Templates(self.workers, entry, self._close_all_in_child, self.wakeups)
        try:
            set_file_owners(generation, self.sockets.listeners())
            self.log = ServerLog(settings)
            if self.activation.ignored:
                logger.warning("sockets of the init system ignored: %s", self.activation.ignored)
            generation.hooks.call("on_starting", self.info())
            if self.upgrade.has_predecessor():
                self.admin.open_later(settings.admin_bind, self.started_at)
            else:
                self.admin.change(settings.admin_bind)
            if settings.pid_file:
                self.pid_file = PidFile(settings.pid_file + (".2" if self.upgrade.has_predecessor() else ""))
            name_process(settings, "supervisor")
            self.wakeups.listen_to_signals(HANDLED)
            close_in_children(self._close_files_in_child)
            if self.upgrade.has_predecessor():
                self.wakeups.watch(self.upgrade.predecessor_pipe, self._on_predecessor_gone)
            if lifeline >= 0:
                self.wakeups.watch(lifeline, self._on_caller_gone)
            if settings.reload:
                self._start_watcher(watched, settings.reload_delay)
            self.issuer.change(settings, self.started_at)
        except Forked:
            raise
        except BaseException:
            self._close()
            raise

    def _start_watcher(self, watched: "Watched", reload_delay: float) -> None:
        from ianus.process.supervisor.watcher import Watcher

        self.watcher = Watcher(watched, reload_delay, self._become_watcher)
        self.wakeups.watch(self.watcher.fd, self._on_change)
        how = "polling" if self.watcher.is_polling else "watching"
        logger.info("%s %s for changes, pid %d", how, ", ".join(watched.directories), os.getpid())

    def run(self) -> int:
        """Handles events until a stop is requested and every worker has exited. Returns the exit code.

        In a new process it raises Forked.
        """
        while True:
            now = time.monotonic()
            # Signals before exits: a stop signal may have been sent to all processes.
            while self.wakeups.signals:
                self._on_signal(signal.Signals(self.wakeups.signals.popleft()), now)
            # Without a worker that serves, connections would wait for the rest of the delay.
            if self.drain_at and (now >= self.drain_at or not self.workers.serving_slots()):
                self._stop(StopLevel.GRACEFUL, now)
            self._reap(now)
            self.templates.step(now)
            self.admin.step(now, has_predecessor=self.upgrade.has_predecessor())
            self.workers.step(now)
            self.issuer.step(now)
            if self.workers.restarts.failed and not self.workers.generations.active.settings.reload:
                self.exit_code = StartupError.exit_code
                self._stop(StopLevel.GRACEFUL, now)
            if self.workers.restarts.has_started and not self.is_ready:
                self._on_ready()
            if self.stop_level and not any(self.workers):
                break
            self._prune_templates()
            self._notify_systemd(now)
            self._watch_unserved(now)
            self._wait(now)
        if not self.exit_code:
            logger.info("stopped")
        self.workers.generations.active.hooks.call("on_exit", self.info())
        self._close()
        return self.exit_code

    def info(self, settings: Settings | None = None) -> ServerInfo:
        """Returns the information for hooks. settings: those that hooks see, by default the newest."""
        cfg = GunicornView(settings or self.workers.generations.newest().settings)
        return ServerInfo(pid=os.getpid(), workers=self.workers.slots.count, addresses=self.addresses, cfg=cfg)

    def _state(self) -> ServerState:
        return ServerState(self.workers, self.started_at, self.started_unix, bool(self.stop_level))

    # --- Events ---

    def _wait(self, now: float) -> None:
        """Waits for an event, or until work is due."""
        times = (
            self.workers.due(now),
            self.templates.due(),
            self.issuer.due(),
            self.unserved.due(),
            *self.waiting.due(),
            self.watchdog.due(),
            self.drain_at,
            *self.admin.due(),
        )
        due = min((each for each in times if each), default=0.0)
        self.wakeups.wait(due - now if due else None)

    def _watch_unserved(self, now: float) -> None:
        """Accepts connections in place of workers that do not serve."""
        serving = self.workers.serving_slots()
        self.unserved.step(serving, now)
        if self.log is not None:
            self.log.set_workers(sum(1 for _ in self.workers))
        # Another server on the same sockets may serve.
        is_unserved = not serving and not self.stop_level and not self.upgrade.shares_sockets()
        settings = self.workers.generations.active.settings
        self.waiting.step(settings.health_path, is_unserved=is_unserved, now=now)

    def _read_worker(self, process: WorkerProcess) -> None:
        lines = process.read()
        if lines is None:
            # It is about to exit, unless its application has closed the descriptor.
            self.wakeups.unwatch(process.channel)
        for line in lines or ():
            self.workers.on_line(process, line, time.monotonic())

    def _reap(self, now: float) -> None:
        """Handles the exits of child processes. The first process of a container is also the parent of orphans."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.templates.on_exit(pid, status, now)
            self.issuer.on_exit(pid, status, now)
            if self.watcher is not None and self.watcher.pid == pid:
                self.watcher.pid = 0
            if self.upgrade.on_exit(pid):
                self.sockets.reset_steering()
                logger.error("the new server exited (pid %d); this server continues", pid)
                if not self.stop_level:
                    self._notify_ready()
            for process in self.workers:
                if process.pid == pid:
                    self._read_worker(process)  # its last reports
                    self.wakeups.unwatch(process.channel)
                    self.workers.on_exit(process, status, now)

    def _on_ready(self) -> None:
        self.is_ready = True
        count = self.workers.slots.count
        facts = [*self.workers.ready_facts, f"{count} worker{'s' if count > 1 else ''}", f"pid {os.getpid()}"]
        logger.info(
            "Ianus %s serves %s on %s; %s", __version__, facts[0], ", ".join(self.addresses), ", ".join(facts[1:])
        )
        log_restrictions(self.sockets.listeners())
        self._notify_ready()
        self.workers.generations.active.hooks.call("when_ready", self.info())

    def _notify_systemd(self, now: float) -> None:
        """Reports the end of a reload, the sockets to keep, and that the workers make progress."""
        if self.is_reloading and (self.stop_level or self.workers.is_settled()):
            self.is_reloading = False
            if not self.stop_level:
                notify("READY=1")
        if self.fd_store.is_enabled() and not self.stop_level:
            self.fd_store.update(self.sockets.fds_to_store())
        if not self.is_ready:
            deadline = max((process.start_deadline for process in self.workers), default=0.0)
            if deadline > self.start_deadline:
                self.start_deadline = deadline
                notify(format_extension(deadline - now))
        self.watchdog.step(now, is_alive=bool(self.stop_level) or self.workers.has_progress())

    def _notify_ready(self) -> None:
        notify(f"READY=1\nMAINPID={os.getpid()}")

    def _on_predecessor_gone(self) -> None:
        self.wakeups.unwatch(self.upgrade.predecessor_pipe)
        self.upgrade.close_predecessor_pipe()
        self.sockets.reset_steering()
        self.workers.close_unused_sockets()  # It may have had more workers.
        logger.info("the previous server exited")
        if self.pid_file is not None:
            try:
                self.pid_file.move(self.workers.generations.active.settings.pid_file)
            except OSError as error:
                logger.error("cannot rename the pid file, it remains %s: %s", self.pid_file.path, error)

    def _on_caller_gone(self) -> None:
        self.wakeups.unwatch(self.lifeline)
        self._stop(StopLevel.GRACEFUL, time.monotonic())

    def _on_change(self) -> None:
        assert self.watcher is not None
        try:
            changes = self.watcher.read()
        except StartupError as error:
            logger.error("--reload has no effect any more: %s", error.message)
            self.wakeups.unwatch(self.watcher.fd)
            return
        for text in changes:
            logger.info("changed: %s", text)
        if changes and not self.stop_level:
            try:
                # It may have been removed and made again.
                os.chdir(self.workers.generations.active.settings.chdir or self.directory)
            except OSError as error:
                logger.error("cannot reload, the next change tries again: %s", error)
                return
            self.workers.reload_application()

    # --- Signals ---

    def _on_signal(self, number: signal.Signals, now: float) -> None:
        if number == signal.SIGCHLD:
            return  # It has ended the wait; _reap() follows.
        if number in (signal.SIGTERM, signal.SIGINT) and now < self.announced_at + REPEAT_SECONDS:
            return  # After the stop was announced, another request skips the rest of the delay.
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
            self._start_upgrade()
        elif number in (signal.SIGTTIN, signal.SIGTTOU):
            self.workers.resize(1 if number == signal.SIGTTIN else -1)
        elif number == signal.SIGWINCH and not self.terminal:
            # A terminal sends it whenever its window changes.
            logger.info("stopping all workers; send SIGHUP to start new ones")
            self.unserved.step((), now)  # Workers that stop empty the queue then.
            self.workers.scale_to_zero(now)

    def _stop(self, level: StopLevel, now: float) -> None:
        if level == StopLevel.GRACEFUL and not self.stop_level and self._drain_delay():
            level = StopLevel.ANNOUNCED
        before = self.stop_level
        if level <= before:
            return
        self.stop_level = level
        if not before:
            self._report_stop(now)
            if self.upgrade.successor:
                self.admin.close()  # The new server opens it.
        if before < StopLevel.GRACEFUL <= level:
            self.drain_at = 0.0
            # If another server has the sockets, it serves these connections.
            self.unserved.finish(() if self.upgrade.shares_sockets() else self.workers.serving_slots(), now)
            self.waiting.step("", is_unserved=False, now=now)
            # Before the workers, which accept the backlog and close their copies: then clients are refused.
            self.sockets.close(keep_files=self.upgrade.shares_sockets() or self.fd_store.is_enabled())
        if level >= StopLevel.QUICK:
            # Without SIGTERM before: a worker without requests would already exit, and not handle this signal.
            self.workers.stop_now(signal.SIGQUIT if level == StopLevel.QUICK else signal.SIGKILL, now)
        elif before == StopLevel.ANNOUNCED:
            self.workers.end_delay()
        else:
            is_delayed = level == StopLevel.ANNOUNCED
            self.workers.stop(now, successor=self.upgrade.shares_sockets(), is_delayed=is_delayed)

    def _drain_delay(self) -> float:
        """Returns the seconds for which a stop is announced first; 0.0 if no client can find this server."""
        if self.exit_code or self.upgrade.shares_sockets() or not any(self.workers.slots.serving()):
            return 0.0
        return self.workers.generations.active.settings.drain_delay

    def _report_stop(self, now: float) -> None:
        if self.stop_level == StopLevel.ANNOUNCED:
            delay = self._drain_delay()
            self.announced_at, self.drain_at = now, now + delay
            logger.info(
                "stopping; connections are accepted for another %g s (--drain-delay); send SIGTERM again to skip that",
                delay,
            )
        elif not self.exit_code:
            logger.info("stopping")
        if self.upgrade.has_predecessor():
            notify(f"MAINPID={os.getppid()}")  # The previous server is the main one again.
        elif not self.upgrade.successor:
            extension = format_extension(self.workers.generations.active.settings.timeout_stop)
            notify(f"STOPPING=1\n{extension}".rstrip())

    def _on_hangup(self, now: float) -> None:
        if self.terminal and not os.isatty(0):
            logger.info("the terminal was closed")
            self._stop(StopLevel.GRACEFUL, now)
            return
        # READY=1 follows when the workers have been replaced, or when the new configuration has failed.
        self.is_reloading = True
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._reload()

    def _reload(self) -> None:
        try:
            os.chdir(self.directory)  # It may be a link that leads elsewhere now.
            before = self.workers.generations.active
            app, settings = before.app, before.settings
            if self.reader is not None:
                app, settings = self.reader.read()[:2]
            settings = resolve_paths(settings)
            enter(settings)
            settings = with_issued_certificates(self.activation.apply(settings), forks=True)
            settings = replace(settings, reload=self.watcher is not None)  # Files are watched from the start or never.
            if settings.reload:
                from ianus.process.supervisor.watcher import with_short_shutdown

                settings = with_short_shutdown(settings)
            if settings.preload:
                become_subreaper()
            program = self.reader.hooks if self.reader is not None else None
            generation = build_generation(app, settings, program, self.ticket_secret)
            self.sockets.open_missing(settings)
            self.admin.change(settings.admin_bind)
            set_file_owners(generation, self.sockets.listeners())
            assert self.log is not None
            self.log.replace(settings, before.settings)
        except (StartupError, OSError) as error:
            message = error.message if isinstance(error, StartupError) else str(error)
            logger.error("reload failed, keeping the current configuration: %s", message)
            self._return_to_directory()
            self.workers.close_unused_sockets()
            return
        if settings.umask is not None:
            os.umask(settings.umask)
        logger.info("reloading settings and application")
        self.addresses = tuple(self.sockets.addresses(settings))
        generation.hooks.call("on_reload", self.info(settings))
        self.issuer.change(settings, time.monotonic())
        self.workers.start_generation(generation)

    def _return_to_directory(self) -> None:
        """Returns to the directory of the current configuration, from the one in which the server was started."""
        with suppress(OSError):  # It was removed.
            os.chdir(self.workers.generations.active.settings.chdir or self.directory)

    def _reopen_logs(self) -> None:
        assert self.log is not None
        try:
            set_file_owners(self.workers.generations.active, self.sockets.listeners())
        except StartupError as error:
            logger.error("cannot prepare the files of the workers: %s", error)
        self.log.reopen()
        self.workers.send_signal(signal.SIGUSR1)

    def _start_upgrade(self) -> None:
        if self.upgrade.shares_sockets() or self.reader is None:
            reason = "a program made the settings" if self.reader is None else "an upgrade is in progress already"
            logger.warning("ignored SIGUSR2: %s", reason)
            return
        self.workers.generations.active.hooks.call("pre_exec", self.info())
        try:
            os.chdir(self.directory)
            environ = self.reader.environment()
            self.upgrade.start(self.sockets, self.activation.sockets, self.transfers, environ, self.ticket_secret)
        except OSError as error:
            logger.error("cannot start the new server: %s", error)
            self._return_to_directory()
            return
        self._return_to_directory()
        successor = self.upgrade.successor
        logger.info("started the new server (pid %d); send SIGTERM to this one to complete the upgrade", successor)

    # --- Processes ---

    def _spawn_worker(self, generation: Generation, slot: int, now: float) -> WorkerProcess | None:
        settings = replace(generation.settings, workers=self.workers.count_after(generation))
        template = None
        if settings.preload:
            template = self.templates.get_loaded(generation, settings, self.info(), now)
            if template is None:
                return None
        listeners = self.sockets.for_slot(slot, settings)
        process = self.spawner.spawn(generation, settings, slot, listeners, template, now)
        self.wakeups.watch(process.channel, partial(self._read_worker, process))
        return process

    def _prune_templates(self) -> None:
        """Removes templates that have exited, and those of generations that start no more workers."""
        generations = self.workers.generations.needed() if not self.stop_level else ()
        self.templates.keep({generation.number for generation in generations})

    def _become_watcher(self) -> None:
        """Closes the supervisor's files, in the process that watches files."""
        name_process(self.workers.generations.active.settings, "watcher")
        self._close_all_in_child()

    def _close_all_in_child(self, except_for: Container[object] = ()) -> None:
        """Closes the files of the supervisor, in a process that it has forked, except for these listeners."""
        self._close_files_in_child(except_for)
        if self.log is not None:
            self.log.close()

    def _close_files_in_child(self, except_for: Container[object] = ()) -> None:
        """Closes the files of the supervisor except for its log, in any forked process."""
        for listener in self.sockets.listeners():
            if listener not in except_for:
                listener.close()
        if self.transfers not in except_for:
            self.transfers.close()
        self.unserved.close_in_child()
        self.waiting.close_in_child()
        for each in self.workers:
            each.close()
        self.wakeups.close_in_child()
        self.admin.close_in_child()
        self.templates.close_in_child()
        self.issuer.close_in_child()
        if self.watcher is not None:
            self.watcher.close_in_child()
        self.upgrade.close_in_child()
        if self.lifeline >= 0:
            os.close(self.lifeline)

    def _close(self) -> None:
        self._prune_templates()
        self.issuer.close()
        if self.watcher is not None:
            self.watcher.close()
        self.sockets.close(keep_files=self.upgrade.shares_sockets() or self.fd_store.is_enabled())
        self.admin.close()
        if not self.upgrade.shares_sockets() and (count := self.transfers.discard()):
            logger.warning("closed connections that no worker has served: %d", count)
        self.transfers.close()
        if self.pid_file is not None:
            self.pid_file.remove()
        if self.log is not None:
            if not self.upgrade.shares_sockets():
                self.log.set_workers(0)
            self.log.close()


def _create_transfer_queue(ends: tuple[int, int] | None) -> TransferQueue:
    try:
        return TransferQueue(ends)
    except OSError as error:
        raise StartupError(
            f"The system gives no socket pair or no memory for the workers: {error.strerror}. Raise its limits of "
            "open files and of memory."
        ) from None


def _logical_directory() -> str:
    """Returns the current directory by the shell's name for it: a deployment may change the target of a link."""
    logical = os.environ.get("PWD", "")
    try:
        if logical and os.path.samefile(logical, "."):
            return logical
    except OSError:
        pass
    return os.getcwd()
