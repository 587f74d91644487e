"""A stop ends within its total in every situation, and the lifespan shutdown runs if the startup has run.

The order of events and exit codes show it. The bound of the time is generous, since a test may wait for its turn.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.e2e.websocket_client import WebSocket
from tests.helpers import SHORT_STOP, WAIT_SECONDS, Client, Output, Server, parse_address, until

TOTAL_SECONDS = 4.0  # of SHORT_STOP
SLOW_MACHINE_SECONDS = 4.0  # beyond the total, until the test has noticed the end

APPLICATION = """
import asyncio, os, threading, time

def say(text):
    os.write(2, f"app: {text}\\n".encode())  # at once: other workers write too

def block():
    while True:
        time.sleep(0.01)

async def lifespan(receive, send):
    await receive()
    if blocks_at_start:
        say("blocks")
        block()
    await send({"type": "lifespan.startup.complete"})
    say("startup")
    await receive()
    await asyncio.sleep(0.05)
    say("shutdown")
    await send({"type": "lifespan.shutdown.complete"})

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    headers = [(b"content-type", b"text/event-stream")] if scope["path"] == "/sse" else []
    if scope["path"] == "/sse":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\\n\\n", "more_body": True})
    say("waiting")
    if scope["path"] in ("/hang", "/sse"):
        await asyncio.Event().wait()
    while scope["path"] == "/swallow":
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
    if scope["path"] == "/block":
        block()
    if scope["path"] == "/thread":
        threading.Thread(target=block).start()
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})

def wsgi(environ, start_response):
    say("waiting")
    if environ["PATH_INFO"] == "/hang":
        block()
    if environ["PATH_INFO"] == "/thread":
        threading.Thread(target=block).start()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

blocks_at_start = False
"""

PROGRAM = """
import sys, ianus
if __name__ == "__main__":
    ianus.run(sys.argv[1], bind="127.0.0.1:0", timeout_stop=4, timeout_lifespan_shutdown=2.6)
    print("app: returned", file=sys.stderr, flush=True)
