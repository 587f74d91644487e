"""Applications that answer with the number of their process, and block it until a gate (tests/helpers.py) is opened."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote


def wait_at(gate: str) -> None:
    """Blocks this thread until the gate is opened."""
    with Path(gate).open("rb", buffering=0) as pipe:
        pipe.read(1)


# A worker that finds the file "slow" waits at the gate that it names, while it loads.
if (slow := Path("slow")).exists():
    wait_at(slow.read_text())


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    if scope["path"] == "/hold":
        print("app: waiting", file=sys.stderr, flush=True)
        wait_at(unquote(scope["query_string"].decode()))  # It blocks the event loop.
    body = b"%d" % os.getpid()
    fields = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    if environ["PATH_INFO"] == "/hold":
        print("app: waiting", file=sys.stderr, flush=True)
        wait_at(unquote(environ["QUERY_STRING"]))
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
