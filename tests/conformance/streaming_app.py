"""Bodies of any size, in pieces of at most 1 MiB."""

import asyncio
from typing import Any

PIECE = b"x" * (1 << 20)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    if scope["path"].startswith("/up"):
        await up(receive, send, slow=scope["path"] == "/up/slow")
    else:
        await down(int(scope["query_string"]), send, length=scope["path"] == "/down/length")


async def up(receive: Any, send: Any, *, slow: bool) -> None:
    """Counts the bytes of the request."""
    total = 0
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        if slow and (total + len(message["body"])) >> 20 > total >> 20:
            await asyncio.sleep(0.002)
        total += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"%d" % total})


async def down(size: int, send: Any, *, length: bool) -> None:
    """Sends that many bytes."""
    headers = [(b"content-length", b"%d" % size)] if length else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while size:
        piece = PIECE[:size]
        size -= len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})
