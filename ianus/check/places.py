"""The application's file and line for a frame, a traceback or a callable."""

import functools
import inspect
import os
import sysconfig
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from ianus.errors import is_own

STDLIB = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
INSTALLED = ("/site-packages/", "/dist-packages/")
MAX_FRAMES = 1_000


class Place(NamedTuple):
    """A line of Python code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        relative = os.path.relpath(self.file)
        return f"{self.file if relative.startswith('..') else relative}:{self.line} in {self.function}"


@functools.cache
def is_application_file(file: str) -> bool:
    """Returns whether a source file belongs to the application: not to Python, to Ianus, or to an installed package."""
    return not (is_installed_file(file) or any(part in file for part in INSTALLED))


@functools.cache
def is_installed_file(file: str) -> bool:
    """Returns whether a source file belongs to Python or to Ianus, or is not a file."""
    in_stdlib = file.startswith(STDLIB) and not any(part in file for part in INSTALLED)
    return file.startswith("<") or is_own(file) or in_stdlib


def place_of_frame(frame: FrameType | None) -> Place | None:
    """Returns the innermost line of the application on a stack, else that of a library, else None."""
    return _choose(Place(f.f_code.co_filename, f.f_lineno or 0, f.f_code.co_name) for f in _outward(frame))


def place_in_application(frame: FrameType | None) -> Place | None:
    """Returns the innermost line of the application on a stack, or None."""
    place = place_of_frame(frame)
    return place if place is not None and is_application_file(place.file) else None


def place_of_error(error: BaseException) -> Place | None:
    """Returns the line of the application that raised an error, or called the library that did."""
    return _choose(reversed([*_traceback_places(error.__traceback__)]))


def place_of_callable(app: Any) -> Place | None:
    """Returns the first line of the application's function or method, or None if it is not Python code."""
    while isinstance(app, functools.partial):
        app = app.func
    app = inspect.unwrap(app) if callable(app) else app
    for each in (app, getattr(app, "__func__", None), getattr(type(app), "__call__", None)):  # noqa: B004
        code = getattr(each, "__code__", None)
        if code is not None:
            return Place(code.co_filename, code.co_firstlineno, code.co_name)
    return None


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    """Yields the frames of a call of the application, which the check has made."""
    has_left_own = False
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        if not is_own(frame.f_code.co_filename):
            has_left_own = True
            yield frame
        elif has_left_own:
            return  # The caller of the application, and below it a script that has started the check.
        frame = frame.f_back


def _traceback_places(traceback: TracebackType | None) -> Iterator[Place]:
    for _ in range(MAX_FRAMES):
        if traceback is None:
            return
        code = traceback.tb_frame.f_code
        yield Place(code.co_filename, traceback.tb_lineno, code.co_name)
        traceback = traceback.tb_next


def _choose(places: Iterable[Place]) -> Place | None:
    library = None
    for place in places:
        if is_application_file(place.file):
            return place
        if library is None and not is_installed_file(place.file):
            library = place
    return library
