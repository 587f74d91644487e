"""--reload: the watched files, the reports of their changes, and the end of the process that watches them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ianus
from ianus.errors import StartupError
from ianus.process.supervisor.watched import Watched
from ianus.process.supervisor.watcher import debounced, describe, prepare, with_short_shutdown
from ianus.settings.schema import Settings
from ianus.settings.stop_budget import stop_budget
from tests.helpers import WAIT_SECONDS, Output, is_running, until

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("path", "include", "exclude", "counts"),
    [
        ("main.py", ["*.py"], [], True),
        ("deep/er/main.py", ["*.py"], [], True),
        ("main.html", ["*.py"], [], False),
        ("templates/main.html", ["*.py", "templates/*.html"], [], True),
        ("main.py", ["*.py"], ["main.py"], False),
        ("deep/main.py", ["*.py"], ["main.py"], False),
        ("tests/test_main.py", ["*.py"], ["tests"], False),
        ("tests/test_main.py", ["*.py"], ["tests/"], False),
        ("deep/tests/test_main.py", ["*.py"], ["tests"], False),
        ("tests/test_main.py", ["*.py"], ["tests/*"], False),
        ("tests/deep/er/test_main.py", ["*.py"], ["tests/deep"], False),
        ("main_test.py", ["*.py"], ["tests", "test"], True),
        (".venv/main.py", ["*.py"], [], False),
        ("deep/__pycache__/main.py", ["*.py"], [], False),
        ("env/lib/site-packages/main.py", ["*.py"], [], False),
        (".env", [".env"], [], True),
    ],
)
def test_which_changes_count(path: str, include: list[str], exclude: list[str], counts: bool, folder: Path) -> None:
    assert Watched([str(folder)], include, exclude).matches(str(folder / path)) is counts


def test_paths_count_from_the_innermost_directory_that_is_watched(folder: Path) -> None:
    watched = Watched([str(folder), str(folder / "lib")], ["inner/*.py"], [])
    assert watched.matches(str(folder / "lib" / "inner" / "x.py"))
    assert not watched.matches(str(folder / "outer" / "inner.py"))


def test_directories_are_absolute_and_have_to_exist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert Watched(["lib", "."], [], []).directories == [str(folder / "lib"), str(folder)]
    with pytest.raises(StartupError, match=r"none does not exist, .*--reload-dir"):
        Watched(["none"], [], [])


# --- Reports ---


@pytest.mark.parametrize(
    ("delay", "told"),
    [
        (0.0, [set(), {"a"}, {"b"}, set(), {"c"}, set(), set()]),
        (2.0, [set(), set(), set(), set(), set(), set(), {"a", "b", "c"}]),
        (1.0, [set(), set(), set(), {"a", "b"}, set(), {"c"}, set()]),
    ],
)
def test_changes_are_collected_until_none_follows(delay: float, told: list[set[str]]) -> None:
    now = iter(range(7))
    changes: list[set[str]] = [set(), {"a"}, {"b"}, set(), {"c"}, set(), set()]
    assert list(debounced(changes, delay, lambda: float(next(now)))) == told


def test_names_for_people(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    assert describe({f"{folder}/main.py"}) == "main.py"
    assert describe({f"{folder}/lib/c.py", f"{folder}/b.py", f"{folder}/a\n.py"}) == "a\\n.py, b.py, lib/c.py"
    assert describe({f"{folder}/{name}.py" for name in "abcde"}) == "a.py, b.py, c.py and 2 more"


def test_names_where_there_is_no_current_directory(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder / "lib")
    (folder / "lib").rmdir()
    assert describe({"/src/a.py"}) == "/src/a.py"


# --- The process ---

# The supervisor's part, without workers. LIES stands for a test's replacement of watchfiles.
SUPERVISOR = """
import os, signal, sys
from ianus.errors import StartupError
from ianus.process.fork import Forked
from ianus.process.supervisor.watched import Watched
from ianus.process.supervisor.watcher import Watcher

def leave():
    print("child", os.getppid() == parent, flush=True)
    {lies}

parent = os.getpid()
signal.signal(signal.SIGINT, lambda *_: None)
before = os.listdir("/proc/self/fd")
try:
    watcher = Watcher(Watched(["."], ["*.py"], ["not.py"]), 0.05, leave)
    print("pid", watcher.pid, flush=True)
    while input() != "close":
        print("told", *watcher.read(), sep="|", flush=True)
    watcher.close()
    watcher.close()
except Forked as forked:
    sys.exit(forked.function())
