"""Recognises an ianus.run() that would start one server after another without end.

- A module that calls ianus.run() without `if __name__ == "__main__":` is loaded by a worker, or imported by a child of
  multiprocessing, and calls it again there.
- sys.executable is the program itself, because it is frozen (PyInstaller) or embeds Python. Then the supervisor's
  interpreter would be the same program, which calls ianus.run() again.
"""

import os
import sys

from ianus.errors import PACKAGE_DIR, StartupError

# In the environment of a supervisor's interpreter until it serves.
VARIABLE = "_IANUS_SUPERVISOR"

# Modules of the server that load modules of users.
LOADERS = (f"{PACKAGE_DIR}gateway/loading/loader.py", f"{PACKAGE_DIR}process/hooks.py")

GUARD = "Put the call under `if __name__ == '__main__':`."


class UnguardedRunError(StartupError):
    """ianus.run() was called by a module that a server is loading."""


def check_call() -> None:
    """Raises StartupError if the caller of ianus.run() is a module that is loaded by a server or by multiprocessing."""
    frame = sys._getframe(2)
    caller = frame.f_globals.get("__name__", "?")
    where = f"{frame.f_code.co_filename}, line {frame.f_lineno}"
    process = sys.modules.get("multiprocessing.process")
    if process is not None and getattr(process.current_process(), "_inheriting", False):
        raise UnguardedRunError(
            f"{caller} calls ianus.run() in a process of multiprocessing ({where}). {GUARD}", page="operations"
        )
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_filename in LOADERS:
            raise UnguardedRunError(
                f"{caller} calls ianus.run() while a server loads it ({where}). {GUARD}", page="operations"
            )


def check_interpreter(*, has_freeze_support: bool) -> None:
    """Raises StartupError if sys.executable would not become a supervisor but run this program again."""
    if getattr(sys, "frozen", False):
        if not has_freeze_support:
            raise StartupError(
                "A frozen program starts itself again as the supervisor of its workers. Call ianus.freeze_support() "
                "first under `if __name__ == '__main__':`, or remove workers and other settings that need a "
                "supervisor.",
                page="operations",
            )
    elif VARIABLE in os.environ:
        raise StartupError(
            f"{sys.executable} is not a Python interpreter but this program, which would start itself without end. Let "
            "sys.executable be the path of an interpreter, or serve without workers and other settings that need a "
            "supervisor.",
            page="operations",
        )
