"""Applications without a violation, of the kinds that a recommendation distinguishes."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[Any], Awaitable[None]]
Environ = dict[str, Any]
StartResponse = Callable[..., Any]

WAIT_SECONDS = 0.05


def compute(seconds: float = 0.03) -> None:
    """Uses the CPU for a time of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))


def wsgi_fast(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def wsgi_waits(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    time.sleep(WAIT_SECONDS)  # waits
    return wsgi_fast(environ, start_response)


def wsgi_computes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    compute()
    return wsgi_fast(environ, start_response)


def wsgi_stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    while True:
        yield b"data: x\n\n"
        time.sleep(WAIT_SECONDS)


async def respond(scope: Scope, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def asgi_fast(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(scope, send)


async def asgi_waits(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(WAIT_SECONDS)
    await respond(scope, send)


async def asgi_blocks(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        time.sleep(WAIT_SECONDS)  # noqa: ASYNC251  # blocks
    await respond(scope, send)


async def asgi_computes(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        compute()
    await respond(scope, send)


def _threaded_work() -> None:
    time.sleep(WAIT_SECONDS)


async def asgi_in_threads(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await asyncio.to_thread(_threaded_work)
    await respond(scope, send)


async def asgi_stream(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    disconnected = asyncio.create_task(_wait_for_disconnect(receive))
    while not disconnected.done():
        await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
        await asyncio.sleep(WAIT_SECONDS)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def asgi_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        await respond(scope, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def asgi_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "lifespan":
        assert scope["state"]["ready"]
        await respond(scope, send)
        return
    await receive()
    scope["state"]["ready"] = True
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


class WSGIMiddleware:
    """Has the name of an adapter of a WSGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(scope, send)


adapted = WSGIMiddleware()

never = threading.Event()


def wsgi_never(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    never.wait(30)  # never
    return []


async def asgi_blocks_for_ever(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        never.wait(30)  # blocks for ever
    await respond(scope, send)
