"""Signals that stop the process, and those that reopen its log files.

TERM and the first INT start a graceful shutdown, QUIT a quick one. USR2 is TERM for a process whose replacement has the
same sockets and takes the connections in their backlog. INT during a shutdown makes it quick, and another INT
interrupts the running Python code (KeyboardInterrupt), in case the application blocks the event loop. So does another
QUIT if the loop has not noticed the one before it. A repeated TERM has no effect, since process managers often repeat
it. USR1 reopens the log files.

With --drain-delay, TERM and INT only announce the stop. It starts after the delay, with the next TERM or INT, or in a
worker with the supervisor's USR2. A worker ignores a repeated TERM here too: one that is sent to all processes of the
group reaches it twice.

Handlers are Python's own (signal.signal) and not the loop's: they run while application code blocks the loop,
and they are the same on every loop. A signal that arrives when Python has just looked for signals and the loop is
about to sleep is seen by its handler only once the loop wakes, so each one also writes to a socket that the loop
watches (wake_by_signals).
"""

import asyncio
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from types import FrameType
from typing import NamedTuple

from ianus.process.after_fork import set_handler
from ianus.process.stop_level import REPEAT_SECONDS, StopLevel
from ianus.process.worker.stacks import application_stack
from ianus.telemetry.logger import logger
from ianus.telemetry.logs import LogFile

# The minimum of seconds that a part of the stop gets, even if its time is over already: tasks have to run once.
MIN_SECONDS = 0.02

# The signals that stop the process.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR2, signal.SIGINT)


class StopRequest:
    """The highest level of stop requested so far, and a way to wait for it.

    since: the time of the first request, in CLOCK_MONOTONIC seconds; 0.0 before it. A signal handler sets it, since the
    loop may be blocked.
    hides_exit: should_exit (SignalHandler) is false although the stop has started, since the server itself ends the
    event streams, one after the other.
    """

    def __init__(self) -> None:
        self.level = StopLevel.NONE
        self.since = 0.0
        self.hides_exit = False
        self.looked_at = -math.inf  # last read of should_exit (SignalHandler), by time.monotonic()
        self._events = {level: asyncio.Event() for level in StopLevel if level > StopLevel.NONE}

    def raise_level(self, level: StopLevel) -> None:
        """Raises the level; it never falls. To be called in the loop's thread."""
        self.level = max(self.level, level)
        self.since = self.since or monotonic()
        for each, event in self._events.items():
            if each <= self.level:
                event.set()

    def left(self, after: float) -> float:
        """Returns the seconds until `after` seconds have passed since the first request; always more than 0."""
        return max(self.since + after - monotonic(), MIN_SECONDS) if self.since else math.inf

    async def wait(self, level: StopLevel) -> None:
        """Waits until a stop of at least this level is requested."""
        await self._events[level].wait()


class CallInterrupted(BaseException):
    """Raised in a WSGI application whose call in the main thread has not returned when the worker ends."""


class Escalation(NamedTuple):
    """The effect of signals on the level of the stop.

    delays: the stop is announced first, for --drain-delay. is_supervised: a supervisor ends that delay.
    """

    delays: bool = False
    is_supervised: bool = False

    def after(self, level: StopLevel, number: int, age: float) -> StopLevel:
        """Returns the level after a signal. age: seconds since the first one."""
        if number == signal.SIGQUIT or (number == signal.SIGINT and level >= StopLevel.GRACEFUL):
            return StopLevel.QUICK
        if number == signal.SIGUSR2:
            return max(level, StopLevel.GRACEFUL if level == StopLevel.ANNOUNCED else StopLevel.HANDOVER)
        if level == StopLevel.NONE and self.delays:
            return StopLevel.ANNOUNCED
        if level == StopLevel.ANNOUNCED and (self.is_supervised or age < REPEAT_SECONDS):
            return level
        return max(level, StopLevel.GRACEFUL)


IMMEDIATE = Escalation()


