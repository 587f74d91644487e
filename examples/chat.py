"""A chat room and a live feed: WebSocket and Server-Sent Events, with Starlette.

    pip install starlette
    ianus --app-dir examples chat:app

/       the page (chat.html)
/room   WebSocket: takes {"name": ..., "text": ...} and gives everybody the same with a number and a time
/feed   one event a second, the server's pulse: curl -N localhost:8000/feed

Connections break: lines fail, servers restart. So everything that is published has a number, and whoever comes again
says the last one they have seen: a browser's EventSource by itself (Last-Event-ID), the page with /room?after=NUMBER.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

NAME_SIZE = 30  # characters
TEXT_SIZE = 1000
FEED_SECONDS = 10


class Channel:
    """Gives each message to all who listen, and the last ones to whoever comes later.

    Listeners have no queues of their own: each knows the number up to which it has got everything. One that is slow
    costs no memory and delays nobody; it misses what is forgotten before it asks.
    """

    def __init__(self, remembered: int) -> None:
        self._last: deque[tuple[int, str]] = deque(maxlen=remembered)
        self._news = asyncio.Event()
        # Numbers that go on behind those of an earlier process, and that JavaScript can hold.
        self._number = time.time_ns() // 1_000_000

    def publish(self, **message: Any) -> None:
        """Numbers the message."""
        self._number += 1
        self._last.append((self._number, json.dumps({"number": self._number, **message})))
        self._news.set()
        self._news = asyncio.Event()

    async def listen(self, after: int) -> AsyncIterator[tuple[int, str]]:
        """Numbers and messages behind the number `after`: those that are remembered, then each that comes."""
        while True:
            news = self._news
            for number, message in list(self._last):
                if number > after:
                    after = number
                    yield number, message
            await news.wait()


room = Channel(remembered=50)
feed = Channel(remembered=60)
people = 0


# --- The chat room ---


async def chat(socket: WebSocket) -> None:
    """Hears and tells at the same time; when one of the two ends, so does the other."""
    global people
    await socket.accept()
    people += 1
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hear(socket))
            tasks.create_task(tell(socket))
    except* WebSocketDisconnect:
        pass
    except* (KeyError, TypeError, ValueError):
        await socket.close(1007, "a message is a JSON object with a name and a text")
    finally:
        people -= 1


async def hear(socket: WebSocket) -> None:
    """Publishes what this person says."""
    while True:
        said = await socket.receive_json()
        name, text = str(said["name"]).strip()[:NAME_SIZE], str(said["text"]).strip()[:TEXT_SIZE]
        if name and text:
            room.publish(time=now(), name=name, text=text)
            # What has come already is received without waiting, so say that it is the listeners' turn.
            await asyncio.sleep(0)


async def tell(socket: WebSocket) -> None:
    """Sends what anybody says. A person who does not read is waited for here, and by nobody else."""
    async for _, message in room.listen(number_of(socket.query_params.get("after"))):
        await socket.send_text(message)


# --- The live feed ---


async def stream(request: Request) -> Response:
    """Ends by itself, and its connection with it, so that a server that is stopping need not wait for long; the browser
    opens the next one, which goes on where this one ended."""

    async def events() -> AsyncIterator[str]:
        end = time.monotonic() + FEED_SECONDS
        yield "retry: 500\n\n"
        async for number, message in feed.listen(number_of(request.headers.get("last-event-id"))):
            yield f"id: {number}\ndata: {message}\n\n"
            if time.monotonic() > end:
                break

    headers = {"cache-control": "no-store", "connection": "close"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


async def beat() -> None:
    """The pulse: once a second how many people are in the room, how much of a processor the server takes, in percent,
    and how long its event loop kept this task waiting, in milliseconds."""
    while True:
        begin, computed = time.monotonic(), time.process_time()
        await asyncio.sleep(1)
        elapsed = time.monotonic() - begin
        load = 100 * (time.process_time() - computed) / elapsed
        feed.publish(time=now(), people=people, load=round(load, 1), late=round(1000 * (elapsed - 1), 1))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """The heart beats as long as the application runs."""
    beating = asyncio.create_task(beat())
    yield
    beating.cancel()


# --- The rest ---


async def page(request: Request) -> Response:
    return FileResponse(Path(__file__).with_name("chat.html"))


def now() -> str:
    return f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005  local time is meant


def number_of(text: str | None) -> int:
    """0, which is before everything, if a client says nothing of use."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else 0


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/", page),
        Route("/feed", stream),
        WebSocketRoute("/room", chat),
    ],
)
