"""Why a worker could not start is in the server's own log, once."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ianus.process.failures import write_crash
from ianus.settings.schema import Settings
from tests.helpers import WAIT_SECONDS, Server

BROKEN = "import no_such_library\n"

APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"hello"})
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run(*options): the command with an application that cannot be imported; it ends by itself."""

    def run(*options: str, app: str = "main:app") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "ianus", "--bind", "127.0.0.1:0", *options, app]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)

    (tmp_path / "main.py").write_text(BROKEN)
    return run


REASON = "failed to start: main cannot be imported: ModuleNotFoundError: No module named 'no_such_library'."


@pytest.mark.parametrize(
    ("options", "process"), [((), "worker 1"), (("--preload",), "template"), (("--workers", "2"), "worker 1")]
)
def test_a_file_has_the_reason(options: tuple[str, ...], process: str, run: Run, tmp_path: Path) -> None:
    result = run("--error-logfile", "error.log", *options)
    assert result.returncode == 3
    assert result.stderr == ""
    log = (tmp_path / "error.log").read_text()
    assert log.count("no_such_library'") == 2, "in the message and in the traceback"
    assert f" CRITICAL {process} {REASON}" in log
    assert "\n    Traceback (most recent call last):\n" in log
    assert '\n      File "' in log


def test_standard_error_has_it_as_json(run: Run) -> None:
    result = run("--log-format", "json")
    assert result.returncode == 3
    records = [json.loads(line) for line in result.stderr.splitlines()]
    (reason,) = (record for record in records if record["level"] == "critical")
    assert reason["message"].startswith(f"worker 1 {REASON}")
    assert "Traceback" in reason["message"]


def test_standard_error_has_it_as_text(run: Run) -> None:
    result = run()
    assert result.returncode == 3
    assert result.stderr.count("Error: main cannot be imported: ") == 1
    assert "CRITICAL" not in result.stderr


def test_handlers_of_a_configuration_have_it(run: Run, tmp_path: Path) -> None:
    configuration = {
        "version": 1,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": "own.log"}},
        "root": {"handlers": ["file"], "level": "INFO"},
    }
    (tmp_path / "log.json").write_text(json.dumps(configuration))
    result = run("--log-config", "log.json")
    assert result.returncode == 3
    assert result.stderr == ""
    assert (tmp_path / "own.log").read_text().count(f"worker 1 {REASON}") == 1


def test_a_lifespan_that_fails(run: Run, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text('async def app(scope, receive, send):\n    raise RuntimeError("no database")\n')
    result = run("--error-logfile", "error.log", "--lifespan", "on")
    assert (result.returncode, result.stderr) == (3, "")
    log = (tmp_path / "error.log").read_text()
    assert log.count(" CRITICAL worker 1 failed to start: main:app failed in its lifespan.startup: ") == 1


def test_an_address_in_use_is_reported_on_the_terminal_and_in_the_log(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app.sock").write_text("")
    result = run("--error-logfile", "error.log", "--bind", "unix:app.sock")
    assert result.returncode == 3
    assert result.stderr.startswith("Error: app.sock exists and is not a socket.")
    assert (
        " CRITICAL server failed to start: app.sock exists and is not a socket." in (tmp_path / "error.log").read_text()
    )


def test_a_file_that_cannot_be_opened(run: Run) -> None:
    result = run("--error-logfile", "nowhere/error.log")
    assert result.returncode == 3
    assert result.stderr.count("cannot be opened (No such file or directory)") == 1


def test_a_reload_that_fails(start_server: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APPLICATION)
    server = start_server("--log-format", "json", app="main:app", app_dir=tmp_path)
    mark = server.log.mark()
    (tmp_path / "main.py").write_text(BROKEN)
    server.signal(signal.SIGHUP)
    server.log.wait_for(r"worker failed to start with the new configuration", mark)
    records = [json.loads(line) for line in server.log.since(mark).splitlines()]
    assert sum("no_such_library" in record["message"] for record in records) == 1
    (tmp_path / "main.py").write_text(APPLICATION)


def test_a_worker_that_crashes(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    try:
        raise RuntimeError("a defect")
    except RuntimeError as error:
        write_crash(error, Settings(error_logfile=str(path)), "worker 1")
    first, *_, last = path.read_text().splitlines()
    assert first.endswith(" ERROR process crashed: worker 1")
    assert last == "    RuntimeError: a defect"
