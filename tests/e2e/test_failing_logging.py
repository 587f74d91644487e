"""Logging of the application's that fails: the protocol continues, and the failed records are on standard error."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.websocket_client import open_websocket
from tests.helpers import WAIT_SECONDS, Server

APPLICATION = """
import asyncio, logging, time

class NeedsRequest(logging.Filter):
    def filter(self, record):
        raise RuntimeError("working outside of request context")

class Broken(logging.Handler):
    def emit(self, record):
        raise RuntimeError("working outside of request context")

def factory(*args, **how):
    raise RuntimeError("working outside of request context")

def break_logging():
    {break_logging}

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        message = await receive()
        break_logging()
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        raise ValueError("in the lifespan")
    if scope["type"] == "websocket":
        await receive()
        await send({{"type": "websocket.accept"}})
        raise ValueError("in the conversation")
    if scope["path"] == "/callback":
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    if scope["path"] == "/raise":
        raise ValueError("in asgi")
    await send({{"type": "http.response.start", "status": 200}})
    await send({{"type": "http.response.body", "body": b"hello"}})

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("in wsgi")
    environ["wsgi.errors"].write("to wsgi.errors\\n")
    start_response("200 OK", [("Content-Length", "5")])
    if environ["PATH_INFO"] == "/short":
        return [b"shor"]
    return [b"hello"]

def led():
    break_logging()
    return wsgi
"""

BREAKS = {
    "filter": 'logging.getLogger("ianus.error").addFilter(NeedsRequest())\n'
    '    logging.getLogger("ianus.app").addFilter(NeedsRequest())\n'
    "    handler = logging.StreamHandler(); handler.addFilter(NeedsRequest())\n"
    "    logging.getLogger().addHandler(handler)",
    "handler": 'logging.getLogger("ianus").addHandler(Broken()); logging.getLogger().addHandler(Broken())\n'
    '    for name in ("ianus.error", "ianus.app"): logging.getLogger(name).propagate = True',
    "factory": "logging.setLogRecordFactory(factory)",
}

FAILED = r" ERROR logging failed, the server wrote the record above itself: RuntimeError: working outside of request"


@pytest.fixture(params=BREAKS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    text = APPLICATION.format(break_logging=BREAKS[request.param])
    (tmp_path / "broken_logging.py").write_text(text)
    return tmp_path


def check_malformed_request(server: Server) -> None:
    with server.connect(timeout=WAIT_SECONDS / 2) as client:
        client.send(b"BAD\r\n\r\n")
        assert client.response().status == 400
    server.log.wait_for(r" INFO rejected request: status 400, client 127.0.0.1:\d+: ")


def test_asgi(folder: Path, start_server: Callable[..., Server]) -> None:
    server = start_server("--mount", "/wsgi=broken_logging:wsgi", app="broken_logging:asgi", app_dir=folder)
    check_malformed_request(server)
    assert server.get("/raise").status == 500
    server.log.wait_for(r" ERROR exception in application: GET /raise\n    Traceback")
    server.log.wait_for(r"^    ValueError: in asgi$")
    server.log.wait_for(FAILED)
    assert server.get("/wsgi/raise").status == 500
    server.log.wait_for(r"^    ValueError: in wsgi$")
    assert server.get("/wsgi/").body == b"hello"
    server.log.wait_for(r" ERROR to wsgi.errors$")
    with open_websocket(server, "/") as websocket:
        assert websocket.closed()[0] == 1011
    server.log.wait_for(r"^    ValueError: in the conversation$")
    assert server.get("/callback").status == 200
    server.log.wait_for(r" ERROR Exception in callback ")
    assert server.get("/").status == 200, "the loop's own report of an exception ended the worker"
    pid = server.pid
    server.stop()
    assert server.log.text.count("worker exited") == 0, pid
    server.log.wait_for(r" ERROR lifespan failed .*: broken_logging:asgi")


def test_wsgi(folder: Path, start_server: Callable[..., Server]) -> None:
    server = start_server(app="broken_logging:led()", app_dir=folder)
    check_malformed_request(server)
    assert server.get("/raise").status == 500
    server.log.wait_for(r"^    ValueError: in wsgi$")
    server.log.wait_for(FAILED)
    assert server.get("/").body == b"hello"
    server.log.wait_for(r" ERROR to wsgi.errors$")
    assert server.get("/short").status == 500
    server.log.wait_for(r" ERROR response body is shorter than its content-length \(5\): 4 bytes: GET /short$")


# --- The supervisor ---

CONFIGURATION = {
    "version": 1,
    "filters": {"request": {"()": "my_logging.NeedsRequest"}},
    "formatters": {"mine": {"()": "my_logging.Formatter"}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "own.log", "formatter": "mine"}},
    "loggers": {"ianus": {"handlers": ["file"], "level": "INFO"}},
}

MY_LOGGING = """
import logging, flask

class NeedsRequest(logging.Filter):
    def filter(self, record):
        record.path = flask.request.path
        return True

class Formatter(logging.Formatter):
    def format(self, record):
        return f"mine: {record.getMessage()}"
"""

HELLO = """
from flask import Flask

app = Flask(__name__)

@app.get("/")
def hello():
    return "hello"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "my_logging.py").write_text(MY_LOGGING)
    (folder / "main.py").write_text(HELLO)
    return folder


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=" ".join)
def test_a_filter_that_needs_a_flask_request(
    options: tuple[str, ...], project: Path, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """In the supervisor, which has no such file, the failure ended the whole server."""
    configuration = dict(CONFIGURATION)
    configuration["handlers"] = {"file": CONFIGURATION["handlers"]["file"] | {"filters": ["request"]}}  # type: ignore[index]
    (tmp_path / "log.json").write_text(json.dumps(configuration))
    server = start_server("--workers", "2", "--log-config", "log.json", *options, app="main:app", app_dir=project)
    assert server.get("/").body == b"hello"
    mark = server.log.mark()
    server.signal(signal.SIGTTIN)
    server.log.wait_for(r" INFO workers: 3, before: 2$", mark)
    server.log.wait_for(r" INFO worker started: worker 3 \(pid \d+\)$", mark)
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    server.log.wait_for(r" INFO worker started: worker 2 \(pid \d+\), replaces ", mark)
    assert server.get("/").body == b"hello"


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=" ".join)
def test_a_formatter_in_a_module_of_the_project(
    options: tuple[str, ...], project: Path, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    configuration = CONFIGURATION | {
        "handlers": {"file": {"class": "logging.StreamHandler", "formatter": "mine"}},
    }
    (tmp_path / "log.json").write_text(json.dumps(configuration))
    server = start_server("--log-config", "log.json", *options, app="main:app", app_dir=project)
    server.log.wait_for(r"^mine: Ianus .* serves main:app")
    # The supervisor has imported the module, but workers after a reload have its current text.
    (project / "my_logging.py").write_text(MY_LOGGING.replace("mine:", "changed:"))
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    server.log.wait_for(r"^changed: worker started: worker 1 \(pid \d+\), replaces ", mark)
    assert server.get("/").body == b"hello"
