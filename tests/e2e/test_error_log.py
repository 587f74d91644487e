"""The files and formats of both logs, as the command's options have them."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import APPS, WAIT_SECONDS, Client, accepts, until

Start = Callable[..., "Logging"]


class Logging:
    """A server whose own log goes to error.log in the folder that it runs in."""

    def __init__(self, folder: Path, *options: str, app: str = "apps:app") -> None:
        self.folder = folder
        command = [sys.executable, "-P", "-m", "ianus", "-b", "unix:app.sock", "--app-dir", str(APPS), *options]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([*command, app], cwd=folder, stdout=pipe, stderr=pipe, text=True)
        until(lambda: self.process.poll() is not None or accepts(self.folder / "app.sock"))

    def connect(self) -> Client:
        return Client(str(self.folder / "app.sock"))

    def end(self) -> tuple[str, str]:
        """Returns its standard output and standard error."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=WAIT_SECONDS)
        assert self.process.returncode == 0, err
        return out, err

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.chdir(tmp_path)  # the path of a Unix socket is short
    started: list[Logging] = []

    def start(*options: str, **how: str) -> Logging:
        started.append(Logging(Path(), *options, **how))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


def own(text: str) -> str:
    """Returns standard error without the application's lines."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("app: "))


def test_both_logs_go_to_files(start: Start) -> None:
    server = start("--error-logfile", "error.log", "--access-logfile", "access.log")
    with server.connect() as client:
        assert client.get("/hello").status == 200
    # Requests may be served before the supervisor logs that.
    until(lambda: " INFO Ianus " in server.read("error.log"), "the banner")
    out, err = server.end()
    assert out == own(err) == ""
    assert '"GET /hello HTTP/1.1" 200 ' in server.read("access.log")
    log = server.read("error.log").splitlines()
    assert " INFO Ianus " in log[0]
    assert log[-1].endswith(" INFO stopped")


def test_the_own_log_as_json(start: Start) -> None:
    server = start("--log-format", "json", "--no-access-log")
    with server.connect() as client:
        assert client.get("/raise").status == 500
    out, err = server.end()
    assert out == ""
    lines = [json.loads(line) for line in own(err).splitlines()]
    assert lines[-1]["message"] == "stopped"
    (error,) = (line for line in lines if line["level"] == "error")
    assert "GET /raise" in error["message"]
    assert error["exception"].startswith("Traceback (most recent call last):\n")


def test_fewer_messages_at_a_higher_level(start: Start) -> None:
    server = start("--log-level", "error")
    with server.connect() as client:
        assert client.get("/raise").status == 500
    assert own(server.end()[1]).splitlines()[0].endswith(" ERROR exception in application: GET /raise")


def test_python_logging_is_configured_by_a_file(start: Start) -> None:
    handler = {"class": "logging.FileHandler", "filename": "own.log", "formatter": "own"}
    Path("logging.json").write_text(
        json.dumps(
            {
                "version": 1,
                "disable_existing_loggers": True,
                "formatters": {"own": {"format": "own %(name)s %(message)s"}},
                "handlers": {"file": handler},
                "loggers": {"ianus": {"handlers": ["file"], "level": "INFO"}},
            }
        )
    )
    server = start("--log-config", "logging.json")
    with server.connect() as client:
        assert client.get("/hello").status == 200
    assert own(server.end()[1]) == ""
    assert server.read("own.log").splitlines()[-1] == "own ianus.error stopped"


@pytest.mark.parametrize("option", ["--error-logfile", "--access-logfile", "--log-config"])
def test_a_file_that_cannot_be_opened_is_one_message(option: str, start: Start) -> None:
    server = start(option, "none/log")
    out, err = server.process.communicate(timeout=WAIT_SECONDS)
    assert server.process.returncode == 3
    assert out == ""
    assert err.startswith("Error: The log")
    assert option in err
    assert len(err.splitlines()) == 1
    assert not Path("app.sock").exists()


def test_usr1_reopens_the_files(start: Start) -> None:
    """As log rotation has it: the files were moved away, and nothing is lost on either side."""
    server = start("--access-logfile", "access.log", "--error-logfile", "error.log")
    with server.connect() as client:
        client.get("/hello?before")
        until(lambda: "before" in server.read("access.log"))
        for name in ("access.log", "error.log"):
            (server.folder / name).rename(f"{name}.1")
        server.process.send_signal(signal.SIGUSR1)
        until(lambda: (server.folder / "error.log").exists() and "reopened" in server.read("error.log"))
        client.get("/hello?behind")
    server.end()
    assert "behind" in server.read("access.log")
    assert "behind" not in server.read("access.log.1")
    assert server.read("error.log").endswith("INFO stopped\n")


def test_output_of_the_application_is_in_the_file(start: Start) -> None:
    """Also that of an import, and after the file was rotated. The access log is on the standard output."""
    Path("noisy.py").write_text(
        "import apps, os\n"
        "os.write(1, b'imported\\n')\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'http': print(scope['query_string'], flush=True)\n"
        "    await apps.app(scope, receive, send)\n"
    )
    server = start("--capture-output", "--pythonpath", ".", "--error-logfile", "error.log", app="noisy:app")
    with server.connect() as client:
        client.get("/hello?before")
        until(lambda: '"GET /hello?before' in server.read("error.log"))
        (server.folder / "error.log").rename("error.log.1")
        server.process.send_signal(signal.SIGUSR1)
        until(lambda: (server.folder / "error.log").exists() and "log files reopened" in server.read("error.log"))
        client.get("/hello?after")
    assert server.end() == ("", "")
    assert server.read("error.log.1").startswith("imported\n")
    assert "b'before'\n" in server.read("error.log.1")
    assert "b'after'\n" in server.read("error.log")


def test_usr1_when_the_directory_is_gone(start: Start, tmp_path: Path) -> None:
    """The old file is kept, and the server continues."""
    (tmp_path / "logs").mkdir()
    server = start("--access-logfile", "logs/access.log", "--error-logfile", "error.log")
    until(lambda: (tmp_path / "error.log").exists() and "serves" in server.read("error.log"))
    (tmp_path / "logs" / "access.log").unlink()
    (tmp_path / "logs").rmdir()
    server.process.send_signal(signal.SIGUSR1)
    until(lambda: "cannot reopen log file, keeping the old one: " in server.read("error.log"))
    with server.connect() as client:
        assert client.get("/hello").status == 200
    server.end()
