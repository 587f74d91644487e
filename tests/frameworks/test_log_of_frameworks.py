"""The log of applications that log in the ways of their frameworks and libraries, with an error tracker beside them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Server

# Sentry with a transport that prints a line for each event, and the integration of one framework: by default it would
# import each framework that is installed, which takes seconds.
SENTRY = """
import sys
import sentry_sdk
from sentry_sdk.transport import Transport

class Printed(Transport):
    def capture_envelope(self, envelope):
        if (event := envelope.get_event()) is not None:
            exception = (event.get("exception") or {}).get("values") or [{}]
            message = (event.get("logentry") or {}).get("message", "")
            sys.stdout.write(f"event: {exception[-1].get('type', '')} {message}".strip() + "\\n")
            sys.stdout.flush()

sentry_sdk.init(
    dsn="http://key@127.0.0.1:1/1", transport=Printed, auto_enabling_integrations=False, integrations=integrations
)
"""

FLASK = (
    "from sentry_sdk.integrations.flask import FlaskIntegration\n"
    "integrations = [FlaskIntegration()]\n"
    + SENTRY
    + """
import logging, warnings
from flask import Flask, request

app = Flask(__name__)
app.logger.setLevel("INFO")

@app.get("/info")
def info():
    app.logger.info("hello %s", request.args["name"])
    return "ok"

@app.get("/warning")
def warning():
    app.logger.warning("careful")
    return "ok"

@app.get("/raise")
def failing():
    raise ValueError("mine")

@app.get("/print")
def printing():
    print("printed", file=request.environ["wsgi.errors"])
    return "ok"

@app.get("/warn")
def warn():
    # As warnings.showwarning() with its own file.
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        before, sys.stderr = sys.stderr, request.environ["wsgi.errors"]
        try:
            warnings.warn("old", DeprecationWarning)
        finally:
            sys.stderr = before
    return "ok"
"""
)

FLASK_GUIDE = (
    """
from logging.config import dictConfig

# https://flask.palletsprojects.com/en/stable/logging/
dictConfig({
    "version": 1,
    "formatters": {"default": {"format": "[%(asctime)s] %(levelname)s in %(module)s: %(message)s"}},
    "handlers": {"wsgi": {
        "class": "logging.StreamHandler",
        "stream": "ext://flask.logging.wsgi_errors_stream",
        "formatter": "default",
    }},
    "root": {"level": "INFO", "handlers": ["wsgi"]},
})
"""
    + FLASK
    + """
logging.captureWarnings(True)

@app.get("/captured")
def captured():
    warnings.simplefilter("always")
    warnings.warn("old", DeprecationWarning)
    return "ok"
"""
)

BOTTLE = (
    "from sentry_sdk.integrations.bottle import BottleIntegration\n"
    "integrations = [BottleIntegration()]\n"
    + SENTRY
    + """
from bottle import Bottle

app = Bottle()

@app.get("/raise")
def failing():
    raise ValueError("mine")
"""
)

FASTAPI = (
    "from sentry_sdk.integrations.fastapi import FastApiIntegration\n"
    "from sentry_sdk.integrations.starlette import StarletteIntegration\n"
    "integrations = [StarletteIntegration(), FastApiIntegration()]\n"
    + SENTRY
    + """
import logging
from fastapi import FastAPI

app = FastAPI()
logging.basicConfig(level=logging.INFO)

@app.get("/info")
async def info():
    logging.getLogger("mine").info("hello")
    return {}

@app.get("/raise")
async def failing():
    raise ValueError("mine")
"""
)

LOGURU = """
import logging, sys
from fastapi import FastAPI
from loguru import logger

class InterceptHandler(logging.Handler):
    # https://loguru.readthedocs.io/en/stable/overview.html
    def emit(self, record):
        try:
            level = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        frame, depth = sys._getframe(6), 6
        while frame and frame.f_code.co_filename == logging.__file__:
            frame = frame.f_back
            depth += 1
        logger.opt(depth=depth, exception=record.exc_info).log(level, record.getMessage())

logger.remove()
logger.add(sys.stderr, format="loguru {level} {message}")
logging.getLogger("ianus").handlers = [InterceptHandler()]
app = FastAPI()

@app.get("/raise")
async def failing():
    raise ValueError("mine")
"""

STRUCTLOG = """
import logging, structlog
from flask import Flask

handler = logging.StreamHandler()
handler.setFormatter(structlog.stdlib.ProcessorFormatter(
    processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level,
                       structlog.processors.format_exc_info],
))
logging.getLogger("ianus").addHandler(handler)
app = Flask(__name__)

def wsgi(environ, start_response):
    raise ValueError("mine")
