"""--reload: a change is served, no client is refused meanwhile, and nothing delays the change."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.websocket_client import WebSocket
from tests.helpers import WAIT_SECONDS, Address, Client, Output, Server, is_running, until

APP = """
import os, pathlib, time

TEXT = {text!r}

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await send({{"type": "websocket.accept"}})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    if scope["type"] != "http":
        return
    if scope["path"] == "/crash":
        os._exit(7)
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    while scope["path"] == "/events":
        await send({{"type": "http.response.body", "body": b"event", "more_body": True}})
        await receive()
        await receive()
    await send({{"type": "http.response.body", "body": TEXT.encode()}})
"""

# Its import takes until the file `go_on` is there.
SLOW = """
os.write(2, b"app: importing\\n")
while not pathlib.Path("go_on").exists():
    time.sleep(0.005)
"""

OPTIONS = ("--reload", "--reload-delay", "0.05")
FAILED = r"worker failed to start with .* \(exit code 3\); keeping the current workers$"


class Reloading:
    """A server that reloads the application in `path`, and its log."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server = server
        self.path = path

    def edit(self, text: str) -> int:
        """Changes the application and waits until that is seen. Returns the log's mark from before."""
        mark = self.server.log.mark()
        self.path.write_text(text)
        self.server.log.wait_for(r"changed: .*editable\.py$", mark)
        return mark

    def replaced(self, mark: int, worker: int = 1) -> int:
        """The pid of a worker that serves in the place of another one since the mark."""
        return int(self.server.log.wait_for(rf" worker {worker} \(pid (\d+)\), replaces ", mark)[1])

    def body(self) -> bytes:
        return self.server.get("/").body

    def wait_for_body(self, text: bytes, address: Address = "") -> None:
        """Until the new one serves. The one before accepts connections too, until it has heard of its successor."""

        def body() -> bytes:
            with Client(address or self.server.address) as client:
                return client.get("/").body

        until(lambda: body() == text, f"the application that says {text!r}")


@pytest.fixture
def start(start_server: Callable[..., Server], tmp_path: Path) -> Callable[..., Reloading]:
    """start(*options, **how): a server of an application that answers `one`."""

    def start(*options: str, **how: object) -> Reloading:
        path = tmp_path / "source" / "editable.py"
        path.parent.mkdir()
        path.write_text(APP.format(text="one"))
        return Reloading(start_server(*OPTIONS, *options, app="editable:app", app_dir=path.parent, **how), path)

    return start


@pytest.fixture
def reloading(start: Callable[..., Reloading]) -> Reloading:
    return start()


# --- Changes ---


def test_the_old_application_is_served_until_the_new_one_is_ready(reloading: Reloading, tmp_path: Path) -> None:
    assert reloading.body() == b"one"
    reloading.edit(APP.format(text="number two") + SLOW)
    reloading.server.log.wait_for("^app: importing$")
    assert reloading.body() == b"one"
    (tmp_path / "go_on").touch()
    reloading.wait_for_body(b"number two")


def test_a_change_during_a_reload_causes_another_reload(reloading: Reloading, tmp_path: Path) -> None:
    reloading.edit(APP.format(text="number two") + SLOW)
    reloading.server.log.wait_for("^app: importing$")
    reloading.edit(APP.format(text="the third"))
    (tmp_path / "go_on").touch()  # The second one serves for a moment, or is overtaken if this takes long.
    reloading.wait_for_body(b"the third")


def test_all_workers_are_replaced_one_after_the_other(start: Callable[..., Reloading]) -> None:
    reloading = start("--workers", "3")
    mark = reloading.edit(APP.format(text="number two"))
    reloading.replaced(mark, 3)
    assert re.findall(r" worker (\d) \(pid \d+\), replaces ", reloading.server.log.since(mark)) == [
        "1",
        "2",
        "3",
    ]
    until(lambda: {reloading.body() for _ in range(10)} == {b"number two"}, "the end of the workers before")


def test_a_failed_reload_is_logged_once_and_the_old_application_is_kept(reloading: Reloading) -> None:
    mark = reloading.edit("def broken(:\n")
    reloading.server.log.wait_for(FAILED, mark)
    text = reloading.server.log.since(mark)
    assert text.count("Error: editable cannot be imported") == 1
    assert "ianus/" not in text
    assert reloading.body() == b"one"
    mark = reloading.edit(APP.format(text="number two"))
    reloading.wait_for_body(b"number two")


def test_a_directory_that_is_replaced_is_watched_on(reloading: Reloading, tmp_path: Path) -> None:
    path = reloading.path
    path.parent.rename(tmp_path / "before")
    path.parent.mkdir()
    path.write_text(APP.format(text="number two"))
    reloading.wait_for_body(b"number two")
    path.write_text(APP.format(text="the third"))
    reloading.wait_for_body(b"the third")


