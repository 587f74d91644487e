"""Latches inside of an application: a request waits at one until another request opens it.

So a test decides when something happens in a server, instead of hoping that it takes some time.
"""

import asyncio
import threading

WAIT_SECONDS = 20.0  # Seconds that a thread waits at most; it could not be cancelled.


class Latch:
    """A latch that requests wait for in the event loop (`passed`) or in a thread (`wait`)."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._thread_event = threading.Event()

    async def passed(self) -> None:
        await self._event.wait()

    def wait(self) -> None:
        """Raises TimeoutError if the latch is not opened in time."""
        if not self._thread_event.wait(WAIT_SECONDS):
            raise TimeoutError("the latch stays closed")

    def open(self) -> None:
        """To be called in the event loop."""
        self._event.set()
        self._thread_event.set()


_latches: dict[str, Latch] = {}


def latch(name: str) -> Latch:
    """Returns the latch of this name, which is created closed on the first call."""
    return _latches.setdefault(name, Latch())
