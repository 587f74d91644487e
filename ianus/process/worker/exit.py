"""Ends a worker's process within a limit.

Python waits without limit at its end: for threads that are not daemons, for the threads of executors, and in functions
registered with atexit (that of multiprocessing waits for child processes). Here the main thread does the same, in the
same order, and a clock watches it.

Facts and rules:
- A thread cannot be stopped. If threads still run when the time is over, they are named in the log with their stacks.
  The functions of atexit are called all the same and streams are flushed. Then the process ends without the rest of
  Python's clean-up: threads that run during it can crash the process.
- A function of atexit that does not return is interrupted by an exception, and the next one is called.
- Files that the application has left open are flushed in any case.
- The clock is a thread. It interrupts the main thread by SIGQUIT, whose handler does the rest: functions of atexit
  expect to run in the main thread. A SIGQUIT from outside, for a quick stop, has the same effect.
- If the main thread does not run the handler because it executes C code, the clock ends the process itself.
"""

import _io
import atexit
import contextlib
import gc
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection
from time import monotonic
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from ianus.process.after_fork import set_handler
from ianus.process.worker.stacks import application_stack, current_frames, stacks_of
from ianus.telemetry.logger import logger

# Maximum time for each function of atexit.
ATEXIT_SECONDS = 5.0

# Maximum time for threads that were started before the first connection was accepted. A thread that serves the
# application all the time has no natural end, so nothing is gained by a longer wait.
EARLY_THREADS_SECONDS = 5.0

# Time after which the threads that are waited for are logged.
ANNOUNCE_SECONDS = 1.0

# The signals that a worker handles.
HANDLED_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

# Time from one check of the clock to the next.
TICK_SECONDS = 0.05

# The part of the time for functions of atexit after which one of them is interrupted.
ATEXIT_PART = 0.5

# Time in which the main thread has to run the signal handler, and each function of atexit has to return after one did
# not within ATEXIT_SECONDS.
REACTION_SECONDS = 1.0


class Ending(NamedTuple):
    """The exit code of a worker, and the parts of the application that may still run.

    code: the exit code.
    seconds: maximum time for threads of the application.
    early_threads: the threads that were started before the first connection was accepted.
    has_abandoned_calls: a call of a WSGI application has not returned.
    total: maximum time until the process has ended.
    """

    code: int
    seconds: float
    early_threads: Collection[threading.Thread] = ()
    has_abandoned_calls: bool = False
    total: float = math.inf


class _AtexitInterrupt(BaseException):
    """Raised in a function of atexit that takes too long."""


