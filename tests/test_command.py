"""The command and ianus.run() as processes: exit codes, messages, signals."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ianus.errors import PACKAGE_DIR
from tests.helpers import until

SECONDS = 20  # after which a process that should have ended is given up

APP = """
import threading

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("not supported")
    if scope["path"] == "/thread":
        threading.Thread(target=threading.Event().wait).start()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})

def create_app():
    return app

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/stuck":
        threading.Event().wait()
    start_response("200 OK", [])
    return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode("latin-1")]

class Legacy:
    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await app(self.scope, receive, send)

def run():
    import ianus
    ianus.run(app, bind="127.0.0.1:0")
    print("returned")
"""


class Process:
    """A server process that has printed its banner."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self.popen = popen
        assert popen.stderr is not None
        self.banner = popen.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", self.banner)
        assert found, self.banner + popen.stderr.read()
        self.url = found[0]

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=SECONDS) as response:
            text: str = response.read().decode()
            return text

    def end(self, *signals: signal.Signals) -> tuple[int, str]:
        """Sends signals; returns the exit code and the standard output."""
        for number in signals:
            self.popen.send_signal(number)
        out, self.log = self.popen.communicate(timeout=SECONDS)
        return self.popen.returncode, out


Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., Process]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_main.py").write_text(APP)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    def run(*line: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "ianus", *line],
            cwd=folder,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(*line: str, **environ: str) -> Process:
        as_command = ("-m", "ianus", "-b", "127.0.0.1:0", *line)
        command = [sys.executable, *(line if line[:1] == ("-c",) else as_command)]
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(command, cwd=folder, env=os.environ | environ, stdout=pipe, stderr=pipe, text=True)
        )
        return Process(started[-1])

    yield start
    for popen in started:
        popen.kill()
        popen.communicate()


@pytest.mark.parametrize("app", ["my_main.py:create_app('x', status=201)", "{}/my_main.py"])
def test_an_application_is_named_by_a_file(app: str, start: Start, folder: Path) -> None:
    with (folder / "my_main.py").open("a") as file:
        file.write("def create_app(name, status): return app\n")
    process = start(app.format(folder))
    assert "serves my_main:" in process.banner
    assert process.get("/hello") == "/hello"
    assert process.end(signal.SIGTERM)[0] == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_application_is_served_until_term(loop: str, start: Start) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    process = start("my_main:app", "--loop", loop)
    assert "serves my_main:app (asgi3) on http://127.0.0.1:" in process.banner
    assert process.banner.endswith(f"; loop {loop}, 1 worker, pid {process.popen.pid}\n")
    assert process.get("/hello") == "/hello"
    code, out = process.end(signal.SIGTERM)
    assert code == 0
    assert '"GET /hello HTTP/1.1" 200' in out


@pytest.mark.parametrize("line", [["my_main:create_app", "--factory"], ["my_main:create_app()"], ["my_main:Legacy"]])
def test_factories_and_asgi_2_are_served(line: list[str], start: Start) -> None:
    process = start(*line, "--no-access-log")
    assert process.get("/hello") == "/hello"
    assert process.end(signal.SIGINT) == (0, "")


def test_a_quick_stop_does_not_wait_for_threads_of_the_application(start: Start) -> None:
    process = start("my_main:app")
    assert process.get("/thread") == "/thread"
    assert process.end(signal.SIGQUIT)[0] == 0
    assert "WARNING threads still running, abandoned after " in process.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_wsgi_application(number: signal.Signals, start: Start) -> None:
    process = start("my_main:wsgi")
    assert "serves my_main:wsgi (wsgi) on http://127.0.0.1:" in process.banner
    assert process.banner.endswith(f"; threads auto, 1 worker, pid {process.popen.pid}\n")
    assert process.get("/hello") == " /hello"
    code, out = process.end(number)
    assert code == 0
    assert '"GET /hello HTTP/1.1" 200' in out
    assert process.log.splitlines()[-1].endswith(" INFO stopped")


def test_several_applications_in_one_process(start: Start, folder: Path) -> None:
    (folder / "ianus.toml").write_text('app = "my_main:wsgi"\nmount = ["/api=my_main:app", "/w=my_main:wsgi"]\n')
    process = start()
    assert "serves my_main:wsgi (wsgi), my_main:app (asgi3) at /api, my_main:wsgi (wsgi) at /w on " in process.banner
    assert process.get("/hello") == " /hello"
    assert process.get("/api/hello") == "/api/hello"
    assert process.get("/w/hello") == "/w /hello"
    assert process.get("/apihello") == " /apihello"
    assert process.end(signal.SIGTERM)[0] == 0


