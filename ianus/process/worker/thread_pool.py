"""Starts, stops and queries the thread pool that calls WSGI applications."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from ianus.process.worker.queue_watch import QueueWatch
from ianus.process.worker.slow_calls import SlowCallReporter
from ianus.settings.schema import Settings

if TYPE_CHECKING:
    from ianus.acceptor.reactor import Reactor
    from ianus.gateway.threads.pool import ThreadPool

# Seconds between two checks of threads that the worker waits for.
POLL_SECONDS = 0.01

# Maximum time for exiting threads to close thread-local data of the application.
EXIT_SECONDS = 2.0


class ThreadPoolController:
    """The thread pool of a worker. Without a WSGI application there is none, and no call to wait for."""

    def __init__(self) -> None:
        self._pool: ThreadPool | None = None  # once it was started
        self._left: asyncio.Event | None = None  # set once it has to exit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reports: list[asyncio.Task[None]] = []

    def start(
        self,
        pool: "ThreadPool",
        reactor: "Reactor",
        *,
        shared: bool,
        stuck_report_after: float,
        timeout: float,
        on_stuck: Callable[[str], None] = lambda reason: None,
        call_in_main: "Callable[[ThreadPool], None] | None" = None,
    ) -> None:
        """Starts the pool. shared: the running loop drives the reactor; otherwise the pool does.

        on_stuck: called with the reason when no thread has taken a waiting request for `timeout` seconds; 0 is never.
        call_in_main: called with the pool; another thread then has to call run_pinned_thread().
        """
        pool.start(reactor, shared=shared, pinned=call_in_main is not None)
        self._pool = pool
        if call_in_main is not None:
            call_in_main(pool)
        self._loop = asyncio.get_running_loop()
        if stuck_report_after:
            report = SlowCallReporter(pool, stuck_report_after)
            self._reports.append(self._loop.create_task(report.run(), name="ianus stuck report"))
        if shared and timeout:
            watch = QueueWatch(pool, timeout, on_stuck)
            self._reports.append(self._loop.create_task(watch.run(), name="ianus queue watch"))

    def exclusively(self, act: Callable[[], None]) -> None:
        """Calls `act`, which uses the reactor, while no thread of the pool uses it."""
        if self._pool is not None:
            self._pool.exclusively(act)
        else:
            act()

    def calls(self) -> list[tuple[str, float, int]]:
        """Returns the calls that have not returned: request line, age in seconds, thread."""
        return self._pool.running_calls() if self._pool is not None else []

    async def wait_calls(self) -> None:
        """Waits until all calls have returned."""
        while self.calls():  # noqa: ASYNC110  (an idle thread does not notify)
            await asyncio.sleep(POLL_SECONDS)

    def stop_calls(self) -> asyncio.Event:
        """Has each thread exit once it is idle. Returns an event that is set when all have exited."""
        if self._left is None:
            self._left = asyncio.Event()
            if self._pool is not None and self._loop is not None:
                self._pool.stop(in_loop(self._loop, self._left.set))
            else:
                self._left.set()
        return self._left

    async def wait_idle(self, limit: float) -> None:
        """Waits until only threads that make a call remain, at most `limit` seconds: one may sleep in the reactor."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while self._pool is not None and self._pool.threads > len(self.calls()):  # noqa: ASYNC110  (as above)
                    await asyncio.sleep(POLL_SECONDS)

    async def end_report(self) -> None:
        """Stops the reports of slow calls."""
        for report in self._reports:
            report.cancel()
        if self._reports:
            await asyncio.wait(self._reports)
        self._reports.clear()

    def close(self) -> None:
        """Releases the closed reactor, and output that calls have produced after the end."""
        if self._pool is not None:
            self._pool.close()
            self._pool.join(EXIT_SECONDS)


def in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> Callable[[], None]:
    """Returns a function that has the loop call `function`, from any thread."""

    def call() -> None:
        try:
            loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            pass  # The loop is closed.

    return call


def explain_ignored(settings: Settings, *, wsgi: bool) -> str:
    """Returns the thread settings without effect and the reason, or "".

    wsgi: a WSGI application is served.
    """
    fixed = settings.threads != "auto"
    bounded = settings.max_threads != Settings().max_threads
    if wsgi:
        return f"--max-threads (--threads is {settings.threads})" if fixed and bounded else ""
    given = [flag for flag, is_given in (("--threads", fixed), ("--max-threads", bounded)) if is_given]
    return f"{', '.join(given)} (no WSGI application is served)" if given else ""
