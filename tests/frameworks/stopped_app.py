"""Event streams in several frameworks side by side, /NAME/events, which wait for an event that never occurs."""

import asyncio
import json
import sys
import types
from collections.abc import AsyncIterator
from typing import Any

import anyio
import django
from django.conf import settings
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.response import Stream
from mcp.server import Server
from mcp.server.sse import SseServerTransport
from quart import Quart
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.e2e.apps import Receive, Scope, Send, alive, report

TYPE = "text/event-stream"
TOKENS = [b"data: %d\n\n" % number for number in range(5)]


async def events(name: str) -> AsyncIterator[bytes]:
    try:
        yield b"data: first\n\n"
        await asyncio.Event().wait()
    finally:
        report("closed", name)


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        return await call_next(request)  # type: ignore[no-any-return]


async def stream(request: Request) -> Response:
    return StreamingResponse(events(request.scope["name"]), media_type=TYPE)


async def tokens(request: Request) -> Response:
    """A language model's answer."""

    async def generate() -> AsyncIterator[bytes]:
        for token in TOKENS:
            yield token
            await asyncio.sleep(0.3)

    return StreamingResponse(generate(), media_type=TYPE)


async def sse(request: Request) -> Response:
    """As sse-starlette's README has it for a farewell."""
    stopping = anyio.Event()

    async def generate() -> AsyncIterator[dict[str, str]]:
        yield {"data": "first"}
        await stopping.wait()
        yield {"data": "farewell"}
        report("closed", "sse")

    return EventSourceResponse(generate(), shutdown_event=stopping, shutdown_grace_period=5)


async def poll(request: Request) -> Response:
    """Long polling: waits until there is news, or the client is gone."""
    report("polling")
    while (await request.receive())["type"] != "http.disconnect":
        pass
    report("closed", "poll")
    return Response(status_code=204)


routes = [Route("/events", stream), Route("/tokens", tokens, methods=["POST"]), Route("/poll", poll)]
fastapi = FastAPI()
fastapi.add_route("/events", stream)
quart = Quart(__name__)


@quart.get("/events")
async def quart_stream() -> Any:
    return events("quart"), 200, {"Content-Type": TYPE}


@get("/events", sync_to_thread=False)
def litestar_stream() -> Stream:
    return Stream(lambda: events("litestar"), media_type=TYPE)


urls = types.ModuleType("stopped_urls")
sys.modules[urls.__name__] = urls
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls.__name__, SECRET_KEY="x")
django.setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.http import StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


async def django_stream(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(events("django"), content_type=TYPE)


urls.urlpatterns = [path("events", django_stream)]  # type: ignore[attr-defined]

mcp: Any = Server("stopped")
transport = SseServerTransport("/messages/")


async def mcp_events(request: Request) -> Response:
    """As mcp's documentation has it."""
    async with transport.connect_sse(request.scope, request.receive, request._send) as streams:
        await mcp.run(streams[0], streams[1], mcp.create_initialization_options())
    report("closed", "mcp")
    return Response()


APPS: dict[str, Any] = {
    "starlette": Starlette(routes=routes),
    "middleware": Starlette(routes=routes, middleware=[Middleware(Passing), Middleware(Passing)]),
    "fastapi": fastapi,
    "quart": quart,
    "litestar": Litestar([litestar_stream], openapi_config=None),
    "django": ASGIHandler(),
    "mcp": Starlette(routes=[Route("/events", mcp_events)]),
    "sse": Starlette(routes=[Route("/events", sse)]),
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        report("alive", json.dumps(alive()))
        await send({"type": "lifespan.shutdown.complete"})
    else:
        _, name, kind = scope["path"].split("/")
        inside = {**scope, "path": f"/{kind}", "raw_path": f"/{kind}".encode(), "name": name}
        await APPS[name](inside, receive, send)
