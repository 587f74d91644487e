"""Few descriptors (ulimit -n): the application keeps its share, and a failed start reports the limit that it needs."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import WAIT_SECONDS, Server, many

APP = """
import socket
from pathlib import Path

KEPT = [socket.socketpair() for _ in range({kept})]

async def app(scope, receive, send):
    if scope["type"] == "http":
        files = [open(__file__, "rb") for _ in range(10)]
        for each in files:
            each.close()
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"opened"}})

def wsgi(environ, start_response):
    files = [open(__file__, "rb") for _ in range(10)]
    for each in files:
        each.close()
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [])
    return [b"opened %d" % size]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APP.format(kept=0))
    return tmp_path


def refused(folder: Path, limit: int, *options: str) -> str:
    """Returns the messages of a start that fails with `limit` descriptors."""
    command = [sys.executable, "-P", "-m", "ianus", "--bind", "127.0.0.1:0", *options, "main:app"]
    run = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -n "$0"; exec "$@"', str(limit), *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )
    assert run.returncode == 3, run.stderr
    return run.stderr


@pytest.mark.parametrize("app", ["main:app", "main:wsgi"])
def test_idle_connections_keep_descriptors_free_for_the_application(
    app: str, folder: Path, start_server: Callable[..., Server]
) -> None:
    server = start_server(app=app, app_dir=folder, files=64)
    with many(100, server.connect) as idle:
        server.log.wait_for(r"cannot accept more connections: open files: 48, connections: \d+;")
        assert idle[0].get("/").body.startswith(b"opened")
        idle[1].close()
        for client in idle[2:90]:
            client.close()
        assert idle[-1].get("/").status == 200


def test_a_spooled_body_gets_a_descriptor_beside_idle_connections(
    folder: Path, start_server: Callable[..., Server]
) -> None:
    server = start_server(app="main:wsgi", app_dir=folder, files=64)
    with many(100, server.connect) as idle:
        server.log.wait_for("cannot accept more connections")
        assert idle[0].post("/", b"x" * 1_000_000).body == b"opened 1000000"


@pytest.mark.parametrize("app", ["main:app", "main:wsgi"])
def test_an_application_that_uses_nearly_all_descriptors_is_served(
    app: str, folder: Path, start_server: Callable[..., Server]
) -> None:
    (folder / "main.py").write_text(APP.format(kept=95))
    server = start_server(app=app, app_dir=folder, files=256)
    with many(5, server.connect) as clients:
        for client in clients:
            assert client.get("/").status == 200


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4096, reason="the hard limit is low")
def test_the_soft_limit_is_raised_at_the_start(folder: Path, start_server: Callable[..., Server]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        server = start_server(app="main:app", app_dir=folder)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for pid in (server.process.pid, server.pid):
        raised = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        assert raised == (1 << 16 if hard == resource.RLIM_INFINITY else min(hard, 1 << 16), hard)


@pytest.mark.parametrize("limit", [10, 16, 24, 37])
def test_a_limit_that_is_too_low_is_reported_in_one_line(limit: int, folder: Path) -> None:
    assert refused(folder, limit) == (
        f"Error: The server needs at least 38 open files, but the limit is {limit}. Raise the hard limit of open files "
        "(ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker). (ianus docs operations)\n"
    )


def test_more_workers_than_the_limit_allows_is_reported_in_one_line(folder: Path) -> None:
    assert refused(folder, 64, "--workers", "40") == (
        "Error: --workers 40 needs at least 227 open files, but the limit is 64. Raise the hard limit of open files "
        "(ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker), or have fewer workers."
        " (ianus docs operations)\n"
    )


def test_the_limit_that_is_named_is_enough(folder: Path, start_server: Callable[..., Server]) -> None:
    server = start_server("--workers", "8", app="main:app", app_dir=folder, files=67)
    assert server.get("/").status == 200


@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_an_application_that_uses_too_many_descriptors_is_reported_in_one_line(
    preload: tuple[str, ...], folder: Path
) -> None:
    (folder / "main.py").write_text(APP.format(kept=20))
    text = refused(folder, 64, *preload)
    assert text.startswith("Error: With ")
    assert " files open once the application is loaded, a worker needs at least " in text
    assert "Traceback" not in text
