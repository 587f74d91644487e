"""The application of the files in deploy/: it answers with its view of the request, and echoes WebSocket messages."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await asyncio.sleep(float(os.environ.get("LOADING_SECONDS", "0")))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
    else:
        await asyncio.sleep(float(scope["query_string"] or 0))
        seen = {
            "client": scope["client"],
            "scheme": scope["scheme"],
            "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
            "pid": os.getpid(),
            "uid": os.getuid(),
        }
        body = json.dumps(seen).encode()
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})