def test_a_call_that_is_stuck_is_reported_and_does_not_prevent_the_end(start: Start) -> None:
    process = start("my_main:wsgi", "--stuck-report-after", "50ms")
    host, _, port = process.url.removeprefix("http://").partition(":")
    assert process.popen.stderr is not None
    with socket.create_connection((host, int(port)), timeout=SECONDS) as client:
        client.sendall(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
        lines = iter(process.popen.stderr.readline, "")
        assert re.search(r" WARNING WSGI call has not returned after 0\..*: GET /stuck; it is here now:$", next(lines))
        assert any(line.strip() == "threading.Event().wait()" for line in lines)
        assert process.get("/hello") == " /hello"
        code, _ = process.end(signal.SIGQUIT)
    assert code == 0
    assert "requests abandoned: 1" in process.log
    assert "WARNING WSGI calls still running: 1\n    GET /stuck (" in process.log


def test_run_serves_an_object_and_returns(start: Start) -> None:
    process = start("-c", "import sys; sys.path.insert(0, ''); import my_main; my_main.run()")
    assert "serves my_main:app (asgi3)" in process.banner
    assert process.get("/hello") == "/hello"
    code, out = process.end(signal.SIGTERM)
    assert code == 0
    assert out.endswith("returned\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["my_mian:app"], "There is no module my_mian in "),
        (["my_main:ap"], "my_main has no attribute ap. Did you mean app?"),
        (["my_main:app", "--mount", "/api=my_main:ap"], "no attribute ap. Did you mean app? (mounted at /api)"),
        (["my_main:app", "--lifespan", "on"], "failed in its lifespan.startup: ValueError: not supported."),
    ],
)
def test_a_start_that_fails_is_one_message_and_exit_code_3(line: list[str], expected: str, run: Run) -> None:
    result = run(*line, "-b", "127.0.0.1:0")
    assert result.returncode == 3
    assert expected in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "ianus/" not in result.stderr
    assert result.stdout == ""


def test_a_port_in_use_exits_with_3(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = run("my_main:app", "--bind", f"127.0.0.1:{server.getsockname()[1]}")
    assert result.returncode == 3
    assert "is in use by another process" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_command_line_that_cannot_be_understood_exits_with_2(run: Run) -> None:
    result = run("my_main:app", "--timeout-write", "soon")
    assert result.returncode == 2
    assert "Usage: python -m ianus [OPTIONS] [APP]" in result.stderr
    assert "'soon' is not a time, such as" in result.stderr


def test_all_sources_are_merged(start: Start, folder: Path) -> None:
    """The file names the application, a file of variables the folder, the line an address."""
    (folder / "ianus.toml").write_text('app = "my_code:app"\nfactory = false\nenv-file = "my.env"\n')
    (folder / "my.env").write_text("IANUS_APP_DIR=code\nIANUS_ACCESS_LOG=off\n")
    (folder / "code").mkdir()
    (folder / "code/my_code.py").write_text(APP)
    process = start(PORT="1", WEB_CONCURRENCY="1", IANUS_LOOP="asyncio")
    assert "serves my_code:app (asgi3)" in process.banner
    assert "loop asyncio" in process.banner
    assert process.get("/hello") == "/hello"
    assert process.end(signal.SIGTERM) == (0, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_that_are_closed(closed: str, folder: Path) -> None:
    log = folder / "log"
    line = f'exec "$0" -m ianus my_main:app --bind 127.0.0.1:0 --error-logfile log {closed}'
    with subprocess.Popen(["/bin/sh", "-c", line, sys.executable], cwd=folder) as process:
        until(lambda: log.exists() and "serves" in log.read_text())
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        assert found is not None
        with urllib.request.urlopen(found[0], timeout=SECONDS) as response:
            assert response.read() == b"/"
        streams = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]  # noqa: PTH115
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    assert not [each for each in streams if each.startswith(("socket:", "anon_inode:"))]


def test_a_failed_start_without_standard_error_exits_with_3(folder: Path) -> None:
    line = 'exec "$0" -m ianus my_mian:app 2>&-'
    assert subprocess.run(["/bin/sh", "-c", line, sys.executable], cwd=folder, check=False).returncode == 3


def test_the_configuration_is_printed_and_nothing_is_started(run: Run) -> None:
    result = run("my_mian:app", "--port", "0", "--print-config", IANUS_KEEP_ALIVE="5m", PORT="1")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r'^app = "my_mian:app" +# command line$', result.stdout, re.MULTILINE)
    assert re.search(r'^bind = \["127\.0\.0\.1:0"\] +# command line --port$', result.stdout, re.MULTILINE)
    assert re.search(r'^timeout_keep_alive = "5m" +# environment IANUS_KEEP_ALIVE$', result.stdout, re.MULTILINE)


