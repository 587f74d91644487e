"""The supervisor as an operator uses it: workers that start and exit, signals, a new server on the same sockets."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import WAIT_SECONDS, Client, Output, Server, is_running, until

# Answers with its process, and can hold a request until its body arrives.
APP = """
import os

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": f"{text} {{os.getpid()}}".encode(), "more_body": True}})
        while (await receive())["type"] == "http.request" and scope["path"] == "/wait":
            pass
        await send({{"type": "http.response.body"}})
"""

FAILED = r"worker failed to start with the new configuration \(exit code 3\); keeping the current workers$"


class Site:
    """A server, and the directory with its settings and its application. log: the server's."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server = server
        self.log = server.log
        self.path = path

    def signal(self, number: signal.Signals) -> int:
        """Sends it to the supervisor; returns the log's mark from before."""
        mark = self.log.mark()
        self.server.signal(number)
        return mark

    def answer(self, address: str | tuple[str, int] = "") -> tuple[str, int]:
        """Returns the application's text, and its process."""
        with Client(address or self.server.address) as client:
            text, pid = client.get("/", b"Connection: close").body.decode().split()
        return text, int(pid)

    def client_of(self, pid: int) -> Client:
        """A connection to this process."""
        while True:
            client = self.server.connect()
            if int(client.get().body.split()[1]) == pid:
                return client
            client.close()

    def serving(self, count: int = 40) -> set[int]:
        """Returns the workers that answer; there are enough requests to reach all of them."""
        return {self.answer()[1] for _ in range(count)}

    def wait_for_workers(self, pids: set[int]) -> None:
        until(lambda: self.serving() == pids, f"answers of {pids} alone")

    def change_to(self, text: str) -> None:
        """Changes the application's text, from the next start on."""
        (self.path / "main.py").write_text(APP.format(text=text))

    def configure(self, **settings: int | str) -> None:
        configure(self.path, **settings)

    def served(self, worker: int, mark: int = 0) -> int:
        """Returns the pid of a worker that has started to serve since the mark."""
        return int(self.log.wait_for(rf"worker started: worker {worker} \(pid (\d+)\)", mark)[1])

    def replaced(self, worker: int, mark: int = 0) -> int:
        """The pid of a worker that replaces another one since the mark."""
        return int(self.log.wait_for(rf" worker {worker} \(pid (\d+)\), replaces ", mark)[1])

    def upgrade(self) -> int:
        """Starts another server, and waits until it serves. Returns its pid."""
        mark = self.signal(signal.SIGUSR2)
        pid = int(self.log.wait_for(r"started the new server \(pid (\d+)\)", mark)[1])
        self.log.wait_for(rf" serves main:app .*, pid {pid}$", mark)
        return pid