@pytest.fixture
def in_project(tmp_path: Path) -> Iterator[Callable[..., Reloading]]:
    """in_project(*options): a server that was started in the project's folder, of an application that answers `one`."""
    servers: list[Server] = []

    def start(*options: str) -> Reloading:
        path = tmp_path / "project" / "editable.py"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_text(APP.format(text="one"))
        servers.append(Server("editable:app", *OPTIONS, *options, cwd=path.parent, app_dir=Path()))
        return Reloading(servers[-1], path)

    yield start
    for each in servers:
        each.stop()


@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_a_project_folder_that_was_removed_and_made_again(
    preload: tuple[str, ...], in_project: Callable[..., Reloading]
) -> None:
    reloading = in_project(*preload)
    for text in ("two", "three"):
        shutil.rmtree(reloading.path.parent)
        reloading.path.parent.mkdir()
        reloading.path.write_text(APP.format(text=text))
        reloading.wait_for_body(text.encode())
        reloading.path.write_text(APP.format(text=f"{text} edited"))
        reloading.wait_for_body(f"{text} edited".encode())


def test_a_package_that_was_removed_and_made_again(reloading: Reloading) -> None:
    package = reloading.path.parent / "package" / "inner"
    app = APP.format(text="one").replace("TEXT = 'one'", "from package.inner.text import TEXT")
    for text in ("two", "three"):
        shutil.rmtree(package.parent, ignore_errors=True)
        package.mkdir(parents=True)
        (package / "text.py").write_text(f"TEXT = {text!r}\n")
        reloading.path.write_text(app)
        reloading.wait_for_body(text.encode())
    (package / "text.py").write_text("TEXT = 'four'\n")
    reloading.wait_for_body(b"four")


