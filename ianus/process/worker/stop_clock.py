"""Keeps the time of a stop in a process that serves without a supervisor (`ianus.run()`).

Code of the application may block the event loop, also during the start: then the loop does not notice the stop. A
supervisor sends its worker SIGQUIT twice in that case, by which signals.py interrupts the code. Here a thread does the
same. If that has no effect, as in a call of C code, the thread ends the process.
"""

import _thread
import signal
import threading
from collections.abc import Callable
from time import monotonic

from ianus.process.worker.exit import abandon_main_thread
from ianus.settings.stop_budget import StopBudget

# Seconds between two SIGQUIT: the loop notices the first one in this time, unless it is blocked.
QUIT_PAUSE_SECONDS = 0.25


class StopClock:
    """The time of one stop. To be made in the thread that handles signals."""

    def __init__(
        self,
        budget: StopBudget,
        *,
        send_quit: Callable[[], None] | None = None,
        abandon: Callable[[], None] | None = None,
    ) -> None:
        ident = threading.get_ident()
        self._budget = budget
        self._send_quit = send_quit or (lambda: signal.pthread_kill(ident, signal.SIGQUIT))
        self._abandon = abandon or (lambda: abandon_main_thread(ident, 0))
        self._is_starting = True
        self._is_closing = threading.Event()  # the requests are done, or there were none
        self._has_ended = threading.Event()
        self._lock = threading.Lock()

    def on_event(self, what: str, *more: str) -> None:
        """Notes an event of the worker (worker.py)."""
        if what == "ready":
            self._is_starting = False
        elif what == "closing":
            self._is_closing.set()

    def start(self) -> None:
        """Starts the clock. For a signal handler, which may have interrupted code that holds a lock of `threading`."""
        _thread.start_new_thread(self._run, (monotonic(),))

    def end(self) -> None:
        """Stops the clock: no signal is sent after this."""
        with self._lock:
            self._has_ended.set()
            self._is_closing.set()

    def _run(self, started: float) -> None:
        interrupt_at = started + self._budget.interrupt_after(is_starting=self._is_starting)
        abort_at = started + self._budget.abort_after
        pause = interrupt_at - monotonic()
        while not self._is_closing.wait(min(pause, threading.TIMEOUT_MAX)) and monotonic() < abort_at:
            with self._lock:
                if not self._is_closing.is_set():
                    self._send_quit()
            pause = min(QUIT_PAUSE_SECONDS, max(abort_at - monotonic(), 0.0))
        if not self._has_ended.wait(min(max(abort_at - monotonic(), 0.0), threading.TIMEOUT_MAX)):
            self._abandon()
