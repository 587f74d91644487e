"""Notices that no thread takes the requests which wait for one, though another call may be made.

With an event loop, liveness.py only checks that the loop runs. If no thread takes requests beside it, because the
system gives none or a library has replaced Python's threads, WSGI requests would wait for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ianus.gateway.threads.pool import ThreadPool


REASON = "no thread of it has taken a waiting request"


class QueueWatch:
    """Calls `report` once with a reason when the same request has waited first for `timeout` seconds."""

    def __init__(
        self,
        pool: "ThreadPool",
        timeout: float,
        report: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.pool = pool
        self.timeout = timeout
        self.report = report
        self.sleep = sleep
        self.clock = clock

    async def run(self) -> None:
        """Looks four times in `timeout`, until it is cancelled or has reported."""
        first, since = None, self.clock()
        before = since
        while True:
            await self.sleep(self.timeout / 4)
            now = self.clock()
            waiting = self.pool.waiting()
            # Late: the process itself did not run, so that its threads could not either.
            if waiting is None or waiting is not first or now - before > self.timeout / 2:
                first, since = waiting, now
            elif now - since >= self.timeout:
                self.report(f"{REASON} for {now - since:.0f} s")
                return
            before = now
