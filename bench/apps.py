"""Applications of nothing but ASGI, so that only the server is measured."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HELLO = b"Hello, world!"
HELLO_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
PIECE = bytes(range(256)) * 256  # 64 KiB, the unit of big bodies and the size of a send
NEWS = "x" * 128  # the message to all members
PROCESS = str(os.getpid()).encode()
MEMBERS: list[Send] = []  # of fanout
BLOCKS: dict[int, bytes] = {}  # of block, by their size
FOLDER = os.getcwd()  # noqa: PTH109 - pathlib would add to the start of every server


async def hello(scope: Message, receive: Receive, send: Send) -> None:
    """Answers every request with the same 13 bytes."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": HELLO_HEADERS})
    await send({"type": "http.response.body", "body": HELLO})


async def process_id(scope: Message, receive: Receive, send: Send) -> None:
    """Answers every request with the number of the process."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": _binary_headers(len(PROCESS))})
    await send({"type": "http.response.body", "body": PROCESS})


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    """Answers with the body of the request."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": _binary_headers(len(body))})
    await send({"type": "http.response.body", "body": body})


async def download(scope: Message, receive: Receive, send: Send) -> None:
    """Answers ``/N`` with N bytes in pieces, and ``/`` with hello."""
    if scope["type"] == "lifespan" or scope["path"] == "/":
        await hello(scope, receive, send)
        return
    left = int(scope["path"][1:])
    await send({"type": "http.response.start", "status": 200, "headers": _binary_headers(left)})
    while left:
        piece = PIECE[:left]
        left -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})


async def block(scope: Message, receive: Receive, send: Send) -> None:
    """Answers ``/N`` with N bytes in one piece, and ``/`` with hello."""
    if scope["type"] == "lifespan" or scope["path"] == "/":
        await hello(scope, receive, send)
        return
    size = int(scope["path"][1:])
    if size not in BLOCKS:
        BLOCKS[size] = big_body(size)
    await send({"type": "http.response.start", "status": 200, "headers": _binary_headers(size)})
    await send({"type": "http.response.body", "body": BLOCKS[size]})


async def upload(scope: Message, receive: Receive, send: Send) -> None:
    """Answers with the number of bytes in the body of the request, which it forgets piece by piece."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    size = 0
    more = True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": _binary_headers(len(body))})
    await send({"type": "http.response.body", "body": body})


async def pathsend(scope: Message, receive: Receive, send: Send) -> None:
    """Answers ``/N`` with the file N of the current folder, which has N bytes, and ``/`` with hello."""
    if scope["type"] == "lifespan" or scope["path"] == "/":
        await hello(scope, receive, send)
        return
    if "http.response.pathsend" not in (scope.get("extensions") or {}):
        body = b"has no pathsend"
        await send({"type": "http.response.start", "status": 501, "headers": _binary_headers(len(body))})
        await send({"type": "http.response.body", "body": body})
        return
    name = scope["path"][1:]
    await send({"type": "http.response.start", "status": 200, "headers": _binary_headers(int(name))})
    await send({"type": "http.response.pathsend", "path": f"{FOLDER}/{name}"})


async def echo_messages(scope: Message, receive: Receive, send: Send) -> None:
    """Sends back each message of a WebSocket; requests get hello."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await _accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def fanout(scope: Message, receive: Receive, send: Send) -> None:
    """Sends the same 128 bytes to all WebSockets whenever a message arrives from any of them; requests get hello."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await _accept(receive, send)
    MEMBERS.append(send)
    while (await receive())["type"] == "websocket.receive":
        for member in MEMBERS:
            await member({"type": "websocket.send", "text": NEWS})
    MEMBERS.remove(send)


def big_body(size: int) -> bytes:
    """Returns the body of ``download``."""
    return (PIECE * (size // len(PIECE) + 1))[:size]


def _binary_headers(length: int) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/octet-stream"), (b"content-length", str(length).encode())]


async def _accept(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
