"""FastAPI below the middleware that people put in front of it, one application for each combination."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import Response

Next = Callable[[Request], Awaitable[Response]]


class Passing(BaseHTTPMiddleware):
    """Does nothing, as the first version of every middleware."""

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        return await call_next(request)


async def pass_on(request: Request, call_next: Next) -> Response:
    return await call_next(request)


class InnerError(Exception):
    pass


def make(*middleware: Middleware) -> FastAPI:
    app = FastAPI(middleware=middleware)

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
classes = make(Middleware(Passing), Middleware(Passing))
three = make(Middleware(Passing), Middleware(Passing), Middleware(Passing))
