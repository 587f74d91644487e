"""A Litestar application as its tutorials and usage guides build them: a list of things to do, files, streams."""

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from litestar import (
    Controller,
    Litestar,
    MediaType,
    Request,
    WebSocket,
    delete,
    get,
    post,
    put,
    websocket,
    websocket_stream,
)
from litestar.background_tasks import BackgroundTask
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.connection import ASGIConnection
from litestar.datastructures import State, UploadFile
from litestar.di import Provide
from litestar.dto import DataclassDTO, DTOConfig, DTOData
from litestar.enums import RequestEncodingType
from litestar.exceptions import HTTPException, NotAuthorizedException, NotFoundException
from litestar.handlers import BaseRouteHandler, WebsocketListener
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.params import Body, Parameter
from litestar.response import File, Redirect, Response, ServerSentEvent, ServerSentEventMessage, Stream
from litestar.static_files import create_static_files_router
from litestar.status_codes import HTTP_204_NO_CONTENT

from tests.e2e.apps import alive, report
from tests.frameworks.latches import latch

# The tests start the server in a folder with a few files.
FILES = Path.cwd()

# --- Lifespan ---


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    app.state.model = "answers everything"
    yield
    report("alive", json.dumps(alive()))


@get("/state")
async def read_state(state: State) -> dict[str, str]:
    return {"model": state.model}


# --- Handlers ---


@get("/", sync_to_thread=False)
def hello() -> str:
    return "Hello, world!"


@get("/books/{book_id:int}", name="book")
async def get_book(
    book_id: int,
    q: Annotated[str | None, Parameter(max_length=5)] = None,
    tags: Annotated[list[str] | None, Parameter(query="tag")] = None,
    token: Annotated[str | None, Parameter(header="X-Token")] = None,
) -> dict[str, Any]:
    return {"book_id": book_id, "q": q, "tags": tags, "token": token}


@get("/who")
async def who(request: Request[Any, Any, Any]) -> dict[str, Any]:
    assert request.client is not None
    return {
        "client": [request.client.host, request.client.port],
        "url": str(request.url),
        "book": request.url_for("book", book_id=7),
        "root_path": request.scope["root_path"],
        "raw_path": request.scope["raw_path"].decode("ascii"),
    }


@get("/visits")
async def count_visits(request: Request[Any, Any, Any]) -> dict[str, int]:
    visits = request.session.get("visits", 0) + 1
    request.set_session({"visits": visits})
    return {"visits": visits}


@get("/old")
async def moved() -> Redirect:
    return Redirect("/books/1")


# --- A controller with transfer objects ---


@dataclass
class TodoItem:
    title: str
    done: bool
    id: int = 0
    secret: str = "hidden"


class WriteDTO(DataclassDTO[TodoItem]):
    config = DTOConfig(exclude={"id", "secret"})


class ReadDTO(DataclassDTO[TodoItem]):
    config = DTOConfig(exclude={"secret"}, rename_strategy="camel")


class TodoController(Controller):
    path = "/todos"
    dto = WriteDTO
    return_dto = ReadDTO

    @get()
    async def list_items(self, done: bool | None = None) -> list[TodoItem]:
        items = [TodoItem("Start writing list", True, 1), TodoItem("Profit", False, 2)]
        return [item for item in items if done is None or item.done == done]

    @post()
    async def add_item(self, data: DTOData[TodoItem]) -> TodoItem:
        return data.create_instance(id=3)

    @put("/{item_id:int}")
    async def update_item(self, item_id: int, data: DTOData[TodoItem]) -> TodoItem:
        if item_id > 2:
            raise NotFoundException(detail=f"TODO {item_id} not found")
        return data.create_instance(id=item_id)

    @delete("/{item_id:int}")
    async def delete_item(self, item_id: int) -> None: ...


# --- Dependencies ---


async def provide_session(name: str) -> AsyncIterator[str]:
    report("session opened", name)
    try:
        yield f"session of {name}"
    finally:
        report("session closed", name)


@get("/query", dependencies={"session": Provide(provide_session)})
async def run_query(session: str) -> str:
    return session


# --- Errors ---


@get("/refuse")
async def refuse() -> None:
    raise HTTPException(status_code=418, detail="no coffee", headers={"X-Pot": "tea"})


@get("/fail")
async def fail() -> None:
    raise LookupError("raised on purpose")


