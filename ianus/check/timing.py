"""Measures an event loop, and finds the lines on which a thread of the application stays."""

import inspect
import resource
import selectors
import sys
import threading
from collections import Counter
from collections.abc import Callable
from time import perf_counter, thread_time
from types import FrameType
from typing import Any

from ianus.check.places import Place, is_application_file, place_in_application, place_of_frame

SAMPLE_SECONDS = 0.002
# A step is sampled if it takes longer.
LONG_STEP_SECONDS = 0.005
ASYNC_FLAGS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class MeasuredSelector(selectors.DefaultSelector):
    """A selector that measures the time between two waits: the time in which the event loop runs callbacks.

    blocked: the longest time of a step in which its thread slept. cpu: the longest computation of a step. busy_cpu: the
    computation of all steps. All are in seconds and since reset().
    """

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        self.blocked = self.cpu = self.busy_cpu = 0.0
        self.running_since: float | None = None
        self._cpu_start = 0.0
        self._sleeps_start = 0

    def select(self, *timeout: float | None) -> Any:
        started = self.running_since
        if started is not None:
            self.running_since = None
            seconds, cpu = perf_counter() - started, thread_time() - self._cpu_start
            self.busy_cpu += cpu
            # Without a voluntary switch the thread did not sleep: it waited for a CPU, which others use.
            if _count_sleeps() > self._sleeps_start:
                self.blocked = max(self.blocked, seconds - cpu)
            self.cpu = max(self.cpu, cpu)
        try:
            return super().select(*timeout)
        finally:
            self._cpu_start, self._sleeps_start = thread_time(), _count_sleeps()
            self.running_since = perf_counter()


def _count_sleeps() -> int:
    """Returns the number of times that this thread has given up its CPU to wait."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


class Sampler:
    """Samples the stack of a thread while a step of it takes long.

    running_since: returns the start of the current step (perf_counter), or None. others: also look for lines of the
    application in other threads, which are those that have started to run them after the sampler.
    """

    def __init__(self, running_since: Callable[[], float | None], *, others: bool = False) -> None:
        self._running_since, self._looks_at_others = running_since, others
        self._thread_id = threading.get_ident()
        self._own: Counter[Place] = Counter()
        self._others: Counter[Place] = Counter()
        self._ended = threading.Event()
        self._ignored = set(self._threads_in_application()) if others else set()
        self._sampling = threading.Thread(target=self._run, name="ianus-check-sampler", daemon=True)

    def __enter__(self) -> "Sampler":
        self._sampling.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._sampling.join()

    @property
    def place(self) -> Place | None:
        """The line with the maximum of samples of the thread, or of other threads if it has none."""
        found = self._own.most_common(1) or self._others.most_common(1)
        return found[0][0] if found else None

    @property
    def in_threads(self) -> bool:
        """Whether other threads ran the application."""
        return bool(self._others)

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            since = self._running_since()
            if since is not None and perf_counter() - since > LONG_STEP_SECONDS:
                place = place_of_frame(sys._current_frames().get(self._thread_id))
                if place is not None:
                    self._own[place] += 1
            elif self._looks_at_others:
                for thread_id, place in self._threads_in_application().items():
                    if thread_id not in self._ignored:
                        self._others[place] += 1

    def _threads_in_application(self) -> dict[int, Place]:
        mine = {self._thread_id, threading.get_ident()}
        places = {key: place_in_application(frame) for key, frame in sys._current_frames().items() if key not in mine}
        return {key: place for key, place in places.items() if place is not None}


class CallRecorder:
    """Records the functions of the application that run, in this thread and in threads that start meanwhile.

    handler: the last one that was entered. in_loop: coroutine functions that ran in this thread. in_threads: functions
    that ran in others.
    """

    def __init__(self) -> None:
        self.handler: Place | None = None
        self.in_loop: set[Place] = set()
        self.in_threads: set[Place] = set()
        self._main = threading.get_ident()
        self._active = False

    def __enter__(self) -> "CallRecorder":
        if sys.getprofile() is None:
            self._active = True
            threading.setprofile(self._on_event)
            sys.setprofile(self._on_event)
        return self

    def __exit__(self, *error: object) -> None:
        if self._active:
            self._active = False
            sys.setprofile(None)
            threading.setprofile(None)

    def forget(self) -> None:
        self.handler = None

    def _on_event(self, frame: FrameType, event: str, arg: object) -> None:
        if not self._active:
            sys.setprofile(None)  # A thread that has started meanwhile.
        elif event == "call":
            code = frame.f_code
            if is_application_file(code.co_filename) and not code.co_name.startswith("<"):
                place = Place(code.co_filename, code.co_firstlineno, code.co_name)
                self.handler = place
                if threading.get_ident() != self._main:
                    self.in_threads.add(place)
                elif code.co_flags & ASYNC_FLAGS:
                    self.in_loop.add(place)
