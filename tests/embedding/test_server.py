"""ianus.Server inside a running loop: it serves, stops, and leaks nothing."""

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ianus
from ianus.errors import StartupError

Message = dict[str, Any]


class App:
    """Counts events of the application. /wait answers when `release` is set, everything else at once."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.waiting = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                self.events.append(kind)
                await send({"type": f"lifespan.{kind}.complete"})
            return
        if scope["path"] == "/wait":
            self.waiting.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.events.append("request cancelled")
                raise
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"hi"})


async def get(url: str, path: str = "/") -> str:
    """Returns the body of the response on a connection of its own; "" without a response."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    return answer.decode().rpartition("\r\n\r\n")[2]


@asynccontextmanager
async def serving(server: ianus.Server) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(server.serve())
    assert await server.wait_started()
    yield task
    server.should_exit = True
    await asyncio.wait({task})


def new(app: Any, **settings: Any) -> ianus.Server:
    given: dict[str, Any] = {"bind": "127.0.0.1:0", "access_log": False} | settings
    return ianus.Server(app, **given)


def new_uvloop() -> asyncio.AbstractEventLoop:
    uvloop = pytest.importorskip("uvloop")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@pytest.fixture(params=[asyncio.new_event_loop, new_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    def run(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(main, 20))

    return run


Run = Callable[[Coroutine[Any, Any, None]], None]


def test_it_serves_beside_other_tasks_and_does_not_touch_them(run: Run) -> None:
    async def main() -> None:
        app, server = App(), new(App())
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        server = new(app)
        assert not server.started
        async with serving(server) as task:
            assert server.started
            assert await get(server.url) == "hi"
            assert app.events == ["startup"]
        assert task.result() is None
        assert app.events == ["startup", "shutdown"]
        before = turns
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert turns > before
        beside.cancel()

    run(main())


def test_nothing_of_it_is_left(run: Run, tmp_path: Any) -> None:
    log = str(tmp_path / "access.log")

    def everything() -> tuple[Any, ...]:
        gc.collect()
        loggers = [logging.getLogger(name) for name in ("", "ianus", "ianus.error")]
        return (
            sorted(os.listdir("/proc/self/fd")),  # noqa: PTH208
            [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio")],
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)],
            [(each.handlers[:], each.level, each.propagate) for each in loggers],
            asyncio.all_tasks(),
        )

    async def main() -> None:
        warm = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        warm.close()
        await warm.wait_closed()
        before = everything()
        async with serving(new(App(), access_log=True, access_logfile=log)):
            assert everything() != before
        await asyncio.sleep(0)
        assert everything() == before

    run(main())


def test_no_signal_handler_is_touched_while_it_serves(run: Run) -> None:
    async def main() -> None:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)]
        async with serving(new(App())):
            assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)] == handlers

    run(main())


def test_several_serve_in_one_loop_and_one_after_the_other(run: Run) -> None:
    async def main() -> None:
        app = App()
        async with serving(new(app)) as first_task:
            async with serving(new(app)) as second_task:
                servers = app.events.count("startup")
                assert servers == 2
            assert second_task.done()
            assert not first_task.done()
        for _ in range(3):
            server = new(app)
            async with serving(server):
                assert await get(server.url) == "hi"
        assert app.events.count("startup") == app.events.count("shutdown") == 5

    run(main())


def test_it_can_be_stopped_from_another_thread(run: Run) -> None:
    async def main() -> None:
        server = new(App())
        async with serving(server) as task:

            def stop() -> None:
                server.should_exit = True

            thread = threading.Thread(target=stop)
            thread.start()
            await task
            thread.join()
            assert server.should_exit

    run(main())


def test_a_stop_that_is_asked_for_before_the_start(run: Run) -> None:
    async def main() -> None:
        server = new(App())
        server.should_exit = True
        task = asyncio.create_task(server.serve())
        assert not await server.wait_started()
        await task
        assert not server.started

    run(main())


def test_should_exit_waits_for_requests_in_flight_and_force_exit_does_not(run: Run) -> None:
    async def main() -> None:
        app = App()
        server = new(app)
        async with serving(server) as task:
            request = asyncio.create_task(get(server.url, "/wait"))
            await app.waiting.wait()
            server.should_exit = True
            app.release.set()
            assert await request == "hi"
            await task
        assert "request cancelled" not in app.events
        app = App()
        server = new(app)
        async with serving(server) as task:
            request = asyncio.create_task(get(server.url, "/wait"))
            await app.waiting.wait()
            server.force_exit = True
            assert server.should_exit
            await task
            await asyncio.wait({request})
            assert request.exception() or request.result() == ""
        assert app.events == ["startup", "request cancelled", "shutdown"]

    run(main())


def test_setting_should_exit_to_false_or_after_the_end_changes_nothing() -> None:
    server = new(App())
    server.should_exit = server.force_exit = False
    assert not server.should_exit

    async def main() -> None:
        async with serving(server):
            pass

    asyncio.run(main())
    server.force_exit = True


# --- Cancellation ---


