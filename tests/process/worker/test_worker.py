"""The order of starting and stopping, with stand-ins for the compiled part."""

import asyncio
import logging
import math
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ianus
from ianus.acceptor.transfers import Transfers
from ianus.errors import StartupError
from ianus.gateway.loading.loader import Application
from ianus.hooks import ServerInfo, WorkerInfo
from ianus.process import serve as module
from ianus.process.hooks import Hooks
from ianus.process.resources import open_listeners
from ianus.process.scoreboard import Scoreboard
from ianus.process.stop_level import StopLevel
from ianus.process.transfer_queue import TransferQueue
from ianus.process.worker import worker
from ianus.process.worker.exit import Ending
from ianus.process.worker.stack import ServingStack
from ianus.process.worker_spec import SupervisorLink, WorkerSpec
from ianus.settings.schema import Settings


class Notes(list[str]):
    """The events, in order."""


class StandIn:
    """Plays reactor, service, gateway, pool and access log in one.

    script: called with the stand-in once everything is open, in a task of the loop.
    """

    def __init__(self, notes: Notes, script: Callable[["StandIn"], Any]) -> None:
        self.notes = notes
        self.script = script
        self.connections = 0
        self.requests: list[asyncio.Task[Any]] = []
        self.on_drained: Callable[[], None] | None = None
        self.sockets: list[socket.socket] = []
        self.draining = asyncio.Event()
        self.threads: list[threading.Thread] = []
        self.on_gone: Callable[[], None] | None = None
        self.exclusive = False
        self.is_serving = False

    def build_stack(
        self,
        apps: Any,
        settings: Settings,
        loop: Any,
        states: Any,
        access_file: Any,
        on_max_requests: Any,
        https_port: int,
        tls: Any,
    ) -> Any:
        self.states = states
        self.on_max_requests = on_max_requests
        self.loop = loop
        self.led = all(app.interface == "wsgi" for app in apps)
        return ServingStack(
            reactor=self,  # type: ignore[arg-type]
            sessions=self,  # type: ignore[arg-type]
            plain_sessions=self,  # type: ignore[arg-type]
            filters=None,
            service=self,  # type: ignore[arg-type]
            access_log=self if access_file is not None else None,  # type: ignore[arg-type]
            statsd=None,
            asgi=() if self.led else (self,),  # type: ignore[arg-type]
            pool=StandInCrew(self) if any(app.interface == "wsgi" for app in apps) else None,  # type: ignore[arg-type]
        )

    # as a reactor

    def listen(self, sock: socket.socket, sessions: Any) -> None:
        assert sessions is self
        assert self.is_serving, "a health check may follow at once"
        self.sockets.append(sock)

    @property
    def accepting(self) -> "StandIn":
        return self

    waker = None

    def join_transfers(self, transfers: Transfers, waker: None) -> None:
        assert self.sockets, "to be called after the last listen()"

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self.notes.append("open")
        self.task = loop.create_task(self.script(self))

    def drain(self, on_drained: Callable[[], None], *, handover: bool = False) -> None:
        assert self.exclusive is self.led
        self.notes.append("hand over" if handover else "drain")
        self.draining.set()
        if self.connections == 0:
            on_drained()
        self.on_drained = on_drained

    def last_connection_gone(self) -> None:
        self.connections = 0
        if self.on_drained is not None:
            self.on_drained()

    # as a service

    def note_serving(self) -> None:
        self.is_serving = True

    # as a gateway

    @property
    def in_flight(self) -> SimpleNamespace:
        return SimpleNamespace(requests=len(self.tasks()), websockets=0)

    def tasks(self) -> list[asyncio.Task[Any]]:
        return [task for task in self.requests if not task.done()]

    def request_of(self, task: asyncio.Task[Any]) -> str:
        return "GET /" if task in self.requests else ""

    def end_cancelled(self) -> None:
        """Nothing to do: these tasks notice their end."""

    def request(self, coroutine: Any) -> None:
        self.requests.append(asyncio.create_task(coroutine))

    # as an access log, and as a reactor, which a pool may have

    def start(self) -> None:
        self.notes.append("start log")

    def close(self) -> None:
        self.notes.append("close")