def configure(path: Path, **settings: int | str) -> None:
    (path / "ianus.toml").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Returns the directory of an application that answers `one`."""
    path = tmp_path / "site"
    path.mkdir()
    (path / "main.py").write_text(APP.format(text="one"))
    return path


@pytest.fixture
def start(start_server: Callable[..., Server], path: Path) -> Callable[..., Site]:
    """start(**settings): a server of that application, with settings from a file."""

    def start(*options: str, bind: tuple[str, ...] = ("127.0.0.1:0",), **settings: int | str) -> Site:
        configure(path, **settings)
        options = ("--config", str(path / "ianus.toml"), *options)
        return Site(start_server(*options, app="main:app", app_dir=path, bind=bind), path)

    return start


def refuses(address: tuple[str, int]) -> bool:
    """Whether connections to the address are refused."""
    try:
        socket.create_connection(address).close()
    except ConnectionRefusedError:
        return True
    return False


def run(*options: str, cwd: Path, app: str = "main:app") -> "subprocess.CompletedProcess[str]":
    """A server that cannot start."""
    command = [sys.executable, "-P", "-m", "ianus", "-b", "127.0.0.1:0", *options, app]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=WAIT_SECONDS)


# --- Workers ---


def test_all_workers_answer_and_have_names(start: Callable[..., Site]) -> None:
    site = start(workers=3, process_name="site")
    workers = site.server.children()
    assert len(workers) == 3
    assert site.serving(100) == set(workers)
    names = [Path(f"/proc/{pid}/comm").read_text() for pid in (site.server.process.pid, *workers)]
    assert names == ["site: superviso\n", "site: worker 1\n", "site: worker 2\n", "site: worker 3\n"]
    found = re.findall(r"^.* serves .*$", site.log.text, re.MULTILINE)
    assert len(found) == 1
    assert found[0].endswith(f", 3 workers, pid {site.server.process.pid}")


def test_an_application_knows_whether_there_are_others(start: Callable[..., Site], path: Path) -> None:
    (path / "main.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [f\"{environ['wsgi.multiprocess']} 0\".encode()]\n"
    )
    site = start(workers=1)
    assert site.answer()[0] == "False"
    site.configure(workers=2)
    mark = site.signal(signal.SIGHUP)
    site.replaced(1, mark)
    site.served(2, mark)
    until(lambda: len(site.server.children()) == 2, "the end of the worker before")
    assert {site.answer()[0] for _ in range(20)} == {"True"}


def test_a_worker_that_is_killed_is_replaced(start: Callable[..., Site]) -> None:
    site = start(workers=2)
    site.server.may_lose_workers = True
    first, second = site.server.children()
    os.kill(second, signal.SIGKILL)
    told = rf"worker exited unexpectedly \(killed by SIGKILL\), starting a replacement: worker 2 \(pid {second}\)"
    site.log.wait_for(told)
    third = site.served(2)
    site.wait_for_workers({first, third})


def test_a_worker_that_another_process_stops_is_replaced(start: Callable[..., Site]) -> None:
    site = start(workers=2)
    first, second = site.server.children()
    with site.client_of(second) as client:
        client.request("/wait", b"Transfer-Encoding: chunked")
        client.head()
        assert client.chunk() == b"one %d" % second
        os.kill(second, signal.SIGTERM)
        site.log.wait_for(rf"worker was stopped by another process, starting a replacement: worker 2 \(pid {second}\)")
        third = site.served(2)
        site.wait_for_workers({first, third})
        assert is_running(second), "until the request is done"
    until(lambda: not is_running(second), "its end")
    assert "ERROR" not in site.log.text


def test_more_and_fewer(start: Callable[..., Site]) -> None:
    site = start(workers=1)
    (first,) = site.server.children()
    mark = site.signal(signal.SIGTTIN)
    second = site.served(2, mark)
    site.wait_for_workers({first, second})
    site.signal(signal.SIGTTOU)
    until(lambda: site.server.children() == [first], "the end of the second")
    assert site.serving() == {first}
    mark = site.signal(signal.SIGTTOU)
    site.log.wait_for("already at the minimum of 1 worker", mark)
    assert "ERROR" not in site.log.text


def test_recycling_is_unnoticed(start: Callable[..., Site]) -> None:
    site = start(workers=2, max_requests=20)
    before = set(site.server.children())
    until(lambda: not before & site.serving(10), "others than those of the beginning")
    assert re.search(r" worker will be replaced: worker \d \(pid \d+\): .*--max-requests", site.log.text)
    assert "ERROR" not in site.log.text


def test_workers_exit_when_the_supervisor_is_killed(start: Callable[..., Site]) -> None:
    site = start(workers=2)
    workers = site.server.children()
    site.server.process.kill()
    until(lambda: not any(map(is_running, workers)), "the end of all workers")
    assert site.server.wait() == -signal.SIGKILL
    site.server.process.returncode = 0  # so that the fixture takes it for an end in order


@pytest.mark.parametrize("count", ["1", "3"])
def test_a_failed_start_is_logged_once(count: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("1 / 0\n")
    ended = run("--workers", count, cwd=tmp_path)
    assert ended.returncode == 3
    assert ended.stderr.count("ZeroDivisionError: division by zero\n") == 1
    assert ended.stderr.count("Error: main cannot be imported") == 1
    assert "ianus/" not in ended.stderr


# --- HUP ---


def test_hup_reloads_settings_and_application(start: Callable[..., Site]) -> None:
    site = start(workers=1)
    assert site.answer()[0] == "one"
    site.change_to("two")
    site.configure(workers=2)
    mark = site.signal(signal.SIGHUP)
    site.replaced(1, mark)
    site.served(2, mark)
    until(lambda: len(site.server.children()) == 2, "the end of those before")
    workers = set(site.server.children())
    site.wait_for_workers(workers)
    assert site.answer()[0] == "two"


def test_hup_enters_the_directory_again_that_has_the_name_now(tmp_path: Path) -> None:
    """A deployment makes a link lead to another release."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").write_text(APP.format(text=name))
    current = tmp_path / "current"
    current.symlink_to("one")
    command = ["/bin/sh", "-c", f"cd {current} && exec {sys.executable} -P -m ianus -b 127.0.0.1:0 main:app"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        log = Output(process.stderr)
        try:
            host, port = log.wait_for(r" serves .* on http://(.*):(\d+); ").groups()
            current.unlink()
            current.symlink_to("two")
            mark = log.mark()
            process.send_signal(signal.SIGHUP)
            log.wait_for(", replaces ", mark)

            def text() -> bytes:
                with Client((host, int(port))) as client:
                    return client.get().body.split()[0]

            until(lambda: text() == b"two", "the other release")
        finally:
            process.terminate()
            assert process.wait(WAIT_SECONDS) == 0
            log.join()


def test_hup_changes_how_the_log_is_written(start: Callable[..., Site]) -> None:
    site = start(workers=1, log_level="info")
    levels = {"version": 1, "incremental": True, "loggers": {"ianus.error": {"level": "ERROR"}}}
    (site.path / "log.json").write_text(json.dumps(levels))
    site.configure(workers=2, log_config=str(site.path / "log.json"))
    site.signal(signal.SIGHUP)
    until(lambda: len(site.server.children()) == 2 and site.serving(10), "the second worker")
    mark = site.signal(signal.SIGTTIN)
    until(lambda: len(site.server.children()) == 3, "the third worker")
    assert site.log.since(mark) == ""


def test_hup_changes_addresses(start: Callable[..., Site], tmp_path: Path) -> None:
    site = start(bind=(), workers=2)
    unix = tmp_path / "app.sock"
    (address,) = site.server.addresses
    assert isinstance(address, tuple)
    site.configure(workers=1, bind="unix:app.sock")
    mark = site.signal(signal.SIGHUP)
    pid = site.replaced(1, mark)
    until(lambda: site.server.children() == [pid], "the end of those before")
    assert site.answer(str(unix)) == ("one", pid)
    until(lambda: refuses(address), "the old address to be closed")


@pytest.mark.parametrize(
    ("application", "settings", "told"),
    [
        ("1 / 0\n", {"workers": 2}, FAILED),
        ("", {"workers": "many"}, r"reload failed, keeping the current configuration: .*workers"),
        (
            "",
            {"workers": 1, "error_logfile": "/no/such/directory/log"},
            r"keeping the current configuration: .*/no/such",
        ),
        ("", {"hooks": "no_such_module"}, r"keeping the current configuration: There is no module no_such_module in "),
    ],
    ids=["application", "settings", "log", "hooks"],
)
def test_hup_with_broken_settings_changes_nothing(
    application: str, settings: dict[str, int | str], told: str, start: Callable[..., Site]
) -> None:
    site = start(workers=1)
    before = site.serving(5)
    if application:
        (site.path / "main.py").write_text(application)
    site.configure(**settings)
    mark = site.signal(signal.SIGHUP)
    site.log.wait_for(told, mark)
    assert site.serving(5) == before
    more = site.signal(signal.SIGTTIN)
    site.log.wait_for("workers: 2, before: 1$", more)
    site.change_to("two")
    site.configure(workers=1)
    mark = site.signal(signal.SIGHUP)
    after = site.replaced(1, mark)
    site.wait_for_workers({after})
    assert site.answer() == ("two", after)


# --- Another server ---


def test_another_server_takes_over(start: Callable[..., Site], tmp_path: Path) -> None:
    site = start(bind=("127.0.0.1:0", "unix:app.sock"), workers=2, pid_file="pid")
    pid_file, unix = tmp_path / "pid", tmp_path / "app.sock"
    old, inode = site.server.process.pid, unix.stat().st_ino
    assert pid_file.read_text() == f"{old}\n"
    new = site.upgrade()
    try:
        assert (pid_file.read_text(), (tmp_path / "pid.2").read_text()) == (f"{old}\n", f"{new}\n")
        both = {*children(new), *site.server.children()} - {new}
        until(lambda: site.serving(10) & set(children(new)), "answers of the new server")
        assert site.serving() <= both
        mark = site.signal(signal.SIGUSR2)
        site.log.wait_for("ignored SIGUSR2: an upgrade is in progress already", mark)
        site.signal(signal.SIGTERM)
        assert site.server.process.wait(WAIT_SECONDS) == 0
        site.log.wait_for("the previous server exited")
        until(lambda: pid_file.exists() and pid_file.read_text() == f"{new}\n", "the pid file of the new server")
        assert not (tmp_path / "pid.2").exists()
        assert site.serving() == set(children(new))
        assert unix.stat().st_ino == inode
        assert site.answer(str(unix))[1] in children(new)
    finally:
        os.kill(new, signal.SIGTERM)
        site.server.wait()
    until(lambda: not is_running(new), "the end of the new server")
    assert not unix.exists()
    assert not pid_file.exists()


def test_stopping_a_new_server_that_is_unwanted(start: Callable[..., Site], tmp_path: Path) -> None:
    site = start(bind=("127.0.0.1:0", "unix:app.sock"), workers=3, pid_file="pid")
    before = set(site.server.children())
    site.configure(workers=1, pid_file="pid")
    new = site.upgrade()
    os.kill(new, signal.SIGTERM)
    site.log.wait_for(rf"the new server exited \(pid {new}\); this server continues")
    site.wait_for_workers(before)
    assert site.answer(str(tmp_path / "app.sock"))[1] in before
    assert (tmp_path / "pid").read_text() == f"{site.server.process.pid}\n"
    assert not (tmp_path / "pid.2").exists()
    site.server.stop()
    assert not (tmp_path / "app.sock").exists()


def test_another_server_rereads_the_environment_file(start: Callable[..., Site], path: Path) -> None:
    pytest.importorskip("dotenv")
    variables = path / "variables"
    variables.write_text("IANUS_PROCESS_NAME=first")
    site = start("--env-file", str(variables), workers=1)
    variables.write_text("IANUS_PROCESS_NAME=second")
    new = site.upgrade()
    try:
        names = [Path(f"/proc/{pid}/comm").read_text() for pid in (site.server.pid, *children(new))]
        assert names == ["first: worker 1\n", "second: worker \n"]
    finally:
        os.kill(new, signal.SIGTERM)
        until(lambda: children(site.server.process.pid) == [site.server.pid], "the end of the new server")


def test_another_server_may_have_fewer_workers(start: Callable[..., Site]) -> None:
    site = start(workers=3)
    site.configure(workers=1)
    new = site.upgrade()
    try:
        site.signal(signal.SIGTERM)
        assert site.server.process.wait(WAIT_SECONDS) == 0
        site.log.wait_for("the previous server exited")
        assert site.serving() == set(children(new))
    finally:
        os.kill(new, signal.SIGTERM)
        site.server.wait()


def test_another_server_that_cannot_start(start: Callable[..., Site], tmp_path: Path) -> None:
    site = start(bind=("127.0.0.1:0", "unix:app.sock"), workers=1)
    before = site.serving(5)
    (site.path / "main.py").write_text("1 / 0\n")
    mark = site.signal(signal.SIGUSR2)
    site.log.wait_for(r"the new server exited \(pid \d+\); this server continues", mark)
    assert "Error: main cannot be imported" in site.log.since(mark)
    assert site.serving() == before == {site.answer(str(tmp_path / "app.sock"))[1]}


def test_another_server_needs_the_directory_of_this_one(start: Callable[..., Site], tmp_path: Path) -> None:
    site = start(workers=1)
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
    tmp_path.rename(elsewhere)
    try:
        mark = site.signal(signal.SIGUSR2)
        site.log.wait_for("cannot start the new server: .*No such file or directory", mark)
    finally:
        elsewhere.rename(tmp_path)
    assert site.answer()[0] == "one"


# --- Stops ---


def test_wrapper_programs_pass_signals_on(
    path: Path, program: Callable[..., tuple["subprocess.Popen[bytes]", Output]]
) -> None:
    process, log = program("-c", RUN)
    host, port = log.wait_for(r" serves .* on http://(.*):(\d+); ").groups()
    (path / "main.py").write_text(APP.format(text="two"))
    process.send_signal(signal.SIGUSR1)
    log.wait_for("log files reopened")
    mark = log.mark()
    process.send_signal(signal.SIGHUP)
    log.wait_for(" worker 2 .*, replaces ", mark)
    until(lambda: len(pids(log)[1]) == 2, "the end of the workers before")
    with Client((host, int(port))) as client:
        client.request("/wait", b"Transfer-Encoding: chunked")
        client.head()
        process.send_signal(signal.SIGINT)
        log.wait_for(" stopping; requests in flight: 1")
        assert client.chunk().split()[0] == b"two"
        process.send_signal(signal.SIGINT)
        assert client.gone()
    assert process.wait(WAIT_SECONDS) == 0
    assert "killed" not in log.text


def test_all_workers_stop_and_start_again(start: Callable[..., Site]) -> None:
    site = start(workers=2)
    site.signal(signal.SIGWINCH)
    until(lambda: site.server.children() == [], "the end of all workers")
    with site.server.connect() as client:
        client.request("/")
        mark = site.signal(signal.SIGHUP)
        text, pid = client.response().body.decode().split()
    assert text == "one"
    assert int(pid) in {site.served(1, mark), site.served(2, mark)}


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGQUIT,)], ids=["INT INT", "QUIT"])
def test_a_stop_that_waits_for_nothing(numbers: tuple[signal.Signals, ...], start: Callable[..., Site]) -> None:
    site = start(workers=2, timeout_stop=0)
    with site.server.connect() as client:
        client.request("/wait", b"Transfer-Encoding: chunked")
        client.head()
        for number in numbers:
            site.signal(number)
            site.log.wait_for(" stopping$")
        assert client.gone()
    assert site.server.wait() == 0
    assert site.log.text.rstrip().endswith("stopped")
    assert "killed" not in site.log.text


