"""Event streams as sse-starlette's README has them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.e2e.apps import alive, report
from tests.frameworks.latches import latch


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    report("alive", json.dumps(alive()))


async def ticks(request: Request) -> Response:
    """Each event waits for a gate of its own; the third gate stays closed."""
    name = request.path_params["name"]

    async def generate() -> AsyncIterator[ServerSentEvent]:
        try:
            for number in range(3):
                report(f"waiting for {number}", name)
                await latch(f"{name}-{number}").passed()
                yield ServerSentEvent(data=str(number), event="tick", id=str(number), sep="\n")
        finally:
            report("stream closed", name)

    return EventSourceResponse(generate())


async def open_latch(request: Request) -> Response:
    latch(request.path_params["name"]).open()
    return Response(status_code=204)


app = Starlette(
    lifespan=lifespan,
    routes=[Route("/ticks/{name}", ticks), Route("/open/{name}", open_latch, methods=["POST"])],
)
