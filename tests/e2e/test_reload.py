"""--reload: what is served after a change, that nobody is refused meanwhile, and that nothing holds a change up."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.websocket_client import WebSocket
from tests.helpers import PATIENCE, Address, Client, Output, Server, is_running, until

APP = """
import os, pathlib, time

TEXT = {text!r}

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await send({{"type": "websocket.accept"}})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    if scope["type"] != "http":
        return
    if scope["path"] == "/crash":
        os._exit(7)
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    while scope["path"] == "/events":
        await send({{"type": "http.response.body", "body": b"event", "more_body": True}})
        await receive()
        await receive()
    await send({{"type": "http.response.body", "body": TEXT.encode()}})
"""

# Its import takes until the file `go_on` is there.
SLOW = """
os.write(2, b"app: importing\\n")
while not pathlib.Path("go_on").exists():
    time.sleep(0.005)
"""

OPTIONS = ("--reload", "--reload-delay", "0.05")
FAILED = r"a worker could not be started .* \(exit code 3\); the old ones serve on$"


class Reloading:
    """A server that reloads the application in `path`, and what happens to it."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server = server
        self.path = path

    def edit(self, text: str) -> int:
        """Changes the application and waits until that is seen. Returns the log's mark from before."""
        mark = self.server.log.mark()
        self.path.write_text(text)
        self.server.log.wait_for(r"changed: .*editable\.py$", mark)
        return mark

    def replaced(self, mark: int, worker: int = 1) -> int:
        """The pid of a worker that serves in the place of another one since the mark."""
        return int(self.server.log.wait_for(rf" worker {worker} \(pid (\d+)\) serves in place of ", mark)[1])

    def body(self) -> bytes:
        return self.server.get("/").body

    def wait_for_body(self, text: bytes, address: Address = "") -> None:
        """Until the new one serves. The one before accepts connections too, until it has heard of its successor."""

        def body() -> bytes:
            with Client(address or self.server.address) as client:
                return client.get("/").body

        until(lambda: body() == text, f"the application that says {text!r}")


@pytest.fixture
def start(start_server: Callable[..., Server], tmp_path: Path) -> Callable[..., Reloading]:
    """start(*options, **how): a server of an application that says `one`."""

    def start(*options: str, **how: object) -> Reloading:
        path = tmp_path / "source" / "editable.py"
        path.parent.mkdir()
        path.write_text(APP.format(text="one"))
        return Reloading(start_server(*OPTIONS, *options, app="editable:app", app_dir=path.parent, **how), path)

    return start


@pytest.fixture
def reloading(start: Callable[..., Reloading]) -> Reloading:
    return start()


# --- Changes ---


def test_what_was_there_is_served_until_the_new_one_is_ready(reloading: Reloading, tmp_path: Path) -> None:
    assert reloading.body() == b"one"
    reloading.edit(APP.format(text="number two") + SLOW)
    reloading.server.log.wait_for("^app: importing$")
    assert reloading.body() == b"one"
    (tmp_path / "go_on").touch()
    reloading.wait_for_body(b"number two")


def test_a_change_while_one_is_being_served_comes_behind_it(reloading: Reloading, tmp_path: Path) -> None:
    mark = reloading.edit(APP.format(text="number two") + SLOW)
    reloading.server.log.wait_for("^app: importing$")
    reloading.edit(APP.format(text="the third"))
    (tmp_path / "go_on").touch()
    second = reloading.replaced(mark)
    reloading.server.log.wait_for(f"serves in place of pid {second}$", mark)
    reloading.wait_for_body(b"the third")


def test_all_workers_are_replaced_one_after_the_other(start: Callable[..., Reloading]) -> None:
    reloading = start("--workers", "3")
    mark = reloading.edit(APP.format(text="number two"))
    reloading.replaced(mark, 3)
    assert re.findall(r" worker (\d) \(pid \d+\) serves in place of ", reloading.server.log.since(mark)) == [
        "1",
        "2",
        "3",
    ]
    until(lambda: {reloading.body() for _ in range(10)} == {b"number two"}, "the end of the workers before")