class StandInCrew:
    """Its threads are those of `stand_in.threads`."""

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in

    def start(self, reactor: Any, *, shared: bool, pinned: bool) -> None:
        assert not pinned
        assert reactor is self.stand_in
        assert shared is not self.stand_in.led
        self.stand_in.notes.append("start pool")
        if not shared:
            self.stand_in.attach(self.stand_in.loop)

    def exclusively(self, function: Callable[[], Any]) -> Any:
        self.stand_in.exclusive = self.stand_in.led
        try:
            return function()
        finally:
            self.stand_in.exclusive = False

    @property
    def threads(self) -> int:
        return len(self.running_calls())

    def running_calls(self) -> list[tuple[str, float, int]]:
        return [("GET /", 1.0, thread.ident or 0) for thread in self.stand_in.threads if thread.is_alive()]

    def close(self) -> None:
        assert "stop pool" in self.stand_in.notes

    def join(self, limit: float) -> None:
        """Nothing to do: its threads are the test's."""

    def stop(self, on_gone: Callable[[], None]) -> None:
        self.stand_in.notes.append("stop pool")

        def leave() -> None:
            for thread in self.stand_in.threads:
                thread.join()
            on_gone()

        threading.Thread(target=leave).start()


@pytest.fixture(autouse=True)
def _handlers_are_put_back() -> Iterator[None]:
    """A process that is about to end keeps its signal handlers; this one continues."""
    handled = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in handled]
    yield
    for number, handler in zip(handled, before, strict=True):
        signal.signal(number, handler)


class StandInVigil:
    """The real one's thread would end this process when `run_supervised` has closed the lifeline."""

    def __init__(self, link: SupervisorLink | None, settings: Settings) -> None: ...
    def start(self, stack: ServingStack) -> None: ...
    def stop(self) -> None: ...


@pytest.fixture(autouse=True)
def _nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WorkerLiveness", StandInVigil)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def serve(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    # Another test may have left a handler, of which the server would warn.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(script: Callable[[StandIn], Any], app: Any = None, **settings: Any) -> int:
        stand_in = StandIn(notes, script)
        monkeypatch.setattr(worker, "build_stack", stand_in.build_stack)
        given = {"bind": "127.0.0.1:0", "loop": "asyncio"} | settings
        return module.run(app or application_of(notes), Settings.from_values(given))

    yield run
    signal.signal(signal.SIGINT, before)


def application_of(notes: Notes) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for kind in ("startup", "shutdown"):
            await receive()
            notes.append(kind)
            await send({"type": f"lifespan.{kind}.complete"})

    return app


def ask(*signals: signal.Signals) -> Callable[[StandIn], Any]:
    async def script(stand_in: StandIn) -> None:
        for number in signals:
            os.kill(os.getpid(), number)

    return script


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


# --- The way up and down ---


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_graceful_stop_goes_through_every_stage_in_order(
    number: signal.Signals, loop: str, serve: Callable[..., int], notes: Notes
) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    assert serve(ask(number), loop=loop) == 0
    assert notes == ["startup", "start log", "open", "drain", "close", "shutdown", "close", "close"]


def test_a_quick_stop_does_not_drain(serve: Callable[..., int], notes: Notes) -> None:
    assert serve(ask(signal.SIGQUIT)) == 0
    assert "drain" not in notes
    assert "shutdown" in notes


