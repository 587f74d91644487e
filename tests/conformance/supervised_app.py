"""Two applications that answer alike: with the number of the request, the process that has it, and a sum of its body.

The query is an act before the response: `nap=S` waits, `block=S` blocks the event loop,
`gil=S` is C code that keeps the GIL. Tests make a copy of this file, and change it.
"""

import asyncio
import ctypes
import os
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Any

VERSION = "first"


def answer(path: str, body: bytes) -> bytes:
    return b"%s %d %s %d" % (path[1:].encode(), os.getpid(), VERSION.encode(), zlib.crc32(body))


def act(what: str, seconds: float) -> None:
    if what == "block":
        dawdle(seconds)
    elif what == "gil":
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def dawdle(seconds: float) -> None:
    time.sleep(seconds)  # the line that a log must name


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    what, _, seconds = scope["query_string"].decode().partition("=")
    if what == "nap":
        await asyncio.sleep(float(seconds))
    else:
        act(what, float(seconds or 0))
    content = answer(scope["path"], body)
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Callable[[bytes], object]]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    what, _, seconds = environ["QUERY_STRING"].partition("=")
    if what == "nap":
        time.sleep(float(seconds))
    else:
        act(what, float(seconds or 0))
    content = answer(environ["PATH_INFO"], body)
    start_response("200 OK", [("Content-Length", str(len(content)))])
    return [content]