def test_a_third_interrupt_kills(start: Callable[..., Site]) -> None:
    site = start(workers=1)
    site.server.may_lose_workers = True
    (worker,) = site.server.children()
    os.kill(worker, signal.SIGSTOP)
    until(lambda: is_stopped(worker), "the worker to obey nothing")
    site.signal(signal.SIGINT)
    until(lambda: is_pending(worker, signal.SIGTERM), "TERM for the worker")
    site.signal(signal.SIGINT)
    until(lambda: is_pending(worker, signal.SIGQUIT), "QUIT for the worker")
    site.signal(signal.SIGINT)
    assert site.server.wait() == 0
    assert f"worker exited while stopping (killed by SIGKILL): worker 1 (pid {worker})" in site.log.text


def is_stopped(pid: int) -> bool:
    return all(") T " in each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/stat"))


def is_pending(pid: int, number: signal.Signals) -> bool:
    found = re.search(r"^ShdPnd:\s+([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) & 1 << number - 1)


# --- Hooks, managers ---

HOOKS = """
import os

def say(text):
    with open({path!r}, "a") as file:
        file.write(text + "\\n")

def on_starting(server): say(f"on_starting {{server.workers}} {{len(server.addresses)}}")
def when_ready(server): say(f"when_ready {{server.pid == os.getpid()}}")
def on_reload(server): say(f"on_reload {{server.workers}}")
def on_exit(server): say("on_exit")
def nworkers_changed(server, new_value, old_value): say(f"nworkers_changed {{new_value}} {{old_value}}")
def pre_fork(server, worker): say(f"pre_fork {{worker.slot}} {{worker.pid}}")
def post_fork(server, worker): say(f"post_fork {{worker.slot}} {{worker.pid == os.getpid() != server.pid}}")
def post_worker_init(worker): say(f"post_worker_init {{worker.slot}} {{worker.pid == os.getpid()}}")
def worker_exit(server, worker): say(f"worker_exit {{worker.slot}} {{worker.pid == os.getpid()}}")
def child_exit(server, worker): say(f"child_exit {{worker.slot}} {{server.pid == os.getpid()}}")
def pre_exec(server): say("pre_exec")
"""


STARTED = ["pre_fork 1 0", "post_fork 1 True", "post_worker_init 1 True"]
ENDED = ["worker_exit 1 True", "child_exit 1 True"]


def test_hooks_are_called_in_order(start: Callable[..., Site], path: Path) -> None:
    log = path / "hooks.log"
    (path / "told.py").write_text(HOOKS.format(path=str(log)))
    site = start(hooks="told", workers=1)
    expected = ["on_starting 1 1", *STARTED, "when_ready True"]
    until(lambda: log.read_text().splitlines() == expected, f"{expected}")
    site.signal(signal.SIGHUP)
    expected += ["on_reload 1", *STARTED, *ENDED]
    until(lambda: log.read_text().splitlines() == expected, f"{expected}")
    site.signal(signal.SIGTTIN)
    expected += ["nworkers_changed 2 1", *(line.replace(" 1 ", " 2 ") for line in STARTED)]
    until(lambda: log.read_text().splitlines() == expected, f"{expected}")
    site.signal(signal.SIGTTOU)
    expected += ["nworkers_changed 1 2", *(line.replace(" 1 ", " 2 ") for line in ENDED)]
    until(lambda: log.read_text().splitlines() == expected, f"{expected}")
    new = site.upgrade()
    expected += ["pre_exec", "on_starting 1 1", *STARTED, "when_ready True"]
    until(lambda: log.read_text().splitlines() == expected, f"{expected}")
    os.kill(new, signal.SIGTERM)
    expected += [*ENDED, "on_exit"]
    until(lambda: log.read_text().splitlines() == expected, f"{expected}")
    site.server.stop()
    assert log.read_text().splitlines() == [*expected, *ENDED, "on_exit"]


def test_hooks_of_a_reload_apply_only_if_it_is_accepted(start: Callable[..., Site], path: Path) -> None:
    for name in ("before", "after"):
        (path / f"{name}.py").write_text(f"def pre_fork(server, worker): print('hook {name}', flush=True)")
    site = start(hooks="before", workers=1)
    site.server.may_lose_workers = True
    assert site.server.output is not None
    (path / "main.py").write_text("1 / 0\n")
    site.configure(hooks="after", workers=1)
    mark = site.signal(signal.SIGHUP)
    site.log.wait_for(FAILED, mark)
    site.change_to("two")
    os.kill(site.server.pid, signal.SIGKILL)
    site.served(1, mark)
    assert re.findall("^hook (.*)$", site.server.output.text, re.MULTILINE) == ["before", "after", "before"]


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Returns a socket with the notifications that systemd would get."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(WAIT_SECONDS)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield manager


def notified(manager: socket.socket) -> bytes:
    """Returns the next notification that is not about the time of a start."""
    while (message := manager.recv(100)).startswith(b"EXTEND_TIMEOUT_USEC="):
        pass
    return message


def test_the_service_manager_is_notified_of_states(start: Callable[..., Site], manager: socket.socket) -> None:
    site = start(workers=2)
    assert re.fullmatch(rb"EXTEND_TIMEOUT_USEC=\d+", manager.recv(100))
    assert notified(manager) == b"READY=1\nMAINPID=%d" % site.server.process.pid
    for settings in ({"workers": 2}, {"workers": "none"}):
        site.configure(**settings)
        site.signal(signal.SIGHUP)
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(100))
        assert manager.recv(100) == b"READY=1"
    site.server.stop()
    assert re.fullmatch(rb"STOPPING=1\nEXTEND_TIMEOUT_USEC=\d+", manager.recv(100))


def test_the_service_manager_is_notified_of_the_new_main_process(
    start: Callable[..., Site], manager: socket.socket
) -> None:
    site = start(workers=1)
    old = site.server.process.pid
    assert notified(manager) == b"READY=1\nMAINPID=%d" % old
    new = site.upgrade()
    assert notified(manager) == b"READY=1\nMAINPID=%d" % new
    os.kill(new, signal.SIGTERM)
    assert notified(manager) == b"MAINPID=%d" % old
    assert notified(manager) == b"READY=1\nMAINPID=%d" % old
    new = site.upgrade()
    assert notified(manager) == b"READY=1\nMAINPID=%d" % new
    site.server.process.send_signal(signal.SIGTERM)
    assert site.server.process.wait(WAIT_SECONDS) == 0
    site.log.wait_for("the previous server exited")
    os.kill(new, signal.SIGTERM)
    assert notified(manager).startswith(b"STOPPING=1\nEXTEND_TIMEOUT_USEC=")
    site.server.wait()


def test_the_umask_is_that_of_all_processes(start: Callable[..., Site], tmp_path: Path) -> None:
    def umasks() -> set[str]:
        pids = (site.server.process.pid, *site.server.children())
        return {
            re.findall(r"^Umask:\s+(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[0] for pid in pids
        }

    site = start(bind=("unix:app.sock",), workers=1, umask="027")
    assert umasks() == {"0027"}
    assert (tmp_path / "app.sock").stat().st_mode & 0o777 == 0o640
    site.configure(workers=1, umask="077")
    mark = site.signal(signal.SIGHUP)
    site.replaced(1, mark)
    until(lambda: len(site.server.children()) == 1, "the end of the worker before")
    assert umasks() == {"0077"}


def test_a_unix_socket_that_was_removed_is_made_again_at_hup(
    start: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    site = start(bind=("unix:app.sock",), workers=2)
    path = tmp_path / "app.sock"
    for _ in range(2):
        path.unlink()
        mark = site.signal(signal.SIGHUP)
        site.log.wait_for("the Unix socket was removed, created it again: .*/app.sock", mark)
        site.replaced(2, mark)
        assert site.answer()[0] == "one"
    site.server.stop()
    assert not path.exists()


# --- Users ---

NOBODY = 65534


def nobody_can_load_python() -> bool:
    command = ["/bin/sh", "-c", f"exec {sys.executable} -c 'import ianus.process.serve'"]
    return subprocess.run(command, user=NOBODY, group=NOBODY, cwd="/", stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("identity", [{"group": NOBODY}, {"user": NOBODY, "group": NOBODY}], ids=["group", "user"])
def test_workers_run_as_another_user_and_reopen_their_logs(
    identity: dict[str, int], start_server: Callable[..., Server]
) -> None:
    if "user" in identity and not nobody_can_load_python():
        pytest.skip("Python is installed where others cannot read it")
    with tempfile.TemporaryDirectory() as directory:  # pytest's own are closed to others.
        path = Path(directory)
        path.chmod(0o755)
        (path / "main.py").write_text(APP.format(text="one"))
        access = path / "access.log"
        configure(path, access_logfile=str(access), **{name: str(number) for name, number in identity.items()})
        server = start_server("--config", str(path / "ianus.toml"), app="main:app", app_dir=path)
        site = Site(server, path)
        (worker,) = server.children()
        status = Path(f"/proc/{worker}/status").read_text()
        ids = re.findall(r"^(Uid|Gid|Groups):\s+(\d+)", status, re.MULTILINE)
        assert dict(ids) == {"Uid": str(identity.get("user", 0)), "Gid": str(NOBODY), "Groups": str(NOBODY)}
        assert site.answer()[0] == "one"
        until(lambda: access.read_text().count("GET /") == 1, "the first line")
        access.rename(path / "before.log")
        site.signal(signal.SIGUSR1)
        until(access.exists, "another file")
        until(lambda: site.answer() and access.read_text(), "a line in it")
        assert (access.stat().st_uid, access.stat().st_gid) == (identity.get("user", 0), NOBODY)
        server.stop()


# --- Programs, terminals ---


@pytest.fixture
def program(path: Path) -> Iterator[Callable[..., tuple["subprocess.Popen[bytes]", Output]]]:
    """program(*command, stdin=...): a process in the directory of the application, and its standard error."""
    started = []

    def program(*command: str, stdin: int = subprocess.DEVNULL) -> tuple["subprocess.Popen[bytes]", Output]:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=path, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        started.append((process, Output(process.stderr)))
        return started[-1]

    yield program
    for process, log in started:
        process.kill()
        process.wait()
        log.join()


def pids(log: Output) -> tuple[int, list[int]]:
    """The supervisor, by its banner, and its workers."""
    supervisor = int(log.wait_for(r" serves main:app .*, pid (\d+)$")[1])
    return supervisor, children(supervisor)


RUN = "import ianus, sys; sys.exit(ianus.run('main:app', bind='127.0.0.1:0', workers=2))"


def test_a_program_may_have_several_workers(
    program: Callable[..., tuple["subprocess.Popen[bytes]", Output]],
) -> None:
    process, log = program("-c", RUN)
    supervisor, workers = pids(log)
    assert children(process.pid) == [supervisor]
    assert len(workers) == 2
    process.terminate()
    assert process.wait(WAIT_SECONDS) == 0
    assert not any(map(is_running, [supervisor, *workers]))


def test_all_end_with_the_program_that_has_started_them(
    program: Callable[..., tuple["subprocess.Popen[bytes]", Output]],
) -> None:
    process, log = program("-c", RUN)
    supervisor, workers = pids(log)
    process.kill()
    until(lambda: not any(map(is_running, [supervisor, *workers])), "the end of all processes")
    assert "stopped" in log.text


# Runs a program as a terminal does: as the leader of a session that has this terminal.
IN_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-P", "-m", "ianus", "-b", "127.0.0.1:0", "-w", "2", "main:app"])
"""


def test_the_end_of_a_terminal_is_a_stop(
    program: Callable[..., tuple["subprocess.Popen[bytes]", Output]],
) -> None:
    terminal, end = pty.openpty()
    try:
        process, log = program("-c", IN_TERMINAL, stdin=end)
        os.close(end)
        assert pids(log)[0] == process.pid
        mark = log.mark()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, b"\x18\0\x50\0\0\0\0\0")  # 24 lines of 80: WINCH
        process.send_signal(signal.SIGWINCH)
        process.send_signal(signal.SIGTTOU)
        log.wait_for("workers: 1, before: 2", mark)
        assert "stopping all workers" not in log.text
    finally:
        os.close(terminal)
    assert process.wait(WAIT_SECONDS) == 0
    log.wait_for("the terminal was closed$")


def test_an_import_that_hangs_at_a_reload_is_ended_and_shown(start: Callable[..., Site]) -> None:
    """Once, it was never noticed, and no later reload had any effect."""
    site = start(timeout=1, timeout_lifespan_startup=1)
    site.server.may_lose_workers = True
    before = site.answer()
    (site.path / "main.py").write_text(
        "import time\n\ndef wait_for_database():\n    time.sleep(3600)\n\nwait_for_database()\n"
    )
    mark = site.signal(signal.SIGHUP)
    site.log.wait_for(r"CRITICAL .* is stuck and will be killed: .*: it has not started within \d+ s$", mark)
    site.log.wait_for(
        r"worker failed to start with the new configuration \(killed by SIGABRT\); keeping the current", mark
    )
    site.log.wait_for(r"File \".*main.py\", line 4 in wait_for_database$", mark)
    assert site.answer() == before
    site.change_to("two")
    mark = site.signal(signal.SIGHUP)
    after = site.replaced(1, mark)
    site.wait_for_workers({after})  # The one before accepts connections until it has heard of its successor.
    assert site.answer() == ("two", after)
