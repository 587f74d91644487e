"""gunicorn.conf.py and GUNICORN_CMD_ARGS as sources: found, merged with the others, and explained."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from ianus.errors import SettingError
from ianus.settings.gunicorn_view import GunicornView
from ianus.settings.layers import Given
from ianus.settings.schema import Settings
from ianus.settings.sources import Configuration, Reader, read_sources
from ianus.settings.values import TcpBind
from tests.rows import for_each_row
from tests.settings.lines import run_line
from tests.settings.test_sources import read


@pytest.fixture(autouse=True)
def _path_and_modules(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    sys.modules.pop("__config__", None)


def by_arguments(text: str) -> tuple[list[Given], list[str]]:
    """GUNICORN_CMD_ARGS with one word: a number of workers."""
    return (
        [Given("workers", text, "GUNICORN_CMD_ARGS --workers", "environment GUNICORN_CMD_ARGS")] if text else []
    ), []


@pytest.mark.parametrize("line", [True, False])
@pytest.mark.parametrize("variable", [True, False])
@pytest.mark.parametrize("arguments", [True, False])
@pytest.mark.parametrize("file", [True, False])
@pytest.mark.parametrize("gunicorn", [True, False])
def test_priority(line: bool, variable: bool, arguments: bool, file: bool, gunicorn: bool, nowhere: Path) -> None:
    if file:
        (nowhere / "ianus.toml").write_text("workers = 4\n")
    if gunicorn:
        (nowhere / "gunicorn.conf.py").write_text("workers = 5\n")
    environ = {"WEB_CONCURRENCY": "6"}
    environ |= {"IANUS_WORKERS": "2"} if variable else {}
    environ |= {"GUNICORN_CMD_ARGS": "3"} if arguments else {}
    given = [Given("workers", "1", "--workers", "command line --workers")] if line else []
    expected, origin = next(
        (workers, origin)
        for is_given, workers, origin in [
            (line, 1, "command line --workers"),
            (variable, 2, "environment IANUS_WORKERS"),
            (arguments, 3, "environment GUNICORN_CMD_ARGS"),
            (file, 4, "ianus.toml:1"),
            (gunicorn, 5, "gunicorn.conf.py:1"),
            (True, 6, "environment WEB_CONCURRENCY"),
        ]
        if is_given
    )
    configuration = read_sources(given, environ, by_arguments)
    assert (configuration.settings.workers, configuration.origins["workers"]) == (expected, origin)


def test_two_files_that_differ_are_named_once(nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text('workers = 4\nbind = ":1"\nbacklog = 7\n')
    (nowhere / "gunicorn.conf.py").write_text('workers = 5\nbind = ":2"\nbacklog = 7\ntimeout = 9\n')
    configuration = read()
    (warning,) = configuration.warnings
    assert warning == (
        "ianus.toml and gunicorn.conf.py both set workers, bind; ianus.toml has priority. Remove the others"
        " from gunicorn.conf.py, or the file: `ianus migrate gunicorn.conf.py` prints its settings for ianus.toml"
        " (ianus docs migrating)."
    )
    assert configuration.settings.timeout == 9
    (nowhere / "ianus.toml").write_text("backlog = 7\n")
    assert read().warnings == ()


@pytest.mark.parametrize("name", ["x.toml", "conf.py"])
def test_a_named_file_is_the_only_one(name: str, nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text("backlog = 4\n")
    (nowhere / "gunicorn.conf.py").write_text("timeout = 5\n")
    (nowhere / name).write_text("workers = 6\n")
    assert read({"config": name}).settings == Settings(workers=6)


def test_settings_without_effect_are_listed_once(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text('worker_tmp_dir = "/x"\nreload_engine = "poll"\nmax_worker_memory = 1\n')
    (warning,) = read().warnings
    assert warning == (
        "gunicorn.conf.py has settings without effect: worker_tmp_dir (no files are used to watch workers);"
        " reload_engine (Ianus has one way of watching files)."
    )


def test_an_invalid_value_names_its_line(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text('# first\nworkers = "many"\n')
    with pytest.raises(SettingError, match=r"^gunicorn\.conf\.py:2: workers: 'many' is neither auto nor a number"):
        read()


def test_the_application_and_its_environment(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text('wsgi_app = "main:app"\nraw_env = ["A=b"]\n')
    environ: dict[str, str] = {}
    assert read_sources((), environ).app == "main:app"
    assert environ == {"A": "b"}


def test_hooks_are_those_of_the_file_unless_others_are_named(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text("def on_exit(server): ...\n")
    configuration = read()
    assert configuration.settings.hooks == "file:gunicorn.conf.py"
    assert configuration.hooks is sys.modules["__config__"]
    assert read({"hooks": "mine"}).hooks is None
    (nowhere / "ianus.toml").write_text('hooks = "mine"\n')
    assert (read().settings.hooks, read().hooks) == ("mine", None)
    # `ianus migrate` writes this; the file is executed once.
    (nowhere / "ianus.toml").write_text('hooks = "file:gunicorn.conf.py"\n')
    assert read().hooks is sys.modules["__config__"]
    assert read().warnings == ()
    (nowhere / "ianus.toml").unlink()
    (nowhere / "gunicorn.conf.py").write_text("workers = 2\n")
    assert (read().settings.hooks, read().hooks) == ("", None)


def test_a_reader_executes_the_file_each_time(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text("workers = 2\ndef on_exit(server): ...\n")
    reader = Reader(lambda: read_sources((), os.environ))
    assert reader.read().settings.workers == 2
    first = reader.hooks
    (nowhere / "gunicorn.conf.py").write_text("workers = 33\ndef on_exit(server): ...\n")
    assert reader.read().settings.workers == 33
    assert reader.hooks is not None
    assert reader.hooks is not first


def test_hypercorn_toml_has_the_names_of_hypercorn(nowhere: Path) -> None:
    text = 'bind = ["0.0.0.0:8080"]\ninclude_server_header = false\naccesslog = "-"\nmax_app_queue_size = 10\n'
    (nowhere / "hypercorn.toml").write_text(text)
    configuration = read({"config": "hypercorn.toml"})
    assert configuration.settings.bind == (TcpBind("0.0.0.0", 8080),)
    assert not configuration.settings.server_header
    assert configuration.origins["server_header"] == "hypercorn.toml:2"
    assert len(configuration.warnings) == 1
    # A file of Ianus has its own names.
    (nowhere / "x.toml").write_text(text)
    with pytest.raises(SettingError, match="unknown setting; did you mean server_header"):
        read({"config": "x.toml"})


def test_hooks_see_settings_by_the_names_of_gunicorn() -> None:
    cfg: Any = GunicornView(
        Settings(bind=(TcpBind("", 1),), workers=3, access_log=False, timeout_keep_alive=9, log_level="debug")
    )
    assert (cfg.bind, cfg.workers, cfg.keepalive, cfg.loglevel, cfg.accesslog) == (["*:1"], 3, 9.0, "debug", None)
    assert GunicornView(Settings(access_logfile="x")).accesslog == "x"
    for name in ("nothing", "wsgi_app", "daemon", "host"):
        with pytest.raises(AttributeError, match=f"^cfg.{name} has no equivalent in Ianus"):
            getattr(cfg, name)


def test_configurations_are_compared_by_value() -> None:
    assert read() == Configuration("", Settings(), {}, ())


# --- GUNICORN_CMD_ARGS, as the command parses it ---


def with_arguments(text: str, monkeypatch: pytest.MonkeyPatch, *line: str) -> tuple[Result, list[Settings]]:
    """The command with GUNICORN_CMD_ARGS, and the settings that are served."""
    served: list[Settings] = []

    def serve(app: str, settings: Settings, reader: Reader) -> int:
        served.append(settings)
        return 0

    monkeypatch.setenv("GUNICORN_CMD_ARGS", text)
    return run_line(["main:app", *line], serve), served


def test_arguments_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "--bind=127.0.0.1:9 --timeout 600 -w 4 -p x.pid --access-logfile - -k gevent -"
    result, served = with_arguments(text, monkeypatch, "--workers", "3")
    assert served == [
        Settings(bind=(TcpBind("127.0.0.1", 9),), timeout=600, workers=3, pid_file="x.pid", access_logfile="-")
    ]
    assert result.output.startswith("Warning: GUNICORN_CMD_ARGS: --worker-class gevent has no effect: ")
    assert result.output.count("\n") == 1


def test_a_repeated_option_of_the_arguments_has_its_last_value(monkeypatch: pytest.MonkeyPatch) -> None:
    result, served = with_arguments("--pythonpath a --pythonpath b -b :1 -b :2", monkeypatch)
    assert served == [Settings(pythonpath=("b",), bind=(TcpBind("", 1), TcpBind("", 2)))]
    assert result.output == (
        "Warning: GUNICORN_CMD_ARGS: --pythonpath is repeated, and the last one counts, as in other servers.\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--workers x", "Error: GUNICORN_CMD_ARGS --workers: 'x' is neither auto nor a number"),
        ("--workers", "Error: GUNICORN_CMD_ARGS: Option '--workers' requires an argument."),
        ("--paste x", "Error: GUNICORN_CMD_ARGS: No such option: --paste. Create the application in a module"),
        ("--enable-backlog-metric --nothing", "Error: GUNICORN_CMD_ARGS: This line has 2 problems."),
        ("-c x.py", "Error: GUNICORN_CMD_ARGS --config: x.py cannot be read: No such file or directory."),
    ],
)
def test_a_mistake_in_the_arguments_names_the_variable(
    text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, served = with_arguments(text, monkeypatch)
    assert (result.exit_code, served) == (2, [])
    assert result.output.startswith(expected)


@for_each_row("text", ["--nosuch 3", "--nosuch 127.0.0.1:80 -", "--nosuch - 8000", "--nosuch=3 x y", "--nosuch x:y"])
def test_words_of_the_arguments_that_are_not_options_are_not_mistakes(text: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        result, _ = with_arguments(text, monkeypatch)
    assert result.output == (
        "Error: GUNICORN_CMD_ARGS: No such option: --nosuch. `ianus --help-all` lists all options."
        " (ianus docs settings)\n"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("workers = [1]\nworkers.append(workers)\n", "RecursionError"),
        ("class Bad:\n    def __repr__(self): return 1 / 0\ntimeout = Bad()\n", "ZeroDivisionError"),
        ("class Bad:\n    def __eq__(self, other): return 1 / 0\nbind = Bad()\n", "ZeroDivisionError"),
        ("user = '\\ud800'\n", "UnicodeEncodeError"),
    ],
)
def test_a_value_that_cannot_be_read(text: str, problem: str, nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text(text)
    with pytest.raises(SettingError, match=rf"A value that cannot be read \({problem}"):
        read()


def test_a_value_that_cannot_be_read_and_is_no_setting(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text(
        "class Bad:\n    def __repr__(self): return 1 / 0\n    __bool__ = __eq__ = __repr__\n"
        "helper = Bad()\nworkers = 3\n"
    )
    assert read().settings.workers == 3
