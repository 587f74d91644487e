"""Applications that show their requests, their environment, and the number of concurrent calls."""

import json
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

_lock = threading.Lock()
_calls = _max_calls = 0

HOLD_SECONDS = 0.1

with (Path(__file__).parent / "loaded").open("a") as _file:
    _file.write(f"{os.getpid()}\n")


def _facts(scheme: str, client: str, root: str, path: str) -> bytes:
    facts = {
        "scheme": scheme,
        "client": client,
        "root": root,
        "path": path,
        "mark": os.environ.get("TEST_MARK", ""),
        "folder": os.path.basename(os.getcwd()),  # noqa: PTH109, PTH119
        "pid": os.getpid(),
        "calls": _max_calls,
    }
    return json.dumps(facts).encode()


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Holds requests for /hold, and counts the calls that are made at a time."""
    global _calls, _max_calls
    with _lock:
        _calls += 1
        _max_calls = max(_calls, _max_calls)
    path = environ["PATH_INFO"]
    if path.endswith("/hold"):
        time.sleep(HOLD_SECONDS)
    size = len(environ["wsgi.input"].read())
    with _lock:
        _calls -= 1
    client = environ.get("REMOTE_ADDR") or ""
    body = _facts(environ["wsgi.url_scheme"], client, environ.get("SCRIPT_NAME", ""), path)
    start_response("200 OK", [("Content-Length", str(len(body))), ("X-Size", str(size))])
    return [body]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            os.environ["TEST_MARK"] = "started"
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    client = scope["client"][0] if scope.get("client") else ""
    body = _facts(scope["scheme"], client, scope.get("root_path", ""), scope["path"])
    fields = [(b"content-length", str(len(body)).encode()), (b"x-size", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def create_wsgi() -> Callable[..., Iterable[bytes]]:
    return wsgi


def create_asgi() -> Callable[..., Awaitable[None]]:
    return asgi
