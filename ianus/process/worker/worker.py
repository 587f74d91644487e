"""Serves applications in one process, from the start of the applications to the end of the last connection.

It uses no signals and no logging configuration, and gets its loop from the caller. So it is the same in a process of
its own (serve.py) and inside the loop of a host program (server.py): it cancels the tasks of requests and of the
lifespans, and no others.

ASGI applications are started (lifespan), one after the other, before the first connection is accepted, and the first
log line appears when all this is done. A graceful shutdown is the reverse: no new connections; requests in flight, and
application calls that outlive their response, may finish; the others are cancelled; the lifespan shutdown runs, the
last application first; logs are flushed. Each part has its share of --timeout-stop (settings/stop_budget). A quick
shutdown does not wait for requests, and limits the lifespan shutdown to a few seconds. A WSGI call cannot be
cancelled: its client is disconnected, and its thread is abandoned if the call does not return.

The loop drives the reactor if there is an ASGI application. Otherwise the thread pool does (gateway/threads/pool), and
the loop only handles signals, the stop and reports: it uses the reactor only while no thread of the pool does.
"""

import asyncio
import contextlib
import functools
import logging
import math
import os
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from ianus._version import __version__
from ianus.acceptor.listener import Listener
from ianus.errors import ThreadLimitError, is_thread_limit
from ianus.gateway.asgi.lifespan import ABANDON_SECONDS, Lifespan
from ianus.gateway.asgi.suspended import task_stack
from ianus.gateway.loading.loader import Application, load, load_mounted
from ianus.gateway.wsgi.spool import MEMORY_SPOOL_BYTES
from ianus.process.resources import check_spool, has_spool_directory
from ianus.process.start_reports import FIRST_REPORT_SECONDS, REPORT_FACTOR
from ianus.process.stop_level import StopLevel
from ianus.process.transfer_queue import TransferQueue
from ianus.process.unix_access import log_restrictions
from ianus.process.worker.drain_pace import DrainPace
from ianus.process.worker.exit import Ending
from ianus.process.worker.patched_threads import check_threads
from ianus.process.worker.signals import MIN_SECONDS, StopRequest
from ianus.process.worker.slow_calls import format_calls
from ianus.process.worker.stack import ServingStack, build_stack, find_https_port, map_transfers
from ianus.process.worker.thread_pool import ThreadPoolController, explain_ignored, in_loop
from ianus.process.worker.tls import ServingTls
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger
from ianus.telemetry.logs import LogFile

if TYPE_CHECKING:
    from ianus.gateway.threads.pool import ThreadPool

# Maximum time for cancelled tasks and busy threads to end, unless their share of --timeout-stop is shorter.
CANCEL_SECONDS = 2.0

# Seconds beyond --drain-delay after which a worker drains although its supervisor has sent no signal for that.
SUPERVISOR_SECONDS = 1.0

# Seconds after the last request in flight: until lingering connections are closed, and until WebSockets are whose
# clients have not answered the close.
LINGER_SECONDS = 0.25
CLOSE_SECONDS = 1.0
LOOK_SECONDS = 0.05

# An application that has looked at should_exit (signals.py) within LOOKS_SECONDS ends its event streams itself, and
# may send a last event. The others are notified of the stop after LAST_EVENT_SECONDS then.
LOOKS_SECONDS = 2.0
LAST_EVENT_SECONDS = 1.0

# Maximum time for the lifespan shutdown in a quick shutdown.
QUICK_SHUTDOWN_SECONDS = 5.0


def load_applications(app: Any, settings: Settings) -> tuple[Application, ...]:
    """Loads the application `app`, and those that are mounted beside it. Raises StartupError."""
    main = load(app, factory=settings.factory, app_dir=settings.app_dir, interface=settings.interface)
    mounted = [load_mounted(each.prefix, each.app, app_dir=settings.app_dir) for each in settings.mount]
    apps = main, *mounted
    check_threads(needed=serves_wsgi(apps) or settings.preload)
    return apps


def serves_wsgi(apps: Sequence[Application]) -> bool:
    """Whether one of them is a WSGI application."""
    return any(app.interface == "wsgi" for app in apps)


