"""`--threads 1` loads and calls a WSGI application in the main thread, as gunicorn's sync worker does."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import SHORT_STOP, Output, Server, parse_address, until

APPLICATION = """
import asyncio, ctypes, os, signal, sqlite3, sys, threading, time, warnings

loaded_in = threading.current_thread()
database = sqlite3.connect(":memory:")

def say(text):
    sys.stderr.write(f"app: {text}\\n")

class TookTooLong(Exception):
    pass

def on_alarm(number, frame):
    raise TookTooLong("interrupted")

def on_user(number, frame):
    say(f"handler {number} in {threading.current_thread().name}")

if "AT_IMPORT" in os.environ:
    signal.signal(signal.SIGALRM, on_alarm)
if loaded_in is threading.main_thread():
    signal.signal(signal.SIGWINCH, on_user)

def thread():
    current = threading.current_thread()
    return f"{current is threading.main_thread()} {current is loaded_in}"

def limited(blocks=None):
    if "AT_IMPORT" not in os.environ:
        signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        time.sleep(60)
    except TookTooLong as error:
        return str(error)
    finally:
        signal.alarm(0)

def loop():
    warnings.simplefilter("ignore")
    try:
        loop = asyncio.get_event_loop()
    except RuntimeError as error:
        return f"RuntimeError {error}"
    return str(loop.run_until_complete(asyncio.sleep(0, "slept")))

def run():
    return asyncio.run(asyncio.sleep(0, "ran"))

def sql():
    return database.execute("select 'selected'").fetchone()[0]

def exit():
    sys.exit("left")

def fork():
    child = os.fork()
    if child == 0:
        os._exit(7 if threading.current_thread() is threading.main_thread() else 8)
    return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

def fork_and_kill():
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(child, signal.SIGTERM)
    return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

def replace():
    signal.signal(signal.SIGTERM, on_user)
    return "replaced"

def replace_and_wait():
    replace()
    return wait()

def block():
    say("blocked")
    try:
        time.sleep(60)
    finally:
        say("left")

def stubborn():
    say("blocked")
    while True:
        try:
            time.sleep(60)
        except BaseException:
            say("caught")

def in_c():
    say("blocked")
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):  # The second one waits for ever, without Python's lock and whatever signal comes.
        ctypes.CDLL(None).pthread_mutex_lock(mutex)

def wait():
    say("waiting")
    while not os.path.exists("go"):
        time.sleep(0.01)
    return "waited"

def nap():
    time.sleep(0.05)
    return thread()

def app(environ, start_response):
    name = environ["PATH_INFO"][1:]
    if name == "stream":
        return stream(start_response)
    try:
        body = globals()[name]().encode()
    except Exception as error:
        body = repr(error).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

def stream(start_response):
    signal.signal(signal.SIGALRM, on_alarm)
    start_response("200 OK", [])
    say("streaming")
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    while True:
        yield b"x" * 65536

async def asgi(scope, receive, send):
    pass
"""

Start = Callable[..., Server]

PROGRAM = """
import sys, threading, time, ianus

if __name__ == "__main__":
    settings = {"bind": "127.0.0.1:0", "threads": 1}
    if sys.argv[1:] == ["thread"]:
        threading.Thread(target=ianus.run, args=("main:app",), kwargs=settings, daemon=True).start()
        time.sleep(60)
    ianus.run("main:app", **settings, timeout_stop=float(sys.argv[1]) if sys.argv[1:] else 25)
    print("app: run() has returned", file=sys.stderr)
