"""System calls for code of the server that runs outside the application.

Facts: monkey patches of gevent and eventlet that do not replace threads still replace functions of `os`, `time` and
`select`. The replacements switch to a coroutine of the calling thread, or fail if that has no hub. The module `posix`
is not patched: it has the functions of the system whenever it is imported.
"""

import threading
from posix import write

__all__ = ["pause", "write"]


def pause(seconds: float) -> None:
    """Sleeps without the `time` module."""
    threading.Event().wait(seconds)
