"""Logs WSGI calls that take long: the request, its age, and the Python stack.

The calls are not interrupted: Python cannot end a thread, and the call may still return. The stacks show an operator
why the threads of a server are all in use.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

from ianus.process.worker.stacks import application_stack, current_frames
from ianus.telemetry.logger import logger

if TYPE_CHECKING:
    from ianus.gateway.threads.pool import ThreadPool


# Maximum time between two checks.
MAX_PERIOD_SECONDS = 5.0


class SlowCallReporter:
    """Reports each call once that has not returned after `stuck_report_after` seconds."""

    def __init__(
        self, pool: "ThreadPool", stuck_report_after: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.pool = pool
        self.stuck_report_after = stuck_report_after
        self.sleep = sleep
        # By thread, the start of a call that was reported.
        self._reported: dict[int, float] = {}

    async def run(self) -> None:
        """Checks periodically, until it is cancelled."""
        period = min(self.stuck_report_after / 4, MAX_PERIOD_SECONDS)
        while True:
            await self.sleep(period)
            self.check()

    def check(self) -> None:
        """Reports each call that has reached the limit, once."""
        # In this order a stack belongs to its call: one that is that old was running when the frames were taken.
        frames = current_frames()
        now = monotonic()
        calls = self.pool.running_calls(conversations=False)
        stuck = [(line, age, thread) for line, age, thread in calls if age >= self.stuck_report_after]
        reported = self._reported
        self._reported = {thread: now - age for _, age, thread in stuck}
        for line, age, thread in stuck:
            began = reported.get(thread)
            # The start of a thread's next call is later than that of the reported one by at least the limit.
            if began is None or now - age - began > self.stuck_report_after / 2:
                logger.warning(
                    "WSGI call has not returned after %.1f s (--stuck-report-after %g): %s; it is here now:\n%s",
                    age,
                    self.stuck_report_after,
                    line,
                    _stack(frames.get(thread)),
                )


def format_calls(calls: "list[tuple[str, float, int]]") -> str:
    """Formats calls that have not returned (ThreadPool.running_calls), each with the stack of its thread."""
    frames = current_frames()
    return "\n".join(f"{line} ({age:.1f} s):\n{_stack(frames.get(thread))}" for line, age, thread in calls)


def _stack(frame: FrameType | None) -> str:
    # A response that waits for its client is in none of the application's functions.
    return application_stack(frame) or "  (no Python code, as while it waits for its client)"
