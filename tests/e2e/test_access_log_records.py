"""The access log through Python's logging, and on a disk that is full."""

import json
import logging
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ianus.telemetry.access_records import AccessRecords
from tests.helpers import Server, until


def configure(folder: Path, logger: str, **handler: object) -> None:
    """Writes a log.json, whose `logger` writes to access.txt in the folder that the server runs in."""
    file = {"class": "logging.FileHandler", "filename": "access.txt", "formatter": "own", **handler}
    configuration = {
        "version": 1,
        "filters": {"health": {"()": "my_filters.NoHealthChecks"}},
        "formatters": {"own": {"()": "my_filters.Formatter"}},
        "handlers": {"file": file, "console": {"class": "logging.StreamHandler"}},
        "loggers": {logger: {"handlers": ["file"]}, "ianus.error": {"handlers": ["console"], "level": "INFO"}},
    }
    (folder / "log.json").write_text(json.dumps(configuration))
    (folder / "my_filters.py").write_text(FILTERS)
    (folder / "main.py").write_text(APPLICATION)


APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""

# The filter is the one of many answers to "how to silence health checks".
FILTERS = """
import logging

class NoHealthChecks(logging.Filter):
    def filter(self, record):
        path = record.args["U"] if isinstance(record.args, dict) else record.args[2]
        return path != "/health"

class Formatter(logging.Formatter):
    def format(self, record):
        return f"{record.name} {record.levelname} {record.status} {record.target} | {record.getMessage()}"
"""


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ianus.access", ()),
        ("uvicorn.access", ("--access-logfile", "access.log")),
        ("gunicorn.access", ()),
        ("gunicorn.access", ("--log-format", "json")),
    ],
)
def test_a_configuration_that_names_an_access_logger(
    name: str, options: tuple[str, ...], tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    configure(tmp_path, name, filters=["health"])
    server = start_server("--log-config", "log.json", *options, app="main:app", app_dir=tmp_path)
    for target in ("/health", "/hello?a=100%25"):
        server.get(target)
    server.stop()
    (line,) = (tmp_path / "access.txt").read_text().splitlines()
    start, _, message = line.partition(" | ")
    assert start == f"{name} INFO 200 /hello?a=100%25"
    if "json" in options:
        assert json.loads(message)["target"] == "/hello?a=100%25"
    else:
        assert '"GET /hello?a=100%25 HTTP/1.1" 200 5 ' in message
    assert server.output is not None
    assert server.output.text == ""
    if "access.log" in options:
        lines = (tmp_path / "access.log").read_text().splitlines()
        assert lines[1] == message, "the file has all lines, as they are"
        assert len(lines) == 2


def test_a_filter_that_raises(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    configure(tmp_path, "ianus.access", filters=["health"])
    (tmp_path / "my_filters.py").write_text(FILTERS.replace('path != "/health"', "undefined"))
    server = start_server("--log-config", "log.json", app="main:app", app_dir=tmp_path)
    for _ in range(2):
        server.get("/hello")
    server.stop()
    assert server.log.text.count('"GET /hello HTTP/1.1" 200 5 ') == 2
    assert "NameError: name 'undefined' is not defined" in server.log.text


def test_the_formatter_of_uvicorn(caplog: pytest.LogCaptureFixture) -> None:
    """It takes these five from args."""
    records = AccessRecords("uvicorn.access", access_log_format="", log_format="text")
    fields = ["1.2.3.4", "-", "-", "[t]", "GET /a?b HTTP/1.1", "GET", "/a", "b", "HTTP/1.1", "200", "5", "5"]
    fields += ["-", "-", "0", "1", "1000", "0.001000", "-", "<1>", "the line: 5 %"]
    with caplog.at_level(logging.INFO, "uvicorn.access"):
        assert records("\t".join(fields).encode() + b"\n") == b"the line: 5 %\n"
    (record,) = caplog.records
    assert record.args == ("1.2.3.4", "GET", "/a?b", "1.1", 200)
    assert record.getMessage() == "the line: 5 %"


def test_lines_that_a_full_disk_takes_are_counted(start_server: Callable[..., Server]) -> None:
    server = start_server("--access-logfile", "/dev/full")
    for _ in range(3):
        server.get("/hello")
    server.log.wait_for(r" ERROR access log cannot be written \(No space left on device\): [1-3] line\(s\) lost$")
    server.stop()
    lost = [
        int(line.rpartition(": ")[2].split()[0]) for line in server.log.text.splitlines() if " line(s) lost" in line
    ]
    assert sum(lost) == 3


def test_standard_output_whose_reader_has_gone(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    assert reader.stdin is not None
    reader.wait()
    server = start_server(stdout=reader.stdin.fileno())
    reader.stdin.close()
    server.get("/hello")
    server.log.wait_for(r" ERROR access log cannot be written \(Broken pipe\): 1 line\(s\) lost$")


def test_the_error_log_on_a_full_disk_goes_to_standard_error(start_server: Callable[..., Server]) -> None:
    server = start_server("--error-logfile", "/dev/full")
    assert server.get("/raise").status == 500
    server.log.wait_for(r" ERROR exception in application: GET /raise\n    Traceback")
    until(lambda: server.get("/hello").status == 200)


def test_a_reload_without_the_configuration(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    configure(tmp_path, "ianus.access")
    (tmp_path / "ianus.toml").write_text('log_config = "log.json"\n')
    server = start_server(app="main:app", app_dir=tmp_path)
    server.get("/one")
    until(lambda: "/one" in (tmp_path / "access.txt").read_text(), "a record")
    (tmp_path / "ianus.toml").write_text("")
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    server.log.wait_for(r"worker 1 \(pid \d+\), replaces ", mark)
    output = server.output
    assert output is not None
    # The worker before may still take a few.
    until(lambda: server.get("/two").status == 200 and '"GET /two HTTP/1.1" 200 5 ' in output.text, "a line on stdout")