"""


class Program(Server):
    """A program that calls ianus.run(): it has no supervisor."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "program.py", *arguments],
            cwd=cwd,
            env={name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        self.log = Output(self.process.stderr)
        self.output = None
        self.addresses = [parse_address(self.log.wait_for(r" serves .* on (.*); threads 1")[1])]

    @property
    def pid(self) -> int:
        return self.process.pid


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    (tmp_path / "main.py").write_text(APPLICATION)
    (tmp_path / "program.py").write_text(PROGRAM)
    programs: list[Program] = []

    def start(*arguments: str) -> Program:
        programs.append(Program(*arguments, cwd=tmp_path))
        return programs[-1]

    yield start
    for each in programs:
        if each.process.poll() is None:
            each.kill()


@pytest.fixture(params=[(), ("--preload",)], ids=["worker", "preload"])
def options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return "--threads", "1", *request.param


@pytest.fixture
def start(start_server: Start, tmp_path: Path) -> Start:
    (tmp_path / "main.py").write_text(APPLICATION)

    def start(*options: str, app: str = "main:app", **how: object) -> Server:
        return start_server(*options, app=app, app_dir=tmp_path, **how)

    return start


def text(server: Server, path: str) -> str:
    return server.get(path).body.decode()


def test_views_run_in_the_main_thread(start: Start, options: tuple[str, ...]) -> None:
    server = start(*options)
    answers: list[str] = []

    def get() -> None:
        with server.connect() as client:
            answers.extend(client.get(path).body.decode() for path in ("/thread", "/nap", "/thread", "/nap"))

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["True True"] * 32


def test_a_timeout_by_sigalrm_interrupts_a_view(start: Start, options: tuple[str, ...]) -> None:
    server = start(*options)
    for _ in range(3):
        assert text(server, "/limited") == "interrupted"
        assert text(server, "/thread") == "True True"


def test_a_timeout_whose_handler_is_set_at_import(
    start: Start, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AT_IMPORT", "1")
    assert text(start(*options), "/limited") == "interrupted"


def test_a_timeout_interrupts_a_response_that_waits_for_its_client(start: Start, options: tuple[str, ...]) -> None:
    server = start(*options)
    with server.connect() as client:
        client.request("/stream")
        server.log.wait_for("main.TookTooLong: interrupted")
    assert text(server, "/thread") == "True True"


def test_get_event_loop_in_a_view(start: Start, options: tuple[str, ...]) -> None:
    """As under gunicorn: a loop of the main thread, until asyncio.run() or CPython 3.14 reports that there is none."""
    server = start(*options)
    first = text(server, "/loop")
    assert first == "slept" or first.startswith("RuntimeError There is no current event loop")
    assert text(server, "/run") == "ran"
    assert text(server, "/loop").startswith("RuntimeError There is no current event loop")


def test_a_connection_of_sqlite_made_at_import_is_used_by_views(start: Start, options: tuple[str, ...]) -> None:
    """sqlite3 refuses a connection in another thread than the one that has made it."""
    server = start(*options)
    assert [text(server, "/sql") for _ in range(3)] == ["selected"] * 3


def test_a_view_that_exits_or_forks(start: Start, options: tuple[str, ...]) -> None:
    server = start(*options)
    assert server.get("/exit").status == 500
    assert text(server, "/fork") == "7"
    assert text(server, "/fork_and_kill") == str(-signal.SIGTERM)
    assert text(server, "/thread") == "True True"


@pytest.mark.parametrize("path", ["/replace", "/replace_and_wait"], ids=["idle", "busy"])
def test_a_handler_of_sigterm_that_a_view_has_set_does_not_prevent_a_stop(
    start: Start, tmp_path: Path, path: str
) -> None:
    """It is called, and the server stops as it does without."""
    server = start("--threads", "1")
    with server.connect() as client:
        client.request(path)
        if path == "/replace":
            assert client.response().body == b"replaced"
        else:
            server.log.wait_for("app: waiting")
        server.signal(signal.SIGTERM)
        server.log.wait_for(f"app: handler {int(signal.SIGTERM)} in MainThread")
        if path != "/replace":
            server.log.wait_for("is stopping; requests in flight: 1")
            (tmp_path / "go").touch()
            assert client.response().body == b"waited"
    assert server.wait() == 0


def test_a_timeout_that_fires_too_late_is_logged(start: Start) -> None:
    """Its view has returned: nothing but the server could be interrupted."""
    server = start("--threads", "1")
    assert text(server, "/limited") == "interrupted"
    assert server.output is not None
    server.output.wait_for("GET /limited")
    os.kill(server.pid, signal.SIGALRM)
    server.log.wait_for("exception in a signal handler of the application")
    assert text(server, "/thread") == "True True"


@pytest.mark.parametrize("path", ["/thread", "/nap"], ids=["polling", "parked"])
def test_a_signal_handler_of_the_application_is_called_while_idle(start: Start, path: str) -> None:
    server = start("--threads", "1")
    for _ in range(5):
        assert text(server, path) == "True True"
        mark = server.log.mark()
        os.kill(server.pid, signal.SIGWINCH)
        server.log.wait_for(f"app: handler {int(signal.SIGWINCH)} in MainThread", mark)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        *itertools.product(["/thread", "/nap"], [signal.SIGTERM]),
        ("/thread", signal.SIGINT),
        ("/nap", signal.SIGQUIT),
        pytest.param("/nap", signal.SIGINT, marks=pytest.mark.extended),
        pytest.param("/thread", signal.SIGQUIT, marks=pytest.mark.extended),
    ],
)
def test_stop_while_idle(start: Start, options: tuple[str, ...], path: str, number: signal.Signals) -> None:
    server = start(*options)
    assert text(server, path) == "True True"
    server.signal(number)
    assert server.wait() == 0
    assert "abandoned" not in server.log.text