def test_the_banner_has_address_interface_loop_and_pid(
    serve: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    addresses: list[str] = []

    async def script(stand_in: StandIn) -> None:
        addresses.extend(f"http://127.0.0.1:{sock.getsockname()[1]}" for sock in stand_in.sockets)
        os.kill(os.getpid(), signal.SIGTERM)

    serve(script, bind=["127.0.0.1:0", "127.0.0.1:0"])
    banner = capsys.readouterr().err.splitlines()[0]
    assert f" INFO Ianus {ianus.__version__} serves " in banner
    assert f"(asgi3) on {addresses[0]}, {addresses[1]}; loop asyncio, pid {os.getpid()}" in banner


def test_listeners_are_closed_when_draining_starts(serve: Callable[..., int], notes: Notes) -> None:
    async def script(stand_in: StandIn) -> None:
        stand_in.connections = 1
        os.kill(os.getpid(), signal.SIGTERM)
        await stand_in.draining.wait()
        assert all(sock.fileno() == -1 for sock in stand_in.sockets)
        notes.append("refused")
        stand_in.last_connection_gone()

    serve(script)
    assert "refused" in notes


def test_a_stop_with_a_successor_becomes_final_by_another_one(serve: Callable[..., int], notes: Notes) -> None:
    async def script(stand_in: StandIn) -> None:
        stand_in.connections = 1
        os.kill(os.getpid(), signal.SIGUSR2)
        await stand_in.draining.wait()
        stand_in.draining.clear()
        os.kill(os.getpid(), signal.SIGTERM)
        await stand_in.draining.wait()
        stand_in.last_connection_gone()

    assert serve(script) == 0
    assert notes[2:6] == ["open", "hand over", "drain", "close"]


def test_the_state_of_the_lifespan_reaches_the_gateway(serve: Callable[..., int]) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["pool"] = 1
        await send({"type": "lifespan.startup.complete"})

    async def script(stand_in: StandIn) -> None:
        seen.extend(stand_in.states)
        os.kill(os.getpid(), signal.SIGTERM)

    serve(script, app)
    assert seen == [{"pool": 1}]


def test_signal_handlers_are_restored(serve: Callable[..., int]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    serve(ask(signal.SIGTERM))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_unix_socket_is_gone_after_the_stop(
    serve: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    serve(ask(signal.SIGTERM), bind="unix:app.sock", uds_permissions="600")
    assert list(tmp_path.iterdir()) == []


def test_a_listening_descriptor_can_be_served(serve: Callable[..., int]) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    assert serve(ask(signal.SIGTERM), bind=f"fd://{server.detach()}") == 0


# --- Waiting for requests in flight ---


def test_a_graceful_stop_waits_for_connections_and_for_calls_that_outlive_them(
    serve: Callable[..., int], notes: Notes, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = asyncio.Event()

    async def background() -> None:
        await gone.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        notes.append("background done")

    async def script(stand_in: StandIn) -> None:
        stand_in.connections = 1
        stand_in.request(background())
        os.kill(os.getpid(), signal.SIGTERM)
        await stand_in.draining.wait()
        notes.append("gone")
        gone.set()
        stand_in.last_connection_gone()

    serve(script)
    assert notes[2:] == ["open", "drain", "gone", "background done", "close", "shutdown", "close", "close"]
    log = capsys.readouterr().err
    assert "stopping; requests in flight: 1" in log
    assert "abandoned" not in log


def test_requests_that_take_too_long_are_cancelled_and_counted(
    serve: Callable[..., int], notes: Notes, capsys: pytest.CaptureFixture[str]
) -> None:
    async def request() -> None:
        try:
            await forever()
        finally:
            notes.append("cancelled")

    async def script(stand_in: StandIn) -> None:
        stand_in.connections = 3
        stand_in.request(request())
        stand_in.request(request())
        os.kill(os.getpid(), signal.SIGTERM)

    assert serve(script, timeout_stop=5, timeout_lifespan_shutdown=3.49) == 0
    assert notes[3:] == ["drain", "close", "cancelled", "cancelled", "shutdown", "close", "close"]
    assert (
        "requests abandoned: 2, connections closed: 3, after 0.01 s of --timeout-stop (5 s)" in capsys.readouterr().err
    )


def test_a_second_int_forces(serve: Callable[..., int], notes: Notes, capsys: pytest.CaptureFixture[str]) -> None:
    async def script(stand_in: StandIn) -> None:
        stand_in.connections = 1
        stand_in.request(forever())
        os.kill(os.getpid(), signal.SIGINT)
        await stand_in.draining.wait()
        os.kill(os.getpid(), signal.SIGINT)

    assert serve(script) == 0
    assert notes[3:] == ["drain", "close", "shutdown", "close", "close"]
    assert "requests abandoned: 1, connections closed: 1, by a quick stop" in capsys.readouterr().err


def test_a_call_that_ignores_its_cancellation_does_not_prevent_the_end(
    serve: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "CANCEL_SECONDS", 0.01)
    release: list[asyncio.Future[None]] = []

    async def stubborn() -> None:
        release.append(asyncio.get_running_loop().create_future())
        while not release[0].done():
            try:
                await asyncio.shield(release[0])
            except asyncio.CancelledError:
                pass

    async def script(stand_in: StandIn) -> None:
        stand_in.request(stubborn())
        os.kill(os.getpid(), signal.SIGQUIT)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await receive()
        release[0].set_result(None)  # so that nothing remains after the test

    serve(script, app)
    log = capsys.readouterr().err
    assert re.search(r"application tasks that ignore cancellation: 1\n    GET /:\n(.*\n)+.*asyncio.shield", log)
    assert log.count("ignore cancellation") == 1


def test_remaining_tasks_of_the_application_are_cancelled_after_its_shutdown(
    serve: Callable[..., int], notes: Notes
) -> None:
    async def left_behind() -> None:
        try:
            await forever()
        finally:
            notes.append("cancelled")

    async def script(stand_in: StandIn) -> None:
        stand_in.left_behind = asyncio.create_task(left_behind())  # type: ignore[attr-defined]
        os.kill(os.getpid(), signal.SIGTERM)

    serve(script)
    assert notes[-4:] == ["shutdown", "cancelled", "close", "close"]


def test_a_shutdown_of_the_application_that_hangs_is_broken_off_by_a_quick_stop(
    serve: Callable[..., int],
    notes: Notes,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "QUICK_SHUTDOWN_SECONDS", 0.01)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await forever()
        finally:
            notes.append("cancelled")

    assert serve(ask(signal.SIGINT), app) == 0
    assert "cancelled" in notes
    assert "lifespan shutdown interrupted after 0.01 s" in capsys.readouterr().err


def test_threads_of_the_default_executor_may_finish(serve: Callable[..., int], notes: Notes) -> None:
    release = threading.Event()

    def work() -> None:
        release.wait(5)
        notes.append("worked")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        release.set()
        await send({"type": "lifespan.shutdown.complete"})

    async def script(stand_in: StandIn) -> None:
        asyncio.get_running_loop().run_in_executor(None, work)
        os.kill(os.getpid(), signal.SIGTERM)

    serve(script, app)
    assert "worked" in notes


def test_the_last_int_interrupts_a_blocking_call_and_the_stop_continues(
    serve: Callable[..., int], notes: Notes
) -> None:
    played: list[StandIn] = []

    async def script(stand_in: StandIn) -> None:
        played.append(stand_in)
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        notes.append("never reached")

    assert serve(script) == 130
    assert isinstance(played[0].task.exception(), KeyboardInterrupt)
    assert notes == ["startup", "start log", "open", "close", "shutdown", "close", "close"]


# --- WSGI applications, and several of any kind ---


def wsgi(environ: Any, start_response: Any) -> Any: ...


def test_the_crew_leads_where_wsgi_alone_is_served(serve: Callable[..., int], notes: Notes) -> None:
    assert serve(ask(signal.SIGTERM), wsgi) == 0
    assert notes == ["start log", "start pool", "open", "drain", "stop pool", "close", "close", "close"]


def test_the_loop_drives_the_reactor_where_asgi_is_mounted(serve: Callable[..., int], notes: Notes) -> None:
    assert serve(ask(signal.SIGTERM), wsgi, mount=[("/api", application_of(notes))]) == 0
    assert notes == [
        *("startup", "start log", "open", "start pool"),
        *("drain", "stop pool", "close", "shutdown", "close", "close"),
    ]


def test_a_quick_stop_dismisses_the_crew_before_the_reactor_is_closed(serve: Callable[..., int], notes: Notes) -> None:
    assert serve(ask(signal.SIGQUIT), wsgi) == 0
    assert notes == ["start log", "start pool", "open", "stop pool", "close", "close", "close"]


def call(stand_in: StandIn, until: threading.Event, then: Callable[[], None] = lambda: None) -> None:
    """A call of a WSGI application."""

    def run() -> None:
        until.wait(20)
        then()

    stand_in.threads.append(threading.Thread(target=run))
    stand_in.threads[-1].start()


def test_calls_in_threads_may_finish(
    serve: Callable[..., int], notes: Notes, capsys: pytest.CaptureFixture[str]
) -> None:
    async def script(stand_in: StandIn) -> None:
        release = threading.Event()
        call(stand_in, release, lambda: notes.append("returned"))
        os.kill(os.getpid(), signal.SIGTERM)
        await stand_in.draining.wait()
        release.set()

    serve(script, wsgi)
    assert notes[3:] == ["drain", "stop pool", "returned", "close", "close", "close"]
    assert "abandoned" not in capsys.readouterr().err


def test_calls_in_threads_that_take_too_long_are_abandoned(
    serve: Callable[..., int], notes: Notes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "CANCEL_SECONDS", 0.01)
    release = threading.Event()

    async def script(stand_in: StandIn) -> None:
        call(stand_in, release)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(worker, "build_stack", StandIn(notes, script).build_stack)
    settings = Settings.from_values({"bind": "127.0.0.1:0", "timeout_stop": 5, "timeout_lifespan_shutdown": 3.49})
    ending = run_supervised(wsgi, settings)
    release.set()
    assert (ending.code, ending.has_abandoned_calls) == (0, True)
    assert notes[3:] == ["drain", "stop pool", "close", "close", "close"]
    log = capsys.readouterr().err
    assert "requests abandoned: 1, connections closed: 0, after 0.01 s of --timeout-stop (5 s)" in log
    assert re.search(
        r"WSGI calls still running: 1\n    GET / \(1\.0 s\):\n(.*\n)+ +until\.wait\(20\)\n",
        log,
    )


def run_supervised(app: Any, settings: Settings) -> Ending:
    """As a worker that a supervisor has made."""
    (lifeline, held), (heard, channel) = os.pipe(), os.pipe()
    scoreboard = Scoreboard()
    link = SupervisorLink(0, scoreboard, lifeline, channel, TransferQueue())
    server = ServerInfo(pid=os.getpid(), workers=1, addresses=())
    info = WorkerInfo(pid=os.getpid(), slot=0, started=0.0)
    try:
        return module.serve(
            WorkerSpec(app, settings, open_listeners(settings), link, None, Hooks(), server, lambda: info)
        )
    finally:
        scoreboard.close()
        for fd in (lifeline, held, heard, channel):
            os.close(fd)
        for name in ("ianus.error", "ianus.app"):  # The log stays open for the end of the process.
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = True
            logging.getLogger(name).setLevel(logging.NOTSET)


def named(name: str, notes: Notes) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for kind in ("startup", "shutdown"):
            await receive()
            notes.append(f"{kind} {name}")
            scope["state"]["name"] = name
            await send({"type": f"lifespan.{kind}.complete"})

    return app


def test_each_asgi_application_has_its_own_lifespan_and_the_last_ends_first(
    serve: Callable[..., int], notes: Notes
) -> None:
    states: list[Any] = []

    async def script(stand_in: StandIn) -> None:
        states.extend(stand_in.states)
        os.kill(os.getpid(), signal.SIGTERM)

    mounts = [("/b", named("b", notes)), ("/w", wsgi), ("/c", named("c", notes))]
    assert serve(script, named("a", notes), mount=mounts) == 0
    assert [note for note in notes if " " in note and "pool" not in note] == [
        *("startup a", "startup b", "startup c", "start log"),
        *("shutdown c", "shutdown b", "shutdown a"),
    ]
    assert states == [{"name": "a"}, {"name": "b"}, None, {"name": "c"}]


def test_started_applications_are_shut_down_if_another_one_fails(
    serve: Callable[..., int], notes: Notes, free_port: int
) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(StartupError, match="no database"):
        serve(ask(), named("a", notes), mount=[("/b", fails), ("/c", named("c", notes))])
    assert notes == ["startup a", "shutdown a"]


def test_a_shutdown_that_hangs_does_not_prevent_that_of_other_applications(
    serve: Callable[..., int], notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "QUICK_SHUTDOWN_SECONDS", 0.01)

    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await forever()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        finally:
            notes.append("cancelled")

    assert serve(ask(signal.SIGQUIT), waits, mount=[("/b", hangs)]) == 0
    assert "cancelled" in notes


def test_the_banner_names_all_applications_and_the_threads(
    serve: Callable[..., int], notes: Notes, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(ask(signal.SIGTERM), wsgi, mount=[("/api", application_of(notes))])
    (banner,) = (line for line in capsys.readouterr().err.splitlines() if " serves " in line)
    assert (
        "test_worker:wsgi (wsgi), tests.process.worker.test_worker:application_of.<locals>.app (asgi3) at /api on"
        in banner
    )
    assert f"; loop asyncio, threads auto, pid {os.getpid()}" in banner
    serve(ask(signal.SIGTERM), wsgi, threads=3)
    assert f"; threads 3, pid {os.getpid()}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "of_wsgi", "of_asgi"),
    [
        ({}, None, None),
        ({"threads": 3}, None, "settings without effect: --threads (no WSGI application is served)"),
        ({"max_threads": 9}, None, "settings without effect: --max-threads (no WSGI application is served)"),
        (
            {"threads": 3, "max_threads": 9},
            "settings without effect: --max-threads (--threads is 3)",
            "settings without effect: --threads, --max-threads (no WSGI application is served)",
        ),
    ],
)
def test_numbers_of_threads_that_nothing_heeds_are_warned_of(
    settings: dict[str, int],
    of_wsgi: str | None,
    of_asgi: str | None,
    serve: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for app, expected in ((wsgi, of_wsgi), (None, of_asgi)):
        serve(ask(signal.SIGTERM), app, **settings)
        warnings = [
            line.partition(" WARNING ")[2] for line in capsys.readouterr().err.splitlines() if "WARNING" in line
        ]
        assert warnings == ([expected] if expected else [])


def test_the_switch_interval_is_that_of_the_settings_while_wsgi_is_served(
    serve: Callable[..., int], notes: Notes
) -> None:
    before = sys.getswitchinterval()
    seen: list[float] = []

    async def script(stand_in: StandIn) -> None:
        seen.append(sys.getswitchinterval())
        os.kill(os.getpid(), signal.SIGTERM)

    serve(script, wsgi, switch_interval=0.002)
    serve(script, wsgi, switch_interval=0)
    serve(script, switch_interval=0.002)
    assert seen == [pytest.approx(0.002), before, before]
    assert sys.getswitchinterval() == before


def test_temporary_files_need_a_directory(serve: Callable[..., int], notes: Notes, tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    with pytest.raises(StartupError, match=r"No temporary files can be made in .*none\. .*--spool-dir\.$"):
        serve(ask(), wsgi, spool_dir=missing)
    assert serve(ask(signal.SIGTERM), wsgi, spool_dir=str(tmp_path)) == 0
    assert serve(ask(signal.SIGTERM), spool_dir=missing) == 0  # There is no need for it.


# --- Starts that fail, or are interrupted ---


def port_is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.listen()
    return True


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_port_in_use_is_reported_before_the_application_is_loaded(serve: Callable[..., int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StartupError, match="is in use"):
            serve(ask(), "no_such_module_here:app", bind=f"127.0.0.1:{port}")


def test_listeners_are_closed_if_the_application_cannot_be_loaded(serve: Callable[..., int], free_port: int) -> None:
    with pytest.raises(StartupError, match="There is no module"):
        serve(ask(), "no_such_module_here:app", bind=f"127.0.0.1:{free_port}")
    assert port_is_free(free_port)


def test_the_first_address_is_given_up_when_the_second_fails(serve: Callable[..., int], free_port: int) -> None:
    with pytest.raises(StartupError, match="fd://"):
        serve(ask(), bind=[f"127.0.0.1:{free_port}", "fd://999999"])
    assert port_is_free(free_port)


def test_a_failed_lifespan_stops_the_start(serve: Callable[..., int], notes: Notes, free_port: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(StartupError, match="no database"):
        serve(ask(), app, bind=f"127.0.0.1:{free_port}")
    assert notes == []
    assert port_is_free(free_port)


def test_a_stop_while_the_application_starts_ends_the_start(
    serve: Callable[..., int], notes: Notes, capsys: pytest.CaptureFixture[str]
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await forever()
        finally:
            notes.append("cancelled")

    assert serve(ask(), app) == 0
    assert notes == ["cancelled"]
    assert "stop requested while the application was starting" in capsys.readouterr().err


def test_a_loop_that_is_not_installed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(StartupError, match="uvloop is not installed"):
        module.new_loop("uvloop", ())


APPS = (Application(wsgi, "wsgi", "wsgi"), Application(forever, "asgi3", "asgi", "/api"))


def test_auto_takes_uvloop_where_it_is_installed_and_asyncio_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uvloop = pytest.importorskip("uvloop")

    def is_uvloop(name: str, apps: tuple[Application, ...]) -> bool:
        loop = module.new_loop(name, apps)
        loop.close()
        return isinstance(loop, uvloop.Loop)

    assert is_uvloop("auto", APPS)
    assert is_uvloop("uvloop", APPS[:1])
    assert not is_uvloop("asyncio", APPS)
    assert not is_uvloop("auto", APPS[:1])  # which has next to nothing to do
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert not is_uvloop("auto", APPS)


# --- Threads of the application ---


def test_threads_have_the_remaining_time_of_the_stop(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    early = threading.current_thread()
    for number, limit, expected in (
        (signal.SIGTERM, 30, 28.0),
        (signal.SIGTERM, 0, math.inf),
        (signal.SIGQUIT, 30, 2.0),
    ):
        monkeypatch.setattr(worker, "build_stack", StandIn(notes, ask(number)).build_stack)
        settings = {"bind": "127.0.0.1:0", "loop": "asyncio", "timeout_stop": limit}
        ending = run_supervised(application_of(notes), Settings.from_values(settings))
        assert max(expected - 20, 0.0) <= ending.seconds <= expected
        assert early in ending.early_threads
        assert not ending.has_abandoned_calls


# --- Logging ---


def test_the_exit_is_reported_last(serve: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    serve(ask(signal.SIGTERM))
    assert capsys.readouterr().err.splitlines()[-1].endswith(" INFO stopped")


def test_the_configuration_is_applied_before_the_application_is_loaded(
    serve: Callable[..., int], tmp_path: Path
) -> None:
    with pytest.raises(StartupError, match=r"logging configuration .* cannot be read"):
        serve(ask(), "no_such_module_here:app", log_config=str(tmp_path / "none.ini"))


def test_the_log_file_is_opened_before_the_application_starts(
    serve: Callable[..., int], notes: Notes, tmp_path: Path
) -> None:
    for setting in ("error_logfile", "access_logfile"):
        with pytest.raises(StartupError, match=f"cannot be opened .* another file with --{setting.replace('_', '-')}"):
            serve(ask(), **{setting: str(tmp_path / "none" / "log")})
    assert notes == []


def test_stop_levels_are_ordered() -> None:
    assert StopLevel.NONE < StopLevel.HANDOVER < StopLevel.GRACEFUL < StopLevel.QUICK
