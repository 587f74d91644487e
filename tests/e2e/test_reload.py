"""--reload: what is served after a change, and that nothing holds a change up."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import PATIENCE, Client, Output, Server, until

APP = """
import os, pathlib, time

TEXT = {text!r}

async def app(scope, receive, send):
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
while not pathlib.Path("go_on").exists():
    time.sleep(0.005)
"""

ENDED = "the next change starts it again"


class Reloading:
    """A server that reloads the application in `path`, and what happens to it."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server = server
        self.path = path

    def edit(self, text: str) -> int:
        """Changes the application and waits until that is seen. Returns the log's mark from before."""
        mark = self.server.log.mark()
        self.path.write_text(text)
        self.server.log.wait_for(r"changed: editable\.py$", mark)
        return mark

    def wait_for_banner(self, mark: int) -> int:
        """The pid of the process that serves next."""
        return int(self.server.log.wait_for(r" serves .*, pid (\d+)$", mark)[1])

    def body(self) -> bytes:
        return self.server.get("/").body


@pytest.fixture
def reloading(start_server: Callable[..., Server], tmp_path: Path) -> Reloading:
    path = tmp_path / "editable.py"
    path.write_text(APP.format(text="one"))
    options = ("--reload", "--reload-delay", "0.05")
    return Reloading(start_server(*options, app="editable:app", app_dir=tmp_path), path)


def test_a_change_is_served_and_nobody_is_refused_meanwhile(reloading: Reloading, tmp_path: Path) -> None:
    assert reloading.body() == b"one"
    mark = reloading.edit(APP.format(text="two") + SLOW)
    reloading.server.log.wait_for(" stopped$", mark)
    with reloading.server.connect() as client:
        client.request("/")
        assert client.silent(0.05)
        (tmp_path / "go_on").touch()
        assert client.response().body == b"two"
    assert reloading.body() == b"two"


def test_a_syntax_error_is_told_once_and_waits_for_the_next_change(reloading: Reloading) -> None:
    mark = reloading.edit("def broken(:\n")
    reloading.server.log.wait_for(ENDED, mark)
    text = reloading.server.log.since(mark)
    assert text.count("Error: editable cannot be imported") == 1
    assert "(exit code 3)" in text
    assert "ianus/" not in text
    with reloading.server.connect() as client:
        client.request("/")
        reloading.edit(APP.format(text="two"))
        assert client.response().body == b"two"


def test_a_directory_that_is_replaced_is_watched_on(start_server: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "source" / "editable.py"
    path.parent.mkdir()
    path.write_text(APP.format(text="one"))
    options = ("--reload", "--reload-delay", "0.05")
    reloading = Reloading(start_server(*options, app="editable:app", app_dir=path.parent), path)
    mark = reloading.server.log.mark()
    path.parent.rename(tmp_path / "before")
    path.parent.mkdir()
    path.write_text(APP.format(text="two"))
    reloading.wait_for_banner(mark)
    assert reloading.body() == b"two"
    mark = reloading.server.log.mark()
    path.write_text(APP.format(text="three"))
    reloading.wait_for_banner(mark)
    assert reloading.body() == b"three"


def test_a_crash_waits_for_the_next_change(reloading: Reloading) -> None:
    mark = reloading.server.log.mark()
    with reloading.server.connect() as client:
        client.request("/crash")
        assert client.gone()
    reloading.server.log.wait_for(rf"\(exit code 7\); {ENDED}", mark)
    reloading.edit(APP.format(text="two"))
    assert reloading.body() == b"two"


def test_an_application_that_does_not_start_at_first(tmp_path: Path) -> None:
    (tmp_path / "editable.py").write_text("1 / 0\n")
    command = [sys.executable, "-P", "-m", "ianus", "--reload", "-b", "127.0.0.1:0", "editable:app"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    log = Output(process.stderr)
    try:
        log.wait_for(ENDED)
        assert log.text.count("ZeroDivisionError: division by zero\n") == 1
        (tmp_path / "editable.py").write_text(APP.format(text="two"))
        log.wait_for(" serves editable:app ")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        log.join()


def test_an_open_event_stream_does_not_hold_it_up(reloading: Reloading) -> None:
    with reloading.server.connect() as client:
        client.request("/events")
        client.head()
        assert client.chunk() == b"event"
        reloading.edit(APP.format(text="two"))
        assert client.gone()
    assert reloading.body() == b"two"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_both_processes(number: signal.Signals, reloading: Reloading) -> None:
    server = reloading.server
    with server.connect() as client:
        client.request("/events")
        client.head()
        server.signal(number)
        assert client.gone()
    assert server.wait() == 0  # and both have closed its standard error
    assert "Traceback" not in server.log.text
    assert refused(server)


def test_interrupt_of_a_terminal_reaches_both(reloading: Reloading) -> None:
    server = reloading.server
    child = reloading.wait_for_banner(0)
    server.signal(signal.SIGINT)
    os.kill(child, signal.SIGINT)
    assert server.wait() == 0
    assert "Traceback" not in server.log.text


def test_interrupt_while_no_worker_runs(reloading: Reloading) -> None:
    mark = reloading.edit("def broken(:\n")
    reloading.server.log.wait_for(ENDED, mark)
    reloading.server.signal(signal.SIGINT)
    assert reloading.server.wait() == 0


def test_a_worker_does_not_outlive_its_parent(reloading: Reloading) -> None:
    server = reloading.server
    with server.connect() as client:
        client.request("/events")
        client.head()
        server.process.kill()
        assert client.gone()
    assert server.wait() == -signal.SIGKILL
    assert refused(server)
    server.process.returncode = 0  # so that the fixture takes it for an end in order


def test_a_unix_socket_is_kept_and_removed_at_the_end(start_server: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "editable.py"
    path.write_text(APP.format(text="one"))
    reloading = Reloading(
        start_server("--reload", app="editable:app", app_dir=tmp_path, bind=["unix:app.sock", "127.0.0.1:0"]), path
    )
    inode = (tmp_path / "app.sock").stat().st_ino
    mark = reloading.edit(APP.format(text="two"))
    reloading.wait_for_banner(mark)
    with Client(str(tmp_path / "app.sock")) as client:
        assert client.get("/").body == b"two"
    assert (tmp_path / "app.sock").stat().st_ino == inode
    reloading.server.stop()
    assert not (tmp_path / "app.sock").exists()


def test_the_port_stays_the_same(reloading: Reloading) -> None:
    mark = reloading.edit(APP.format(text="two"))
    reloading.wait_for_banner(mark)
    banners = re.findall(r" on (http://[^;]*); loop", reloading.server.log.text)
    assert len(banners) == 2
    assert banners[0] == banners[1]


def refused(server: Server) -> bool:
    def connects() -> bool:
        try:
            socket.create_connection(server.addresses[0]).close()  # type: ignore[arg-type]
        except ConnectionError:
            return False
        return True

    until(lambda: not connects(), "the port to be closed")
    return True
