"""Starlette's file responses under several stacks of middleware, with and without the server's extensions.

A stack is the first segment of the path. The messages of the response are reported when it is complete, and a request
with X-Without sees a server that lacks the extension of that name.
"""

import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.e2e.apps import alive, report

# The tests start the server in a folder with a few files.
FILES = Path.cwd()


# --- Middleware ---


class Observer:
    """The outermost middleware: it sees the messages that reach the server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        kinds: list[str] = []

        async def observed(message: Message) -> None:
            if message["type"] not in kinds:
                kinds.append(message["type"])
            await send(message)

        missing = Headers(scope=scope).get("x-without")
        extensions = {name: value for name, value in scope.get("extensions", {}).items() if name != missing}
        await self.app({**scope, "extensions": extensions}, receive, observed)
        report("sent", f"{scope['path']} {' '.join(kinds)}")


class Checksum:
    """Adds trailers to answers that are sent in pieces, if the server supports them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        checksum = 0

        async def summed(message: Message) -> None:
            nonlocal checksum
            if message["type"] == "http.response.start":
                message["trailers"] = True
            else:
                checksum = zlib.crc32(message["body"], checksum)
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                trailers = [(b"x-checksum", b"%08x" % checksum)]
                await send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})

        known = "http.response.trailers" in scope["extensions"]
        await self.app(scope, receive, summed if known else send)


async def add_header(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["X-Seen"] = "yes"
    return response


# --- Answers ---


async def send_file(request: Request) -> Response:
    return FileResponse(FILES / "large.bin", background=BackgroundTask(report, "behind the file"))


async def send_small_file(request: Request) -> Response:
    return FileResponse(FILES / "small.txt")


async def send_hints(request: Request) -> Response:
    await request.send_early_hints("</style.css>; rel=preload; as=style", "</script.js>; rel=preload; as=script")
    return PlainTextResponse("with hints")


async def stream(request: Request) -> Response:
    async def generate() -> AsyncIterator[bytes]:
        for number in range(1000):
            yield b"%d\n" % number

    return StreamingResponse(generate(), media_type="text/plain")


answers = Router(
    [
        Route("/file", send_file),
        Route("/small", send_small_file),
        Route("/hints", send_hints),
        Route("/stream", stream),
        Mount("/static", StaticFiles(directory=FILES)),
    ]
)

GZIP, BASE = Middleware(GZipMiddleware), Middleware(BaseHTTPMiddleware, dispatch=add_header)
STACKS = {
    "plain": [],
    "gzip": [GZIP],
    "base": [BASE],
    "gzip-base": [GZIP, BASE],
    "base-gzip": [BASE, GZIP],
    "base-base": [BASE, BASE],
    "checksum": [Middleware(Checksum)],
}


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    report("alive", json.dumps(alive()))


app = Starlette(
    lifespan=lifespan,
    middleware=[Middleware(Observer)],
    routes=[Mount(f"/{name}", answers, middleware=stack) for name, stack in STACKS.items()],
)