def test_one_that_cannot_start_is_told_once_and_the_old_one_serves_on(reloading: Reloading) -> None:
    mark = reloading.edit("def broken(:\n")
    reloading.server.log.wait_for(FAILED, mark)
    text = reloading.server.log.since(mark)
    assert text.count("Error: editable cannot be imported") == 1
    assert "ianus/" not in text
    assert reloading.body() == b"one"
    mark = reloading.edit(APP.format(text="number two"))
    reloading.wait_for_body(b"number two")


def test_a_directory_that_is_replaced_is_watched_on(reloading: Reloading, tmp_path: Path) -> None:
    path = reloading.path
    path.parent.rename(tmp_path / "before")
    path.parent.mkdir()
    path.write_text(APP.format(text="number two"))
    reloading.wait_for_body(b"number two")
    path.write_text(APP.format(text="the third"))
    reloading.wait_for_body(b"the third")


def test_an_application_that_does_not_start_at_first(tmp_path: Path) -> None:
    (tmp_path / "editable.py").write_text("1 / 0\n")
    command = [sys.executable, "-P", "-m", "ianus", *OPTIONS, "-b", "127.0.0.1:0", "editable:app"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    log = Output(process.stderr)
    try:
        for times in (1, 2):
            mark = log.mark()
            (tmp_path / "editable.py").write_text("1 / 0\n" * times)
            log.wait_for("the next change starts it again$", mark)
        assert log.text.count("ZeroDivisionError: division by zero\n") == 2
        (tmp_path / "editable.py").write_text(APP.format(text="number two"))
        log.wait_for(" serves editable:app ")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        log.join()


def test_a_worker_that_crashes_is_replaced_without_a_change(reloading: Reloading) -> None:
    reloading.server.may_lose_workers = True
    mark = reloading.server.log.mark()
    with reloading.server.connect() as client:
        client.request("/crash")
        assert client.gone()
    reloading.server.log.wait_for(r"\(exit code 7\); another one takes its place", mark)
    assert reloading.body() == b"one"


# --- What must not hold it up ---


def test_open_event_streams_and_websockets_do_not(reloading: Reloading) -> None:
    with reloading.server.connect() as client, WebSocket(reloading.server.address) as websocket:
        client.request("/events")
        client.head()
        assert client.chunk() == b"event"
        websocket.shake_hands("/")
        reloading.edit(APP.format(text="number two"))
        assert client.gone()
        assert websocket.closed()[0] == 1012
    assert reloading.body() == b"number two"


# --- Its end ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_all_processes(number: signal.Signals, reloading: Reloading) -> None:
    server = reloading.server
    with server.connect() as client:
        client.request("/events")
        client.head()
        server.signal(number)
        assert client.gone()
    assert server.wait() == 0  # and all of them have closed its standard error
    assert "Traceback" not in server.log.text


def test_interrupt_of_a_terminal_reaches_all(reloading: Reloading) -> None:
    server = reloading.server
    for pid in (*server.children(), server.process.pid):
        os.kill(pid, signal.SIGINT)
    assert server.wait() == 0
    assert "Traceback" not in server.log.text


def test_nothing_outlives_a_supervisor_that_is_killed(reloading: Reloading) -> None:
    server = reloading.server
    children = server.children()
    assert len(children) == 2
    with server.connect() as client:
        client.request("/events")
        client.head()
        server.process.kill()
        assert client.gone()
    assert server.wait() == -signal.SIGKILL
    until(lambda: not any(map(is_running, children)), "the end of all processes")
    server.process.returncode = 0  # so that the fixture takes it for an end in order


def test_a_watcher_that_is_killed_is_told_and_all_else_goes_on(reloading: Reloading) -> None:
    os.kill(reloading.server.children()[0], signal.SIGKILL)
    reloading.server.log.wait_for(r" ERROR The files are not watched any more: .*\.$")
    assert reloading.body() == b"one"


def test_sockets_are_kept_and_removed_at_the_end(start: Callable[..., Reloading], tmp_path: Path) -> None:
    reloading = start(bind=["unix:app.sock", "127.0.0.1:0"])
    inode = (tmp_path / "app.sock").stat().st_ino
    reloading.edit(APP.format(text="number two"))
    for address in reloading.server.addresses:
        reloading.wait_for_body(b"number two", str(tmp_path / address) if isinstance(address, str) else address)
    assert (tmp_path / "app.sock").stat().st_ino == inode
    reloading.server.stop()
    assert not (tmp_path / "app.sock").exists()