class Exit:
    """The end of this process. For the main thread, once."""

    def __init__(self, ending: Ending) -> None:
        self._ending = ending
        self._main = threading.get_ident()
        self._started = monotonic()
        self._ends_at = self._started + ending.total
        self._atexit_started = 0.0
        self._atexit_until = 0.0  # when the function that runs then is interrupted
        self._gives_up_at = 0.0  # ... and the process ended
        self._interrupts = 0  # that the handler has seen
        self._is_announced = False
        self._is_done = threading.Event()

    def run(self) -> int:
        """Waits for threads and calls the functions of atexit. Returns the exit code, with which the caller has to end
        the process; if something of the application still runs, does not return."""
        set_handler([signal.SIGQUIT], self._on_quit)
        clock = threading.Thread(target=self._watch, name="ianus exit", daemon=True)
        with contextlib.suppress(RuntimeError):  # The system gives no thread.
            clock.start()
        _wait_for_threads()
        self._call_atexit()
        self._is_done.set()
        if self._ending.has_abandoned_calls or self._interrupts:
            self._exit_process()  # Python's end could block in the same file, without a limit.
        if clock.ident is not None:
            clock.join(REACTION_SECONDS)
        # Python collects garbage again at its end, over everything that a large application has loaded. Not frozen
        # earlier: threads and functions of atexit may depend on the collection.
        gc.freeze()
        # Python's own end gives these signals their default effect, which would change the exit code.
        for number in HANDLED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        return self._ending.code

    # --- In the main thread ---

    def _call_atexit(self) -> None:
        self._atexit_started = now = monotonic()
        self._atexit_until = now + ATEXIT_SECONDS
        if _child_processes() and not self._interrupts:
            # multiprocessing waits for them there. They have the same time as threads.
            self._atexit_until = max(self._atexit_until, self._started + self._ending.seconds)
        self._gives_up_at = min(self._atexit_until + 2 * REACTION_SECONDS, self._ends_at)
        # An interrupted function, and those after it, need time too.
        self._atexit_until = min(self._atexit_until, now + ATEXIT_PART * max(self._ends_at - now, 0.0))
        atexit._run_exitfuncs()
        # As a function of atexit, so that the clock watches it too.
        atexit.register(_flush_files)
        atexit._run_exitfuncs()

    def _on_quit(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._is_done.is_set():
            return
        if not self._atexit_started:
            self._report_threads()
            self._call_atexit()
            self._exit_process()
        now = monotonic()
        self._atexit_until = now + min(REACTION_SECONDS, ATEXIT_PART * max(self._ends_at - now, 0.0))
        children = ", ".join(f"{child.name} (pid {child.pid})" for child in _child_processes())
        logger.warning(
            "atexit function interrupted after %.1f s%s:\n%s",
            now - self._atexit_started,
            f"; child processes still running: {children}" if children else "",
            application_stack(frame) or "  (no Python code)",
        )
        sys.unraisablehook = _without_interrupts(sys.unraisablehook)
        raise _AtexitInterrupt

    def _report_threads(self) -> None:
        threads = application_threads()
        seconds = monotonic() - self._started
        if not threads:
            logger.warning("executor shutdown interrupted after %.1f s", seconds)
            return
        logger.warning(
            "threads still running, abandoned after %.1f s: %d. Make them daemon threads, or end them in the lifespan "
            "shutdown.\n%s",
            seconds,
            len(threads),
            stacks_of(threads),
        )

    def _exit_process(self) -> NoReturn:
        self._is_done.set()
        _end_process(self._ending.code)

    # --- In the clock's thread ---

    def _watch(self) -> None:
        while not self._is_done.wait(TICK_SECONDS):
            now = monotonic()
            if self._is_over(now):
                self._interrupt()
            elif not self._is_announced and now - self._started >= ANNOUNCE_SECONDS:
                self._announce(now)

    def _is_over(self, now: float) -> bool:
        if self._atexit_started:
            if now >= self._gives_up_at:
                self._abandon_main_thread()
            return now >= self._atexit_until
        return now - self._started >= self._limit()

    def _limit(self) -> float:
        """Returns the seconds for the threads that run now."""
        limit = self._ending.seconds
        executors = _executor_threads()
        if any(each in executors or each not in self._ending.early_threads for each in application_threads()):
            return limit
        return min(limit, EARLY_THREADS_SECONDS)

    def _announce(self, now: float) -> None:
        self._is_announced = True
        threads = application_threads()
        if threads and not self._atexit_started:
            limit = self._limit()
            logger.info(
                "waiting for threads%s: %s",
                f" for up to {max(limit - (now - self._started), 0):.0f} s" if limit < math.inf else "",
                ", ".join(thread.name for thread in threads),
            )

    def _interrupt(self) -> None:
        before = self._interrupts
        until = min(monotonic() + REACTION_SECONDS, max(self._ends_at, monotonic() + TICK_SECONDS))
        while self._interrupts == before and not self._is_done.is_set():
            if monotonic() >= until:
                self._abandon_main_thread()
            # Sent again, as one that arrives just before the main thread goes to sleep does not wake it.
            signal.pthread_kill(self._main, signal.SIGQUIT)
            self._is_done.wait(TICK_SECONDS)

    def _abandon_main_thread(self) -> NoReturn:
        self._is_done.set()
        abandon_main_thread(self._main, self._ending.code)


def abandon_main_thread(ident: int, code: int) -> NoReturn:
    """Ends the process from another thread, as the main thread does not react."""
    frame = current_frames().get(ident)
    logger.error(
        "process does not end, abandoned while its main thread was here:\n%s",
        application_stack(frame) or "  (no Python code)",
    )
    _end_process(code)


def _end_process(code: int) -> NoReturn:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def application_threads() -> list[threading.Thread]:
    """Lists the threads that Python waits for at its end, without those of asyncio and of this module."""
    executors = _executor_threads()
    return [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread()
        and thread.is_alive()
        and (not thread.daemon or thread in executors)
        and not thread.name.endswith("(_do_shutdown)")  # by which asyncio waits for its executor
    ]


def _executor_threads() -> Collection[threading.Thread]:
    """Returns the threads of every ThreadPoolExecutor. Python waits for them even if they are daemons."""
    module: Any = sys.modules.get("concurrent.futures.thread")
    return list(getattr(module, "_threads_queues", ()))


def _child_processes() -> list[Any]:
    """Returns the processes of multiprocessing that Python waits for at its end."""
    module: Any = sys.modules.get("multiprocessing.process")
    return [child for child in module.active_children() if not child.daemon] if module is not None else []


def _wait_for_threads() -> None:
    """Waits as Python itself does at its end; a second call of the function, which is then Python's own, does
    nothing. Executors end their idle threads here."""
    threading._shutdown()  # type: ignore[attr-defined]


def _flush_files() -> None:
    """Writes the buffered data of the files that the application has left open.

    Python does this when it destroys a file. It destroys none after os._exit(), and not all if objects are frozen.
    """
    # io.IOBase has a metaclass that makes this slow.
    files = [each for each in gc.get_objects() if issubclass(type(each), _io._IOBase)]
    for file in files:
        with contextlib.suppress(BaseException):
            file.flush()


def _without_interrupts(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wraps sys.unraisablehook: an interrupted function of atexit has been logged already."""

    def report(unraisable: Any) -> None:
        if unraisable.exc_type is not _AtexitInterrupt:
            hook(unraisable)

    return report
