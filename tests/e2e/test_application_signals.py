"""An application's own signal handlers, which the server would replace without a word."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Server, is_running, until

APPLICATION = """
import asyncio, os, signal, sys, threading, time

def say(text):
    sys.stderr.write(f"app: {{text}}\\n")

def leave(number, frame):
    say(f"handler {{number}} in {{threading.current_thread().name}}")
    sys.exit(1)

def fail(number, frame):
    raise ValueError("as it likes")

def wait():
    say("waiting")
    while not os.path.exists("go"):
        time.sleep(0.01)

{code}

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        wait()
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        if scope["path"] == "/wait":
            await asyncio.to_thread(wait)
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}})
        await send({{"type": "http.response.body", "body": b"hello"}})
        return
    for kind in "startup", "shutdown":
        await receive()
        if kind == "startup" and "on_start" in globals():
            on_start()
        await send({{"type": "lifespan." + kind + ".complete"}})
"""

AT_IMPORT = "signal.signal(signal.SIGTERM, leave)"
AT_STARTUP = "def on_start(): signal.signal(signal.SIGTERM, leave)"


@pytest.fixture
def start(start_server: Callable[..., Server], tmp_path: Path) -> Callable[..., Server]:
    """start(interface, code, *options): a server of the application above."""

    def start(interface: str, code: str, *options: str) -> Server:
        (tmp_path / "main.py").write_text(APPLICATION.format(code=code))
        return start_server(*options, app=f"main:{interface}", app_dir=tmp_path)

    return start


@pytest.mark.parametrize(
    ("interface", "code", "options"),
    [
        ("wsgi", AT_IMPORT, ()),
        ("wsgi", AT_IMPORT, ("--preload",)),
        ("asgi", AT_IMPORT, ()),
        ("asgi", AT_STARTUP, ()),
        ("asgi", AT_STARTUP, ("--loop", "asyncio")),
    ],
)
def test_a_handler_of_sigterm_is_called_and_requests_are_finished(
    interface: str, code: str, options: tuple[str, ...], start: Callable[..., Server], tmp_path: Path
) -> None:
    """It ends the process, as such handlers do; under gunicorn that breaks requests off."""
    server = start(interface, code, *options)
    with server.connect() as client:
        client.request("/wait")
        server.log.wait_for("app: waiting")
        server.signal(signal.SIGTERM)
        server.log.wait_for("app: handler 15 in MainThread")
        (tmp_path / "go").touch()
        assert client.response().body == b"hello"
    assert server.wait() == 0
    assert server.log.text.count("app: handler") == 1


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_so_it_is_when_a_worker_is_replaced(interface: str, start: Callable[..., Server]) -> None:
    server = start(interface, AT_IMPORT)
    before = server.pid
    server.signal(signal.SIGHUP)
    server.log.wait_for("app: handler 15 in MainThread")
    until(lambda: not is_running(before))
    assert server.get("/").body == b"hello"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("when", ["on_start", "wait"])
def test_a_callback_of_the_loop_is_called(when: str, loop: str, start: Callable[..., Server], tmp_path: Path) -> None:
    """restate-sdk adds one with the first request. Under uvicorn the process then ignores SIGTERM."""
    add = "loop.add_signal_handler(signal.SIGTERM, loop.call_soon, say, 'callback')"
    code = "def on_start():\n    global loop\n    loop = asyncio.get_running_loop()\n"
    code += f"    {add}\n" if when == "on_start" else ""
    server = start("asgi", code + f"def wait(): loop.call_soon_threadsafe(lambda: {add})", "--loop", loop)
    (tmp_path / "go").touch()
    assert server.get("/wait").body == b"hello"
    server.stop()
    assert server.log.text.count("app: callback") == 1


def test_a_handler_that_fails_is_logged(start: Callable[..., Server]) -> None:
    server = start("wsgi", "signal.signal(signal.SIGTERM, fail)")
    server.stop()
    server.log.wait_for(r"ERROR application handler of SIGTERM failed\n(.*\n)+ +ValueError: as it likes$")


def test_others_are_named_that_are_not_called(start: Callable[..., Server]) -> None:
    server = start("wsgi", "signal.signal(signal.SIGUSR2, leave)")
    server.stop()
    assert (
        "WARNING signal handler of the application is not called, as the server uses the signal: SIGUSR2"
        in server.log.text
    )
    assert "app: handler" not in server.log.text
