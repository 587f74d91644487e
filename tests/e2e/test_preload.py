"""--preload: workers that are forked from a process which has loaded the application."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import WAIT_SECONDS, Server, is_running, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="--preload needs Linux")

APP = """
import os

LOADED = f"{{os.getpid()}} has loaded {text}"

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": f"{{LOADED}}, {{os.getpid()}} serves".encode()}})

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [f"{{LOADED}}, {{os.getpid()}} serves".encode()]
"""


class Preloading:
    """A server of the application in `path`."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server = server
        self.path = path

    def serving(self) -> tuple[int, str, int]:
        """Returns the process that loaded the application, its answer, and the process that serves it."""
        found = re.fullmatch(rb"(\d+) has loaded (.*), (\d+) serves", self.server.get("/").body)
        assert found is not None
        return int(found[1]), found[2].decode(), int(found[3])

    def hang_up(self, text: str) -> int:
        """Changes the application and reloads it. Returns the log's mark from before."""
        mark = self.server.log.mark()
        self.path.write_text(text)
        self.server.signal(signal.SIGHUP)
        return mark


@pytest.fixture
def start(start_server: Callable[..., Server], tmp_path: Path) -> Callable[..., Preloading]:
    """start(*options, app=...): a server of an application that answers `one`."""

    def start(*options: str, app: str = "preloaded:app") -> Preloading:
        path = tmp_path / "source" / "preloaded.py"
        path.parent.mkdir()
        path.write_text(APP.format(text="one"))
        return Preloading(start_server("--preload", *options, app=app, app_dir=path.parent), path)

    return start


@pytest.mark.parametrize("app", ["preloaded:app", "preloaded:wsgi"])
def test_workers_share_the_application_that_is_loaded_once(app: str, start: Callable[..., Preloading]) -> None:
    preloading = start("--workers", "2", app=app)
    loaded, _, worker = preloading.serving()
    until(lambda: preloading.serving()[2] != worker, "an answer of the other worker")
    assert preloading.serving()[0] == loaded
    template, *workers = preloading.server.children()
    assert template == loaded
    assert worker in workers
    assert len(workers) == 2


def test_a_killed_worker_is_replaced_by_a_fork_of_the_same_application(start: Callable[..., Preloading]) -> None:
    preloading = start()
    preloading.server.may_lose_workers = True
    loaded, _, worker = preloading.serving()
    preloading.path.write_text(APP.format(text="what nobody asked for"))
    os.kill(worker, signal.SIGKILL)
    preloading.server.log.wait_for(r"worker started: worker 1 \(pid \d+\)$")
    assert preloading.serving()[:2] == (loaded, "one")


def test_hup_reloads_the_application_and_forks_from_it(start: Callable[..., Preloading]) -> None:
    preloading = start()
    loaded, _, _ = preloading.serving()
    preloading.hang_up(APP.format(text="number two"))
    # The worker before may still answer the request after this one.
    template = until(lambda: (answer := preloading.serving())[1] == "number two" and answer[0])
    assert template != loaded
    until(lambda: not is_running(loaded), "the end of the template before")


def test_workers_are_kept_when_the_new_application_cannot_be_loaded(start: Callable[..., Preloading]) -> None:
    preloading = start()
    before = preloading.serving()
    mark = preloading.hang_up("1 / 0\n")
    preloading.server.log.wait_for(
        r"worker failed to start with .* \(exit code 3\); keeping the current workers$", mark
    )
    assert preloading.server.log.text.count("ZeroDivisionError: division by zero\n") == 1
    assert preloading.serving() == before
    assert is_running(before[0])


def test_workers_serve_on_when_the_template_is_killed(start: Callable[..., Preloading]) -> None:
    preloading = start()
    preloading.server.may_lose_workers = True
    loaded, _, worker = preloading.serving()
    os.kill(loaded, signal.SIGKILL)
    preloading.server.log.wait_for(
        r" template exited \(killed by SIGKILL\), starting another one with the next worker$"
    )
    assert preloading.serving() == (loaded, "one", worker)
    os.kill(worker, signal.SIGKILL)
    preloading.server.log.wait_for(r"worker started: worker 1 \(pid \d+\)$")
    assert preloading.serving()[0] != loaded


def test_changed_files_are_reloaded(start: Callable[..., Preloading]) -> None:
    preloading = start("--reload", "--reload-delay", "0.05")
    preloading.path.write_text(APP.format(text="number two"))
    until(lambda: preloading.serving()[1] == "number two")


def test_threads_that_workers_will_miss_are_named(start: Callable[..., Preloading]) -> None:
    thread = (
        "import threading, time\nthreading.Thread(target=time.sleep, args=[600], daemon=True, name='poller').start()\n"
    )
    preloading = start()
    mark = preloading.hang_up(thread + APP.format(text="number two"))
    preloading.server.log.wait_for(
        r" WARNING with --preload no worker has the threads .*: poller\. Start them in ", mark
    )
    until(lambda: preloading.serving()[1] == "number two")


def test_nothing_outlives_a_supervisor_that_is_killed(start: Callable[..., Preloading]) -> None:
    preloading = start()
    loaded, _, worker = preloading.serving()
    preloading.server.process.kill()
    until(lambda: not is_running(loaded) and not is_running(worker), "the end of all processes")
    preloading.server.wait()
    preloading.server.process.returncode = 0  # so that the fixture takes it for an end in order


@pytest.mark.parametrize("how", [(), ("--workers", "3")])
def test_an_application_that_cannot_be_loaded_is_logged_once(how: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    command = [sys.executable, "-P", "-m", "ianus", "--preload", *how, "-b", "127.0.0.1:0", "broken:app"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert ended.returncode == 3
    assert ended.stderr.count("ZeroDivisionError: division by zero\n") == 1
    assert ended.stderr.count("Error: broken cannot be imported") == 1
    assert "ianus/" not in ended.stderr