def test_the_links_of_a_kubernetes_config_map_are_swapped(in_project: Callable[..., Reloading], tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()

    def update(text: str) -> None:
        """As kubelet does it (AtomicWriter)."""
        version = project / f"..{text}"
        version.mkdir()
        (version / "editable.py").write_text(APP.format(text=text))
        (project / "..data_tmp").symlink_to(version.name)
        (project / "..data_tmp").rename(project / "..data")

    update("one")
    (project / "editable.py").symlink_to("..data/editable.py")
    reloading = in_project()
    for before, text in (("one", "two"), ("two", "three")):
        mark = reloading.server.log.mark()
        update(text)
        shutil.rmtree(project / f"..{before}")
        reloading.server.log.wait_for(r"changed: editable\.py$", mark)
        reloading.wait_for_body(text.encode())


def test_a_link_to_a_directory_is_swapped(reloading: Reloading) -> None:
    folder = reloading.path.parent
    for text in ("two", "three"):
        (folder / text).mkdir()
        (folder / text / "text.py").write_text(f"TEXT = {text!r}\n")
    (folder / "current").symlink_to("two")
    reloading.path.write_text(APP.format(text="").replace("TEXT = ''", "from current.text import TEXT"))
    reloading.wait_for_body(b"two")
    (folder / "next").symlink_to("three")
    (folder / "next").rename(folder / "current")
    reloading.wait_for_body(b"three")


LIMITED = """
echo {limit} > /proc/sys/user/{name} || exit 99
exec "$@"
"""


@pytest.mark.parametrize(("name", "limit"), [("max_inotify_watches", 1), ("max_inotify_instances", 0)])
def test_without_watches_of_the_system_files_are_polled(name: str, limit: int, tmp_path: Path) -> None:
    path = tmp_path / "editable.py"
    path.write_text(APP.format(text="one"))
    (tmp_path / "package").mkdir()
    script = LIMITED.format(name=name, limit=limit)
    command = [sys.executable, "-P", "-m", "ianus", *OPTIONS, "-b", "127.0.0.1:0", "editable:app"]
    process = subprocess.Popen(
        ["unshare", "-Ur", "/bin/sh", "-c", script, "sh", *command],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    log = Output(process.stderr)
    try:
        if until(lambda: log.text or process.poll() is not None) and process.poll() is not None:
            pytest.skip("limits cannot be set here")
        log.wait_for(r"WARNING cannot watch files, polling them every 0\.3 s: .*fs\.inotify\.max_user_watches")
        log.wait_for(r"INFO polling .* for changes")
        log.wait_for(" serves editable:app")
        (tmp_path / "package" / "new.py").touch()
        log.wait_for(r"changed: package/new\.py$")
        log.wait_for(", replaces ")
        assert " watching " not in log.text
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)
        log.join()


PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "elsewhere"
version = "1"
[tool.setuptools]
packages = ["elsewhere"]
{more}
"""


@pytest.mark.parametrize("layout", ["src", "."])
def test_a_change_in_an_editable_package_elsewhere_is_seen(
    layout: str, start: Callable[..., Reloading], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, prefix, site = (tmp_path / name for name in ("elsewhere", "prefix", "site"))
    package = project / layout / "elsewhere"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("TEXT = 'of the package'\n")
    (project / "pyproject.toml").write_text(
        PYPROJECT.format(more='package-dir = {"" = "src"}' if layout == "src" else "")
    )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--prefix", prefix, "--ignore-installed", "--editable", project], check=True)
    (packages,) = prefix.glob("**/site-packages")
    site.mkdir()
    (site / "sitecustomize.py").write_text(f"import site; site.addsitedir({str(packages)!r})\n")
    monkeypatch.setenv("PYTHONPATH", f"{site}:{os.environ['PYTHONPATH']}")
    reloading = start()
    reloading.edit(APP.format(text="").replace("TEXT = ''", "from elsewhere import TEXT"))
    reloading.wait_for_body(b"of the package")
    (package / "__init__.py").write_text("TEXT = 'two'\n")
    reloading.wait_for_body(b"two")


def test_an_application_that_does_not_start_at_first(tmp_path: Path) -> None:
    (tmp_path / "editable.py").write_text("1 / 0\n")
    command = [sys.executable, "-P", "-m", "ianus", *OPTIONS, "-b", "127.0.0.1:0", "editable:app"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    log = Output(process.stderr)
    try:
        for times in (1, 2):
            mark = log.mark()
            (tmp_path / "editable.py").write_text("1 / 0\n" * times)
            log.wait_for("waiting for a file change to start again$", mark)
        assert log.text.count("ZeroDivisionError: division by zero\n") == 2
        (tmp_path / "editable.py").write_text(APP.format(text="number two"))
        log.wait_for(" serves editable:app ")
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        log.join()


def test_a_worker_that_crashes_is_replaced_without_a_change(reloading: Reloading) -> None:
    reloading.server.may_lose_workers = True
    mark = reloading.server.log.mark()
    with reloading.server.connect() as client:
        client.request("/crash")
        assert client.gone()
    reloading.server.log.wait_for(r"\(exit code 7\), starting a replacement", mark)
    assert reloading.body() == b"one"


# --- Things that must not delay it ---


def test_open_event_streams_and_websockets_do_not(reloading: Reloading) -> None:
    with reloading.server.connect() as client, WebSocket(reloading.server.address) as websocket:
        client.request("/events")
        client.head()
        assert client.chunk() == b"event"
        websocket.shake_hands("/")
        reloading.edit(APP.format(text="number two"))
        assert client.gone()
        assert websocket.closed()[0] == 1012
    assert reloading.body() == b"number two"


# --- Its end ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_all_processes(number: signal.Signals, reloading: Reloading) -> None:
    server = reloading.server
    with server.connect() as client:
        client.request("/events")
        client.head()
        server.signal(number)
        assert client.gone()
    assert server.wait() == 0  # and all of them have closed its standard error
    assert "Traceback" not in server.log.text


def test_interrupt_of_a_terminal_reaches_all(reloading: Reloading) -> None:
    server = reloading.server
    for pid in (*server.children(), server.process.pid):
        os.kill(pid, signal.SIGINT)
    assert server.wait() == 0
    assert "Traceback" not in server.log.text


def test_nothing_outlives_a_supervisor_that_is_killed(reloading: Reloading) -> None:
    server = reloading.server
    children = server.children()
    assert len(children) == 2
    with server.connect() as client:
        client.request("/events")
        client.head()
        server.process.kill()
        assert client.gone()
    assert server.wait() == -signal.SIGKILL
    until(lambda: not any(map(is_running, children)), "the end of all processes")
    server.process.returncode = 0  # so that the fixture takes it for an end in order


def test_a_watcher_that_is_killed_is_logged_and_the_server_continues(reloading: Reloading) -> None:
    os.kill(reloading.server.children()[0], signal.SIGKILL)
    reloading.server.log.wait_for(r" ERROR --reload has no effect any more: .*\.$")
    assert reloading.body() == b"one"


def test_sockets_are_kept_and_removed_at_the_end(start: Callable[..., Reloading], tmp_path: Path) -> None:
    reloading = start(bind=["unix:app.sock", "127.0.0.1:0"])
    inode = (tmp_path / "app.sock").stat().st_ino
    reloading.edit(APP.format(text="number two"))
    for address in reloading.server.addresses:
        reloading.wait_for_body(b"number two", str(tmp_path / address) if isinstance(address, str) else address)
    assert (tmp_path / "app.sock").stat().st_ino == inode
    reloading.server.stop()
    assert not (tmp_path / "app.sock").exists()