class SignalHandler:
    """The object whose method handles SIGTERM, SIGINT, SIGQUIT and SIGUSR2.

    should_exit: whether a stop was requested. sse-starlette looks for an attribute of this name on the object of
    SIGTERM's handler, to end its event streams.

    on_signaled: called in the main thread with the first one, on_stop with the first one that starts a shutdown, and
    on_quick_stop with the one that makes it quick.
    may_interrupt: returns whether KeyboardInterrupt may be raised now, and CallInterrupted if `interrupts_calls` is
    set. has_interrupted: SIGINT has raised KeyboardInterrupt.
    handled: the signals that handle_signals() has set it for.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stop: StopRequest,
        *,
        escalation: Escalation = IMMEDIATE,
        on_signaled: Callable[[], None] = lambda: None,
        on_quick_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._stop = stop
        self._escalation = escalation
        self._on_signaled = on_signaled
        self.on_stop: Callable[[], None] = lambda: None
        self._on_quick_stop = on_quick_stop
        self.may_interrupt: Callable[[], bool] = lambda: True
        self.handled: Sequence[int] = ()
        self.interrupts_calls = False
        self.has_interrupted = False
        self._seen = StopLevel.NONE  # requested by the handlers; a blocked loop does not know it yet
        self._read = StopLevel.NONE  # the same for the numbers of signals that the loop reads

    @property
    def should_exit(self) -> bool:
        self._stop.looked_at = monotonic()
        return max(self._seen, self._stop.level) > StopLevel.ANNOUNCED and not self._stop.hides_exit

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Passes the request to the loop."""
        if self._loop.is_closed():
            return  # There is nothing left to stop.
        if self.interrupts_calls and number == signal.SIGQUIT:
            if self.may_interrupt():
                raise CallInterrupted
            return
        if self._seen == StopLevel.QUICK and (number == signal.SIGINT or self._ignores_quit(number)):
            if self.may_interrupt():
                self.has_interrupted = self.has_interrupted or number == signal.SIGINT
                logger.warning(
                    "application interrupted, it blocked the stop here:\n%s",
                    application_stack(frame) or "  (no Python code)",
                )
                raise KeyboardInterrupt
            return
        before, self._seen = self._seen, self._level_after(self._seen, number)
        self._loop.call_soon_threadsafe(self._stop.raise_level, self._seen)
        if before == StopLevel.NONE:
            self._on_signaled()
        if before <= StopLevel.ANNOUNCED < self._seen:
            self.on_stop()
        if before < StopLevel.QUICK <= self._seen:
            self._on_quick_stop()

    def _ignores_quit(self, number: int) -> bool:
        """Returns whether the signal is a SIGQUIT after another one that the loop has not noticed: it is blocked."""
        return number == signal.SIGQUIT and self._stop.level < StopLevel.QUICK and self._loop.is_running()

    def _level_after(self, level: StopLevel, number: int) -> StopLevel:
        now = monotonic()
        self._stop.since = self._stop.since or now
        return self._escalation.after(level, number, now - self._stop.since)

    def on_numbers(self, numbers: bytes) -> None:
        """Passes on the stop of these signals, if there is one. For the loop's thread.

        The main thread may not have run the handler yet, or a view may have replaced it by one of its own, which is
        called as well.
        """
        for number in numbers:
            if number in self.handled:
                self._read = self._level_after(self._read, number)
        if self._read:
            self._stop.raise_level(self._read)


def handle_signals(
    loop: asyncio.AbstractEventLoop,
    stop: StopRequest,
    *,
    interrupts: bool = True,
    handler: SignalHandler | None = None,
) -> Callable[[], None]:
    """Has TERM, INT, QUIT and USR2 raise the level of `stop`. Returns a function that restores the previous handlers.

    interrupts: INT too. A terminal sends it to all processes; with a supervisor, the supervisor handles it.

    Does nothing outside the main thread, since Python allows handlers only there.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    handled = [number for number in STOP_SIGNALS if interrupts or number != signal.SIGINT]
    handler = handler or SignalHandler(loop, stop)
    handler.handled = handled
    return set_handler(handled, handler.on_signal)


def reopen_by_signal(loop: asyncio.AbstractEventLoop, files: Iterable[LogFile]) -> Callable[[], None]:
    """Has USR1 reopen log files that were moved. Returns a function that restores the handler.

    Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None

    def reopen() -> None:
        for file in files:
            try:
                file.reopen()
            except OSError as error:
                logger.error("cannot reopen log file, keeping the old one: %s: %s", file.path, error)
        logger.info("log files reopened")

    def on_signal(number: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(reopen)

    return set_handler([signal.SIGUSR1], on_signal)


def wake_by_signals(
    loop: asyncio.AbstractEventLoop, on_numbers: Callable[[bytes], None] = lambda numbers: None
) -> Callable[[], None]:
    """Has every signal wake the loop, as uvloop does by itself. Returns a function that undoes it while the loop is
    open.

    on_numbers: called in the loop with the numbers of the signals.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    waking, written = socket.socketpair()
    waking.setblocking(False)
    written.setblocking(False)
    before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)

    def read() -> None:
        on_numbers(waking.recv(4096))

    loop.add_reader(waking, read)

    def undo() -> None:
        signal.set_wakeup_fd(before)
        loop.remove_reader(waking)
        waking.close()
        written.close()

    return undo
