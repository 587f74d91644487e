"""A FastAPI application as FastAPI's tutorial builds them, in the order of its chapters.

All of it runs under three middlewares, as applications usually do: all of it works with
BaseHTTPMiddleware, which puts itself between the application and the server's receive() and send().
"""

import hashlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Annotated, Any

from a2wsgi import WSGIMiddleware
from fastapi import (
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
    status,
)
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from tests.e2e.apps import alive, report
from tests.frameworks.latches import latch
from tests.frameworks.wsgi_app import wsgi_app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    report("startup")
    yield {"model": "answers everything", "touched": 0}
    report("alive", json.dumps(alive()))


app = FastAPI(lifespan=lifespan, title="Tutorial")

# --- Middleware ---

request_id: ContextVar[str] = ContextVar("request_id", default="none")


@app.middleware("http")
async def add_request_id(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    request_id.set(request.headers.get("x-request-id", "none"))
    response = await call_next(request)
    response.headers["X-Request-ID"] = request_id.get()
    return response


app.add_middleware(CORSMiddleware, allow_origins=["https://example.org"], allow_methods=["*"])
app.add_middleware(GZipMiddleware, minimum_size=1000)


# --- Path and query parameters ---


class ModelName(StrEnum):
    alexnet = "alexnet"
    resnet = "resnet"


@app.get("/")
async def root() -> dict[str, str]:
    return {"message": "Hello World"}


@app.get("/items/{item_id}")
async def read_item(
    item_id: Annotated[int, Path(ge=1)],
    q: Annotated[str | None, Query(max_length=20)] = None,
    short: bool = False,
) -> dict[str, Any]:
    return {"item_id": item_id, "q": q, "short": short}


@app.get("/models/{model_name}")
async def get_model(model_name: ModelName) -> dict[str, str]:
    return {"model_name": model_name}


@app.get("/files/{file_path:path}")
async def read_path(file_path: str) -> dict[str, str]:
    return {"file_path": file_path}


@app.get("/tags")
async def read_tags(tag: Annotated[list[str], Query()]) -> list[str]:
    return tag


# --- Request body ---


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)
    tags: set[str] = set()
    description: str | None = None


@app.post("/items", status_code=status.HTTP_201_CREATED)
async def create_item(item: Item) -> Item:
    return item


@app.get("/list")
async def list_items(count: int) -> list[Item]:
    return [Item(name=f"item {number}", price=1.5) for number in range(count)]


# --- Headers and cookies ---


@app.get("/agent")
async def read_agent(
    user_agent: Annotated[str | None, Header()] = None, x_token: Annotated[list[str] | None, Header()] = None
) -> dict[str, Any]:
    return {"User-Agent": user_agent, "X-Token": x_token}


@app.get("/visits")
async def count_visits(response: Response, visits: Annotated[int, Cookie()] = 0) -> dict[str, int]:
    response.set_cookie("visits", str(visits + 1), httponly=True)
    response.set_cookie("seen", "yes")
    return {"visits": visits}


# --- Forms and files ---


@app.post("/login")
async def login(username: Annotated[str, Form()], password: Annotated[str, Form()]) -> dict[str, str]:
    return {"username": username, "password": "*" * len(password)}


@app.post("/upload")
async def upload(files: Annotated[list[UploadFile], File()], note: Annotated[str, Form()] = "") -> list[dict[str, Any]]:
    return [await describe(file, note) for file in files]


async def describe(file: UploadFile, note: str) -> dict[str, Any]:
    digest = hashlib.sha256()
    while piece := await file.read(1 << 16):
        digest.update(piece)
    return {"name": file.filename, "type": file.content_type, "sha256": digest.hexdigest(), "note": note}


# --- Errors ---


class UnicornError(Exception):
    def __init__(self, name: str) -> None:
        self.name = name


@app.exception_handler(UnicornError)
async def handle_unicorn(request: Request, error: UnicornError) -> JSONResponse:
    return JSONResponse(status_code=418, content={"message": f"{error.name} did something"})


@app.get("/unicorns/{name}")
async def read_unicorn(name: str) -> None:
    raise UnicornError(name)


@app.get("/missing")
async def read_missing() -> None:
    raise HTTPException(404, "Item not found", headers={"X-Error": "There goes my error"})


@app.get("/broken")
async def read_broken() -> None:
    raise LookupError("raised on purpose")


@app.get("/broken-in-thread")
def read_broken_in_thread() -> None:
    raise LookupError("raised on purpose")


# --- Dependencies ---


async def get_session(name: str) -> AsyncIterator[dict[str, str]]:
    report("session opened", name)
    try:
        yield {"session": name}
    except LookupError:
        report("session rolled back", name)
        raise HTTPException(409, "rolled back") from None
    finally:
        report("session closed", name)


def get_cursor(session: Annotated[dict[str, str], Depends(get_session)]) -> Iterator[dict[str, str]]:
    """In a thread: a generator that is not asynchronous."""
    yield session | {"cursor": threading.current_thread().name}
    report("cursor closed", session["session"])