@get("/fail-inside")
async def fail_inside() -> Stream:
    async def generate() -> AsyncIterator[str]:
        yield "half"
        raise LookupError("raised on purpose")

    return Stream(generate())


# --- Request bodies ---


@dataclass
class Form:
    file: UploadFile
    note: str


@post("/upload")
async def upload(data: Annotated[Form, Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict[str, str]:
    content = await data.file.read()
    return {"name": data.file.filename, "sha256": hashlib.sha256(content).hexdigest(), "note": data.note}


@post("/digest", request_max_body_size=None)
async def digest(request: Request[Any, Any, Any]) -> dict[str, Any]:
    size, digest = 0, hashlib.sha256()
    async for piece in request.stream():
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


# --- Threads and background work ---

together = threading.Barrier(4)


@get("/meet", sync_to_thread=True)
def meet() -> dict[str, int]:
    """Waits until four of these calls run at the same time."""
    return {"place": together.wait(20)}


@get("/later/{name:str}")
async def later(name: str) -> Response[str]:
    async def work() -> None:
        await latch(name).passed()
        report("done later", name)

    return Response("soon", background=BackgroundTask(work))


# --- Bodies that go out ---


@get("/stream")
async def stream(count: int, threads: bool = False) -> Stream:
    async def generate() -> AsyncIterator[str]:
        for number in range(count):
            yield f"{number}\n"

    def generate_in_thread() -> Iterator[str]:
        for number in range(count):
            yield f"{number}\n"

    return Stream(generate_in_thread() if threads else generate(), media_type=MediaType.TEXT)


@get("/file")
async def send_file() -> File:
    return File(FILES / "large.bin", filename="download.bin")


@get("/events/{name:str}")
async def events(name: str) -> ServerSentEvent:
    async def generate() -> AsyncIterator[ServerSentEventMessage]:
        report("stream opened", name)
        try:
            await latch(name).passed()
            yield ServerSentEventMessage(data="first", event="news", id="1")
            report("idle", name)
            await asyncio.Event().wait()
        finally:
            report("stream closed", name)

    return ServerSentEvent(generate())


# --- WebSockets ---


class Talk(WebsocketListener):
    """Reads and answers JSON."""

    path = "/talk/{name:str}"

    async def on_accept(self, name: str) -> None:
        report("joined", name)

    async def on_disconnect(self, name: str) -> None:
        report("left", name)

    async def on_receive(self, data: dict[str, Any], name: str) -> dict[str, Any]:
        return {"name": name, "data": data}


@websocket_stream("/ticks/{name:str}")
async def send_ticks(name: str) -> AsyncGenerator[str, None]:
    try:
        yield "ready"
        await latch(name).passed()
        yield "tick"
        await asyncio.Event().wait()
    finally:
        report("ticks ended", name)


@websocket("/raw")
async def use_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept(subprotocols="raw", headers={"X-Greeting": "salve"})
    await socket.send_json({"url": str(socket.url), "q": socket.query_params["q"]})
    await socket.send_bytes((await socket.receive_text()).encode())
    await socket.close(4001, "enough")


def refuse_all(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    raise NotAuthorizedException


@websocket("/guarded", guards=[refuse_all])
async def never(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()


@post("/publish/{channel:str}", status_code=HTTP_204_NO_CONTENT)
async def publish(channel: str, data: dict[str, Any], channels: ChannelsPlugin) -> None:
    await channels.wait_published(data, channel)


@post("/open/{name:str}", status_code=HTTP_204_NO_CONTENT)
async def open_latch(name: str) -> None:
    latch(name).open()


app = Litestar(
    route_handlers=[
        hello,
        read_state,
        get_book,
        who,
        count_visits,
        moved,
        TodoController,
        run_query,
        refuse,
        fail,
        fail_inside,
        upload,
        digest,
        meet,
        later,
        stream,
        send_file,
        events,
        Talk,
        send_ticks,
        use_socket,
        never,
        publish,
        open_latch,
        create_static_files_router(path="/static", directories=[FILES]),
    ],
    lifespan=[lifespan],
    middleware=[ServerSideSessionConfig().middleware],
    plugins=[
        ChannelsPlugin(
            backend=MemoryChannelsBackend(),
            arbitrary_channels_allowed=True,
            create_ws_route_handlers=True,
            ws_handler_base_path="/channels",
        )
    ],
    openapi_config=OpenAPIConfig(title="Todo", version="1.0.0", render_plugins=[SwaggerRenderPlugin()]),
)
