"""One application, served by one event loop: the rooms of the house wired together, and taken down again.

It knows nothing of signals, of logging's configuration or of where the loop comes from, so it is the same in a
process of its own (main.py) and inside somebody else's loop (server.py): it cancels the tasks of requests and of
the lifespan, and no others.

The application is started (lifespan) before the first connection is accepted, and the banner appears when all this
is done. A graceful stop goes the same way back: no new connections; requests in flight, and application calls that
outlive their response, may finish within --timeout-graceful-shutdown; what remains is cancelled; the
application is told to clean up (lifespan); logs are flushed. A quick stop is the same without the waiting,
and gives the clean-up a few seconds only.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ianus._version import __version__
from ianus.acceptor.listener import Listener
from ianus.errors import StartupError
from ianus.gateway.lifespan import Lifespan
from ianus.gateway.loader import Application, load
from ianus.process.signals import StopRequest, Urgency
from ianus.settings.schema import Settings
from ianus.telemetry.logs import LogFile

if TYPE_CHECKING:
    from ianus.acceptor.reactor import Reactor
    from ianus.exchange.service import Service
    from ianus.gateway.asgi import AsgiGateway
    from ianus.telemetry.access_log import AccessLog

logger = logging.getLogger("ianus.error")

# The buffer that all connections of a worker receive into. It has to hold two of the longest lines.
RECEIVE_BYTES = 256 * 1024

# Seconds that cancelled tasks get to leave, and that the application's clean-up gets in a quick stop.
CANCEL_GRACE = 2.0
QUICK_CLEAN_UP = 5.0


def load_application(app: Any, settings: Settings) -> Application:
    """The application that `app` names or is, loaded as `settings` say. Raises StartupError."""
    application = load(app, factory=settings.factory, app_dir=settings.app_dir, interface=settings.interface)
    if application.interface == "wsgi" or settings.mount:
        raise StartupError("WSGI applications are not served yet, and nothing is mounted yet.")
    return application


def wire(
    app: Application,
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    state: dict[str, Any] | None,
    access_file: LogFile | None,
) -> "tuple[Reactor, Service, AsgiGateway, AccessLog | None]":
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
    if access_file is not None:
        line_format = LineFormat(settings.access_log_format, json=settings.log_format == "json")
        access_log = AccessLog(access_file.fd, line_format, exclude=settings.access_log_exclude)
    gateway = AsgiGateway(
        app.callable,
        loop=loop,
        name=app.name,
        root_path=settings.root_path or settings.root_path_kept,
        root_path_kept=bool(settings.root_path_kept),
        sendfile=settings.sendfile,
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
    return reactor, service, gateway, access_log


class Worker:
    """An application, served on listening sockets by the running loop.

    listeners: their owner's; closed early when a graceful stop begins.
    stop: how a stop is asked for. on_started: called once connections are accepted.
    hurried: the stop was quick, or time ran out, so that something of the application may be unfinished.

    Raises StartupError where the access log cannot be opened.
    """

    def __init__(
        self,
        app: Application,
        settings: Settings,
        listeners: list[Listener],
        stop: StopRequest,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        self.app = app
        self.settings = settings
        self.listeners = listeners
        self.stop = stop
        self.on_started = on_started
        self.hurried = False
        self.lifespan = Lifespan(
            app,
            mode=settings.lifespan,
            startup_timeout=settings.timeout_lifespan_startup,
            shutdown_timeout=settings.timeout_lifespan_shutdown,
        )
        self.gateway: AsgiGateway | None = None
        self.service: Service | None = None
        self.reactor: Reactor | None = None
        self.access_log: AccessLog | None = None
        self.access_file: LogFile | None = None
        if settings.access_log:
            self.access_file = LogFile(settings.access_logfile, "--access-logfile", 1)

    async def serve(self) -> None:
        """Starts, serves until asked to stop, and stops. Raises StartupError.

        Cancelling it is the stop that waits for nothing but the application's clean-up.
        """
        loop = asyncio.get_running_loop()
        if await self._start_application():
            try:
                self._open(loop)
                await self.stop.wait(Urgency.GRACEFUL)
                await self._drain(loop)
            except asyncio.CancelledError:
                self.stop.ask(Urgency.QUICK)
                await self._drain(loop)
                raise
            finally:
                await self._end_application()

    def close(self) -> None:
        """Releases everything that the worker holds, however serve() ended."""
        if self.reactor is not None:
            self.reactor.close()
            self.reactor = None
        if self.access_log is not None:
            self.access_log.close()
            self.access_log = None
        if self.access_file is not None:
            self.access_file.close()
            self.access_file = None

    def requests(self) -> "list[asyncio.Task[None]]":
        """The application calls that have not returned."""
        return self.gateway.tasks() if self.gateway is not None else []

    # --- Starting ---

    async def _start_application(self) -> bool:
        """Whether it has started; not so if a stop was asked for meanwhile."""
        starting = asyncio.create_task(self.lifespan.startup())
        try:
            if await self.until(starting, Urgency.GRACEFUL):
                starting.result()
                return True
            logger.info("asked to stop while the application was starting")
        finally:
            if not starting.done():
                starting.cancel()
                await asyncio.wait({starting}, timeout=CANCEL_GRACE)
        return False

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Lets the connections in."""
        self.reactor, self.service, self.gateway, self.access_log = wire(
            self.app, self.settings, loop, self.lifespan.state, self.access_file
        )
        if self.access_log is not None:
            self.access_log.start()
        for listener in self.listeners:
            self.reactor.listen(listener.sock)
        self.reactor.attach(loop)
        if self.settings.workers > 1:
            logger.warning(
                "workers is %d, but this version runs one process; for more, start several behind a proxy",
                self.settings.workers,
            )
        logger.info(
            "Ianus %s serves %s (%s) on %s; loop %s, pid %d",
            __version__,
            self.app.name,
            self.app.interface,
            ", ".join(listener.address for listener in self.listeners),
            type(loop).__module__.partition(".")[0],
            os.getpid(),
        )
        self.on_started()

    # --- Stopping ---

    async def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends the connections: gracefully while there is time, then all at once."""
        assert self.reactor is not None
        assert self.gateway is not None
        assert self.service is not None
        limit = self.settings.timeout_graceful_shutdown
        if self.stop.urgency < Urgency.QUICK:
            logger.info(
                "stopping; requests in flight: %d%s",
                self.service.in_flight,
                f" (for up to {limit:g} s; INT again does not wait)" if limit and self.service.in_flight else "",
            )
            drained: asyncio.Future[None] = loop.create_future()
            self.reactor.drain(lambda: None if drained.done() else drained.set_result(None))
            for listener in self.listeners:  # From here on clients are refused, not left waiting.
                listener.close()
            finishing = asyncio.create_task(self._finish(drained))
            if not await self.until(finishing, Urgency.QUICK, limit):
                finishing.cancel()
        connections, requests = self.reactor.connections, self.requests()
        self.reactor.close()
        if connections or requests:
            self.hurried = True
            why = "by a quick stop" if self.stop.urgency >= Urgency.QUICK else f"after {limit:g} s"
            logger.log(
                logging.WARNING if requests else logging.INFO,
                "requests abandoned: %d, connections closed: %d, %s",
                len(requests),
                connections,
                why,
            )
        await cancel(requests)
        self.gateway.end_cancelled()

    async def _finish(self, drained: "asyncio.Future[None]") -> None:
        """Until the last connection is gone and the last application call has returned."""
        await drained
        while tasks := self.requests():  # A response may be complete while background work goes on.
            await asyncio.wait(tasks)

    async def _end_application(self) -> None:
        """Lifespan shutdown: within its own limit, in a quick stop within QUICK_CLEAN_UP seconds."""
        cleaning = asyncio.create_task(self.lifespan.shutdown())
        if await self.until(cleaning, Urgency.QUICK):
            return
        await asyncio.wait({cleaning}, timeout=QUICK_CLEAN_UP)
        if not cleaning.done():
            logger.warning("the application's shutdown was broken off after %g s", QUICK_CLEAN_UP)
            await cancel([cleaning])

    async def until(self, task: "asyncio.Task[None]", urgency: Urgency, limit: float = 0.0) -> bool:
        """Whether `task` is done within `limit` seconds (0: no limit) and before a stop this urgent."""
        asked = asyncio.create_task(self.stop.wait(urgency))
        try:
            await asyncio.wait({task, asked}, timeout=limit or None, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        return task.done()


async def cancel(tasks: "list[asyncio.Task[Any]]") -> None:
    """Cancels `tasks` and gives them CANCEL_GRACE seconds to leave."""
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    _, stubborn = await asyncio.wait(tasks, timeout=CANCEL_GRACE)
    if stubborn:
        logger.warning("%d tasks of the application ignore their cancellation", len(stubborn))
