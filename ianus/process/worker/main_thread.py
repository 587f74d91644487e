"""Calls a WSGI application in the main thread, in which it was loaded (`--threads 1`).

Facts: Python runs signal handlers in the main thread alone, and allows signal.signal() there alone. Applications that
were written for a server with one thread limit the time of a call by SIGALRM, whose handler raises an exception, and
use the event loop that asyncio has for the main thread. Strategy: the server's own event loop, which has nothing to do
but to stop and to report, runs in another thread; the main thread is the one of the thread pool that calls the
application.

Rules:
- A stop by a signal must not wait for a call that executes C code. So the loop's thread reads the signals' numbers from
  the wake-up descriptor (signals.py), and has a sleeping main thread run the handlers.
- A call that has not returned when everything else has ended is interrupted by an exception, CallInterrupted. If that
  does not help, the process ends without the main thread.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from ianus.errors import ThreadLimitError
from ianus.process.worker.exit import REACTION_SECONDS, TICK_SECONDS, abandon_main_thread
from ianus.process.worker.signals import SignalHandler

if TYPE_CHECKING:
    from ianus.gateway.threads.pool import ThreadPool


class MainThread:
    """The main thread of a process whose event loop runs in another one. To be made in the main thread."""

    def __init__(self) -> None:
        from ianus.gateway.threads import pinned  # Compiled: loaded only if it is used.

        self._pinned = pinned
        self._ident = threading.get_ident()
        self._pool: ThreadPool | None = None
        self._wake_up = threading.Event()  # the pool has started, or the loop has ended
        self._has_ended = threading.Event()
        self._error: BaseException | None = None

    def call_in_main(self, pool: "ThreadPool") -> None:
        """Has the main thread call the application from now on. For the loop's thread."""
        self._pool = pool
        self._wake_up.set()

    def on_signal(self) -> None:
        """Has the main thread run signal handlers, if it sleeps. For the loop's thread."""
        if self._pool is not None:
            self._pinned.on_signal(self._pool)

    def has_call(self) -> bool:
        """Returns whether the main thread is in a call of the application."""
        return self._pool is not None and self._pinned.is_in_call(self._pool)

    def run(self, loop: asyncio.AbstractEventLoop, serve: Callable[[], None], handler: SignalHandler) -> None:
        """Runs serve() in another thread until it returns, and calls the application in this one.

        Passes on the exception of serve().
        """
        thread = threading.Thread(target=self._run_loop, args=(loop, serve, handler), name="ianus loop", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise ThreadLimitError(error) from None
        while not self._has_ended.is_set():
            try:
                self._wake_up.wait()
                if self._pool is not None:
                    self._pinned.run_pinned_thread(self._pool)
                self._has_ended.wait()
            except KeyboardInterrupt:
                pass  # A stop is under way, and ends soon.
        if self._error is not None:
            raise self._error

    # --- In the loop's thread ---

    def _run_loop(self, loop: asyncio.AbstractEventLoop, serve: Callable[[], None], handler: SignalHandler) -> None:
        asyncio.set_event_loop(loop)
        try:
            serve()
        except BaseException as error:
            self._error = error
        finally:
            asyncio.set_event_loop(None)
            self._interrupt_call(handler)
            self._has_ended.set()
            self._wake_up.set()

    def _interrupt_call(self, handler: SignalHandler) -> None:
        """Interrupts the call that has not returned, if there is one."""
        until = monotonic() + REACTION_SECONDS
        handler.interrupts_calls = True
        while self.has_call():
            if monotonic() >= until:
                abandon_main_thread(self._ident, 130 if handler.has_interrupted else 0)
            # Sent again, as the application may have caught the exception.
            signal.pthread_kill(self._ident, signal.SIGQUIT)
            self._has_ended.wait(TICK_SECONDS)
