"""Formats the stack of a suspended task: of all coroutines that await each other (Task.get_stack() has one)."""

import asyncio
import gc
from traceback import FrameSummary, StackSummary
from types import AsyncGeneratorType, FrameType
from typing import Any

from ianus.errors import is_own

# More frames than any application nests.
MAX_DEPTH = 100


def task_stack(task: "asyncio.Task[Any]") -> str:
    """Formats the frames of a task that are the application's, the innermost last; "" if there are none."""
    summaries = [summary for frame in _frames(task.get_coro()) if not is_own((summary := _summary(frame)).filename)]
    return "".join(StackSummary.from_list(summaries).format()).rstrip()


def _summary(frame: FrameType) -> FrameSummary:
    return FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _frames(awaited: Any) -> list[FrameType]:
    frames: list[FrameType] = []
    for _ in range(MAX_DEPTH):
        for kind, link in (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await")):
            if hasattr(awaited, kind):
                frame, awaited = getattr(awaited, kind), getattr(awaited, link)
                if frame is not None:
                    frames.append(frame)
                break
        else:
            # The object that anext() returns has no attribute for its generator.
            awaited = next((each for each in gc.get_referents(awaited) if isinstance(each, AsyncGeneratorType)), None)
        if awaited is None:
            break
    return frames
