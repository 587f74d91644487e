"""A Socket.IO server as python-socketio's guide has it: events, acknowledgements, groups, background work."""

import json
import logging
from typing import Any

import socketio

from tests.e2e.apps import alive, report
from tests.frameworks.latches import latch

# It takes for an error that a client polls once more when it has left.
logging.getLogger("engineio.server").setLevel(logging.CRITICAL)

server = socketio.AsyncServer(async_mode="asgi")


async def report_shutdown() -> None:
    # Of clients that are gone it knows the first request until it looks through them, which it does now and then.
    server.eio.sockets.clear()
    server.environ.clear()
    report("alive", json.dumps(alive()))


app = socketio.ASGIApp(server, on_shutdown=report_shutdown)


@server.event  # type: ignore[untyped-decorator]
async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
    if auth == "stranger":
        raise ConnectionRefusedError("who are you?")
    await server.save_session(sid, {"name": auth})


@server.event  # type: ignore[untyped-decorator]
async def disconnect(sid: str, reason: str) -> None:
    report("disconnected", (await server.get_session(sid))["name"])


@server.event  # type: ignore[untyped-decorator]
async def ask(sid: str, data: Any) -> list[Any]:
    """The answer is the acknowledgement."""
    return [(await server.get_session(sid))["name"], server.transport(sid), data]


@server.event  # type: ignore[untyped-decorator]
async def enter(sid: str, room: str) -> None:
    await server.enter_room(sid, room)


@server.event  # type: ignore[untyped-decorator]
async def tell(sid: str, room: str, message: Any) -> None:
    await server.emit("told", message, room=room)


@server.event  # type: ignore[untyped-decorator]
async def work(sid: str, name: str) -> None:
    async def later() -> None:
        await latch(name).passed()
        await server.emit("done", name, to=sid)

    server.start_background_task(later)


@server.event  # type: ignore[untyped-decorator]
async def finish(sid: str, name: str) -> None:
    latch(name).open()


@server.event  # type: ignore[untyped-decorator]
async def leave(sid: str) -> None:
    await server.disconnect(sid)
