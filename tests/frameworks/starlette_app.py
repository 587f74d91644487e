"""A Starlette application as its documentation builds them, without a middleware that stands in between."""

import hashlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.e2e.apps import alive, report
from tests.frameworks.latches import latch

# The tests start the server in a folder with a few files.
FILES = Path.cwd()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    # The tutorial's HTTP client, in small: a task group that lives as long as the application.
    async with anyio.create_task_group() as tasks:
        yield {"tasks": tasks}
    report("alive", json.dumps(alive()))


# --- Plain answers ---


async def homepage(request: Request) -> Response:
    return HTMLResponse("<html><body><h1>Hello, world!</h1></body></html>")


class Echo(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse(f"Hello, {request.path_params['name']}")

    async def put(self, request: Request) -> Response:
        return Response(await request.body(), media_type=request.headers.get("content-type"))


async def who(request: Request) -> Response:
    assert request.client is not None
    return JSONResponse(
        {
            "client": [request.client.host, request.client.port],
            "url": str(request.url),
            "echo": str(request.url_for("echo", name="you")),
            "nested": str(request.url_for("nested:where")),
            "root_path": request.scope["root_path"],
            "raw_path": request.scope["raw_path"].decode("ascii"),
            "query": request.query_params.multi_items(),
        }
    )


async def where(request: Request) -> Response:
    return JSONResponse({"root_path": request.scope["root_path"], "url": str(request.url)})


async def set_cookie(request: Request) -> Response:
    response = RedirectResponse(request.url_for("homepage"), status_code=303)
    response.set_cookie("session", "abc", max_age=60, httponly=True, samesite="strict")
    return response


# --- Errors ---


async def refuse(request: Request) -> Response:
    raise HTTPException(418, "no coffee", headers={"X-Pot": "tea"})


async def not_found(request: Request, error: Exception) -> Response:
    return PlainTextResponse("nowhere", status_code=404)


async def fail(request: Request) -> Response:
    raise LookupError("raised on purpose")


async def fail_inside(request: Request) -> Response:
    async def generate() -> AsyncIterator[str]:
        yield "half"
        raise LookupError("raised on purpose")

    return StreamingResponse(generate())


# --- Request bodies ---


async def digest(request: Request) -> Response:
    """Reads a body of any size without ever holding it."""
    report("upload begun", request.query_params.get("name"))
    size, digest, largest = 0, hashlib.sha256(), 0
    try:
        async for piece in request.stream():
            digest.update(piece)
            size += len(piece)
            largest = max(largest, len(piece))
    except ClientDisconnect:
        report("upload broken off", request.query_params["name"])
        raise
    return JSONResponse({"size": size, "sha256": digest.hexdigest(), "largest": largest})


async def form(request: Request) -> Response:
    report("upload begun", request.query_params.get("name"))
    try:
        async with request.form() as fields:
            shown = {}
            for name, value in fields.multi_items():
                shown[name] = value if isinstance(value, str) else f"{value.filename} of {value.size} bytes"
    except ClientDisconnect:
        report("upload broken off", request.query_params["name"])
        raise
    return JSONResponse(shown)


# --- Bodies that go out ---


async def stream(request: Request) -> Response:
    """By a generator that is asynchronous, or by one that starlette runs in threads."""
    count, size = int(request.query_params["count"]), int(request.query_params.get("size", 1))

    async def generate() -> AsyncIterator[bytes]:
        for number in range(count):
            yield b"%d\n" % number * size

    def generate_in_thread() -> Iterator[bytes]:
        for number in range(count):
            yield b"%d\n" % number * size

    return StreamingResponse(generate_in_thread() if "threads" in request.query_params else generate())


async def send_file(request: Request) -> Response:
    return FileResponse(FILES / "large.bin", filename="download.bin")


class Endless(StreamingResponse):
    """Sends more than anybody reads, without ever waiting for anything but the reader."""

    def __init__(self) -> None:
        super().__init__(self.generate())

    async def generate(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            report("endless ended", scope["path_params"]["name"])


async def endless(request: Request) -> Response:
    return Endless()


async def events(request: Request) -> Response:
    """An event stream; the first event is sent when the test opens the latch, and the second never."""
    name = request.path_params["name"]

    async def generate() -> AsyncIterator[str]:
        try:
            await latch(name).passed()
            yield "data: first\n\n"
            report("idle", name)
            await anyio.sleep_forever()
        finally:
            report("stream closed", name)

    return StreamingResponse(
        generate(), media_type="text/event-stream", background=BackgroundTask(report, "background", name)
    )


async def ticks(request: Request) -> Response:
    """Each event waits for a gate of its own; the third gate stays closed."""
    name = request.path_params["name"]

    async def generate() -> AsyncIterator[str]:
        try:
            for number in range(3):
                report(f"waiting for {number}", name)
                await latch(f"{name}-{number}").passed()
                yield f"id: {number}\nevent: tick\ndata: {number}\n\n"
        finally:
            report("stream closed", name)

    return StreamingResponse(generate(), media_type="text/event-stream")


class PushedEvents(Response):
    """Event streams as add-ons build them: a task that sends, one that sends signs of life, one that listens."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["name"]
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.push, name, send)
                tasks.start_soon(self.ping, send)
                await self.listen(receive)
                tasks.cancel_scope.cancel()
        finally:
            report("stream closed", name)

    async def push(self, name: str, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await latch(name).passed()
        await send({"type": "http.response.body", "body": b"data: first\r\n\r\n", "more_body": True})
        report("idle", name)
        await anyio.sleep_forever()

    async def ping(self, send: Send) -> None:
        await anyio.sleep(15)
        await send({"type": "http.response.body", "body": b": ping\r\n\r\n", "more_body": True})

    async def listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


async def pushed_events(request: Request) -> Response:
    return PushedEvents()


async def poll(request: Request) -> Response:
    """Asks again and again whether the client is still there, as long tasks do."""
    name, polls = request.path_params["name"], 0
    while not await request.is_disconnected():
        if (polls := polls + 1) == 3:
            report("polled", name)
        await anyio.sleep(0.01)
    report("left", name)
    return PlainTextResponse("for nobody")


# --- Threads and background work ---

together = threading.Barrier(4)


def meet(request: Request) -> Response:
    """Waits until four of these calls run at the same time."""
    return PlainTextResponse(str(together.wait(20)))


async def meet_in_pool(request: Request) -> Response:
    return PlainTextResponse(str(await run_in_threadpool(together.wait, 20)))


async def later(request: Request) -> Response:
    name = request.path_params["name"]

    async def work() -> None:
        await latch(name).passed()
        report("done later", name)

    return PlainTextResponse("soon", background=BackgroundTask(work))


async def detached(request: Request) -> Response:
    """Work that outlives its request in the application's own task group."""
    name = request.path_params["name"]

    async def work() -> None:
        await latch(name).passed()
        report("done detached", name)

    request.state.tasks.start_soon(work)
    return PlainTextResponse("started")


async def open_latch(request: Request) -> Response:
    """When its body is complete."""
    report("opening", request.path_params["name"])
    await request.body()
    latch(request.path_params["name"]).open()
    return Response(status_code=204)


# --- WebSockets ---


class ChatEndpoint(WebSocketEndpoint):
    encoding = "json"

    async def on_connect(self, websocket: WebSocket) -> None:
        offered = websocket.scope["subprotocols"]
        await websocket.accept(subprotocol=offered[-1] if offered else None, headers=[(b"x-chat", b"one")])

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_json({"received": data}, mode=websocket.query_params.get("mode", "text"))

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        report("left the chat", f"{websocket.path_params['name']} {close_code}")


async def websocket(socket: WebSocket) -> None:
    """Echoes messages, byte for byte."""
    await socket.accept()
    async for data in socket.iter_bytes():
        await socket.send_bytes(data)


async def who_connects(socket: WebSocket) -> None:
    assert socket.client is not None
    await socket.accept()
    await socket.receive_text()
    await socket.send_json(
        {
            "client": [socket.client.host, socket.client.port],
            "url": str(socket.url),
            "chat": str(socket.url_for("chat", name="you")),
            "root_path": socket.scope["root_path"],
            "query": socket.query_params.multi_items(),
            "cookies": socket.cookies,
            "token": socket.headers["x-token"],
            "state": hasattr(socket.state, "tasks"),
        }
    )
    await socket.close(3000, "told you so")


async def deny(socket: WebSocket) -> None:
    answer = JSONResponse({"detail": "who are you?"}, status_code=401, headers={"WWW-Authenticate": "Bearer"})
    await socket.send_denial_response(answer)


async def refuse_websocket(socket: WebSocket) -> None:
    raise HTTPException(418, "no coffee", headers={"X-Pot": "tea"})


async def violate(socket: WebSocket) -> None:
    await socket.accept()
    raise WebSocketException(1008, "not like this")


async def fail_to_accept(socket: WebSocket) -> None:
    raise LookupError("raised on purpose")


async def fail_in_a_websocket(socket: WebSocket) -> None:
    await socket.accept()
    raise LookupError("raised on purpose")


async def feed(socket: WebSocket) -> None:
    """A task that sends and a task that listens, until the client disconnects."""
    name = socket.path_params["name"]
    await socket.accept()

    async def send_news() -> None:
        await latch(name).passed()
        await socket.send_text("news")
        await anyio.sleep_forever()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_news)
            await socket.receive_text()
    except* WebSocketDisconnect as disconnects:
        (disconnect,) = disconnects.exceptions
        assert isinstance(disconnect, WebSocketDisconnect)
        report("feed ended", f"{name} {disconnect.code} {disconnect.reason!r}")


async def flood(socket: WebSocket) -> None:
    """Sends more than the client reads, until a send() raises because the client is gone."""
    await socket.accept()
    try:
        while True:
            await socket.send_bytes(b"x" * 65536)
    except WebSocketDisconnect as disconnect:
        report("flood ended", f"{socket.path_params['name']} {disconnect.code}")


async def not_a_websocket(request: Request) -> Response:
    return JSONResponse({"type": request.scope["type"], "upgrade": request.headers.get("upgrade")})


app = Starlette(
    lifespan=lifespan,
    exception_handlers={404: not_found},
    routes=[
        Route("/", homepage, name="homepage"),
        Route("/echo/{name}", Echo, name="echo"),
        Route("/who", who),
        Route("/cookie", set_cookie),
        Route("/refuse", refuse),
        Route("/fail", fail),
        Route("/fail-inside", fail_inside),
        Route("/digest", digest, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        Route("/stream", stream),
        Route("/file", send_file),
        Route("/endless/{name}", endless),
        Route("/events/{name}", events),
        Route("/ticks/{name}", ticks),
        Route("/pushed-events/{name}", pushed_events),
        Route("/poll/{name}", poll),
        Route("/meet", meet),
        Route("/meet-in-pool", meet_in_pool),
        Route("/later/{name}", later),
        Route("/detached/{name}", detached),
        Route("/open/{name}", open_latch, methods=["POST"]),
        WebSocketRoute("/websocket", websocket),
        WebSocketRoute("/rooms/{name}", ChatEndpoint, name="chat"),
        WebSocketRoute("/who-connects", who_connects),
        WebSocketRoute("/deny", deny),
        WebSocketRoute("/refuse", refuse_websocket),
        WebSocketRoute("/violate", violate),
        WebSocketRoute("/fail-to-accept", fail_to_accept),
        WebSocketRoute("/fail-in-a-websocket", fail_in_a_websocket),
        WebSocketRoute("/feed/{name}", feed),
        WebSocketRoute("/flood/{name}", flood),
        Route("/websocket", not_a_websocket),
        Mount("/nested", routes=[Route("/where", where, name="where")], name="nested"),
        Mount("/static", StaticFiles(directory=FILES), name="static"),
    ],
)