def test_cancelling_is_graceful_first(run: Run) -> None:
    async def main() -> None:
        app = App()
        server = new(app)
        async with serving(server) as task:
            request = asyncio.create_task(get(server.url, "/wait"))
            await app.waiting.wait()
            task.cancel("enough")
            app.release.set()
            assert await request == "hi"
            with pytest.raises(asyncio.CancelledError, match="enough"):
                await task
        assert app.events == ["startup", "shutdown"]

    run(main())


def test_cancelling_once_more_is_quick(run: Run) -> None:
    async def main() -> None:
        app = App()
        server = new(app)
        async with serving(server) as task:
            request = asyncio.create_task(get(server.url, "/wait"))
            await app.waiting.wait()
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task, request})
            assert task.cancelled()
            assert request.exception() or request.result() == ""
        assert app.events == ["startup", "request cancelled", "shutdown"]

    run(main())


def test_a_time_limit_around_it_works(run: Run) -> None:
    async def main() -> None:
        app = App()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await new(app).serve()
        assert app.events in ([], ["startup", "shutdown"])

    run(main())


def test_a_loop_that_ends_under_it_takes_it_down() -> None:
    """asyncio.run() cancels every task at its end, those of the server too."""
    app, addresses = App(), []

    async def main() -> None:
        server = new(app)
        task = asyncio.create_task(server.serve())
        assert await server.wait_started()
        request = asyncio.create_task(get(server.url, "/wait"))
        await app.waiting.wait()
        addresses.append(server.url)
        assert not task.done()
        assert not request.done()

    asyncio.run(main())
    assert "request cancelled" in app.events
    host, _, port = addresses[0].removeprefix("http://").rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


# --- Addresses ---


def test_addresses_are_those_that_are_bound(run: Run, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        server = new(App(), bind=["127.0.0.1:0", "unix:app.sock"])
        assert not server.addresses
        with pytest.raises(RuntimeError, match="does not listen yet"):
            assert server.url
        async with serving(server):
            assert list(server.addresses) == [server.url, "unix:app.sock"]
            assert not server.url.endswith(":0")
        assert list(tmp_path.iterdir()) == []

    run(main())


def test_sockets_of_the_caller_are_served_and_stay_open(run: Run) -> None:
    async def main() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            for _ in range(2):
                server = new(App())
                task = asyncio.create_task(server.serve(sockets=[sock]))
                assert await server.wait_started()
                assert server.url == f"http://127.0.0.1:{sock.getsockname()[1]}"
                assert await get(server.url) == "hi"
                server.should_exit = True
                await task
                assert sock.fileno() >= 0

    run(main())


# --- Invalid use ---


@pytest.mark.parametrize(
    ("app", "settings", "told"),
    [
        ("no_such_module_here:app", {}, "There is no module"),
        (App, {"bind": "fd://99999"}, "no descriptor with this number is open"),
        (App, {"access_log": True, "access_logfile": "/no/such/folder/log"}, "cannot be opened"),
    ],
)
def test_a_start_that_fails(app: Any, settings: dict[str, Any], told: str, run: Run) -> None:
    async def main() -> None:
        server = new(app() if callable(app) else app, **settings)
        task = asyncio.create_task(server.serve())
        assert not await server.wait_started()
        with pytest.raises(StartupError, match=told):
            await task
        assert asyncio.all_tasks() <= {asyncio.current_task(), task} | _tasks_of_the_runner()

    run(main())


def _tasks_of_the_runner() -> set[Any]:
    return {task for task in asyncio.all_tasks() if "wait_for" in repr(task.get_coro())}


def test_an_application_that_does_not_start(run: Run) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def main() -> None:
        with pytest.raises(StartupError, match="no database"):
            await new(app).serve()

    run(main())


def test_it_serves_once(run: Run) -> None:
    async def main() -> None:
        server = new(App())
        async with serving(server):
            with pytest.raises(RuntimeError, match="serves once"):
                await server.serve()
        with pytest.raises(RuntimeError, match="serves once"):
            await server.serve()

    run(main())


def test_settings_are_an_object_or_keywords() -> None:
    settings = ianus.Settings(bind="127.0.0.1:0")  # type: ignore[arg-type]
    assert ianus.Server(App(), settings).settings is settings
    with pytest.raises(TypeError, match="not both"):
        ianus.Server(App(), settings, backlog=1)
    with pytest.raises(TypeError, match="did you mean 'backlog'"):
        ianus.Server(App(), backlogg=1)
    with pytest.raises(ianus.SettingError, match="reload"):
        ianus.Server(App(), reload=True)


def test_the_package_has_no_attributes_that_it_has_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Sever'"):
        ianus.Sever  # noqa: B018


def test_sockets_that_cannot_listen() -> None:
    async def serve(*sockets: socket.socket) -> None:
        await ianus.Server("main:app").serve(sockets=sockets)

    with pytest.raises(ianus.StartupError, match=r"There is no socket to listen on"):
        asyncio.run(serve())
    with socket.socket() as sock, pytest.raises(ianus.StartupError, match=r"is not bound"):
        asyncio.run(serve(sock))
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ianus.StartupError, match=r"cannot listen \(Operation not supported\)\. Give serve\(\) "):
            asyncio.run(serve(sock))
        sock.close()
        with pytest.raises(ianus.StartupError, match=r"cannot listen \(Bad file descriptor\)\. "):
            asyncio.run(serve(sock))
