"""Applications with gevent, eventlet and grequests, which replace parts of the standard library.

Once, a server whose threads were replaced showed its banner, accepted connections and never answered one.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import WAIT_SECONDS, Server, until

pytestmark = pytest.mark.greenlets

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}

HARMLESS = {
    # Its resolver imports HTTP clients that it cannot patch.
    "eventlet": "import os; os.environ['EVENTLET_NO_GREENDNS'] = 'yes'; import eventlet\n"
    "eventlet.monkey_patch(thread=False)",
    "gevent": "from gevent import monkey; monkey.patch_all(thread=False)",
    "grequests": "import grequests",
}

APP = """{patch}
import threading, time

def wsgi(environ, start_response):
    time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        {late}
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}})
    await send({{"type": "http.response.body", "body": b"hello"}})
"""


def write_app(path: Path, patch: str, late: str = "pass") -> None:
    (path / "main.py").write_text(APP.format(patch=patch, late=late))


def refusal(path: Path, *options: str, app: str) -> str:
    """Returns the messages of a server that does not start."""
    command = [sys.executable, "-W", "ignore", "-P", "-m", "ianus", "-b", "127.0.0.1:0", *options, app]
    # Eventlet's own resolver imports all HTTP clients that are installed, and some of these cannot be patched.
    environment = {**os.environ, "EVENTLET_NO_GREENDNS": "yes"}
    ended = subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert ended.returncode == 3, ended.stderr
    return ended.stderr


@pytest.mark.parametrize("options", [(), ("--preload",), ("--threads", "1"), ("--mount", "/other=main:asgi")])
def test_a_patch_of_threads_prevents_the_start(tmp_path: Path, options: tuple[str, ...]) -> None:
    write_app(tmp_path, PATCHES["gevent"])
    message = refusal(tmp_path, *options, app="main:wsgi")
    assert message.startswith("Error: The application has gevent replace Python's threads, which the server needs.")
    assert "monkey.patch_all(thread=False)" in message
    assert len(message.splitlines()) == 1


def test_a_patch_of_threads_in_gunicorns_file_names_that(tmp_path: Path) -> None:
    write_app(tmp_path, "")
    (tmp_path / "gunicorn.conf.py").write_text(PATCHES["gevent"])
    message = refusal(tmp_path, app="main:wsgi")
    assert message.startswith("Error: The application or its gunicorn.conf.py has gevent replace Python's threads")


def test_a_patch_of_threads_by_eventlet_prevents_the_start(tmp_path: Path) -> None:
    write_app(tmp_path, PATCHES["eventlet"])
    message = refusal(tmp_path, app="main:wsgi")
    assert "Error: The application has eventlet replace Python's threads" in message
    assert "Traceback" not in message


def test_a_patch_of_threads_in_the_lifespan_prevents_the_start(tmp_path: Path) -> None:
    write_app(tmp_path, "", PATCHES["gevent"])
    assert "gevent replace Python's threads" in refusal(tmp_path, "--mount", "/other=main:wsgi", app="main:asgi")


def test_a_patch_of_threads_prevents_preloading(tmp_path: Path) -> None:
    write_app(tmp_path, PATCHES["gevent"])
    assert "gevent replace Python's threads" in refusal(tmp_path, "--preload", app="main:asgi")


@pytest.mark.parametrize("options", [(), ("--loop", "asyncio")])
def test_an_asgi_application_that_patches_threads_is_served_with_a_warning(
    start_server: Callable[..., Server], tmp_path: Path, options: tuple[str, ...]
) -> None:
    write_app(tmp_path, PATCHES["gevent"])
    server = start_server(*options, app="main:asgi", app_dir=tmp_path)
    server.log.wait_for("WARNING threads of Python are replaced by a library: gevent: asyncio.to_thread")
    with server.connect() as client:
        assert client.get().body == b"hello"
    server.stop()


@pytest.mark.parametrize("library", HARMLESS)
@pytest.mark.parametrize(
    ("app", "options"),
    [
        ("main:wsgi", ()),
        ("main:asgi", ()),
        ("main:wsgi", ("--preload",)),
        pytest.param("main:asgi", ("--preload",), marks=pytest.mark.extended),
    ],
)
def test_patches_that_do_not_replace_threads_are_allowed(
    start_server: Callable[..., Server], tmp_path: Path, library: str, app: str, options: tuple[str, ...]
) -> None:
    write_app(tmp_path, HARMLESS[library])
    server = start_server("--loop", "asyncio", *options, app=app, app_dir=tmp_path)
    with server.connect() as client:
        assert [client.get().body for _ in range(3)] == [b"hello"] * 3
    # Once, the access log's thread called the os.write() of eventlet, which waits for a hub.
    output = server.output
    assert output is not None
    until(lambda: output.text.count('"GET /hello HTTP/1.1" 200 5') == 3, "lines of the access log")
