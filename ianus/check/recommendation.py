"""Recommends interface, threads and workers from the measurements of an application."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ianus.check.places import Place
from ianus.check.probes import FAILED_STATUS, Measurement

# Seconds. Shorter times are noise, or do not matter to other requests.
BLOCKED_SECONDS = 0.005
COMPUTED_SECONDS = 0.010
WAIT_SECONDS = 0.005

DEFAULT_MAX_THREADS = 64
# More threads of one worker cost memory and connections of a database, and hardly serve more.
RECOMMENDED_MAX_THREADS = 256
STREAM_THREADS = 256
THREADS_STEP = 32
# Workers whose event loop an application blocks: more than this for each CPU cost more memory than they are worth.
BLOCKED_WORKERS_PER_CPU = 4
MEMORY_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Facts:
    """The findings of a check about one application.

    interface: of the application. wsgi_advice: the way to its WSGI application, if it has one ("" if not).
    in_threads: functions of the application that ran in other threads than that of the event loop. memory_limit: bytes
    for all workers, 0 if unknown. memory_worker: bytes of one worker.
    """

    name: str
    interface: Literal["asgi", "wsgi"]
    measurements: Sequence[Measurement]
    cpus: int
    memory_limit: int = 0
    memory_worker: int = 0
    websocket_paths: Sequence[str] = ()
    wsgi_advice: str = ""
    in_threads: frozenset[Place] = frozenset()


@dataclass(slots=True)
class Recommendation:
    """Settings with their reasons.

    is_other: another application is to be served, which has the interface. max_threads: 0 for an ASGI application.
    changes: of the application's code.
    """

    interface: str
    workers: int
    is_other: bool = False
    max_threads: int = 0
    reasons: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    def command(self, name: str) -> str:
        """Returns the command line. name: the application with the options by which it is loaded."""
        words = ["ianus"]
        if self.workers != 1:
            words.append(f"--workers {self.workers}")
        if self.max_threads > DEFAULT_MAX_THREADS:
            words.append(f"--max-threads {self.max_threads}")
        return " ".join([*words, "WSGI_APPLICATION" if self.is_other else name])


def recommend(facts: Facts) -> Recommendation:
    """Returns the recommendation for an application."""
    result = Recommendation(facts.interface, facts.cpus)
    answered = [each for each in facts.measurements if 0 < each.status < FAILED_STATUS]
    if not answered:
        result.max_threads = DEFAULT_MAX_THREADS if facts.interface == "wsgi" else 0
        result.reasons.append(
            f"workers: {result.workers}, one for each CPU. "
            "Nothing was measured, since no GET was answered or all failed."
        )
        return result
    _choose_interface(facts, answered, result)
    if facts.interface == "wsgi":
        _choose_threads(answered, result)
    blocking = _find_blocked_loop(facts, answered, result)
    _choose_workers(facts, answered, blocking, result)
    return result


def milliseconds(seconds: float) -> str:
    """Formats a time, such as "0.4 ms" or "120 ms"."""
    value = seconds * 1000
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


# --- The interface ---


def _choose_interface(facts: Facts, answered: Sequence[Measurement], result: Recommendation) -> None:
    streams = [each.path for each in answered if each.is_stream]
    if facts.interface == "wsgi":
        if streams:
            result.reasons.append(
                f"interface: {_paths(streams)} sends over a long time, which holds a thread for each client. Beyond "
                "some hundred clients, serve it by a small ASGI application, mounted beside this one (--mount)."
            )
        else:
            result.reasons.append(
                "interface: WSGI. No response is a stream, and waiting calls wait in threads, "
                "so ASGI would gain nothing without a rewrite for async libraries."
            )
        return
    if facts.websocket_paths or streams:
        kinds = f"{_paths(facts.websocket_paths)} accepts WebSockets" if facts.websocket_paths else ""
        kinds = kinds or f"{_paths(streams)} is a stream"
        result.reasons.append(f"interface: ASGI. {kinds}, and an event loop holds thousands of them without threads.")
    elif facts.wsgi_advice:
        result.interface, result.is_other = "wsgi", True
        result.reasons.append(f"interface: WSGI. {facts.wsgi_advice}. That saves the way through an event loop.")
        result.changes.append(facts.wsgi_advice)
    elif facts.in_threads or any(each.in_threads for each in answered):
        place = min(facts.in_threads, default=None)
        shown = f" ({place})" if place is not None else ""
        result.reasons.append(
            f"interface: ASGI, as the framework has it. But handlers are synchronous{shown} and run in threads of the "
            "framework, usually 40. Requests beyond that wait; --max-threads does not count for them."
        )
    else:
        result.reasons.append("interface: ASGI. The handlers are async, and waits in them cost no thread.")


def _paths(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} (and {len(paths) - 1} more)"


# --- Threads ---


def _choose_threads(answered: Sequence[Measurement], result: Recommendation) -> None:
    result.max_threads = DEFAULT_MAX_THREADS
    if any(each.is_stream for each in answered):
        result.max_threads = STREAM_THREADS
        result.reasons.append(f"threads: auto, at most {STREAM_THREADS}. Each open stream holds one.")
        return
    waiting = [each for each in answered if each.wait > WAIT_SECONDS and each.wait > each.cpu]
    if not waiting:
        result.reasons.append(
            f"threads: auto, at most {DEFAULT_MAX_THREADS} (the defaults). The calls compute and hardly wait, "
            "so the server starts few threads."
        )
        return
    slowest = max(waiting, key=lambda each: each.seconds / max(each.cpu, 1e-5))
    # This number of calls keeps one CPU busy; further threads would only wait for it.
    useful = math.ceil(slowest.seconds / max(slowest.cpu, 1e-5))
    count = min(max(math.ceil(useful / THREADS_STEP) * THREADS_STEP, DEFAULT_MAX_THREADS), RECOMMENDED_MAX_THREADS)
    result.max_threads = count
    at = f" at {slowest.place}" if slowest.place else ""
    result.reasons.append(
        f"threads: auto, at most {count}. {slowest.path} takes {milliseconds(slowest.seconds)} and computes "
        f"{milliseconds(slowest.cpu)}; it waits{at}. About {useful} such calls at once keep one CPU busy."
    )
    if count > DEFAULT_MAX_THREADS:
        result.reasons.append(
            f"threads: a pool of database connections needs up to {count} for each worker, or calls wait for it."
        )


# --- The event loop ---


def _find_blocked_loop(facts: Facts, answered: Sequence[Measurement], result: Recommendation) -> Measurement | None:
    """Adds the changes for handlers that block the event loop. Returns the one that waits in it for the longest."""
    if facts.interface == "wsgi":
        return None
    worst: Measurement | None = None
    for each in answered:
        at = f" at {each.place}" if each.place else ""
        if each.loop_blocked > BLOCKED_SECONDS:
            result.changes.append(
                f"GET {each.path} blocks the event loop for {milliseconds(each.loop_blocked)}{at}. All other requests "
                "of the worker wait meanwhile. Await an async library there, or call it by `await "
                "asyncio.to_thread(...)`; in FastAPI and Starlette, `def` in place of `async def` does so."
            )
            if worst is None or each.loop_blocked > worst.loop_blocked:
                worst = each
        elif each.loop_cpu > COMPUTED_SECONDS:
            result.changes.append(
                f"GET {each.path} computes for {milliseconds(each.loop_cpu)} in the event loop{at}. All other requests "
                "of the worker wait meanwhile. Move long computations to a process pool or a queue of jobs."
            )
    return worst


# --- Workers ---


def _choose_workers(
    facts: Facts, answered: Sequence[Measurement], blocking: Measurement | None, result: Recommendation
) -> None:
    cpus = f"{facts.cpus} CPU{'s' if facts.cpus > 1 else ''}"
    if blocking is not None:
        each = blocking.seconds / max(blocking.cpu, blocking.seconds / BLOCKED_WORKERS_PER_CPU)
        result.workers = facts.cpus * max(1, round(each))
        result.reasons.append(
            f"workers: {result.workers}. GET {blocking.path} blocks the event loop, so a worker serves one such "
            f"request at a time. After the change below, {facts.cpus} are enough ({cpus})."
        )
    else:
        computing = max(answered, key=lambda each: each.cpu, default=None)
        shown = f" GET {computing.path} computes {milliseconds(computing.cpu)}." if computing is not None else ""
        result.reasons.append(
            f"workers: {result.workers}, one for each CPU ({cpus}).{shown} Python code of one worker uses one CPU."
        )
    if facts.websocket_paths and result.workers > 1:
        result.reasons.append(
            "workers: clients of different workers share no memory. If connections must reach each other, as in a "
            "chat, use a broker such as Redis between the workers, or 1 worker."
        )
    if facts.memory_limit and facts.memory_worker:
        fitting = max(1, int(facts.memory_limit * MEMORY_SHARE / facts.memory_worker))
        if fitting < result.workers:
            result.workers = fitting
            result.reasons.append(
                f"workers: not more than {fitting}, since each takes {facts.memory_worker >> 20} MiB of "
                f"{facts.memory_limit >> 20} MiB."
            )
