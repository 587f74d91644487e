"""Threads of the application when a worker exits, and a start that does not react."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import WAIT_SECONDS, Server, is_running, until

# `start()` is called by each request, `now()` while the application is loaded.
APPLICATION = """
import asyncio, atexit, concurrent.futures, os, pathlib, sys, threading, time

def say(text):
    print("app:", text, file=sys.stderr, flush=True)

def finish():
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    say("finished")

def forever():
    while True:
        time.sleep(0.01)

atexit.register(say, "atexit")
{code}

def wsgi(environ, start_response):
    start()
    start_response("200 OK", [("Content-Length", "7")])
    return [b"started"]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        start()
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]}})
        await send({{"type": "http.response.body", "body": b"started"}})
    else:
        await lifespan(receive, send)

async def lifespan(receive, send):
    for kind in "startup", "shutdown":
        await receive()
        await send({{"type": "lifespan." + kind + ".complete"}})
"""

# Ways in which a view starts work that outlasts its response.
WAYS = {
    "thread": "def start(): threading.Thread(target={}).start()",
    "timer": "def start(): threading.Timer(0, {}).start()",
    "executor": "def start(): concurrent.futures.ThreadPoolExecutor(1).submit({})",
    "thread of a thread": (
        "def start(): threading.Thread(target=lambda: threading.Thread(target={}).start(), daemon=False).start()"
    ),
    "loop's executor": "def start(): asyncio.get_running_loop().run_in_executor(None, {})",
}
SERVED = [*(("wsgi", way) for way in WAYS if way != "loop's executor"), ("asgi", "thread"), ("asgi", "loop's executor")]


@pytest.fixture
def start(start_server: Callable[..., Server], tmp_path: Path) -> Callable[..., Server]:
    """start(interface, code, *options): a server of the application above, asked once."""

    def start(interface: str, code: str, *options: str) -> Server:
        (tmp_path / "main.py").write_text(APPLICATION.format(code=code))
        server = start_server(*options, app=f"main:{interface}", app_dir=tmp_path)
        assert server.get("/").body == b"started"
        return server

    return start


@pytest.mark.parametrize(("interface", "way"), SERVED)
def test_threads_that_a_view_has_started_may_finish(
    interface: str, way: str, start: Callable[..., Server], tmp_path: Path
) -> None:
    """A thread that sends a mail was killed without a word."""
    server = start(interface, WAYS[way].format("finish"))
    server.signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        server.process.wait(1.2)
    assert "app: finished" not in server.log.text
    (tmp_path / "go").touch()
    assert server.wait() == 0
    assert server.log.text.index("app: finished") < server.log.text.index("app: atexit")
    if way != "loop's executor":
        assert "INFO waiting for threads for up to 2" in server.log.text
    assert "WARNING" not in server.log.text


def test_so_it_may_when_a_worker_is_replaced(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start("wsgi", WAYS["thread"].format("finish"))
    before = server.pid
    server.signal(signal.SIGHUP)
    server.log.wait_for(r"worker 1 \(pid \d+\), replaces")
    (tmp_path / "go").touch()
    server.log.wait_for("app: finished")
    until(lambda: not is_running(before))


def test_the_application_sees_no_daemon(start: Callable[..., Server]) -> None:
    server = start("wsgi", "def start(): say(f'daemon: {threading.current_thread().daemon}')")
    assert server.app_log("daemon") == "False"


# Each takes as long as the threads have, so `make test` has one for each interface.
@pytest.mark.parametrize(
    ("interface", "way"),
    [
        pytest.param(
            *case, marks=() if case in (("wsgi", "thread"), ("asgi", "loop's executor")) else pytest.mark.extended
        )
        for case in SERVED
    ],
)
def test_threads_that_do_not_finish_are_named_and_abandoned(
    interface: str, way: str, start: Callable[..., Server]
) -> None:
    """It took 43 s, and ended by SIGKILL without a word."""
    server = start(interface, WAYS[way].format("forever"), "--timeout-stop", "3")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    warning = server.log.text.index("WARNING threads still running, abandoned after ")
    assert "in forever\n" in server.log.text[warning:]
    assert "app: atexit\n" in server.log.text[warning:]


@pytest.mark.parametrize(
    ("interface", "numbers"),
    [
        ("wsgi", (signal.SIGTERM,)),
        ("asgi", (signal.SIGHUP,)),
        ("wsgi", (signal.SIGQUIT,)),
        ("asgi", (signal.SIGTERM, signal.SIGQUIT)),
    ],
)
def test_a_poller_that_was_started_at_import(
    interface: str, numbers: tuple[signal.Signals, ...], start: Callable[..., Server]
) -> None:
    poller = "threading.Thread(target=forever, name='poller').start()\ndef start(): pass"
    limit = "30" if len(numbers) > 1 else "2"
    server = start(interface, poller, "--timeout-stop", limit)
    before = server.pid
    for number in numbers:
        server.signal(number)
        time.sleep(0.2 if len(numbers) > 1 else 0)  # The second one finds it waiting.
    server.log.wait_for(r"WARNING threads still running, abandoned after \d\.\d s: 1\..*\n    poller:\n")
    until(lambda: not is_running(before))
    if number != signal.SIGHUP:
        assert server.wait() == 0


def test_a_start_that_fails_ends_in_spite_of_threads(tmp_path: Path) -> None:
    poller = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='poller').start()\n"
    (tmp_path / "main.py").write_text(poller + "raise ValueError\n")
    done = ianus(tmp_path, "main:app")
    assert done.returncode == 3
    assert "main cannot be imported" in done.stderr
    assert "\npoller:\n" in done.stderr


def ianus(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ianus", "--bind", "127.0.0.1:0", *arguments],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        timeout=WAIT_SECONDS,
    )


# --- A start that does not react ---

BLOCKING = """
import sys, time