"""


@pytest.fixture
def site(tmp_path: Path, start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Server]:
    """site(text, *options): a server of this module."""
    # Sentry imports eventlet if it is installed, whose resolver imports HTTP clients that it cannot patch.
    monkeypatch.setenv("EVENTLET_NO_GREENDNS", "yes")

    def start(text: str, *options: str, app: str = "main:app") -> Server:
        (tmp_path / "main.py").write_text(text)
        return start_server("--no-access-log", *options, app=app, app_dir=tmp_path)

    return start


def events(server: Server) -> list[str]:
    """Stops the server and returns the events sent by Sentry."""
    server.stop()
    assert server.output is not None
    return [line.removeprefix("event: ") for line in server.output.text.splitlines()]


@pytest.mark.parametrize("text", [FLASK, FLASK_GUIDE], ids=["own handler", "guide"])
def test_flask_with_sentry(text: str, site: Callable[..., Server]) -> None:
    server = site(text)
    for path in ("/info?name=Ada", "/warning", "/print"):
        assert server.get(path).status == 200
    assert server.get("/raise").status == 500
    server.log.wait_for(r"^\[[^]]+\] INFO in main: hello Ada$")
    server.log.wait_for(r"^\[[^]]+\] WARNING in main: careful$")
    server.log.wait_for(r"^\[[^]]+\] ERROR in app: Exception on /raise \[GET\]\n    Traceback")
    server.log.wait_for(r"^\d{4}\S+ \S+ \+0000 ERROR printed$")
    assert events(server) == ["ValueError"], "each exception is one event, and nothing else is one"
    assert server.log.text.count("hello Ada") == 1
    assert server.log.text.count("ValueError: mine") == 1


def test_flask_as_json(site: Callable[..., Server]) -> None:
    server = site(FLASK, "--log-format", "json")
    for path in ("/info?name=Ada", "/warning", "/warn"):
        assert server.get(path).status == 200
    server.log.wait_for("DeprecationWarning")
    records = [json.loads(line) for line in server.log.text.splitlines() if line.startswith("{")]
    levels = {
        record["message"].rpartition(" ")[2]: record["level"] for record in records if record["logger"] == "ianus.app"
    }
    assert levels["Ada"] == "info"
    assert levels["careful"] == "warning"
    assert [r["level"] for r in records if "DeprecationWarning: old" in r["message"]] == ["warning"]


def test_python_warnings_have_their_level(site: Callable[..., Server]) -> None:
    server = site(FLASK_GUIDE)
    assert server.get("/captured").status == 200
    server.log.wait_for(r"^\[[^]]+\] WARNING in warnings: .*DeprecationWarning: old$")
    assert " ERROR " not in server.log.text


def test_a_name_with_a_line_of_the_log_in_it(site: Callable[..., Server]) -> None:
    """No data of a client can look like a record of the server."""
    server = site(FLASK.replace("[%(asctime)s] ", ""))
    assert server.get("/info?name=Ada%0A2026-01-31%2023:59:59%20%2B0000%20INFO%20stopped").status == 200
    server.log.wait_for(r"hello Ada\n    2026-01-31 23:59:59 \+0000 INFO stopped$")


def test_bottle_with_sentry(site: Callable[..., Server]) -> None:
    server = site(BOTTLE)
    assert server.get("/raise").status == 500
    server.log.wait_for(r"^    ValueError: mine$")
    assert events(server) == ["ValueError"]


def test_fastapi_with_sentry(site: Callable[..., Server]) -> None:
    server = site(FASTAPI)
    assert server.get("/info").status == 200
    assert server.get("/raise").status == 500
    server.log.wait_for(r"^    ValueError: mine$")
    assert events(server) == ["ValueError"]


def test_loguru(site: Callable[..., Server]) -> None:
    server = site(LOGURU)
    assert server.get("/raise").status == 500
    server.log.wait_for(r"^loguru ERROR exception in application: GET /raise$")
    server.log.wait_for(r"ValueError.*: mine$")
    with server.connect() as client:
        client.send(b"BAD\r\n\r\n")
        assert client.response().status == 400
    server.log.wait_for(r"^loguru INFO rejected request: status 400, ")
    server.stop()
    assert "logging failed" not in server.log.text


def test_structlog(site: Callable[..., Server]) -> None:
    server = site(STRUCTLOG, app="main:wsgi")
    assert server.get("/").status == 500
    found = server.log.wait_for(r"^\{.*exception in application: GET /.*$")
    record = json.loads(found[0])
    assert (record["logger"], record["level"]) == ("ianus.error", "error")
    assert "ValueError: mine" in record["exception"]