def test_a_reader_of_the_configuration_may_leave(folder: Path) -> None:
    """As in `ianus --print-config | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "ianus", "--print-config"]
    result = subprocess.run(command, cwd=folder, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, "")


def test_a_configuration_that_cannot_be_written_is_one_message(folder: Path) -> None:
    command = [sys.executable, "-m", "ianus", "--print-config"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (
        1,
        "Error: The output cannot be written: No space left on device.\n",
    )


def test_a_good_configuration_is_checked_without_a_socket(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        result = run("my_main:app", "--check-config", PORT=str(server.getsockname()[1]))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "my_main:app (asgi3): all settings are good.\n"


def test_all_applications_are_checked(run: Run) -> None:
    result = run("my_main:wsgi", "--mount", "/api=my_main:create_app()", "--mount", "/b=my_main:wsgi", "--check-config")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "my_main:wsgi (wsgi), my_main:create_app() (asgi3) at /api, my_main:wsgi (wsgi) at /b: all settings are good.\n"
    )


def test_a_configuration_of_gunicorn_is_checked_in_its_directory(run: Run, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "in_sub.py").write_text("def app(environ, start_response): ...\n")
    (folder / "gunicorn.conf.py").write_text("chdir = 'sub'\ndef on_starting(server): ...\n")
    result = run("in_sub:app", "--check-config")
    assert (result.returncode, result.stderr) == (0, "")
    result = run("in_sub:app", "--check-config", "--chdir", "nowhere")
    assert result.stderr.startswith("Error: The directory nowhere cannot be entered (No such file")


@pytest.mark.parametrize(
    ("line", "code", "expected"),
    [
        (["my_mian:app"], 3, "There is no module my_mian in "),
        (["my_main:app", "--interface", "wsgi"], 3, "my_main:app is async, which a WSGI application is not"),
        (["my_main:wsgi", "--mount", "/a=my_mian:app"], 3, "Did you mean my_main:app? (mounted at /a)"),
        (["my_main:wsgi", "--spool-dir", "nowhere"], 3, "No temporary files can be made in nowhere."),
        (["my_main:app", "--mount", "/a=my_main:app", "--mount", "/a=my_main:app"], 2, "/a is given twice"),
        (["my_main:app", "--app-dir", "nowhere"], 3, "The directory nowhere does not exist"),
        (["my_main:app", "--log-config", "nowhere.ini"], 3, "The logging configuration nowhere.ini cannot be read"),
        (["my_main:app", "--error-logfile", "nowhere/x"], 3, "The log file nowhere/x cannot be opened"),
        (["my_main:app", "--access-logfile", "nowhere/x"], 3, "The log file nowhere/x cannot be opened"),
        (["my_main:app", "--reload", "--reload-dir", "nowhere"], 3, "nowhere does not exist, and cannot be watched"),
        (["my_main:app", "--hooks", "nowhere"], 3, "There is no module nowhere"),
        (["my_main:app", "--user", "no-such-user"], 3, "There is no user 'no-such-user'"),
        (["my_main:app", "--bind", "localhost:"], 2, "Error: --bind: 'localhost:' has no port; write localhost:8000."),
        ([], 2, "No application is given"),
    ],
)
def test_errors_of_a_configuration(line: list[str], code: int, expected: str, run: Run) -> None:
    result = run(*line, "--check-config")
    assert result.returncode == code
    assert expected in result.stderr
    assert result.stdout == ""


def test_the_sub_command(run: Run) -> None:
    result = run("completion", "fish")
    assert result.returncode == 0
    assert "_IANUS_COMPLETE=fish_complete" in result.stdout
    result = run("completion", "tcsh")
    assert result.returncode == 2
    assert "Usage: python -m ianus completion " in result.stderr
    assert "No shell is given; name one of bash, zsh, fish." in run("completion").stderr
    assert "There is no module completion in " in run("completion:app").stderr


def test_run_refuses_wrong_settings_with_an_exception() -> None:
    import ianus

    with pytest.raises(ValueError, match="backlog: 'x' is not a whole number"):
        ianus.run("main:app", backlog="x")
    with pytest.raises(TypeError, match="did you mean 'backlog'"):
        ianus.run("main:app", backlogg=1)


def test_run_exits_with_3_when_it_cannot_start(capsys: pytest.CaptureFixture[str]) -> None:
    import ianus

    with pytest.raises(SystemExit) as caught:
        ianus.run("no_such_module_here:app", bind="127.0.0.1:0", app_dir=str(Path(__file__).parent))
    assert caught.value.code == 3
    assert capsys.readouterr().err.startswith("Error: There is no module no_such_module_here")


def test_the_package_is_imported_without_the_server() -> None:
    code = "import sys, ianus; print(sys.modules.keys() & {'asyncio', 'logging', 'socket', 'click'})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_a_clone_that_was_not_built_is_explained(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE_DIR, tmp_path / "ianus", ignore=shutil.ignore_patterns("*.so"))
    result = subprocess.run(
        [sys.executable, "-m", "ianus", "main:app"],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr == (
        f"Error: The compiled modules are not in {tmp_path}/ianus/. In a clone, run `make build`; or use an installed"
        " Ianus by the command `ianus`, or from another directory. (ianus docs starting)\n"
    )