"""

# The requests in flight, and a line that the log has because of them.
BUSY = {
    "idle": "",
    "hang": "application was cancelled, the server is stopping: GET /hang",
    "swallow": r"application tasks that ignore cancellation: 1\n    GET /swallow:\n(.*\n)*.*in app",
    "block": r"application interrupted, it blocked the stop here:\n(.*\n)*.*in block",
    "thread": r"threads still running, abandoned after .*\n(.*\n)*.*in block",
    "websocket": "",
    "sse": "",
}
OF_WSGI = {
    "idle": "",
    "hang": r"WSGI calls still running: 1\n    GET /hang \(.*\):\n(.*\n)*.*in block",
    "thread": BUSY["thread"],
}


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APPLICATION)
    (tmp_path / "program.py").write_text(PROGRAM)


def busy_client(server: Server, kind: str) -> Client:
    """A client that has brought the server into this situation."""
    if kind == "websocket":
        socket = WebSocket(server.address)
        socket.shake_hands("/")
        return socket
    client = server.connect()
    if kind != "idle":
        client.request(f"/{kind}")
        server.log.wait_for("app: waiting")
        if kind == "thread":
            client.response()
        elif kind == "sse":
            client.head()
            assert client.chunk() == b"data: 1\n\n"
    return client


def stops_in_time(process: "subprocess.Popen[bytes]", log: Output, *, bystanders: Iterable[int] = ()) -> str:
    """Sends SIGTERM, waits for the end of all processes, and returns the log."""
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_SECONDS) == 0
    assert time.monotonic() - started < TOTAL_SECONDS + SLOW_MACHINE_SECONDS
    assert not any(Path(f"/proc/{pid}").exists() for pid in bystanders)
    log.join()
    assert "SIGKILL" not in log.text
    assert "Traceback" not in log.text
    return log.text


def cells() -> list[object]:
    """All of them are run by `make extended`, and a few by `make test`."""
    chosen = [("app", "swallow", ("--workers", "4")), ("app", "block", ()), ("app", "sse", ())]
    options: list[tuple[str, ...]] = [(), ("--workers", "4"), ("--reload",), ("--drain-delay", "0.1")]
    every = [
        (app, kind, more) for app, kinds in (("app", BUSY), ("wsgi", OF_WSGI)) for kind in kinds for more in options
    ]
    return [
        pytest.param(
            *cell, id=" ".join((cell[0], cell[1], *cell[2])), marks=() if cell in chosen else pytest.mark.extended
        )
        for cell in every
    ]


@pytest.mark.parametrize(("app", "kind", "options"), cells())
def test_a_stop_ends_in_time(
    app: str, kind: str, options: tuple[str, ...], start_server: Callable[..., Server], tmp_path: Path
) -> None:
    # An event stream has half a second to end itself.
    limits = ("--timeout-stop", "4") if kind == "sse" else SHORT_STOP
    server = start_server(*limits, *options, app=f"main:{app}", app_dir=tmp_path)
    count = 4 if "4" in options else 1
    if app == "app":
        until(lambda: server.log.text.count("app: startup") == count)
    with busy_client(server, kind) as client:
        text = stops_in_time(server.process, server.log, bystanders=server.children())
        if kind == "sse":
            assert client.chunk() == b"", "the regular end, after which an EventSource reconnects"
        elif kind == "websocket":
            assert isinstance(client, WebSocket)
            assert client.closed() == (1001, "")
    assert re.search(BUSY[kind] if app == "app" else OF_WSGI[kind], text), text
    assert text.count("app: shutdown") == text.count("app: startup") == (count if app == "app" else 0)
    assert text.splitlines()[-1].endswith(" INFO stopped")


class Program:
    """A program that calls ianus.run(), which serves in its process."""

    def __init__(self, app: str, cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "program.py", f"main:{app}"],
            cwd=cwd,
            env={name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"},
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        self.log = Output(self.process.stderr)

    def connect(self) -> Client:
        return Client(parse_address(self.log.wait_for(r" serves .* on (http://[^;]*);")[1]))


@pytest.mark.parametrize(
    "kind", ["idle", "hang", *(pytest.param(kind, marks=pytest.mark.extended) for kind in ("swallow", "block"))]
)
def test_so_does_that_of_a_program(kind: str, tmp_path: Path) -> None:
    program = Program("app", tmp_path)
    with contextlib.closing(program.process.stderr) as _, program.connect() as client:  # type: ignore[type-var]
        if kind != "idle":
            client.request(f"/{kind}")
            program.log.wait_for("app: waiting")
        text = stops_in_time(program.process, program.log)
    assert re.search(BUSY[kind], text)
    assert text.index("app: startup") < text.index("app: shutdown") < text.index("app: returned")


@pytest.mark.parametrize(
    "options",
    [None, *(pytest.param(more, marks=pytest.mark.extended) for more in ((), ("--workers", "4"), ("--reload",)))],
    ids=["run", "worker", "workers", "reload"],
)
def test_so_does_that_of_a_start_that_blocks_the_loop(options: tuple[str, ...] | None, tmp_path: Path) -> None:
    """A program that called ianus.run() ignored SIGTERM."""
    (tmp_path / "main.py").write_text(APPLICATION.replace("blocks_at_start = False", "blocks_at_start = True"))
    if options is None:
        program = Program("app", tmp_path)
        process, log = program.process, program.log
    else:
        line = [sys.executable, "-m", "ianus", "--bind", "127.0.0.1:0", *SHORT_STOP, *options, "main:app"]
        process = subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE)
        assert process.stderr is not None
        log = Output(process.stderr)
    log.wait_for("app: blocks")
    text = stops_in_time(process, log)
    assert re.search(BUSY["block"], text)
    assert "serves" not in text
    assert "app: shutdown" not in text
    assert "SIGABRT" not in text


@pytest.mark.parametrize("options", [(), ("--health-path", "/up"), ("--health-path", "/up", "--preload")])
def test_clients_that_wait_for_a_start_are_disconnected_by_a_stop(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(f"{APPLICATION}\nsay('loads')\nblock()\n")
    path = tmp_path / "socket"
    line = [sys.executable, "-m", "ianus", "--bind", f"unix:{path}", "--workers", "2", "--drain-delay", "15"]
    process = subprocess.Popen([*line, *options, "main:app"], cwd=tmp_path, stderr=subprocess.PIPE)
    assert process.stderr is not None
    log = Output(process.stderr)
    log.wait_for("app: loads")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(str(path))) for _ in range(3)]
        clients[0].request("/")
        clients[1].send(b"GET / HTTP/1.1\r\n")
        if "/up" in options:
            with Client(str(path)) as check:
                assert check.get("/up").status == 503
        stops_in_time(process, log)  # Without the delay, since no client was served.
        for client in clients:
            assert client.gone()
    assert "serves" not in log.text
    warnings = re.findall(r"WARNING (\D+)", log.text)
    # Without health checks they have stayed in the backlog.
    assert warnings == (["closed connections that no worker has served: "] if options else [])


# --- The delay before a stop ---


def test_a_server_accepts_connections_until_the_delay_is_over(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """As SIGTERM to the whole group has it, which reaches each worker twice."""
    server = start_server(
        "--drain-delay", "10", "--health-path", "/up", "--workers", "2", app="main:app", app_dir=tmp_path
    )
    assert server.get("/up").status == 200
    for pid in (server.process.pid, *server.children(), server.process.pid):
        os.kill(pid, signal.SIGTERM)
    server.log.wait_for(r"stopping; connections are accepted for another 10 s \(--drain-delay\)")
    until(lambda: server.get("/up").status == 503)

    def is_announced() -> bool:
        with server.connect() as client:
            response = client.get("/")
            assert response.status == 200
            return response.closing

    # The first 503 is one worker's; the other one may not have handled its signal yet.
    until(lambda: all(is_announced() for _ in range(8)))
    time.sleep(0.5)  # Signals until then are the same request.
    with server.connect() as client:
        server.signal(signal.SIGTERM)
        assert client.nothing()
    assert server.wait() == 0
    assert "by another process" not in server.log.text
    assert "WARNING" not in server.log.text


def test_another_worker_serves_the_connections_of_one_that_crashes_in_the_delay(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server("--drain-delay", "10", "--workers", "2", app="main:app", app_dir=tmp_path)
    server.log.wait_for("2 workers")
    server.signal(signal.SIGTERM)
    server.log.wait_for(r"stopping; connections are accepted for another 10 s \(--drain-delay\)")
    server.may_lose_workers = True
    os.kill(server.children()[0], signal.SIGKILL)
    server.log.wait_for(r"worker exited while stopping \(killed by SIGKILL\)")
    # Two for each slot, with all but certainty.
    for _ in range(16):
        assert server.get("/").status == 200
    time.sleep(0.5)  # Signals until then are the same request.
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


@pytest.mark.extended
@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_connection_is_refused_or_reset_in_the_delay(
    workers: str, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server("--drain-delay", "1", "--workers", workers, app="main:app", app_dir=tmp_path)
    assert server.get("/").status == 200
    server.signal(signal.SIGTERM)
    until_at = time.monotonic() + 0.9
    while time.monotonic() < until_at:
        assert server.get("/").status == 200
    assert server.wait() == 0


# --- Many clients ---


def test_websockets_are_closed_one_after_the_other(start_server: Callable[..., Server]) -> None:
    """In the order of their connections, so that the others work meanwhile."""
    server = start_server("--ws-drain-spread", "0.6", app="websocket_apps:app")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(WebSocket(server.address)) for _ in range(3)]
        for client in clients:
            client.shake_hands("/echo")
        server.signal(signal.SIGTERM)
        assert clients[0].closed() == (1001, "")
        clients[2].echo()
        assert clients[1].closed() == (1001, "")
        assert clients[2].closed() == (1001, "")
    assert server.wait() == 0
