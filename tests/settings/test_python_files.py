"""Configurations in Python: executed each time, with clear messages about mistakes in them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ianus.errors import SettingError, StartupError
from ianus.settings.python_files import is_python, load, source_of
from tests.rows import for_each_row


@pytest.fixture(autouse=True)
def _path_and_modules(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    for name in ("__config__", "conf_module", "beside"):
        sys.modules.pop(name, None)


def failure(name: str) -> StartupError:
    with pytest.raises(StartupError) as caught:
        load(name, "--config")
    return caught.value


@pytest.mark.parametrize("name", ["file:x.py", "x.py"])
def test_a_file_is_executed_each_time(name: str, nowhere: Path) -> None:
    (nowhere / "beside.py").write_text("number = 4\n")
    (nowhere / "x.py").write_text("import beside\nworkers = beside.number\n")
    assert load(name, "--config").workers == 4
    (nowhere / "x.py").write_text("import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int = 5\n")
    module = load(name, "--config")
    assert sys.modules["__config__"] is module
    assert not hasattr(module, "workers")
    assert source_of(module) == ("x.py", (nowhere / "x.py").read_text())


def test_a_module_is_imported_each_time(nowhere: Path) -> None:
    (nowhere / "conf_module.py").write_text("workers = 1\n")
    assert load("python:conf_module", "--config").workers == 1
    (nowhere / "conf_module.py").write_text("workers = 22\n")
    assert load("python:conf_module", "--config").workers == 22
    # Hypercorn's users write the name of the file.
    assert load("python:conf_module.py", "--config").workers == 22


def test_the_current_directory_stays(nowhere: Path) -> None:
    (nowhere / "x.py").write_text("import os\nos.chdir('/')\n")
    load("x.py", "--config")
    assert Path.cwd() == nowhere


def test_an_encoding_is_respected(nowhere: Path) -> None:
    (nowhere / "x.py").write_bytes(b"# -*- coding: latin-1 -*-\nproc_name = '\xe9'\n")
    assert load("x.py", "--config").proc_name == "\xe9"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero. Correct the file."),
        ("x = (", "SyntaxError: '(' was never closed (x.py, line 1). Correct the file."),
        ("raise SystemExit(3)", "SystemExit: 3. Correct the file."),
        ("class Own(BaseException): ...\nraise Own", "Own. Correct the file."),
        ("import sys\ndel sys.modules['__config__']\n1 / 0", "division by zero. Correct the file."),
        ("from not_there.log import Logger", "No module named 'not_there'. Install not_there, or remove the import."),
    ],
)
def test_a_file_that_fails(text: str, expected: str, nowhere: Path) -> None:
    (nowhere / "x.py").write_text("ok = 1\n")
    before = load("x.py", "--config")
    (nowhere / "x.py").write_text(text)
    error = failure("x.py")
    assert error.message.startswith("The configuration x.py cannot be executed: ")
    assert error.message.endswith(expected)
    assert "python_files.py" not in error.details
    assert sys.modules["__config__"] is before


def test_names_of_nothing(nowhere: Path) -> None:
    with pytest.raises(
        SettingError, match=r"^--config: x\.py cannot be read: No such file or directory\. Check its path"
    ):
        load("x.py", "--config")
    assert failure("python:conf_module").message.startswith("--config: there is no module conf_module in /")
    (nowhere / "conf_module.py").write_text("import not_there\n")
    assert "Install not_there" in failure("python:conf_module").message


@for_each_row(
    ("name", "expected"),
    [
        ("gunicorn.conf.py", True),
        ("gunicorn_conf", True),
        ("gunicorn.conf", True),
        ("file:x.toml", True),
        ("python:a.b", True),
        ("supervisord.ini", False),
        ("settings.json", False),
    ],
)
def test_kinds_of_files(name: str, expected: bool) -> None:
    assert is_python(name) is expected
