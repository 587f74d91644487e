"""Relative paths of settings in an application that changes the current directory, as scripts of old do."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import ianus.testing
from tests.helpers import Server, until

APPLICATION = """
import os

def app(environ, start_response):
    environ["wsgi.errors"].write("an error\\n")
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]

os.chdir("elsewhere")
"""

OTHER = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"other"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("elsewhere", "logs", "spool"):
        (tmp_path / name).mkdir()
    (tmp_path / "main.py").write_text(APPLICATION)
    (tmp_path / "other.py").write_text(OTHER)
    return tmp_path


@pytest.mark.parametrize("options", [(), ("--preload",), ("--workers", "2")], ids=" ".join)
def test_relative_log_paths_start_at_the_start_directory(
    options: tuple[str, ...], folder: Path, start_server: Callable[..., Server]
) -> None:
    (folder / "log.json").write_text(
        '{"version": 1, "handlers": {"h": {"class": "logging.StreamHandler"}}, "root": {"handlers": ["h"]}, '
        '"loggers": {"ianus": {"level": "INFO"}}}'
    )
    files = ("--access-logfile", "logs/access.log", "--error-logfile", "logs/error.log", "--pid-file", "server.pid")
    more = ("--spool-dir", "spool", "--request-buffer", "0", "--mount", "/other=other:app", "--log-config", "log.json")
    unix = os.path.relpath(folder / "app.sock", folder)
    server = start_server(*files, *more, *options, app="main:app", app_dir=Path(), bind=("127.0.0.1:0", f"unix:{unix}"))

    def request() -> None:
        with server.connect() as client:
            assert client.post("/", b"body").body == b"hello"
        with server.connect() as client:
            assert client.get("/other").body == b"other"

    access, error = folder / "logs/access.log", folder / "logs/error.log"
    request()
    until(lambda: access.read_text().count("\n") == 2, "lines of the access log")
    until(lambda: " ERROR an error\n" in error.read_text(), "the error log")
    # Log rotation.
    for path in (access, error):
        path.rename(path.with_suffix(".old"))
    server.signal(signal.SIGUSR1)
    until(lambda: access.exists() and error.exists(), "new files")
    request()
    until(lambda: access.read_text().count("\n") == 2, "lines of the new access log")
    # Another worker.
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    server.log.wait_for(r"worker 1 \(pid \d+\), replaces ", mark)
    request()
    until(lambda: access.read_text().count("\n") == 4, "lines after a reload")
    assert (folder / "server.pid").read_text() == f"{server.process.pid}\n"
    server.stop()
    assert not (folder / "server.pid").exists()
    assert not (folder / "app.sock").exists()
    assert not any((folder / "elsewhere").iterdir())


def test_a_server_inside_a_program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with ianus.testing.serve("main:app", bind="unix:app.sock", access_log=True, access_logfile="logs/access.log"):
        assert (folder / "app.sock").exists()
        assert Path.cwd() == folder / "elsewhere"
    assert (folder / "logs/access.log").exists()
    assert not (folder / "app.sock").exists()
    assert not any((folder / "elsewhere").iterdir())