except StartupError as error:
    print(error.message, flush=True)
    if "watcher" in globals():
        watcher.close()
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child, descriptors", len(os.listdir("/proc/self/fd")) - len(before), "watchfiles" in sys.modules)
"""


class Supervisor:
    """A process that runs SUPERVISOR in a folder."""

    def __init__(self, folder: Path, lies: str = "") -> None:
        self.folder = folder
        command = [sys.executable, "-c", SUPERVISOR.format(lies=lies or "pass")]
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.output = Output(self.process.stdout)

    def watcher(self) -> int:
        """The pid of the process that watches."""
        return int(self.output.wait_for(r"^pid (\d+)$")[1])

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def read(self) -> str:
        """Returns the next report of the watcher, which may have arrived already."""
        mark = self.output.mark()
        self.say("read")
        return self.output.wait_for(r"^told\|(.*)\n", mark)[1]

    def end(self) -> None:
        """Asserts that it ends, and that nothing is left."""
        self.output.wait_for(r"^no child, descriptors 0 False$")
        assert self.process.wait(WAIT_SECONDS) == 0


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    """supervise(lies): a Supervisor in an empty folder."""
    started: list[Supervisor] = []

    def supervise(lies: str = "") -> Supervisor:
        started.append(Supervisor(tmp_path, lies))
        return started[-1]

    yield supervise
    for each in started:
        each.process.kill()
        assert each.process.stdin is not None
        each.process.stdin.close()
        each.process.wait()
        each.output.join()


def test_changes_are_reported(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    supervisor = supervise()
    supervisor.watcher()
    assert supervisor.output.text.startswith("child True\n")
    (tmp_path / "not.py").touch()
    (tmp_path / "main.py").touch()
    assert supervisor.read() == "main.py"
    (tmp_path / "main.py").unlink()
    assert supervisor.read() == "main.py"
    supervisor.say("close")
    supervisor.end()


def test_a_directory_that_is_replaced_is_watched_on(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise()
    supervisor.watcher()
    supervisor.folder.rename(supervisor.folder.with_name("before"))
    supervisor.folder.mkdir()
    assert supervisor.read() != ""
    (supervisor.folder / "main.py").touch()
    assert supervisor.read().endswith("main.py")


def test_signals_to_the_whole_process_group_are_ignored(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise()
    pid = supervisor.watcher()
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    (supervisor.folder / "main.py").touch()
    assert supervisor.read() == "main.py"


def test_its_exit_is_reported(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise()
    os.kill(supervisor.watcher(), signal.SIGKILL)
    supervisor.say("read")
    supervisor.output.wait_for(r"^The process that watches the files was killed\.$")
    supervisor.end()


def test_a_watcher_does_not_outlive_the_supervisor(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise()
    pid = supervisor.watcher()
    supervisor.process.kill()
    supervisor.process.wait()
    until(lambda: not is_running(pid), "the end of the watcher")


@pytest.mark.parametrize(
    ("lies", "why"),
    [
        ("import watchfiles; watchfiles.watch = lambda *_, **__: os.stat('none')", "No such file or directory: 'none'"),
        ("sys.modules['watchfiles'] = None", "ModuleNotFoundError: import of watchfiles halted"),
    ],
)
def test_why_nothing_can_be_watched(lies: str, why: str, supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(lies)
    found = supervisor.output.wait_for(
        r"^The files cannot be watched: (.*)\. Watch fewer directories with --reload-dir"
    )
    assert why in found[1]
    supervisor.end()


def test_a_later_failure_to_watch_is_reported(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(
        "import watchfiles; watch = watchfiles.watch;"
        "watchfiles.watch = lambda *a, **o: (os.stat('none') if several else several for several in watch(*a, **o))"
    )
    supervisor.watcher()
    (supervisor.folder / "main.py").touch()
    supervisor.say("read")
    supervisor.output.wait_for(r"^The files cannot be watched: .*: 'none'\. Watch fewer")
    supervisor.end()


# --- Reasons to refuse ---


def settings(**given: Any) -> Settings:
    return Settings.from_values({"bind": "127.0.0.1:0", "reload": True} | given)


def test_watchfiles_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(StartupError, match="pip install watchfiles"):
        prepare("main:app", settings())


@pytest.mark.parametrize(("app", "mount"), [(print, ()), ("main:app", [("/a", print)])])
def test_only_a_name_can_be_loaded_again(app: Any, mount: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        ianus.run(app, reload=True, mount=mount)
    assert caught.value.code == 3
    assert 'With reload applications are given by name, as in ianus.run("main:app")' in capsys.readouterr().err


def test_the_folders_of_applications_that_are_files_are_watched(tmp_path: Path) -> None:
    for folder in ("cwd/src", "a/package", "b"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "main.py").touch()
    (tmp_path / "a/package/__init__.py").touch()
    mount = [f"/a={tmp_path}/a/package/main.py", f"/b={tmp_path}/b/main.py:f('x')", "/c=src/main.py", "/d=other:app"]
    watched = prepare("main:app", settings(app_dir=str(tmp_path / "cwd"), mount=mount))
    assert watched.directories[:3] == [str(tmp_path / each) for each in ("cwd", "a", "b")]
    assert not [each for each in watched.directories[3:] if each.startswith(str(tmp_path))]


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="does not exist"):
        prepare("main:app", settings(reload_dir=str(tmp_path / "none")))


@pytest.mark.parametrize(("given", "got"), [(30.0, 5.0), (0.5, 0.5), (0.0, 5.0)])
def test_a_developer_waits_five_seconds_at_most(given: float, got: float) -> None:
    short = with_short_shutdown(settings(timeout_stop=given))
    assert short.timeout_stop == got
    assert stop_budget(got, short.timeout_lifespan_shutdown).cancel_after == pytest.approx(got * 0.22, rel=0.1)
