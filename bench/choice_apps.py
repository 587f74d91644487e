"""The applications of choices.py: one for each kind that `ianus check` distinguishes."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from importlib import import_module
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[Any], Awaitable[None]]
Environ = dict[str, Any]
StartResponse = Callable[..., Any]

EVENT_SECONDS = 0.2


def compute(seconds: float) -> None:
    """Computes for a time of this thread's CPU clock."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(500))


def answer(start_response: StartResponse, body: bytes = b"ok") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def wsgi_fast(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response)


def wsgi_computes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    compute(0.01)
    return answer(start_response)


def wsgi_waits(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    time.sleep(0.1)
    return answer(start_response)


def wsgi_mixed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/report":
        compute(0.01)
    elif environ["PATH_INFO"] == "/remote":
        time.sleep(0.05)
    return answer(start_response)


def wsgi_stream(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    while True:
        yield b"data: x\n\n"
        time.sleep(EVENT_SECONDS)


def wsgi_upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    digest = hashlib.sha256()
    while piece := environ["wsgi.input"].read(65536):
        digest.update(piece)
    return answer(start_response, digest.hexdigest().encode())


def wsgi_short_wait(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    time.sleep(0.01)
    return answer(start_response)


async def respond(scope: Scope, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def asgi_fast(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(scope, send)


async def asgi_waits(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await asyncio.sleep(0.1)
    await respond(scope, send)


async def asgi_blocks(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        time.sleep(0.02)  # noqa: ASYNC251
    await respond(scope, send)


def nothing() -> None:
    pass


async def asgi_in_thread(scope: Scope, receive: Receive, send: Send) -> None:
    """Runs a synchronous handler in a thread, as frameworks do."""
    if scope["type"] == "http":
        await asyncio.to_thread(nothing)
    await respond(scope, send)


async def asgi_stream(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    disconnected = asyncio.create_task(disconnect(receive))
    while not disconnected.done():
        await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
        await asyncio.sleep(EVENT_SECONDS)


async def disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def asgi_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends each message back after a short computation, as an application that parses it would."""
    if scope["type"] != "websocket":
        await respond(scope, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        compute(0.001)
        await send({"type": "websocket.send", "text": message["text"]})


try:
    adapted = import_module("a2wsgi").WSGIMiddleware(wsgi_short_wait)
except ModuleNotFoundError:  # Only one sample needs it.
    adapted = None