def test_log_files_are_opened_again_while_idle(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    server = start("--threads", "1", "--access-logfile", str(log))
    assert text(server, "/thread") == "True True"
    until(lambda: "/thread" in log.read_text())
    log.rename(tmp_path / "access.log.1")
    server.signal(signal.SIGUSR1)
    until(log.exists)


def test_a_stop_finishes_the_call_in_the_main_thread(start: Start, options: tuple[str, ...], tmp_path: Path) -> None:
    server = start(*options)
    with server.connect() as client, server.connect() as other:
        client.request("/wait")
        server.log.wait_for("app: waiting")
        other.request("/thread")
        server.signal(signal.SIGTERM)
        server.log.wait_for("stopping; requests in flight")
        (tmp_path / "go").touch()
        assert client.response().body == b"waited"
        assert other.response().body == b"True True"
    assert server.wait() == 0


def test_hup_while_the_main_thread_is_in_a_call(start: Start, tmp_path: Path) -> None:
    server = start("--threads", "1", "--workers", "2")
    with server.connect() as client:
        client.request("/wait")
        server.log.wait_for("app: waiting")
        server.signal(signal.SIGHUP)
        server.log.wait_for("is stopping; requests in flight: 1")
        (tmp_path / "go").touch()
        assert client.response().body == b"waited"
    until(lambda: text(server, "/thread") == "True True")


def test_max_requests(start: Start) -> None:
    server = start("--threads", "1", "--workers", "1", "--max-requests", "3")
    assert [text(server, "/thread") for _ in range(12)] == ["True True"] * 12


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM], ids=["quick", "graceful"])
def test_a_call_that_does_not_return_is_interrupted_at_the_end(
    start: Start, options: tuple[str, ...], number: signal.Signals
) -> None:
    """Its `finally` runs, and the process ends as any other."""
    server = start(*options, *SHORT_STOP)
    with server.connect() as client:
        client.request("/block")
        server.log.wait_for("app: blocked")
        server.signal(number)
        assert server.wait() == 0
    assert "app: left" in server.log.text
    assert "WSGI calls still running: 1" in server.log.text


