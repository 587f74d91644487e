"""A first application: plain ASGI, nothing to install.

    ianus --app-dir examples hello:app

/        a page that shows the two others
/echo    the request as JSON, with any method and body: curl -d 'some text' localhost:8000/echo
/clock   the time once a second, as Server-Sent Events: curl -N localhost:8000/clock

It can be mounted beside another application: gate.py shows that.
"""

import asyncio
import html
import json
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Hello from Ianus</title>
<link rel="icon" href="data:,">
<base href="{root_path}/">
<style>
  :root { color-scheme: light dark }
  body { font: 18px/1.6 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1rem }
  time { font-size: 3rem; font-variant-numeric: tabular-nums }
  pre { font-size: 14px; white-space: pre-wrap; overflow-wrap: anywhere }
</style>
<h1>Hello!</h1>
<p>The server's clock, <a href="clock">streamed</a> to this page:</p>
<p><time>--:--:--</time></p>
<p>Your request, as the application <a href="echo">sees</a> it:</p>
<pre></pre>
<script>
  new EventSource("clock").onmessage = event => document.querySelector("time").textContent = event.data
  fetch("echo").then(answer => answer.text()).then(text => document.querySelector("pre").textContent = text)
</script>
"""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Selects the response by the path."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    # The path includes the prefix at which the application is mounted. (ASGI, "HTTP Connection Scope")
    root_path = scope["root_path"]
    path = scope["path"].removeprefix(root_path)
    if path in ("", "/"):
        await answer(send, 200, "text/html; charset=utf-8", PAGE.replace("{root_path}", html.escape(root_path)))
    elif path == "/echo":
        await echo(scope, receive, send)
    elif path == "/clock":
        await clock(send)
    else:
        await answer(send, 404, "text/plain; charset=utf-8", "There is /, /echo and /clock.\n")


async def answer(send: Send, status: int, content_type: str, text: str) -> None:
    """Sends a complete response."""
    body = text.encode()
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the request as JSON. The body arrives in pieces; the last one has no `more_body`."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    request = {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "http_version": scope["http_version"],
        "client": scope["client"],
        "headers": [b": ".join(field).decode("latin-1") for field in scope["headers"]],
        "body": body.decode(errors="replace"),
    }
    await answer(send, 200, "application/json", json.dumps(request, indent=2) + "\n")


async def clock(send: Send) -> None:
    """Sends ten events and closes the connection, so that a server that stops waits only for a short time.

    A browser then opens the next stream.
    """
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(10):
        event = f"retry: 100\ndata: {datetime.now():%H:%M:%S}\n\n"  # noqa: DTZ005  local time is meant
        await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        await asyncio.sleep(1)
    await send({"type": "http.response.body"})
