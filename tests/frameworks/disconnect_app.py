"""Downloads whose clients disconnect, in several frameworks side by side: /NAME/KIND is the application NAME.

Generators are counted when they are opened and closed; /counts returns the numbers.
"""

import asyncio
import gc
import json
import sys
import tempfile
import types
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import django
from a2wsgi import WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi
from django.conf import settings
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.response import Stream
from quart import Quart
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.e2e.apps import Receive, Scope, Send, alive, report

BLOCK = b"x" * 65536

counts: Counter[str] = Counter()


async def download(name: str) -> AsyncIterator[bytes]:
    """Never ends."""
    counts[f"{name} opened"] += 1
    try:
        while True:
            # More than the sockets hold: soon it waits for its client.
            yield b"x" * (2 << 20)
            await asyncio.sleep(0.05)
    finally:
        counts[f"{name} closed"] += 1


async def after(name: str) -> None:
    counts[f"{name} background"] += 1


# --- Starlette, FastAPI, sse-starlette ---


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        return await call_next(request)  # type: ignore[no-any-return]


async def stream(request: Request) -> Response:
    name = request.scope["name"]
    return StreamingResponse(download(name), background=BackgroundTask(after, name))


async def file(request: Request) -> Response:
    """Its background task would remove a temporary file."""
    return FileResponse(large, background=BackgroundTask(after, request.scope["name"]))


async def events(request: Request) -> Response:
    name = request.scope["name"]

    async def generate() -> AsyncIterator[dict[str, str]]:
        async for _ in download(name):
            yield {"data": "x" * 1000}

    return EventSourceResponse(generate(), background=BackgroundTask(after, name))


large = Path(tempfile.mkdtemp()) / "large.bin"
with large.open("wb") as hole:
    hole.truncate(64 << 20)

routes = [Route("/stream", stream), Route("/file", file), Route("/events", events)]

fastapi = FastAPI()


@fastapi.middleware("http")
async def first(request: Request, call_next: Any) -> Response:
    return await call_next(request)  # type: ignore[no-any-return]


@fastapi.middleware("http")
async def second(request: Request, call_next: Any) -> Response:
    return await call_next(request)  # type: ignore[no-any-return]


fastapi.add_route("/stream", stream)

# --- Quart, Litestar, Django ---

quart = Quart(__name__)


@quart.get("/stream")
async def quart_stream() -> Any:
    return download("quart"), 200


@get("/stream", sync_to_thread=False)
def litestar_stream() -> Stream:
    return Stream(lambda: download("litestar"))


urls = types.ModuleType("disconnect_urls")
sys.modules[urls.__name__] = urls
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls.__name__, SECRET_KEY="x")
django.setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.http import StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


async def django_stream(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(download("django"))


urls.urlpatterns = [path("stream", django_stream)]  # type: ignore[attr-defined]

# --- WSGI in ASGI ---


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Streams 13 MB, of which clients read only the start."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    name = environ["HTTP_NAME"]
    counts[f"{name} opened"] += 1
    try:
        for _ in range(200):
            yield BLOCK
    finally:
        counts[f"{name} closed"] += 1


# --- Plain ASGI ---


async def in_a_task(scope: Scope, receive: Receive, send: Send) -> None:
    """One task sends without ever suspending by itself, the other one listens."""
    await send({"type": "http.response.start", "status": 200})

    async def pump() -> None:
        while True:
            await send({"type": "http.response.body", "body": BLOCK, "more_body": True})

    counts["listening opened"] += 1
    task = asyncio.create_task(pump())
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
    await asyncio.wait({task})
    counts["listening closed"] += 1


APPS: dict[str, Any] = {
    "starlette": Starlette(routes=routes),
    "middleware": Starlette(routes=routes, middleware=[Middleware(Passing), Middleware(Passing)]),
    "fastapi": fastapi,
    "quart": quart,
    "litestar": Litestar([litestar_stream], openapi_config=None),
    "django": ASGIHandler(),
    "a2wsgi": WSGIMiddleware(wsgi),  # type: ignore[arg-type]
    "asgiref": WsgiToAsgi(wsgi),  # type: ignore[no-untyped-call]
    "listening": in_a_task,
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        report("alive", json.dumps(alive()))
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["path"] == "/counts":
        if scope["query_string"]:
            gc.collect()
        await JSONResponse(counts)(scope, receive, send)  # type: ignore[arg-type]
    else:
        _, name, kind = scope["path"].split("/")
        headers = [*scope["headers"], (b"name", name.encode())]
        inside = {**scope, "path": f"/{kind}", "raw_path": f"/{kind}".encode(), "name": name, "headers": headers}
        await APPS[name](inside, receive, send)
