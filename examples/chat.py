"""A chat room and a live feed: WebSocket and Server-Sent Events, with Starlette.

    pip install starlette
    ianus --app-dir examples chat:app

/       the page (chat.html)
/room   WebSocket: takes {"name": ..., "text": ...} and sends it to all clients with a number and a time
/feed   one event a second with the load of the server: curl -N localhost:8000/feed

Connections break: networks fail, servers restart. So each published message has a number, and a client that reconnects
sends the last number that it has seen. A browser's EventSource does so by itself (Last-Event-ID), and the page uses
/room?after=NUMBER.
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
    """Sends each message to all listeners, and the last ones to listeners that are added later.

    Listeners have no queues of their own: each keeps the number of the last message that it has received. A slow one
    uses no memory and delays no other; it misses messages that are dropped before it asks for them.
    """

    def __init__(self, max_messages: int) -> None:
        self._last: deque[tuple[int, str]] = deque(maxlen=max_messages)
        self._published = asyncio.Event()
        # Milliseconds: higher than the numbers of an earlier process, and within the range of JavaScript's integers.
        self._number = time.time_ns() // 1_000_000

    def publish(self, **message: Any) -> None:
        """Gives the message a number, stores it, and wakes the listeners."""
        self._number += 1
        self._last.append((self._number, json.dumps({"number": self._number, **message})))
        self._published.set()
        self._published = asyncio.Event()

    async def listen(self, after: int) -> AsyncIterator[tuple[int, str]]:
        """Yields numbers and messages after the number `after`: the stored ones, then each new one."""
        while True:
            published = self._published
            for number, message in list(self._last):
                if number > after:
                    after = number
                    yield number, message
            await published.wait()


room = Channel(max_messages=50)
feed = Channel(max_messages=60)
people = 0


# --- The chat room ---


async def chat(socket: WebSocket) -> None:
    """Receives and sends at the same time; when one of the two tasks ends, the other one is cancelled."""
    global people
    await socket.accept()
    people += 1
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(receive_messages(socket))
            tasks.create_task(send_messages(socket))
    except* WebSocketDisconnect:
        pass
    except* (KeyError, TypeError, ValueError):
        await socket.close(1007, "a message is a JSON object with a name and a text")
    finally:
        people -= 1


async def receive_messages(socket: WebSocket) -> None:
    """Publishes the messages of one client."""
    while True:
        received = await socket.receive_json()
        name, text = str(received["name"]).strip()[:NAME_SIZE], str(received["text"]).strip()[:TEXT_SIZE]
        if name and text:
            room.publish(time=now(), name=name, text=text)
            # receive_json() does not wait if a message is there already: this lets the listeners run.
            await asyncio.sleep(0)


async def send_messages(socket: WebSocket) -> None:
    """Sends the messages of all clients to one. Only this task waits for a client that does not read."""
    async for _, message in room.listen(number_of(socket.query_params.get("after"))):
        await socket.send_text(message)


# --- The live feed ---


async def stream(request: Request) -> Response:
    """Sends events for FEED_SECONDS, then closes the connection: a server that stops waits only for a short time.

    The browser reconnects, and the next stream continues after the last event.
    """

    async def events() -> AsyncIterator[str]:
        end = time.monotonic() + FEED_SECONDS
        yield "retry: 500\n\n"
        async for number, message in feed.listen(number_of(request.headers.get("last-event-id"))):
            yield f"id: {number}\ndata: {message}\n\n"
            if time.monotonic() > end:
                break

    headers = {"cache-control": "no-store", "connection": "close"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


async def publish_load() -> None:
    """Publishes the load once a second.

    people: clients that are connected; load: processor time of the server in percent; late: the delay of this task by
    the event loop, in milliseconds.
    """
    while True:
        start, computed = time.monotonic(), time.process_time()
        await asyncio.sleep(1)
        elapsed = time.monotonic() - start
        load = 100 * (time.process_time() - computed) / elapsed
        feed.publish(time=now(), people=people, load=round(load, 1), late=round(1000 * (elapsed - 1), 1))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Publishes the load as long as the application runs."""
    publishing = asyncio.create_task(publish_load())
    yield
    publishing.cancel()


# --- The rest ---


async def page(request: Request) -> Response:
    return FileResponse(Path(__file__).with_name("chat.html"))


def now() -> str:
    return f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005  local time is meant


def number_of(text: str | None) -> int:
    """Returns the number in a client's text; 0, which is before all messages, if it is missing or malformed."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else 0


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/", page),
        Route("/feed", stream),
        WebSocketRoute("/room", chat),
    ],
)