async def app(scope, receive, send):
    print("app: blocks", file=sys.stderr, flush=True)
    time.sleep(100)
"""


def test_a_startup_that_blocks_the_loop_has_its_time_limit(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(BLOCKING)
    done = ianus(tmp_path, "--timeout-lifespan-startup", "0.5", "main:app")
    assert done.returncode == 3
    assert "its event loop is blocked, and --timeout-lifespan-startup is over" in done.stderr
    assert 'main.py", line 6 in app\n' in done.stderr


def test_a_startup_that_blocks_the_loop_can_be_stopped(tmp_path: Path) -> None:
    """It took 43 s."""
    (tmp_path / "main.py").write_text(BLOCKING)
    with subprocess.Popen(
        [sys.executable, "-m", "ianus", "--bind", "127.0.0.1:0", "main:app"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "app: blocks\n"
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_SECONDS)
        text = process.stderr.read()
    assert "worker does not stop in time, sending SIGQUIT: worker 1 " in text
    assert "SIGABRT" not in text
    assert re.search(
        r'WARNING application interrupted, it blocked the stop here:\n(.*\n)*.*main.py", line 6, in app\n', text
    )


# --- Others that signal ---


def test_a_signal_to_the_whole_process_group_logs_nothing(start: Callable[..., Server]) -> None:
    """As `timeout` and Heroku send it: each worker was logged as exiting unexpectedly."""
    server = start("wsgi", "def start(): pass", "--workers", "2")
    for pid in (*server.children(), server.process.pid):
        os.kill(pid, signal.SIGTERM)
    assert server.wait() == 0
    assert "by another process" not in server.log.text
    assert "started" not in server.log.text


# --- Preloading ---


def test_numpys_threads_are_not_the_applications(start: Callable[..., Server]) -> None:
    server = start(
        "wsgi", "import numpy\nnumpy.ones((500, 500)) @ numpy.ones((500, 500))\ndef start(): pass", "--preload"
    )
    server.stop()
    assert "WARNING" not in server.log.text
