"""Applications that report which of them was called, and with which root path."""

import json
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.validate import validator

from tests.e2e.apps import Receive, Scope, Send, answer, report


def wsgi(name: str) -> Callable[..., Any]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        where = [name, environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", ""), environ["RAW_URI"]]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(where).encode()]

    return validator(app) if name != "main" else app  # which is asked for `*`, too, and validator would not have it


def asgi(name: str, *, fails: bool = False) -> Callable[..., Any]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(scope["state"], receive, send)
        else:
            where = [scope["state"]["name"], scope["root_path"], scope["path"], scope["raw_path"].decode()]
            await answer(send, json.dumps(where).encode())

    async def lifespan(state: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        report("startup", name)
        if fails:
            return await send({"type": "lifespan.startup.failed", "message": "failed on purpose"})
        state["name"] = name
        await send({"type": "lifespan.startup.complete"})
        await receive()
        report("shutdown", name)
        return await send({"type": "lifespan.shutdown.complete"})

    return app


main = wsgi("main")
other = wsgi("other")
one = asgi("one")
two = asgi("two")
failing = asgi("failing", fails=True)
