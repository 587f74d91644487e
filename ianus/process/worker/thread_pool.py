"""What a worker has to do with the crew that calls its WSGI applications, from the crew's start to its end."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from ianus.process.worker.queue_watch import QueueWatch
from ianus.process.worker.slow_calls import SlowCallReporter

if TYPE_CHECKING:
    from ianus.acceptor.reactor import Reactor
    from ianus.gateway.threads.pool import ThreadPool

# Seconds between two looks at threads that somebody waits for.
POLL_SECONDS = 0.01

# Seconds that threads get which have left: what applications keep in thread-local data is closed now, or never.
EXIT_SECONDS = 2.0


class ThreadPoolController:
    """The crew's. Where there is no crew, because no WSGI application is served, there is nothing to wait for."""

    def __init__(self) -> None:
        self._crew: ThreadPool | None = None  # once it was started
        self._left: asyncio.Event | None = None  # once it was told to leave
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reports: list[asyncio.Task[None]] = []

    def start(
        self,
        crew: "ThreadPool",
        reactor: "Reactor",
        *,
        shared: bool,
        stuck_report_after: float,
        timeout: float = 0.0,
        on_stuck: Callable[[str], None] = lambda reason: None,
        call_in_main: "Callable[[ThreadPool], None] | None" = None,
    ) -> None:
        """Has the crew serve. shared: the running loop drives the reactor, and else the crew does.

        on_stuck: called with the reason when no thread has taken a waiting request for `timeout` seconds; 0 is never.
        call_in_main: called with the crew; another thread then has to call run_pinned_thread().
        """
        crew.start(reactor, shared=shared, pinned=call_in_main is not None)
        self._crew = crew
        if call_in_main is not None:
            call_in_main(crew)
        self._loop = asyncio.get_running_loop()
        if stuck_report_after:
            report = SlowCallReporter(crew, stuck_report_after)
            self._reports.append(self._loop.create_task(report.run(), name="ianus stuck report"))
        if shared and timeout:
            watch = QueueWatch(crew, timeout, on_stuck)
            self._reports.append(self._loop.create_task(watch.run(), name="ianus queue watch"))

    def exclusively(self, act: Callable[[], None]) -> None:
        """Does something to the reactor, which may be in the crew's hands."""
        if self._crew is not None:
            self._crew.exclusively(act)
        else:
            act()

    def calls(self) -> list[tuple[str, float, int]]:
        """The calls that have not returned: request line, age in seconds, thread."""
        return self._crew.running_calls() if self._crew is not None else []

    async def wait_calls(self) -> None:
        """Until all of them have returned."""
        while self.calls():  # noqa: ASYNC110  (a thread that has no more to do tells nobody)
            await asyncio.sleep(POLL_SECONDS)

    def stop_calls(self) -> asyncio.Event:
        """Lets the threads leave as soon as each has nothing to do; the event is that all have left."""
        if self._left is None:
            self._left = asyncio.Event()
            if self._crew is not None and self._loop is not None:
                self._crew.stop(in_loop(self._loop, self._left.set))
            else:
                self._left.set()
        return self._left

    async def wait_idle(self, limit: float) -> None:
        """Until those dismissed are left only that make a call, or `limit` seconds: one may sleep in the reactor."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while self._crew is not None and self._crew.threads > len(self.calls()):  # noqa: ASYNC110  (as above)
                    await asyncio.sleep(POLL_SECONDS)

    async def end_report(self) -> None:
        """No call is reported any more."""
        for report in self._reports:
            report.cancel()
        if self._reports:
            await asyncio.wait(self._reports)
        self._reports.clear()

    def close(self) -> None:
        """Lets go of the reactor, which is closed, and of what calls have produced behind the end."""
        if self._crew is not None:
            self._crew.close()
            self._crew.join(EXIT_SECONDS)


def in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> Callable[[], None]:
    """What has the loop call `function`, from any thread."""

    def call() -> None:
        try:
            loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            pass  # The loop is closed: nobody waits any more.

    return call
