"""Stacks of threads as an operator reads them: the application's frames, without those of the server and of Python's
own start of a thread."""

import itertools
import sys
import threading
from collections.abc import Iterable
from traceback import FrameSummary, StackSummary, format_list, walk_stack
from types import FrameType

from ianus.errors import PACKAGE_DIR, is_own

PROCESS_DIR = PACKAGE_DIR + "process/"
ASYNCIO_DIR = threading.__file__.removesuffix("threading.py") + "asyncio/"


def application_stack(frame: FrameType | None) -> str:
    """Formats the stack of a frame as a traceback has it, "" if no frame of it belongs to the application."""
    stack = StackSummary.extract(walk_stack(frame) if frame is not None else ())
    # The frames up to the last one of the server's processes are those of its own start.
    called = list(itertools.takewhile(lambda each: not each.filename.startswith(PROCESS_DIR), stack))
    called.reverse()
    kept = [each for each in itertools.dropwhile(_is_start, called) if not is_own(each.filename)]
    return "".join(format_list(kept)).rstrip()


def current_frames() -> dict[int, FrameType]:
    """Returns the frames of the other threads, by thread. With its own a caller would make a reference cycle, which
    keeps everything in all stacks alive until the next garbage collection."""
    frames = sys._current_frames()
    del frames[threading.get_ident()]
    return frames


def stacks_of(threads: Iterable[threading.Thread]) -> str:
    """Formats the name and the stack of each thread."""
    frames = current_frames()
    lines = []
    for thread in threads:
        stack = application_stack(frames.get(thread.ident or 0)) or "  (no Python code)"
        lines.append(f"{thread.name}{' (daemon)' if thread.daemon else ''}:\n{stack}")
    return "\n".join(lines)


def _is_start(frame: FrameSummary) -> bool:
    return frame.filename == threading.__file__ or frame.filename.startswith(ASYNCIO_DIR)
