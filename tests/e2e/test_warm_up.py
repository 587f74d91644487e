"""--warmup requests paths of the application before connections are accepted."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import WAIT_SECONDS, Server

APPS = """
import sys, time

def report(*words):
    print("app:", *words, file=sys.stderr, flush=True)

def status(path):
    return {"/broken": 500, "/none": 404}.get(path, 200)

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError
    if scope["path"] == "/raises":
        raise ZeroDivisionError
    if scope["path"] == "/hangs":
        import asyncio
        await asyncio.sleep(60)
    report("request", scope["path"], dict(scope["headers"])[b"host"].decode(), scope["client"])
    await send({"type": "http.response.start", "status": status(scope["path"]), "headers": []})
    await send({"type": "http.response.body", "body": b"x" * 100000, "more_body": True})
    await send({"type": "http.response.body", "body": b"."})

def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raises":
        raise ZeroDivisionError
    if path == "/hangs":
        time.sleep(1)
    report("request", path, environ["HTTP_HOST"], environ["REMOTE_ADDR"] or None)
    report("port", environ["SERVER_PORT"])
    start_response(f"{status(path)} X", [])
    return [b"x" * 100000, b"."]
"""

HOW = {
    "asgi": ("asgi",),
    "wsgi": ("wsgi",),
    "pinned": ("wsgi", "--threads", "1"),
    "both": ("asgi", "--mount", "/w=warm:wsgi"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "warm.py").write_text(APPS)
    return tmp_path


@pytest.mark.parametrize("how", HOW)
def test_paths_are_requested_before_the_first_client(
    start_server: Callable[..., Server], folder: Path, how: str
) -> None:
    app, *options = HOW[how]
    second = "/w/second" if how == "both" else "/second"
    server = start_server(
        *("--warmup", "/first?a=b", "--warmup", second, "--warmup", "/none", "--warmup-host", "shop.example"),
        *("--limit-concurrency", "1", "--max-requests", "2", *options),
        app=f"warm:{app}",
        app_dir=folder,
    )
    before = server.log.text.partition("Ianus ")[0]
    assert re.findall(r"^app: request (\S+) (\S+) (\S+)$", before, re.MULTILINE) == [
        ("/first", "shop.example", "None"),
        ("/second", "shop.example", "None"),
        ("/none", "shop.example", "None"),
    ]
    assert "warm-up request was answered with 404: GET /none (host shop.example)\n" in before
    assert server.get("/").status == 200
    if app == "wsgi":
        server.log.wait_for(rf"^app: port {server.address[1]}$")
    assert "will be replaced" not in server.log.text, "the requests before are not counted"
    assert server.output is not None
    server.output.wait_for(r'"GET / HTTP/1\.1" 200')
    assert "first" not in server.output.text


@pytest.mark.parametrize("app", ["asgi", "wsgi"])
@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/broken", "was answered with 500"),
        ("/raises", "was answered with 500"),
        ("/hangs", "was not answered within 0.25 s"),
    ],
)
def test_a_server_whose_application_fails_does_not_start(folder: Path, app: str, path: str, problem: str) -> None:
    command = [sys.executable, "-m", "ianus", "--bind", "127.0.0.1:0", "--app-dir", str(folder), f"warm:{app}"]
    done = subprocess.run(
        [*command, "--warmup", path, "--timeout-lifespan-startup", "0.25"],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        cwd=folder,
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr.count(f"The warm-up request GET {path} {problem}") == 1
    assert "Ianus " not in done.stderr
    assert done.stdout == ""