def serves_asgi(apps: Sequence[Application]) -> bool:
    """Whether one of them is an ASGI application."""
    return any(app.interface != "wsgi" for app in apps)


def describe(apps: Sequence[Application]) -> str:
    """Formats names, interfaces and prefixes of the applications for the log."""
    return ", ".join(f"{app.name} ({app.interface})" + (f" at {app.prefix}" if app.prefix else "") for app in apps)


class Worker:
    """Applications, served on listening sockets, with the running loop at hand.

    apps: the main application is the first, then those of the mounts.
    listeners: of the caller; closed early when a graceful shutdown starts.
    stop: the level of stop that was requested.
    notify: called with the events of the worker, as words: "starting" before the applications start, with the limit in
        seconds (0: unlimited); "ready" once connections are accepted, with the applications, the loop, the threads;
        "recycle" with the reason, once, to ask for a replacement, while this worker continues to serve; "draining" when
        it stops accepting connections; "closing" when all requests are done and the lifespan shutdown starts.
    slot: the number of the worker, from 0; None without a supervisor.
    transfers: connections that the workers of a supervisor pass on, None without one.
    tls: the certificates and filters of the listeners; None without TLS.
    on_built: called before the first connection is accepted, with the serving objects.
    on_delay_end: called when --drain-delay has ended by itself.
    call_in_main: called with the threads of a WSGI application once they have started. The application is then called
        in the thread that calls run_pinned_thread().
    early_threads: those that there were before the first connection was accepted.

    Raises StartupError if the access log cannot be opened, or temporary files cannot be created.
    """

    def __init__(
        self,
        apps: Sequence[Application],
        settings: Settings,
        listeners: list[Listener],
        stop: StopRequest,
        *,
        notify: Callable[..., None] | None = None,
        slot: int | None = None,
        transfers: TransferQueue | None = None,
        tls: ServingTls | None = None,
        on_built: Callable[[ServingStack], None] = lambda stack: None,
        call_in_main: "Callable[[ThreadPool], None] | None" = None,
        on_delay_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.apps = apps
        self.settings = settings
        self.listeners = listeners
        self.stop = stop
        self.notify = notify or (lambda *words: None)
        self.slot = slot
        self.transfers = transfers
        self.tls = tls
        self.on_built = on_built
        self.call_in_main = call_in_main
        self.on_delay_end = on_delay_end
        self.budget = settings.stop_budget()
        self.stop.hides_exit = settings.ws_drain_spread > 0
        self.early_threads: frozenset[threading.Thread] = frozenset()
        self.lifespans = {
            app.prefix: Lifespan(
                app, lifespan=settings.lifespan, timeout_lifespan_startup=settings.timeout_lifespan_startup
            )
            for app in apps
            if app.interface != "wsgi"
        }
        self.stack: ServingStack | None = None
        self.access_file: LogFile | None = None
        self.thread_pool = ThreadPoolController()
        self.stubborn_tasks: set[asyncio.Task[Any]] = set()
        if serves_wsgi(apps):
            check_spool(settings)
            if not slot and not has_spool_directory(settings):  # Logged by the first worker alone.
                logger.warning(
                    "no directory for temporary files can be written: request bodies over --request-buffer are kept in"
                    " memory, at most %d MiB in a worker; name a writable one with --spool-dir",
                    MEMORY_SPOOL_BYTES >> 20,
                )
        if settings.access_log:
            self.access_file = LogFile(settings.access_logfile, "--access-logfile", 1)

    async def serve(self) -> None:
        """Starts, serves until asked to stop, and stops. Raises StartupError.

        Cancelling it starts a quick shutdown, which only waits for the lifespan shutdown.
        """
        loop = asyncio.get_running_loop()
        try:
            if await self._start_applications():
                try:
                    self._open_or_explain(loop)
                    if self.settings.warmup and await self._warm_up():
                        self.thread_pool.exclusively(self._listen)
                        self._announce(loop)
                    await self.stop.wait(StopLevel.ANNOUNCED)
                    await self._delay_drain()
                    await self._drain(loop)
                except asyncio.CancelledError:
                    self.stop.raise_level(StopLevel.QUICK)
                    await self._drain(loop)
                    raise
        finally:
            await self.thread_pool.end_report()
            await self._end_applications()

    def close(self) -> None:
        """Releases everything that the worker holds, however serve() ended."""
        if self.stack is not None:
            self.thread_pool.stop_calls()
            self.thread_pool.exclusively(self.stack.reactor.close)
            self.thread_pool.close()
            self.stack.close_observers()
            self.stack = None
        if self.access_file is not None:
            self.access_file.close()
            self.access_file = None

    def requests(self) -> "list[asyncio.Task[None]]":
        """Returns the tasks of ASGI calls that have not returned."""
        return [task for gateway in self.stack.asgi for task in gateway.tasks()] if self.stack is not None else []

    def calls(self) -> list[tuple[str, float, int]]:
        """Returns the WSGI calls that have not returned: request line, age in seconds, thread."""
        return self.thread_pool.calls()

    def time_left(self) -> float:
        """Returns the seconds that remain for threads of the application; infinite without a limit."""
        left = self.stop.left(self.budget.threads_after)
        return min(left, CANCEL_SECONDS) if self.stop.level >= StopLevel.QUICK else left

    def ending(self, code: int) -> Ending:
        """Returns the facts about the end of this process."""
        total = self.stop.left(self.budget.abort_after)
        return Ending(code, self.time_left(), self.early_threads, bool(self.calls()), total)

    async def cancel(self, tasks: "list[asyncio.Task[Any]]", seconds: float) -> None:
        """Cancels `tasks` and waits for them. Logs those that still run, and keeps them in `stubborn_tasks`."""
        tasks = [task for task in tasks if task not in self.stubborn_tasks]
        for task in tasks:
            task.cancel()
        stubborn = (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()
        if stubborn:
            self.stubborn_tasks |= stubborn
            logger.warning(
                "application tasks that ignore cancellation: %d\n%s",
                len(stubborn),
                "\n".join(f"{self._name_of(task)}:\n{task_stack(task) or '  (no Python code)'}" for task in stubborn),
            )

    def _name_of(self, task: "asyncio.Task[Any]") -> str:
        gateways = self.stack.asgi if self.stack is not None else ()
        return next(filter(None, (gateway.request_of(task) for gateway in gateways)), task.get_name())

    async def wait_calls(self) -> None:
        """Waits until all current calls have returned."""
        while tasks := self.requests():
            await asyncio.wait(tasks)
        await self.thread_pool.wait_calls()

    # --- Starting ---

    async def _start_applications(self) -> bool:
        """Starts the lifespans. Returns False if a stop was requested meanwhile."""
        steps = len(self.settings.warmup) + (len(self.lifespans) if self.settings.lifespan != "off" else 0)
        if self.settings.lifespan != "off" or steps:
            self.notify("starting", f"{self.settings.timeout_lifespan_startup * steps:g}")
        starting = asyncio.create_task(self._startup())
        try:
            await self.until(starting, StopLevel.ANNOUNCED)
            if not starting.done() or (self.stop.level and starting.exception() is not None):
                logger.info("stop requested while the application was starting")
                return False
            starting.result()
            return True
        finally:
            if not starting.done():
                starting.cancel()
                await asyncio.wait({starting}, timeout=min(CANCEL_SECONDS, self.stop.left(self.budget.lifespan_after)))

    async def _startup(self) -> None:
        for lifespan in self.lifespans.values():
            report = asyncio.create_task(_report_startup(lifespan))
            try:
                await lifespan.startup()
            finally:
                report.cancel()

    def _open_or_explain(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._open(loop)
        except RuntimeError as error:
            if is_thread_limit(error):
                raise ThreadLimitError(error) from None
            raise

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the serving stack, and accepts connections unless --warmup precedes that."""
        # Checked again: a hook, or the lifespan, may have patched them.
        patched = check_threads(needed=serves_wsgi(self.apps) or self.settings.preload)
        if patched and not self.slot:
            logger.warning("threads of Python are replaced by a library: %s", patched)
        self.early_threads = frozenset(threading.enumerate())
        states = [self.lifespans[app.prefix].state if app.prefix in self.lifespans else None for app in self.apps]
        on_max_requests = in_loop(loop, self.notify, "recycle", "reached --max-requests")
        self.stack = stack = build_stack(
            self.apps,
            self.settings,
            loop,
            states,
            self.access_file,
            on_max_requests,
            find_https_port(self.listeners),
            self.tls,
        )
        stack.start_observers()
        self.on_built(stack)
        if not self.settings.warmup:
            self._listen()
        if stack.asgi:
            stack.reactor.attach(loop)
        if stack.pool is not None:
            self.thread_pool.start(
                stack.pool,
                stack.reactor,
                shared=bool(stack.asgi),
                stuck_report_after=self.settings.stuck_report_after,
                # Without a supervisor this process would not be replaced.
                timeout=self.settings.timeout if self.slot is not None else 0.0,
                on_stuck=functools.partial(self.notify, "stuck"),
                call_in_main=self.call_in_main,
            )
        if not self.settings.warmup:
            self._announce(loop)

    def _listen(self) -> None:
        """Accepts connections from now on."""
        assert self.stack is not None
        self.stack.service.note_serving()
        for listener in self.listeners:
            self.stack.accept_from(listener)
        if self.transfers is not None:
            self.stack.reactor.accepting.join_transfers(map_transfers(self.transfers), self.stack.reactor.waker)

    async def _warm_up(self) -> bool:
        """Makes the requests of --warmup. Returns False if a stop was requested meanwhile. Raises StartupError."""
        from ianus.process.worker.warm_up import WarmUp

        assert self.stack is not None
        warming = asyncio.create_task(WarmUp(self.stack, self.thread_pool, self.settings).run())
        try:
            if await self.until(warming, StopLevel.ANNOUNCED):
                warming.result()
                return True
            logger.info("stop requested while the application was starting")
            self.stop.raise_level(StopLevel.GRACEFUL)  # Without a delay: no client is served yet.
        finally:
            limit = min(CANCEL_SECONDS, self.stop.left(self.budget.lifespan_after))
            await self.cancel([warming] if not warming.done() else [], limit)
        return False

    def _announce(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reports that connections are accepted."""
        stack = self.stack
        assert stack is not None
        # Logged by the first worker alone.
        if not self.slot and (ignored := explain_ignored(self.settings, wsgi=stack.pool is not None)):
            logger.warning("settings without effect: %s", ignored)
        facts = [describe(self.apps)]
        if stack.asgi:
            facts.append(f"loop {type(loop).__module__.partition('.')[0]}")
        if stack.pool is not None:
            facts.append(f"threads {self.settings.threads}")
        if self.tls is not None:
            facts.append(self.tls.description)
        if self.slot is None:
            logger.info(
                "Ianus %s serves %s on %s; %s, pid %d",
                __version__,
                facts[0],
                ", ".join(listener.address for listener in self.listeners),
                ", ".join(facts[1:]),
                os.getpid(),
            )
            log_restrictions(self.listeners)
        self.notify("ready", *facts)

    # --- Stopping ---

    async def _delay_drain(self) -> None:
        """Accepts connections for --drain-delay after an announced stop, so that a balancer can notice the stop."""
        if self.stop.level >= StopLevel.HANDOVER:
            return
        stack = self.stack
        assert stack is not None
        self.thread_pool.exclusively(stack.service.note_draining)
        delay = self.settings.drain_delay
        if self.slot is None:
            logger.info("stopping; connections are accepted for another %g s (--drain-delay)", delay)
        else:
            delay += SUPERVISOR_SECONDS
        try:
            async with asyncio.timeout(self.stop.left(delay)):
                await self.stop.wait(StopLevel.HANDOVER)
        except TimeoutError:
            self.stop.raise_level(StopLevel.GRACEFUL)
            self.on_delay_end()

    async def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends the connections: gracefully within the limit, then all at once."""
        stack = self.stack
        assert stack is not None
        self.notify("draining")
        if self.stop.level < StopLevel.QUICK:
            self._log_stop(stack)
            drained = asyncio.Event()
            on_drained = in_loop(loop, drained.set)
            handover = self.stop.level == StopLevel.HANDOVER
            self.thread_pool.exclusively(lambda: stack.reactor.drain(on_drained, handover=handover))
            # From here on clients are refused instead of waiting, unless other processes serve.
            for each in (*self.listeners, *((self.transfers,) if self.transfers is not None else ())):
                each.close()
            ending = asyncio.create_task(self._end_streams(stack))
            finishing = asyncio.create_task(self._finish(drained, stack))
            hastening = (
                asyncio.create_task(self._watch_for_urgent_stop(lambda: stack.reactor.drain(on_drained)))
                if handover
                else None
            )
            if not await self.until(finishing, StopLevel.QUICK, self.stop.left(self.budget.cancel_after)):
                finishing.cancel()
            ending.cancel()
            if hastening is not None:
                hastening.cancel()
        connections, requests, calls = stack.reactor.connections, self.requests(), self.calls()
        # Some requests wait for a thread, and some calls outlive their request.
        abandoned = max(stack.service.in_flight.requests, len(requests) + len(calls))
        until = monotonic() + min(CANCEL_SECONDS, self.stop.left(self.budget.lifespan_after))
        self.thread_pool.stop_calls()
        await self.thread_pool.wait_idle(max(until - monotonic(), MIN_SECONDS))
        self.thread_pool.exclusively(stack.reactor.close)
        if connections or abandoned:
            self._log_abandoned(connections, abandoned)
        await self.cancel(requests, max(until - monotonic(), MIN_SECONDS))
        for gateway in stack.asgi:
            gateway.end_cancelled()
        await self._wait_for_calls(max(until - monotonic(), MIN_SECONDS))
        self.thread_pool.close()

    def _log_abandoned(self, connections: int, requests: int) -> None:
        total = self.settings.timeout_stop
        logger.log(
            logging.WARNING if requests else logging.INFO,
            "requests abandoned: %d, connections closed: %d, %s",
            requests,
            connections,
            "by a quick stop"
            if self.stop.level >= StopLevel.QUICK
            else f"after {self.budget.cancel_after:.3g} s of --timeout-stop ({total:g} s)",
        )

    def _log_stop(self, stack: ServingStack) -> None:
        in_flight, websockets = stack.service.in_flight.requests, stack.service.in_flight.websockets
        if self.slot is not None and not in_flight and not websockets:
            return  # The supervisor has logged the reason.
        limit = self.stop.left(self.budget.cancel_after) if self.settings.timeout_stop else 0.0
        logger.info(
            "%sstopping; requests in flight: %d%s%s",
            "" if self.slot is None else f"worker {self.slot + 1} (pid {os.getpid()}) is ",
            in_flight,
            f", WebSockets: {websockets}" if websockets else "",
            f" (for up to {limit:.3g} s{'; send SIGINT again to stop without waiting' if self.slot is None else ''})"
            if limit and (in_flight or websockets)
            else "",
        )

    async def _watch_for_urgent_stop(self, drain: Callable[[], None]) -> None:
        """Closes idle connections at once if the replacement stops too: their clients cannot reconnect."""
        await self.stop.wait(StopLevel.GRACEFUL)
        self.thread_pool.exclusively(drain)

    async def _end_streams(self, stack: ServingStack) -> None:
        """Notifies event streams and requests that only wait, at once unless the application watches for the stop."""
        if self.settings.ws_drain_spread:
            self.thread_pool.exclusively(stack.reactor.draining.end_streams)
            await self._spread_ends(stack)
            return
        if monotonic() - self.stop.looked_at < LOOKS_SECONDS:
            await asyncio.sleep(LAST_EVENT_SECONDS)
        self.thread_pool.exclusively(stack.reactor.draining.end_streams)

    async def _spread_ends(self, stack: ServingStack) -> None:
        """Ends WebSockets and event streams one after the other, within --ws-drain-spread."""
        if self.stop.level == StopLevel.HANDOVER:
            # As without a spread, the time for messages that are on their way.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(stack.service.deadlines.drain_idle):
                    await self.stop.wait(StopLevel.GRACEFUL)
        count = 0

        def end_some() -> None:
            nonlocal count
            count = stack.reactor.draining.count_conversations()
            taken = pace.take(count, monotonic())
            stack.reactor.draining.end_conversations(taken)
            count -= taken

        pace = DrainPace(self.settings.ws_drain_spread, monotonic())
        while not pace.is_over():
            self.thread_pool.exclusively(end_some)
            await asyncio.sleep(pace.pause(count))
        self.stop.hides_exit = False

        def end_rest() -> None:
            stack.service.end_spread()
            stack.reactor.draining.end_rest()

        self.thread_pool.exclusively(end_rest)

    async def _close_remaining(self, stack: ServingStack) -> None:
        """Closes connections on which nothing is in flight any more, when their clients do not close them."""
        busy = True

        def look() -> None:
            nonlocal busy
            busy = stack.service.in_flight.requests > 0 or stack.reactor.busy()

        loop = asyncio.get_running_loop()
        since = loop.time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.thread_pool.exclusively(look)
            if busy:
                since = loop.time()
            elif loop.time() - since >= CLOSE_SECONDS:
                self.thread_pool.exclusively(lambda: stack.reactor.close_rest(False))
            elif loop.time() - since >= LINGER_SECONDS:
                self.thread_pool.exclusively(lambda: stack.reactor.close_rest(True))

    async def _finish(self, drained: asyncio.Event, stack: ServingStack) -> None:
        """Waits until the last connection is closed and the last application call has returned."""
        closing = asyncio.create_task(self._close_remaining(stack))
        try:
            await drained.wait()
        finally:
            closing.cancel()
        while tasks := self.requests():  # Background work may continue after a response is complete.
            await asyncio.wait(tasks)
        await self.thread_pool.stop_calls().wait()

    async def _wait_for_calls(self, seconds: float) -> None:
        """Waits for the calls of threads whose connections are closed."""
        try:
            async with asyncio.timeout(seconds):
                await self.thread_pool.stop_calls().wait()
        except TimeoutError:
            calls = self.calls()
            logger.warning("WSGI calls still running: %d\n%s", len(calls), format_calls(calls))

    async def _end_applications(self) -> None:
        """Runs the lifespan shutdown, all within their share, and within QUICK_SHUTDOWN_SECONDS in a quick
        shutdown."""
        self.notify("closing")
        self.stop.since = self.stop.since or monotonic()  # The start has failed, or the application has ended the loop.
        cleaning = asyncio.create_task(self._shutdown())
        if await self.until(cleaning, StopLevel.QUICK):
            return
        limit = min(QUICK_SHUTDOWN_SECONDS, self.stop.left(self.budget.end_after))
        await asyncio.wait({cleaning}, timeout=limit)
        if not cleaning.done():
            logger.warning("lifespan shutdown interrupted after %.3g s", limit)
            limit = min(CANCEL_SECONDS, self.time_left())
            await self.cancel([cleaning], limit)
            for lifespan in self.lifespans.values():
                await lifespan.abandon(min(ABANDON_SECONDS, self.time_left()))

    async def _shutdown(self) -> None:
        """Stops the lifespans in reverse, because an application may use resources of those before it."""
        for left, lifespan in reversed(list(enumerate(self.lifespans.values(), 1))):
            # None may take the time of those after it.
            await lifespan.shutdown(self.stop.left(self.budget.end_after) / left)

    async def until(self, task: "asyncio.Task[None]", level: StopLevel, limit: float = math.inf) -> bool:
        """Waits for `task` for `limit` seconds or until a stop of this level. Returns whether it is done."""
        asked = asyncio.create_task(self.stop.wait(level))
        try:
            await asyncio.wait(
                {task, asked}, timeout=limit if limit < math.inf else None, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            asked.cancel()
        return task.done()


async def _report_startup(lifespan: Lifespan) -> None:
    """Logs the line of code of a lifespan startup that awaits for long. One that blocks the loop is reported by the
    supervisor."""
    passed, pause = 0.0, FIRST_REPORT_SECONDS
    while True:
        await asyncio.sleep(pause)
        passed += pause
        pause = passed * (REPORT_FACTOR - 1)
        logger.warning(
            "application is still starting after %.0f s (lifespan.startup): %s; it is here:\n%s",
            passed,
            lifespan.app.name,
            lifespan.stack() or "  (in no Python code of the application)",
        )
