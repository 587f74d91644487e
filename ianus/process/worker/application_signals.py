"""Keeps and calls signal handlers that the application has set.

A library or an application may set a handler of SIGTERM when it is imported, to stop its threads or to flush something.
The server needs the signal for its own stop, and calls the application's handler when that starts, for every kind of
stop: the supervisor replaces a worker by SIGUSR2, and a quick shutdown is SIGQUIT.

Facts and rules:
- The handler is called in the main thread by the event loop, and at most once. Exceptions are logged, except
  SystemExit: many handlers end the process by it, and the process exits anyway, once requests are done.
- Handlers of other signals that the server uses are replaced, which is logged.
- A handler that is set while the application starts (lifespan) would take SIGTERM away from the server. It is treated
  in the same way, once the application has started.
- loop.add_signal_handler() replaces the handler too, and libraries call it with their first request. The server's
  handler is set again at once; the loop calls the callback in any case.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from ianus.errors import user_traceback
from ianus.process.after_fork import has_own_handler, set_handler
from ianus.process.stop_level import StopLevel
from ianus.process.worker.signals import StopRequest
from ianus.telemetry.logger import logger

Handler = Callable[[int, FrameType | None], Any]


class ApplicationSignals:
    """The application's handlers of these signals. To be made before the server sets its own."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._on_term: Handler | None = None
        self._numbers = list(numbers) if threading.current_thread() is threading.main_thread() else []
        self._ours: dict[signal.Signals, Any] = {}
        for number in self._numbers:
            self._take(number)

    def remember_handlers(self) -> None:
        """Notes the server's handlers, which are set now."""
        self._ours = {number: signal.getsignal(number) for number in self._numbers}

    def restore_handlers(self) -> None:
        """Sets the server's handlers again if the application has replaced them. For the main thread."""
        for number, ours in self._ours.items():
            if signal.getsignal(number) != ours:
                self._take(number)
                set_handler([number], ours)

    def protect_handlers(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes loop.add_signal_handler() keep the server's handlers."""
        kind = type(loop)

        def add_signal_handler(loop: asyncio.AbstractEventLoop, *arguments: Any) -> None:
            kind.add_signal_handler(loop, *arguments)
            for number, ours in self._ours.items():
                if signal.getsignal(number) != ours:
                    set_handler([number], ours)

        # Not an attribute of the loop: uvloop's has no others, and each call of a method would look for it there first.
        members = {"__module__": kind.__module__, "__slots__": (), "add_signal_handler": add_signal_handler}
        loop.__class__ = type(kind.__name__, (kind,), members)

    async def call_at_stop(self, stop: StopRequest) -> None:
        """Waits for a stop and calls the handler of SIGTERM."""
        await stop.wait(StopLevel.HANDOVER)
        self.call_on_term()

    def call_on_term(self) -> None:
        """Calls the handler of SIGTERM, if there is one. For the main thread."""
        if self._on_term is None:
            return
        try:
            self._on_term(signal.SIGTERM, None)
        except SystemExit:
            pass  # See above.
        except Exception as error:
            logger.error("application handler of SIGTERM failed\n%s", user_traceback(error).rstrip())

    def _take(self, number: signal.Signals) -> None:
        handler = signal.getsignal(number)
        if not callable(handler) or handler is signal.default_int_handler or has_own_handler(number):
            return
        if number == signal.SIGTERM:
            self._on_term = handler
        elif number != signal.SIGINT or handler is not self._on_term:
            logger.warning(
                "signal handler of the application is not called, as the server uses the signal: %s", number.name
            )
