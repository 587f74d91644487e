"""FastAPI below the middleware that people put in front of it, one application for each combination."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from brotli_asgi import BrotliMiddleware
from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import FileResponse, StreamingResponse
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from zstd_asgi import ZstdMiddleware

Next = Callable[[Request], Awaitable[Response]]


class Passing(BaseHTTPMiddleware):
    """Does nothing, as the first version of every middleware."""

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        return await call_next(request)


async def pass_on(request: Request, call_next: Next) -> Response:
    return await call_next(request)


class InnerError(Exception):
    pass


class Capturing:
    """Keeps the whole body of each response, as caches and loggers do."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""

        async def capture(message: Any) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-captured", b"yes"))
            elif message["type"] != "lifespan.startup.complete":
                body += message["body"]
            await send(message)

        await self.app(scope, receive, capture if scope["type"] == "http" else send)


class CapturingBase(BaseHTTPMiddleware):
    """The same by way of `body_iterator`."""

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        body = b"".join([piece async for piece in response.body_iterator])  # type: ignore[attr-defined]
        return Response(body, response.status_code, {**response.headers, "x-captured": "yes"})


def make(*middleware: Middleware) -> FastAPI:
    app = FastAPI(middleware=middleware)
    folder = Path.cwd()
    app.mount("/static", StaticFiles(directory=folder))

    @app.get("/file")
    async def send_file() -> FileResponse:
        return FileResponse(folder / "text.txt")

    @app.get("/hello")
    async def hello() -> str:
        return "hello"

    @app.get("/refuse")
    async def refuse() -> None:
        raise HTTPException(418, "no coffee")

    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError("raised on purpose")

    @app.get("/fail-with-cause")
    async def fail_with_cause() -> None:
        try:
            raise InnerError
        except InnerError as error:
            raise RuntimeError("raised on purpose") from error

    @app.get("/fail-in-stream")
    async def fail_in_stream() -> StreamingResponse:
        async def generate() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("raised on purpose")

        return StreamingResponse(generate())

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def generate() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"%d\n" % number

        return StreamingResponse(generate())

    @app.websocket("/fail-in-websocket")
    async def fail_in_websocket(socket: WebSocket) -> None:
        await socket.accept()
        raise RuntimeError("raised on purpose")

    return app


def with_functions() -> Any:
    app = make()
    app.middleware("http")(pass_on)
    app.middleware("http")(pass_on)
    return app


functions = with_functions()
brotli = make(Middleware(BrotliMiddleware))
zstd = make(Middleware(ZstdMiddleware))
gzip = make(Middleware(GZipMiddleware))
capturing = make(Middleware(Capturing))
capturing_base = make(Middleware(CapturingBase))
classes = make(Middleware(Passing), Middleware(Passing))
three = make(Middleware(Passing), Middleware(Passing), Middleware(Passing))
