"""Refuses to serve WSGI applications if a library has replaced Python's threads by its own.

Facts: gevent's monkey.patch_all() and eventlet's monkey_patch() replace functions of the standard library, so that
`threading.Thread` starts a coroutine of theirs, which runs when the thread that started it waits in one of their
functions. The threads of the server's pool wait in the kernel. Unpatched threads for the server alone do not help:
locks, events and thread-local data of the application would still belong to one thread, and logging, which all threads
share, has such locks. (Tried with gevent 26.9 and eventlet 0.41: the start fails or hangs.)

ASGI applications run in the event loop and need no thread of the server, so they are served. Their own calls of
asyncio.to_thread() and the like, synchronous endpoints of FastAPI among them, wait for ever: here as in other servers.
With --preload they are refused: these libraries have native threads of their own, which a fork does not copy.

A patch without threads, such as monkey.patch_all(thread=False) and that of grequests, does no harm.
"""

import _thread
import sys
import threading

from ianus.errors import StartupError

# The call that does not patch threads, by library.
REMEDIES = {
    "gevent": "gevent.monkey.patch_all(thread=False)",
    "eventlet": "eventlet.monkey_patch(thread=False)",
}


def check_threads(*, needed: bool) -> str:
    """Returns a warning if a library has replaced Python's threads, else "". needed: the server cannot do without.

    Raises StartupError if that keeps the application from being served.
    """
    for start in (getattr(threading, "_start_new_thread", None), _thread.start_new_thread):
        library = (getattr(start, "__module__", None) or "").partition(".")[0]
        if library not in REMEDIES:
            continue
        if not needed:
            return (
                f"{library}: asyncio.to_thread() and functions that a framework runs in threads will not return; use "
                f"{REMEDIES[library]}"
            )
        # A configuration of gunicorn often has this call, in place of the application (settings/python_files).
        subject = "The application or its gunicorn.conf.py" if "__config__" in sys.modules else "The application"
        raise StartupError(
            f"{subject} has {library} replace Python's threads, which the server needs. Remove the call that "
            f"does this, or use {REMEDIES[library]}. An application that cannot do without needs a server with "
            f"workers of {library}, such as gunicorn.",
            page="wsgi",
        )
    return ""
