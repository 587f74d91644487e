"""A real server for the tests of an application.

    with ianus.testing.serve(app) as url:
        assert httpx.get(f"{url}/hello").status_code == 200

An ASGI application runs in a thread of its own, on an event loop of its own; one of WSGI in threads as in production.
With pytest there is also the fixture `ianus_server` (pytest_plugin.py).
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from ianus.process.serve import new_loop
from ianus.process.worker.server import Server
from ianus.settings.schema import Settings

# Seconds that application calls get to finish when the test is done with the server, and its thread to end.
CALLS_TIMEOUT_SECONDS = 1.0
THREAD_TIMEOUT_SECONDS = 30.0


@contextlib.contextmanager
def serve(app: Any, **settings: Any) -> Iterator[str]:
    """Serves `app` ("MODULE:ATTR" or the application) inside the with-statement and gives the URL of its root.

    settings: as for ianus.run(); by default any free port of 127.0.0.1, and no access log. Errors in the
    application are logged (`ianus.error`).

    Raises StartupError if serving cannot start, SettingError and TypeError for wrong settings, and at the end
    RuntimeError if the application blocks its event loop for ever.
    """
    server = Server(app, Settings.from_values({"bind": "127.0.0.1:0", "access_log": False} | settings))
    started: Future[Callable[[], object]] = Future()
    ended: Future[None] = Future()

    def run() -> None:
        try:
            apps = server.load()  # before there is a loop, as the command does
            with asyncio.Runner(loop_factory=lambda: new_loop(server.settings.loop, apps)) as runner:
                runner.run(_serve(server, started))
        except BaseException as error:
            (ended if started.done() else started).set_exception(error)
        else:
            ended.set_result(None)

    thread = threading.Thread(target=run, name="ianus-testing", daemon=True)
    thread.start()
    end = started.result()
    try:
        yield server.url
    finally:
        end()
        thread.join(THREAD_TIMEOUT_SECONDS)
    if thread.is_alive():
        raise RuntimeError(
            f"the application still blocks its event loop, {THREAD_TIMEOUT_SECONDS:g} s after the end of the test"
        )
    ended.result()


async def _serve(server: Server, started: "Future[Callable[[], object]]") -> None:
    """Serves until stopped. The result of `started` is a function that stops it, from any thread."""
    serving = asyncio.create_task(server.serve())
    if await server.wait_started():
        over = asyncio.Event()
        started.set_result(functools.partial(asyncio.get_running_loop().call_soon_threadsafe, over.set))
        await over.wait()
        # Clients may keep connections open; only calls of the application are waited for.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.wait_calls(), CALLS_TIMEOUT_SECONDS)
        server.force_exit = True
    await serving
