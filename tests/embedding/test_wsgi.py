"""WSGI applications, alone and beside ASGI ones, in ianus.Server and ianus.testing."""

import asyncio
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.validate import validator

import httpx
import pytest

import ianus
import ianus.testing
from tests.helpers import until


class App:
    """Reports its calls. /wait answers when `release` is set, /after continues to work after its response."""

    def __init__(self) -> None:
        self.waiting = threading.Event()
        self.release = threading.Event()
        self.done = threading.Event()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/after":
            return self.behind()
        if environ["PATH_INFO"] == "/wait":
            self.waiting.set()
            self.release.wait()
        threaded = environ["wsgi.multithread"]
        return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}|{threaded}".encode("latin-1")]

    def behind(self) -> Iterator[bytes]:
        yield b"hi"
        self.waiting.set()
        self.release.wait()
        self.done.set()


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    body = f"{scope['root_path']}|{scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


MOUNTS = pytest.mark.parametrize("mount", [[], [("/api", asgi)]], ids=["alone", "beside ASGI"])


@MOUNTS
@pytest.mark.parametrize("threads", ["auto", 1, 2])
def test_an_application_is_served_inside_the_with_statement(threads: Any, mount: Any) -> None:
    before = threading.enumerate()
    with ianus.testing.serve(validator(App()), mount=mount, threads=threads) as url:
        assert httpx.get(f"{url}/a").text == f"|/a|{threads != 1}"
        expected = f"|/api|{threads != 1}" if not mount else "/api|/api"
        assert httpx.get(f"{url}/api").text == expected
    until(lambda: threading.enumerate() == before)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_wsgi_is_mounted_too() -> None:
    with ianus.testing.serve(asgi, mount=[("/w", App()), ("/w/x", asgi)], root_path_kept="/site") as url:
        assert httpx.get(f"{url}/site/a").text == "/site|/site/a"
        assert httpx.get(f"{url}/site/w/a").text == "/site/w|/a|True"
        assert httpx.get(f"{url}/site/w/x/a").text == "/site/w/x|/site/w/x/a"


@MOUNTS
def test_work_after_a_response_may_finish(mount: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    with ianus.testing.serve(app, mount=mount) as url, httpx.stream("GET", f"{url}/after") as response:
        assert next(response.iter_text()) == "hi"
        threading.Timer(0.01, app.release.set).start()
    assert app.done.is_set()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@MOUNTS
def test_a_call_that_does_not_return_is_abandoned(
    mount: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ianus.testing, "CALLS_TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr("ianus.process.worker.worker.CANCEL_SECONDS", 0.01)
    app = App()
    before = threading.enumerate()

    def request(url: str) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{url}/wait")

    try:
        with ianus.testing.serve(app, mount=mount) as url:
            client = threading.Thread(target=request, args=(url,))
            client.start()
            assert app.waiting.wait(20)
        client.join()
        assert "requests abandoned: 1, connections closed: 1, by a quick stop" in caplog.text
        assert "WSGI calls still running: 1" in caplog.text
    finally:
        app.release.set()
    until(lambda: threading.enumerate() == before)


@MOUNTS
def test_a_graceful_stop_waits_for_calls(mount: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        app = App()
        server = ianus.Server(app, bind="127.0.0.1:0", access_log=False, mount=mount)
        serving = asyncio.create_task(server.serve())
        assert await server.wait_started()
        async with httpx.AsyncClient() as client:
            request = asyncio.create_task(client.get(f"{server.url}/wait"))
            await asyncio.to_thread(app.waiting.wait)
            server.should_exit = True
            await asyncio.sleep(0)
            app.release.set()
            assert (await request).text == "|/wait|True"
        await serving

    asyncio.run(main())
    assert "abandoned" not in caplog.text


@MOUNTS
def test_nothing_of_a_server_is_left(mount: Any) -> None:
    def descriptors() -> list[str]:
        gc.collect()
        return sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208

    async def main() -> None:
        # httpx and the loop's own threads are warmed up.
        await asyncio.to_thread(lambda: None)
        threads, before, interval = threading.enumerate(), descriptors(), sys.getswitchinterval()
        server = ianus.Server(App(), bind="127.0.0.1:0", access_log=False, mount=mount)
        serving = asyncio.create_task(server.serve())
        assert await server.wait_started()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{server.url}/a")).text == "|/a|True"
        server.should_exit = True
        await serving
        await asyncio.to_thread(until, lambda: threading.enumerate() == threads)
        assert descriptors() == before
        assert sys.getswitchinterval() == interval

    asyncio.run(main())


def test_several_servers_at_once() -> None:
    def serve() -> Any:
        return ianus.testing.serve(App())

    with serve() as first, serve() as second, ianus.testing.serve(asgi, mount=[("/w", App())]) as third:
        answers: list[Callable[[], str]] = [
            lambda: httpx.get(f"{first}/a").text,
            lambda: httpx.get(f"{second}/a").text,
            lambda: httpx.get(f"{third}/w/a").text,
        ]
        assert [answer() for answer in answers] == ["|/a|True", "|/a|True", "/w|/a|True"]
