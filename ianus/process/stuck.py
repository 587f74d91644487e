"""Tells where a WSGI application is stuck: the request, how long it has been running, the Python stack.

Nothing is done about it. Python cannot end a thread, and what the call waits for may come yet; but whoever looks at a
server whose threads run out wants to know in which line they are.
"""

import asyncio
import itertools
import sys
import threading
from collections.abc import Awaitable, Callable
from time import monotonic
from traceback import FrameSummary, StackSummary, format_list, walk_stack
from types import FrameType
from typing import TYPE_CHECKING

from ianus.errors import is_own
from ianus.telemetry.logger import logger

if TYPE_CHECKING:
    from ianus.gateway.leader import Crew


# Seconds between two looks at most.
LONGEST_PERIOD = 5.0


class StuckReport:
    """Reports each call once that has not returned after `limit` seconds."""

    def __init__(self, crew: "Crew", limit: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.crew = crew
        self.limit = limit
        self.sleep = sleep
        # By thread, when a call began that was reported.
        self._reported: dict[int, float] = {}

    async def run(self) -> None:
        """Looks time and again, until it is cancelled."""
        period = min(self.limit / 4, LONGEST_PERIOD)
        while True:
            await self.sleep(period)
            self.look()

    def look(self) -> None:
        """Reports the calls that are stuck now."""
        # In this order a stack belongs to its call: one that is that old was running when the frames were taken.
        frames = sys._current_frames()
        now = monotonic()
        stuck = [(line, age, thread) for line, age, thread in self.crew.running_calls() if age >= self.limit]
        reported = self._reported
        self._reported = {thread: now - age for _, age, thread in stuck}
        for line, age, thread in stuck:
            began = reported.get(thread)
            # A thread's next call begins after the one that was reported had run for the limit.
            if began is None or now - age - began > self.limit / 2:
                logger.warning(
                    "%s has not returned after %.1f s (--stuck-report-after %g); it is here now:\n%s",
                    line,
                    age,
                    self.limit,
                    _stack(frames.get(thread)),
                )


def _stack(frame: FrameType | None) -> str:
    """The stack as in a traceback, without the server's own frames and those of the thread's start."""
    stack = StackSummary.extract(walk_stack(frame) if frame is not None else ())
    stack.reverse()
    kept = [each for each in itertools.dropwhile(_is_start, stack) if not is_own(each.filename)]
    # A response that waits for its client is in none of the application's functions.
    return "".join(format_list(kept)).rstrip() or "  (no Python code, as while it waits for its client)"


def _is_start(frame: FrameSummary) -> bool:
    return frame.filename == threading.__file__
