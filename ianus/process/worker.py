"""One process that serves: it wires the rooms of the house together and takes them down again.

The order of a start is chosen by what fails soonest and is told best: addresses are bound before the
application is loaded, the application is loaded before a loop exists, it is started (lifespan) before the
first connection is accepted, and the banner appears when all this is done.

A graceful stop goes the same way back: no new connections; requests in flight, and application calls that
outlive their response, may finish within --timeout-graceful-shutdown; what remains is cancelled; the
application is told to clean up (lifespan); logs are flushed. A quick stop is the same without the waiting,
and gives the clean-up a few seconds only.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ianus._version import __version__
from ianus.acceptor.listener import Listener, listen_fd, listen_tcp, listen_unix
from ianus.errors import StartupError
from ianus.gateway.lifespan import Lifespan
from ianus.gateway.loader import Application, load
from ianus.process.signals import StopRequest, Urgency, handle_signals
from ianus.settings.schema import Settings
from ianus.settings.values import FdBind, UnixBind

if TYPE_CHECKING:
    from ianus.acceptor.reactor import Reactor
    from ianus.gateway.asgi import AsgiGateway
    from ianus.telemetry.access_log import AccessLog

logger = logging.getLogger("ianus.error")

# The buffer that all connections of a worker receive into. It has to hold two of the longest lines.
RECEIVE_BYTES = 256 * 1024

# Seconds that cancelled tasks get to leave, and that the application's clean-up gets in a quick stop.
CANCEL_GRACE = 2.0
QUICK_CLEAN_UP = 5.0


def run(app: Any, settings: Settings, *, hard_exit: bool = False) -> int:
    """Serves `app` ("MODULE:ATTR" or the application) until a signal asks to stop. Returns the exit code.

    hard_exit: end the process without waiting for the application's threads, if any are still busy after a
    stop that was quick or ran out of time. Python itself would wait for them without limit.

    Raises StartupError where serving cannot begin.
    """
    listeners = open_listeners(settings)
    try:
        application = load(app, factory=settings.factory, app_dir=settings.app_dir, interface=settings.interface)
        loop = new_loop(settings.loop)
        configure_logging()
        worker = Worker(application, settings, listeners)
        asyncio.set_event_loop(loop)
        try:
            code = _run_to_end(loop, worker)
        finally:
            # A process that ends keeps the handlers: a signal that comes once more must not change its exit code.
            worker.close(restore_signals=not hard_exit)
            asyncio.set_event_loop(None)
            loop.close()
    finally:
        for listener in listeners:
            listener.close()
    if hard_exit and worker.hurried and _has_busy_threads():
        logger.warning("leaving threads of the application behind that are still busy")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    return code


def _run_to_end(loop: asyncio.AbstractEventLoop, worker: "Worker") -> int:
    serving = loop.create_task(worker.serve())
    code = 0
    while True:
        try:
            loop.run_until_complete(serving)
            return code
        except KeyboardInterrupt:
            # The last resort of signals.py: it has broken off what blocked the loop, and the quick stop that
            # was asked for long ago can go on.
            worker.hurried = True
            code = 130  # what shells make of a process that INT has ended
            if serving.done():
                return code


def open_listeners(settings: Settings) -> list[Listener]:
    """Listens on everything in `settings.bind`, or on nothing. Raises StartupError."""
    listeners: list[Listener] = []
    try:
        for bind in settings.bind:
            if isinstance(bind, UnixBind):
                permissions = settings.uds_permissions
                listeners.append(listen_unix(bind.path, backlog=settings.backlog, permissions=permissions))
            elif isinstance(bind, FdBind):
                listeners.append(listen_fd(bind.fd))
            else:
                listeners += listen_tcp(bind.host, bind.port, backlog=settings.backlog)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    """A new event loop of the kind that --loop names. Raises StartupError."""
    if name != "asyncio":
        try:
            import uvloop
        except ImportError:
            if name == "uvloop":
                raise StartupError(
                    "uvloop is not installed. Install it (pip install uvloop), or use --loop asyncio."
                ) from None
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def configure_logging() -> None:
    """Sends the server's log to standard error, unless handlers of its own were given to it.

    Called after the application was loaded, which may have configured logging.
    """
    # logging.config disables every logger that exists by default; that a server should be silent about its
    # errors is never meant by it.
    logger.disabled = False
    if logger.handlers or logging.getLogger("ianus").handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S %z"))
    logger.addHandler(handler)
    logger.propagate = False
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def wire(
    app: Application, settings: Settings, loop: asyncio.AbstractEventLoop, state: dict[str, Any] | None
) -> "tuple[Reactor, AsgiGateway, AccessLog | None]":
    """The compiled part, from the sockets to the application: what accepts, what calls, what logs."""
    # Loaded here, after all that can fail for reasons worth a message.
    from ianus.acceptor.reactor import Reactor
    from ianus.codec.http1.codec import Http1Factory
    from ianus.codec.limits import Limits
    from ianus.exchange.service import Deadlines, Service
    from ianus.exchange.session import HttpSessionFactory
    from ianus.gateway.asgi import AsgiGateway
    from ianus.telemetry.access_log import AccessLog
    from ianus.telemetry.line_format import LineFormat

    access_log = None
    if settings.access_log:
        line_format = LineFormat(settings.access_log_format, json=settings.log_format == "json")
        access_log = AccessLog(1, line_format, exclude=settings.access_log_exclude)
    gateway = AsgiGateway(
        app.callable,
        loop=loop,
        root_path=settings.root_path or settings.root_path_kept,
        root_path_kept=bool(settings.root_path_kept),
        state=state,
    )
    limits = Limits(
        request_line=settings.limit_request_line,
        field_size=settings.limit_request_field_size,
        fields_size=settings.limit_request_fields_size,
        fields=settings.limit_request_fields,
        body_size=settings.max_request_body_size,
    )
    deadlines = Deadlines(
        request_header=settings.timeout_request_header,
        keep_alive=settings.timeout_keep_alive,
        request_body=settings.timeout_request_body,
        body_rate=settings.limit_body_rate,
        body_rate_grace=settings.limit_body_rate_grace,
        write=settings.timeout_write,
    )
    service = Service(
        gateway,
        Http1Factory(limits),
        deadlines=deadlines,
        access_log=access_log,
        date_header=settings.date_header,
        server_header=settings.server_header,
        headers=settings.header,
        limit_concurrency=settings.limit_concurrency,
        request_id_header=settings.request_id_header,
    )
    longest_line = max(settings.limit_request_line, settings.limit_request_field_size)
    reactor = Reactor(
        HttpSessionFactory(service),
        limit_connections=settings.limit_connections,
        receive_size=max(RECEIVE_BYTES, 2 * longest_line),
    )
    return reactor, gateway, access_log


def _has_busy_threads() -> bool:
    """Whether there are threads that the interpreter would wait for at its end."""
    own = threading.current_thread()
    return any(thread is not own and not thread.daemon for thread in threading.enumerate())


class Worker:
    """An application, served on listening sockets by one event loop in this process.

    hurried: the stop was quick, or time ran out, so that something of the application may be unfinished.
    """

    def __init__(self, app: Application, settings: Settings, listeners: list[Listener]) -> None:
        self.app = app
        self.settings = settings
        self.listeners = listeners
        self.stop = StopRequest()
        self.hurried = False
        self.lifespan = Lifespan(
            app,
            mode=settings.lifespan,
            startup_timeout=settings.timeout_lifespan_startup,
            shutdown_timeout=settings.timeout_lifespan_shutdown,
        )
        self.gateway: AsgiGateway | None = None
        self.reactor: Reactor | None = None
        self.access_log: AccessLog | None = None
        self._restore_signals: Callable[[], None] | None = None

    async def serve(self) -> None:
        """Starts, serves until asked to stop, and stops. Raises StartupError."""
        loop = asyncio.get_running_loop()
        self._restore_signals = handle_signals(loop, self.stop)
        try:
            if await self._start_application():
                self._open(loop)
                await self.stop.wait(Urgency.GRACEFUL)
                await self._drain(loop)
            await self._end_application()
        except StartupError:
            await self._end_loop(loop)
            raise
        await self._end_loop(loop)

    def close(self, *, restore_signals: bool = True) -> None:
        """Releases what the worker holds outside of the loop, however serve() ended."""
        if self.reactor is not None:
            self.reactor.close()
            self.reactor = None
        if self._restore_signals is not None and restore_signals:
            self._restore_signals()
        self._restore_signals = None
        if self.access_log is not None:
            self.access_log.close()
            self.access_log = None

    # --- Starting ---

    async def _start_application(self) -> bool:
        """Whether it has started; not so if a stop was asked for meanwhile."""
        starting = asyncio.create_task(self.lifespan.startup())
        if await self._until(starting, Urgency.GRACEFUL):
            starting.result()
            return True
        logger.info("asked to stop while the application was starting")
        starting.cancel()
        await asyncio.wait({starting}, timeout=CANCEL_GRACE)
        return False

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Lets the connections in."""
        self.reactor, self.gateway, self.access_log = wire(self.app, self.settings, loop, self.lifespan.state)
        if self.access_log is not None:
            self.access_log.start()
        for listener in self.listeners:
            self.reactor.listen(listener.sock)
        self.reactor.attach(loop)
        logger.info(
            "Ianus %s serves %s (%s) on %s; loop %s, pid %d",
            __version__,
            self.app.name,
            self.app.interface,
            ", ".join(listener.address for listener in self.listeners),
            type(loop).__module__.partition(".")[0],
            os.getpid(),
        )

    # --- Stopping ---

    async def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends the connections: gracefully while there is time, then all at once."""
        assert self.reactor is not None
        assert self.gateway is not None
        limit = self.settings.timeout_graceful_shutdown
        if self.stop.urgency < Urgency.QUICK:
            logger.info(
                "stopping; requests in flight: %d%s",
                self.gateway.in_flight,
                f" (for up to {limit:g} s; INT again does not wait)" if limit and self.gateway.in_flight else "",
            )
            drained: asyncio.Future[None] = loop.create_future()
            self.reactor.drain(lambda: None if drained.done() else drained.set_result(None))
            for listener in self.listeners:  # From here on clients are refused, not left waiting.
                listener.close()
            finishing = asyncio.create_task(self._finish(drained))
            if not await self._until(finishing, Urgency.QUICK, limit):
                finishing.cancel()
        connections, requests = self.reactor.connections, self.gateway.tasks()
        self.reactor.close()
        if connections or requests:
            self.hurried = True
            why = "by a quick stop" if self.stop.urgency >= Urgency.QUICK else f"after {limit:g} s"
            logger.warning("requests abandoned: %d, connections closed: %d, %s", len(requests), connections, why)
        await _cancel(requests)

    async def _finish(self, drained: "asyncio.Future[None]") -> None:
        """Until the last connection is gone and the last application call has returned."""
        assert self.gateway is not None
        await drained
        while tasks := self.gateway.tasks():  # A response may be complete while background work goes on.
            await asyncio.wait(tasks)

    async def _end_application(self) -> None:
        """Lifespan shutdown: within its own limit, in a quick stop within QUICK_CLEAN_UP seconds."""
        cleaning = asyncio.create_task(self.lifespan.shutdown())
        if await self._until(cleaning, Urgency.QUICK):
            return
        await asyncio.wait({cleaning}, timeout=QUICK_CLEAN_UP)
        if not cleaning.done():
            logger.warning("the application's shutdown was broken off after %g s", QUICK_CLEAN_UP)
            await _cancel([cleaning])

    async def _end_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """What asyncio.run() does at its end, but within limits."""
        own = asyncio.current_task()
        await _cancel([task for task in asyncio.all_tasks() if task is not own])
        await loop.shutdown_asyncgens()
        limit = CANCEL_GRACE if self.hurried else self.settings.timeout_graceful_shutdown
        threads = asyncio.create_task(loop.shutdown_default_executor())
        if not await self._until(threads, Urgency.QUICK, limit):
            self.hurried = True
        self.hurried |= self.stop.urgency >= Urgency.QUICK

    async def _until(self, task: "asyncio.Task[None]", urgency: Urgency, limit: float = 0.0) -> bool:
        """Whether `task` is done within `limit` seconds (0: no limit) and before a stop this urgent."""
        asked = asyncio.create_task(self.stop.wait(urgency))
        try:
            await asyncio.wait({task, asked}, timeout=limit or None, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        return task.done()


async def _cancel(tasks: "list[asyncio.Task[Any]]") -> None:
    """Cancels `tasks` and gives them CANCEL_GRACE seconds to leave."""
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    _, stubborn = await asyncio.wait(tasks, timeout=CANCEL_GRACE)
    if stubborn:
        logger.warning("%d tasks of the application ignore their cancellation", len(stubborn))
