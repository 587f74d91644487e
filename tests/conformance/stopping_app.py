"""An application whose clients hold a connection open in every way: event stream, long poll, WebSocket, upload."""

import asyncio
from typing import Any

from tests.e2e.apps import Receive, Scope, Send, report


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        report("shutdown")
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    else:
        await KINDS.get(scope["path"], hello)(receive, send)


async def hello(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"hello\n"})


async def events(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})
    await until_disconnect(receive)


async def deaf_events(receive: Receive, send: Send) -> None:
    """Never calls receive()."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    while True:
        await send({"type": "http.response.body", "body": b"data: again\n\n", "more_body": True})
        await asyncio.sleep(0.1)


async def poll(receive: Receive, send: Send) -> None:
    report("polling")
    await until_disconnect(receive)


async def upload(receive: Receive, send: Send) -> None:
    report("uploading")
    while True:
        message: dict[str, Any] = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message.get("more_body"):
            break
    await hello(receive, send)


async def until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


KINDS = {"/events": events, "/deaf-events": deaf_events, "/poll": poll, "/upload": upload}
