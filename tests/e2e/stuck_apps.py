"""Applications that block their worker: of both interfaces, with the same paths.

/sleep?SECONDS in Python; /hold?SECONDS in C code that keeps Python's lock, and so does /compute?NUMBER; /fork: a child
that ends with its call, while the call itself never returns. Any other path is answered. All answers are the pid.
"""

import ctypes
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]

libc = ctypes.PyDLL(None)


def report(what: str) -> None:
    os.write(2, f"app: {what}\n".encode())


def hold(seconds: float) -> None:
    libc.usleep(int(seconds * 1e6))


def respond(path: str, query: str) -> bytes:
    if path == "/sleep":
        report("sleeping")
        time.sleep(float(query))
    elif path == "/hold":
        report("holding")
        hold(float(query))
    elif path == "/compute":
        sum(range(int(query)))
    elif path == "/fork":
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            report("forked")
            time.sleep(3600)
    return b"%d" % os.getpid()


async def asgi(scope: dict[str, Any], receive: object, send: Send) -> None:
    body = respond(scope["path"], scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    body = respond(environ["PATH_INFO"], environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