@pytest.mark.parametrize("path", ["/stubborn", "/in_c"])
def test_a_call_that_cannot_be_interrupted_does_not_hold_the_end_up(
    start: Start, options: tuple[str, ...], path: str
) -> None:
    """One catches every exception, the other one waits in C code, during which Python's signal handlers do not run."""
    server = start(*options, *SHORT_STOP)
    with server.connect() as client:
        client.request(path)
        server.log.wait_for("app: blocked")
        server.signal(signal.SIGTERM)
        server.log.wait_for("stopping; requests in flight: 1")
        assert server.wait() == 0
    server.log.wait_for("process does not end, abandoned while its main thread was here:")
    assert f"in {path[1:]}" in server.log.text


def test_a_program_that_calls_run_serves_in_its_main_thread(program: Callable[..., Program]) -> None:
    server = program()
    for path in ("/thread", "/nap", "/limited", "/thread"):
        assert text(server, path) in ("True True", "interrupted")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "app: run() has returned" in server.log.text


def test_a_program_that_calls_run_in_another_thread_has_views_in_one_other_thread(
    program: Callable[..., Program],
) -> None:
    server = program("thread")
    assert [text(server, path) for path in ("/thread", "/nap", "/run")] == ["False False", "False False", "ran"]
    assert server.process.poll() is None


def test_a_program_whose_view_does_not_return_gets_control_back(program: Callable[..., Program]) -> None:
    server = program("0.5")
    with server.connect() as client:
        client.request("/block")
        server.log.wait_for("app: blocked")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert "app: left" in server.log.text
    assert "app: run() has returned" in server.log.text


@pytest.mark.parametrize("path", ["/stubborn", "/in_c"])
def test_a_program_whose_view_cannot_be_interrupted_ends(program: Callable[..., Program], path: str) -> None:
    server = program("0.5")
    with server.connect() as client:
        client.request(path)
        server.log.wait_for("app: blocked")
        server.signal(signal.SIGINT)
        server.log.wait_for("stopping; requests in flight: 1")
        assert server.wait() == 0


def test_the_third_ctrl_c_breaks_a_view_off(program: Callable[..., Program]) -> None:
    def interrupt() -> bool:
        """Returns whether the third one arrived before the quick stop had ended, which breaks the view off as well."""
        server = program()
        with server.connect() as client:
            client.request("/block")
            server.log.wait_for("app: blocked")
            server.signal(signal.SIGINT)
            server.log.wait_for("stopping; requests in flight: 1")
            server.signal(signal.SIGINT)

            def press_again() -> bool:
                # Two signals that follow each other closely may be one. One that follows the third would end Python.
                server.signal(signal.SIGINT)
                with contextlib.suppress(AssertionError):
                    until(lambda: "app: left" in server.log.text, timeout=1.0)
                return "app: left" in server.log.text

            until(press_again)
            code = server.wait()
        interrupted = "KeyboardInterrupt" in server.log.text
        assert code == (130 if interrupted else 0)
        return interrupted

    assert any(interrupt() for _ in range(20))


def test_other_connections_are_served_while_a_call_runs(start: Start, options: tuple[str, ...], tmp_path: Path) -> None:
    server = start(*options, "--timeout-request-header", "0.2", "--limit-concurrency", "2")
    with server.connect() as client, server.connect() as silent, server.connect() as waiting, server.connect() as more:
        client.request("/wait")
        server.log.wait_for("app: waiting")
        silent.send(b"GET / HTTP/1.1\r\n")
        assert silent.response().status == 408
        waiting.request("/thread")
        assert waiting.silent()
        assert more.get("/thread").status == 503
        (tmp_path / "go").touch()
        assert client.response().body == b"waited"
        assert waiting.response().body == b"True True"


def test_beside_an_asgi_application_views_run_in_one_other_thread(start: Start) -> None:
    """There the main thread has the event loop."""
    server = start("--threads", "1", "--mount", "/wsgi=main:app", app="main:asgi")
    # The mount's prefix is not part of PATH_INFO.
    assert server.get("/wsgi/thread").body == b"False False"
