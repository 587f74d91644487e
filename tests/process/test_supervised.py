"""A worker of a supervisor: its reports, such as that it has served its maximum number of requests."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ianus.process.resources import open_listeners
from ianus.process.stop_level import StopLevel
from ianus.process.worker.signals import StopRequest
from ianus.process.worker.stack import choose_max_requests
from ianus.process.worker.worker import Worker, load_applications
from ianus.settings.schema import Settings
from tests.helpers import WAIT_SECONDS

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"end"})


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("X-Multiprocess", str(environ["wsgi.multiprocess"]))])
    return [b"end"]


class Recycled:
    """A worker, served in the loop that runs, and the reasons for which it is to be replaced."""

    def __init__(self, app: Any, **settings: Any) -> None:
        given = Settings.from_values({"bind": "127.0.0.1:0", "access_log": False} | settings)
        self.listeners = open_listeners(given)
        self.stop = StopRequest()
        self.reasons: list[tuple[str, int]] = []
        self.started, self.recycled = asyncio.Event(), asyncio.Event()
        self.worker = Worker(
            load_applications(app, given),
            given,
            self.listeners,
            self.stop,
            notify=self._on_report,
            slot=0,
        )

    def _on_report(self, event: str, *more: str) -> None:
        if event == "ready":
            self.facts = more
            self.started.set()
        elif event == "recycle":
            self.reasons.append((more[0], threading.get_ident()))
            self.recycled.set()

    async def run(self, client: Callable[[Callable[[], Any]], Any]) -> None:
        """Serves until `client` returns; its argument sends a request and returns the response."""
        serving = asyncio.create_task(self.worker.serve())
        await self.started.wait()
        reader, writer = await asyncio.open_connection(*self.listeners[0].sock.getsockname())

        async def get() -> bytes:
            writer.write(REQUEST)
            response: bytes = await reader.readuntil(b"end")
            return response

        await client(get)
        writer.close()
        self.stop.raise_level(StopLevel.GRACEFUL)
        await serving
        self.worker.close()


@pytest.mark.parametrize("app", [asgi, wsgi])
def test_the_limit_is_reported_once_in_the_thread_of_the_loop(app: Any) -> None:
    recycled = Recycled(app, max_requests=3)

    async def client(get: Callable[[], Any]) -> None:
        for _ in range(2):
            await get()
        await asyncio.sleep(0)
        assert recycled.reasons == []
        await get()
        await asyncio.wait_for(recycled.recycled.wait(), WAIT_SECONDS)
        for _ in range(5):
            await get()
        assert recycled.reasons == [("reached --max-requests", threading.get_ident())]

    asyncio.run(recycled.run(client))
    assert len(recycled.reasons) == 1


def test_without_a_limit_there_is_none() -> None:
    recycled = Recycled(asgi)

    async def client(get: Callable[[], Any]) -> None:
        for _ in range(5):
            await get()

    asyncio.run(recycled.run(client))
    assert recycled.reasons == []


def test_workers_have_limits_of_their_own() -> None:
    assert choose_max_requests(Settings()) == 0
    assert choose_max_requests(Settings(max_requests_jitter=5)) == 0
    assert choose_max_requests(Settings(max_requests=10)) == 10
    drawn = {choose_max_requests(Settings(max_requests=10, max_requests_jitter=5)) for _ in range(500)}
    assert drawn == {10, 11, 12, 13, 14, 15}


@pytest.mark.parametrize("workers", [1, 2])
def test_applications_know_whether_there_are_other_processes(workers: int) -> None:
    recycled = Recycled(wsgi, workers=workers)

    async def client(get: Callable[[], Any]) -> None:
        assert b"X-Multiprocess: %a\r\n" % (workers > 1) in await get()

    asyncio.run(recycled.run(client))


def test_a_worker_reports_its_application_to_the_supervisor_and_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    recycled = Recycled(asgi)

    async def client(get: Callable[[], Any]) -> None:
        await get()

    with caplog.at_level("INFO", "ianus.error"):
        asyncio.run(recycled.run(client))
    assert recycled.facts == (f"{__name__}:asgi (asgi3)", "loop asyncio")
    assert caplog.messages == []
