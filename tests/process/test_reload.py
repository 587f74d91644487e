"""Which files count for --reload, what follows a change, and what prevents watching."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ianus
from ianus.errors import StartupError
from ianus.process import reload
from ianus.process.reload import Watched
from ianus.settings.schema import Settings


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
    assert Watched([str(folder)], include, exclude)(1, str(folder / path)) is counts


def test_paths_count_from_the_innermost_directory_that_is_watched(folder: Path) -> None:
    watched = Watched([str(folder), str(folder / "lib")], ["inner/*.py"], [])
    assert watched(1, str(folder / "lib" / "inner" / "x.py"))
    assert not watched(1, str(folder / "outer" / "inner.py"))


def test_directories_are_absolute_and_have_to_exist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert Watched(["lib", "."], [], []).directories == [str(folder / "lib"), str(folder)]
    with pytest.raises(StartupError, match=r"none does not exist, .*--reload-dir"):
        Watched(["none"], [], [])


# --- What follows ---


class Child(list[str]):
    """Notes what is asked of it; it ends when `code` is set."""

    code: int | None = None

    def start(self) -> None:
        self.append("start")
        self.code = None

    def stop(self, *, restarts: bool = False) -> None:
        self.append("stop")

    def poll(self) -> int | None:
        return self.code


def test_changes_are_collected_until_none_follows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ianus.error")
    child = Child()
    changes = [set(), {"a.py"}, {"b.py", "a.py"}, set(), set(), {"c.py", "d.py", "e.py", "f.py"}, set()]
    reload._reload(child, changes, threading.Event())  # type: ignore[arg-type]
    assert child == ["stop", "start", "stop", "start"]
    assert caplog.messages == ["changed: a.py, b.py", "changed: c.py, d.py, e.py and 1 more"]


def test_changes_are_told_without_a_current_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ianus.error")
    monkeypatch.chdir(folder / "lib")
    (folder / "lib").rmdir()
    child = Child()
    reload._reload(child, [{"/src/a.py"}, set()], threading.Event())  # type: ignore[arg-type]
    assert child == ["stop", "start"]
    assert caplog.messages == ["changed: /src/a.py"]


def test_an_end_is_told_once_for_each_start(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ianus.error")
    child = Child()

    def changes() -> Iterator[set[str]]:
        child.code = 3
        yield from (set(), set(), {"a.py"}, set())
        child.code = -9
        yield from (set(), set())

    reload._reload(child, changes(), threading.Event())  # type: ignore[arg-type]
    assert [message for message in caplog.messages if "ended" in message] == [
        "the server has ended (exit code 3); the next change starts it again",
        "the server has ended (exit code -9); the next change starts it again",
    ]


def test_a_stop_during_a_change_starts_nothing() -> None:
    child, stopping = Child(), threading.Event()
    stopping.set()
    reload._reload(child, [{"a.py"}, set()], stopping)  # type: ignore[arg-type]
    assert child == ["stop"]


def test_signals_are_passed_on_as_urgently_as_they_are_meant() -> None:
    asked: list[signal.Signals] = []

    class Asked:
        def ask(self, number: signal.Signals) -> None:
            asked.append(number)

    before = signal.getsignal(signal.SIGINT)
    stopping = threading.Event()
    restore = reload._handle_signals(Asked(), stopping)  # type: ignore[arg-type]
    try:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.raise_signal(number)
            assert stopping.is_set()
    finally:
        restore()
    assert asked == [signal.SIGTERM, signal.SIGTERM, signal.SIGQUIT, signal.SIGQUIT]
    assert signal.getsignal(signal.SIGINT) is before


# --- What prevents it ---


def settings(**given: Any) -> Settings:
    return Settings.from_values({"bind": "127.0.0.1:0", "reload": True} | given)


def test_watchfiles_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(StartupError, match="pip install watchfiles"):
        reload.run("main:app", settings())


@pytest.mark.parametrize(("app", "mount"), [(print, ()), ("main:app", [("/a", print)])])
def test_only_a_name_can_be_loaded_again(app: Any, mount: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        ianus.run(app, reload=True, mount=mount)
    assert caught.value.code == 3
    assert 'by name, as in ianus.run("main:app")' in capsys.readouterr().err


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="does not exist"):
        reload.run("main:app", settings(reload_dir=str(tmp_path / "none")))


def test_a_watcher_that_fails_is_told_and_leaves_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watchfiles = pytest.importorskip("watchfiles")
    started: list[Child] = []

    def new_child(*given: object) -> Child:
        started.append(Child())
        started[-1].ask = lambda number: None  # type: ignore[attr-defined]
        return started[-1]

    def watch(*directories: str, **options: Any) -> Iterator[set[str]]:
        raise OSError("OS file watch limit reached")
        yield set()

    monkeypatch.setattr(reload, "Child", new_child)
    monkeypatch.setattr(watchfiles, "watch", watch)
    with pytest.raises(StartupError, match=r"cannot be watched: OS file watch limit reached\. .*--reload-dir"):
        reload.run("main:app", settings(reload_dir=str(tmp_path)))
    assert started == [["start", "stop"]]
