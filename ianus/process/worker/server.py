"""A server inside the event loop of a host program.

    server = ianus.Server(app, bind="127.0.0.1:0")
    serving = asyncio.create_task(server.serve())
    if await server.wait_started():
        print(server.url)
    ...
    server.should_exit = True
    await serving

The loop, the process's signals and its logging belong to the host and are not changed. When serve() returns or raises,
nothing of the server remains. Its messages go to the logger `ianus.error`.
"""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Any

from ianus.acceptor.listener import Listener, listen_fd
from ianus.errors import SettingError, StartupError
from ianus.gateway.loading.loader import Application
from ianus.process.issued_certificates import with_issued_certificates
from ianus.process.resources import open_listeners
from ianus.process.stop_level import StopLevel
from ianus.process.tls_files import read_tls_files
from ianus.process.worker.signals import StopRequest
from ianus.process.worker.tls import open_tls
from ianus.process.worker.worker import Worker, load_applications
from ianus.settings.paths import resolve_paths, resolve_sockets
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger


class Server:
    """An application, to be served once: for another time there is another Server.

    app: "MODULE:ATTR" or the application itself.
    settings: a Settings object, or single settings as keywords; those about processes (of workers and of the operating
        system, the loop, the switch interval, the error log and logging's configuration) have no effect.
    started: connections are accepted, or were once.

    Raises SettingError for a value that a setting cannot have and TypeError for a setting that does not exist.
    """

    def __init__(self, app: Any, settings: Settings | None = None, **given: Any) -> None:
        if settings is None:
            settings = Settings.from_values(given)
        elif given:
            raise TypeError("give a Settings object or single settings, not both")
        if settings.reload:
            raise SettingError("reload", "works with the command and ianus.run(); a Server cannot restart its host.")
        if settings.tls_auto:
            raise SettingError("tls_auto", "works with the command and ianus.run(); a Server has no other process.")
        self.app = app
        self.settings = settings
        self._resolved = resolve_paths(settings)
        self.started = False
        self._stop = StopRequest()
        self._requested_level = StopLevel.NONE  # the level requested before serve()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._settled = asyncio.Event()  # started, or never to be
        self._apps: tuple[Application, ...] = ()
        self._worker: Worker | None = None
        self._addresses: tuple[str, ...] = ()

    def load(self) -> tuple[Application, ...]:
        """Loads the application and those mounted beside it, if that was not done yet; serve() does it otherwise.

        For applications that have to be loaded while no event loop runs, such as Django's that look into the
        database. Raises StartupError.
        """
        if not self._apps:
            if self._loop is None:
                self._resolved = resolve_sockets(self._resolved)
            self._apps = load_applications(self.app, self._resolved)
        return self._apps

    async def serve(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Starts, serves until should_exit is set, and stops.

        sockets: bound sockets to listen on instead of `bind`; closing them stays with the caller.

        Cancelling it starts a graceful shutdown and waits for it; cancelling it again makes that quick.

        Raises StartupError if it cannot start, and RuntimeError if it was called before.
        """
        if self._loop is not None:
            raise RuntimeError("a Server serves once; make another one")
        self._loop = asyncio.get_running_loop()
        if self._requested_level:  # In the other order, a request of another thread in between would be missed.
            self._stop.raise_level(self._requested_level)
        self._resolved = with_issued_certificates(self._resolved, forks=False)
        try:
            with contextlib.ExitStack() as stack:
                listeners = self._listen(sockets)
                for listener in listeners:
                    stack.callback(listener.close)
                self._addresses = tuple(listener.address for listener in listeners)
                apps = self.load()
                tls = open_tls(self._resolved, read_tls_files(self._resolved))
                self._worker = Worker(apps, self._resolved, listeners, self._stop, notify=self._on_event, tls=tls)
                stack.callback(self._worker.close)
                await self._until_done(asyncio.create_task(self._worker.serve(), name="ianus server"))
                self._worker.close()  # Its last log lines precede ours.
                logger.info("stopped")
        finally:
            self._settled.set()

    async def wait_started(self) -> bool:
        """Waits until connections are accepted. Returns False if serve() has ended instead, which raises the reason."""
        await self._settled.wait()
        return self.started

    @property
    def addresses(self) -> tuple[str, ...]:
        """Returns the addresses, such as http://127.0.0.1:8000 or unix:/run/app.sock; empty before it listens."""
        return self._addresses

    @property
    def url(self) -> str:
        """The first address. Raises RuntimeError as long as there is none."""
        if not self._addresses:
            raise RuntimeError("the server does not listen yet; wait_started() waits for that")
        return self._addresses[0]

    async def wait_calls(self) -> None:
        """Waits until no application call runs, be it WSGI or ASGI."""
        if self._worker is not None:
            await self._worker.wait_calls()

    # --- Stopping, from any thread ---

    @property
    def should_exit(self) -> bool:
        """Set to True, it asks for a graceful stop, which cannot be taken back."""
        return self._requested_level >= StopLevel.GRACEFUL

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self._request_stop(StopLevel.GRACEFUL)

    @property
    def force_exit(self) -> bool:
        """Set to True, it asks for a stop that waits for no request, only for the application's clean-up."""
        return self._requested_level >= StopLevel.QUICK

    @force_exit.setter
    def force_exit(self, value: bool) -> None:
        if value:
            self._request_stop(StopLevel.QUICK)

    def _request_stop(self, level: StopLevel) -> None:
        self._requested_level = max(self._requested_level, level)
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._stop.raise_level, self._requested_level)
            except RuntimeError:
                pass  # The loop is closed: there is nothing left to stop.

    # --- Serving ---

    def _listen(self, sockets: Sequence[socket.socket] | None) -> list[Listener]:
        if sockets is None:
            return open_listeners(self._resolved)
        if not sockets:
            raise StartupError("There is no socket to listen on; give serve() at least one, or remove `sockets`.")
        for sock in sockets:
            fix = "Give serve() bound stream sockets that are open."
            try:
                if sock.family != socket.AF_UNIX and sock.getsockname()[1] == 0:
                    raise StartupError(f"{sock!r} is not bound. {fix}")
                sock.listen(self.settings.backlog)
            except OSError as error:
                raise StartupError(f"{sock!r} cannot listen ({error.strerror}). {fix}") from None
        listeners = [listen_fd(sock.dup().detach()) for sock in sockets]
        for listener in listeners:
            listener.is_tls = self.settings.uses_tls()
        return listeners

    def _on_event(self, what: str, *more: str) -> None:
        if what == "ready":
            self.started = True
            self._settled.set()

    async def _until_done(self, serving: "asyncio.Task[None]") -> None:
        """Awaits the worker's task, also if this task is cancelled: it must not run on alone."""
        cancelled: asyncio.CancelledError | None = None
        while not serving.done():
            try:
                await asyncio.wait({serving})
            except asyncio.CancelledError as error:
                self._stop.raise_level(StopLevel.QUICK if cancelled else StopLevel.GRACEFUL)
                cancelled = error
        serving.result()
        if cancelled is not None:
            raise cancelled