@app.get("/query")
async def run_query(cursor: Annotated[dict[str, str], Depends(get_cursor)], fail: bool = False) -> dict[str, str]:
    if fail:
        raise LookupError(cursor["session"])
    return cursor


# --- Background tasks ---


@app.post("/notify/{name}")
async def notify(name: str, background: BackgroundTasks) -> dict[str, str]:
    background.add_task(notify_later, name)
    background.add_task(notify_in_thread, name)
    return {"message": "Notification sent in the background"}


async def notify_later(name: str) -> None:
    await latch(name).passed()
    report("notified", name)


def notify_in_thread(name: str) -> None:
    latch(f"{name}-thread").wait()
    report("notified in thread", f"{name} {request_id.get()}")


@app.post("/open/{name}", status_code=status.HTTP_204_NO_CONTENT)
async def open_latch(name: str) -> None:
    latch(name).open()


# --- Threads ---

together = threading.Barrier(4)


@app.get("/meet")
def meet() -> dict[str, int]:
    """Waits until four of these calls run at the same time."""
    return {"place": together.wait(20)}


@app.get("/block/{name}")
def block(name: str) -> dict[str, str]:
    report("blocking", name)
    latch(name).wait()
    return {"request_id": request_id.get()}


# --- Lifespan ---


@app.get("/state")
async def read_state(request: Request) -> dict[str, Any]:
    request.state.touched += 1
    return {"model": request.state.model, "touched": request.state.touched}


# --- The request itself ---


@app.get("/who")
async def who(request: Request) -> dict[str, Any]:
    assert request.client is not None
    return {
        "client": [request.client.host, request.client.port],
        "url": str(request.url),
        "item": str(request.url_for("read_item", item_id=7)),
        "root_path": request.scope["root_path"],
        "raw_path": request.scope["raw_path"].decode("ascii"),
    }


@app.get("/old")
async def moved() -> RedirectResponse:
    return RedirectResponse("/items/1")


# --- Streams ---


@app.get("/numbers")
async def numbers(count: int) -> StreamingResponse:
    async def generate() -> AsyncIterator[str]:
        for number in range(count):
            yield f"{number}\n"

    return StreamingResponse(generate(), media_type="text/plain")


@app.get("/download")
async def download() -> FileResponse:
    return FileResponse("large.bin", filename="download.bin")


@app.get("/lines")
async def stream_items() -> AsyncIterator[Item]:
    """JSON lines."""
    for name in ("one", "two"):
        yield Item(name=name, price=1)


@app.get("/events/{name}", response_class=EventSourceResponse)
async def events(name: str) -> AsyncIterator[ServerSentEvent]:
    try:
        await latch(f"{name}-first").passed()
        yield ServerSentEvent(data="first", id="1", event="news")
        report("idle", name)
        await latch(f"{name}-second").passed()
        yield ServerSentEvent(raw_data="second")
    finally:
        report("stream closed", name)


# --- WebSockets ---


class ConnectionManager:
    def __init__(self) -> None:
        self.active: list[WebSocket] = []

    async def connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.active.append(websocket)

    def disconnect(self, websocket: WebSocket) -> None:
        self.active.remove(websocket)

    async def broadcast(self, message: str) -> None:
        for connection in self.active:
            await connection.send_text(message)


manager = ConnectionManager()


@app.websocket("/chat/{client_id}")
async def chat(websocket: WebSocket, client_id: int) -> None:
    await manager.connect(websocket)
    try:
        while True:
            data = await websocket.receive_text()
            await websocket.send_text(f"You wrote: {data}")
            await manager.broadcast(f"Client #{client_id} says: {data}")
    except WebSocketDisconnect:
        manager.disconnect(websocket)
        await manager.broadcast(f"Client #{client_id} left the chat")


async def get_cookie_or_token(
    session: Annotated[str | None, Cookie()] = None, token: Annotated[str | None, Query()] = None
) -> str:
    if session is None and token is None:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION)
    return session or token or ""


async def get_resource(item_id: str) -> AsyncIterator[str]:
    yield f"resource of {item_id}"
    report("resource closed", item_id)


@app.websocket("/items/{item_id}/socket")
async def item_socket(
    websocket: WebSocket,
    item_id: str,
    credential: Annotated[str, Depends(get_cookie_or_token)],
    resource: Annotated[str, Depends(get_resource)],
    q: int | None = None,
) -> None:
    await websocket.accept()
    async for data in websocket.iter_json():
        await websocket.send_json({"credential": credential, "resource": resource, "q": q, "data": data})


# --- Sub-applications ---

subapi = FastAPI()


@subapi.get("/where")
async def where(request: Request) -> dict[str, str]:
    return {"root_path": request.scope["root_path"], "url": str(request.url_for("where"))}


app.mount("/subapi", subapi)
app.mount("/wsgi", WSGIMiddleware(wsgi_app))  # type: ignore[arg-type]
