"""Hooks: found in their module, checked before they are needed, called; their failures do not stop the caller."""

import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ianus.errors import StartupError
from ianus.hooks import RequestInfo, ResponseInfo, ServerInfo, WorkerInfo
from ianus.process.hooks import PARAMETERS, Hooks

SERVER = ServerInfo(pid=10, workers=2, addresses=("http://127.0.0.1:8000",))
WORKER = WorkerInfo(pid=11, slot=2, started=1e9)

ENVIRON = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "wsgi.url_scheme": "http"}

ARGUMENTS: dict[str, Any] = {
    "server": SERVER,
    "worker": WORKER,
    "config": None,
    "default_ssl_context_factory": dict,
    "new_value": 3,
    "old_value": 2,
    "req": RequestInfo(ENVIRON),
    "environ": ENVIRON,
    "resp": ResponseInfo(),
}


@pytest.fixture(autouse=True)
def _path_and_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same as before, when a test has ended."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    yield
    for name in ("hooks_module", "needed"):
        sys.modules.pop(name, None)


def load(text: str) -> Hooks:
    Path("hooks_module.py").write_text(text)
    return Hooks.load("hooks_module", ".")


def refusal(text: str) -> StartupError:
    with pytest.raises(StartupError) as caught:
        load(text)
    return caught.value


def test_without_a_module_nothing_is_called() -> None:
    before = sys.path[:]
    Hooks.load("", ".").call("on_starting", SERVER)
    assert sys.path == before


def test_a_missing_hook_is_not_called(caplog: pytest.LogCaptureFixture) -> None:
    hooks = load("on_exit = None\n")
    for name, parameters in PARAMETERS.items():
        hooks.call(name, *(ARGUMENTS[each] for each in parameters))
    assert caplog.records == []


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_hook_is_called_with_its_documented_arguments(name: str) -> None:
    parameters = PARAMETERS[name]
    hooks = load(f"calls = []\ndef {name}({', '.join(parameters)}): calls.append(({', '.join(parameters)},))\n")
    hooks.call(name, *(ARGUMENTS[each] for each in parameters))
    assert sys.modules["hooks_module"].calls == [tuple(ARGUMENTS[each] for each in parameters)]


def test_the_module_is_looked_for_in_the_directory_of_the_application(tmp_path: Path) -> None:
    (tmp_path / "sub" / "project").mkdir(parents=True)
    (tmp_path / "sub" / "project" / "hooks_module.py").write_text("def on_exit(server): raise KeyError(server.pid)\n")
    with pytest.raises(
        StartupError, match=r"^There is no module project in .*\. Correct --hooks project.*, or set --app-dir"
    ):
        Hooks.load("project.hooks_module", ".")
    hooks = Hooks.load("project.hooks_module", "sub")
    assert sys.path[0] == str(tmp_path / "sub")
    for name in ("project", "project.hooks_module"):
        assert sys.modules.pop(name)
    hooks.call("on_exit", SERVER)


def test_loaded_again_the_module_is_that_of_now() -> None:
    calls: list[str] = []
    sys.modules["needed"] = needed = type(sys)("needed")
    needed.calls = calls  # type: ignore[attr-defined]
    old = load("import needed\ndef on_exit(server): needed.calls.append('old')\n")
    new = load("import needed\ndef on_exit(server): needed.calls.append('new one')\n")
    new.call("on_exit", SERVER)
    old.call("on_exit", SERVER)
    assert calls == ["new one", "old"]


def test_the_old_module_is_kept_if_the_new_one_cannot_be_loaded() -> None:
    load("on_exit = None\n")
    before = sys.modules["hooks_module"]
    refusal("1 / 0\n")
    assert sys.modules["hooks_module"] is before


# --- Mistakes are reported at the start ---


@pytest.mark.parametrize(("text", "told"), [("1 / 0", "ZeroDivisionError: "), ("raise SystemExit(1)", "SystemExit: 1")])
def test_an_error_in_the_module_is_reported_with_its_own_traceback_alone(text: str, told: str) -> None:
    error = refusal(text)
    assert error.message.startswith(f"The module of hooks 'hooks_module' cannot be imported: {told}")
    assert "hooks_module.py" in error.details
    assert "process/hooks.py" not in error.details


def test_a_module_that_the_module_needs() -> None:
    error = refusal("import no_such_module_at_all\n")
    assert "cannot be imported: ModuleNotFoundError: No module named 'no_such_module_at_all'." in error.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def child_exit(worker): ...", "child_exit takes 1 parameter; it is called as child_exit(server, worker)."),
        ("def on_exit(): ...", "on_exit takes no parameters; it is called as on_exit(server)."),
        ("def on_exit(server, worker): ...", "on_exit takes 2 parameters; it is called as on_exit(server)."),
        ("on_exit = 3", "on_exit is not a function; it is called as on_exit(server)."),
        ("async def on_exit(server): ...", "on_exit is a coroutine or a generator, and a hook is a plain function; "),
        ("def on_exit(server): yield", "on_exit is a coroutine or a generator, and a hook is a plain function; "),
    ],
)
def test_a_hook_that_could_not_be_called(text: str, told: str) -> None:
    assert refusal(text).message.startswith(f"hooks_module.{told}")


@pytest.mark.parametrize(
    "text",
    [
        "def on_exit(*arguments): ...",
        "def on_exit(server, *others): ...",
        "def on_exit(server, more=1): ...",
        "def on_exit(server=None): ...",
        "on_exit = print",
        "import functools\non_exit = functools.partial(print, 1)",
    ],
)
def test_hooks_that_can_be_called_in_other_ways(text: str, caplog: pytest.LogCaptureFixture) -> None:
    load(text).call("on_exit", SERVER)
    assert caplog.records == []


def test_names_that_may_be_misspelt_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    load(
        "from os.path import exists as on_exitt\n"
        "def on_start(server): ...\n"
        "def _post_fork(server, worker): ...\n"
        "def helper(): ...\n"
        "when_redy = 3\n"
    )
    assert [record.getMessage() for record in caplog.records] == [
        "hook not called: hooks_module.on_start: did you mean on_starting?",
    ]


def test_every_hook_of_gunicorn_is_called() -> None:
    gunicorn = (
        "on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int worker_abort pre_exec"
        " pre_request post_request child_exit worker_exit nworkers_changed on_exit ssl_context"
    )
    assert set(gunicorn.split()) == PARAMETERS.keys()


def test_a_hook_whose_result_is_needed() -> None:
    found = load("def ssl_context(config, default_ssl_context_factory): return default_ssl_context_factory()\n").find(
        "ssl_context"
    )
    assert found is not None
    assert found(None, lambda: 1) == 1
    assert load("").find("ssl_context") is None


@pytest.mark.parametrize("count", [2, 3, 4])
def test_post_request_may_have_fewer_parameters(count: int) -> None:
    names = ("worker", "req", "environ", "resp")[:count]
    hooks = load(f"calls = []\ndef post_request({', '.join(names)}): calls.append(({', '.join(names)},))\n")
    hooks.call("post_request", *(ARGUMENTS[each] for each in PARAMETERS["post_request"]))
    assert sys.modules["hooks_module"].calls == [tuple(ARGUMENTS[each] for each in names)]
    assert "post_request takes 1 parameter; " in refusal("def post_request(worker): ...\n").message


def test_a_hook_may_be_the_name_of_a_function() -> None:
    hooks = load("calls = []\nchild_exit = 'hooks_module.ended'\ndef ended(server, worker): calls.append(worker)\n")
    hooks.call("child_exit", SERVER, WORKER)
    assert sys.modules["hooks_module"].calls == [WORKER]
    error = refusal("child_exit = 'hooks_module.nothing'\n")
    assert error.message == (
        "hooks_module.child_exit names 'hooks_module.nothing', which cannot be imported:"
        " AttributeError: module 'hooks_module' has no attribute 'nothing'."
    )
    assert refusal("child_exit = 'nothing'\n").message.startswith("hooks_module.child_exit is not a function; ")


def test_a_file_as_hooks(tmp_path: Path) -> None:
    (tmp_path / "my.conf.py").write_text("def on_starting(server): raise KeyError(server.num_workers)\n")
    hooks = Hooks.load("file:my.conf.py", ".")
    assert hooks.has("on_starting")
    with pytest.raises(StartupError, match=r"^The hook my\.conf\.py\.on_starting has failed: KeyError: 2\.$"):
        hooks.call("on_starting", SERVER)
    # A configuration that has been executed is not executed again.
    program = type(sys)("__config__")
    program.on_exit = print  # type: ignore[attr-defined]
    assert Hooks.load("file:no such file", ".", program).has("on_exit")


def test_hooks_may_add_attributes() -> None:
    worker: Any = WorkerInfo(pid=1, slot=1, started=0.0)
    worker.tracer = 5
    assert worker == WorkerInfo(pid=1, slot=1, started=0.0)
    with pytest.raises(
        AttributeError, match=r"^WorkerInfo has no attribute 'age'; `ianus docs hooks` lists the attributes$"
    ):
        worker.age()


# --- Exceptions ---


def test_a_failure_of_pre_request_is_one_of_the_request() -> None:
    hooks = load("def pre_request(worker, req): raise KeyError('x')\n")
    with pytest.raises(KeyError):
        hooks.call("pre_request", WORKER, ARGUMENTS["req"])


@pytest.mark.parametrize("name", ["on_starting", "post_fork", "post_worker_init"])
def test_a_failure_of_a_preparing_hook_is_fatal(name: str) -> None:
    hooks = load(f"def {name}(*arguments): 1 / 0\n")
    with pytest.raises(StartupError) as caught:
        hooks.call(name, *(ARGUMENTS[each] for each in PARAMETERS[name]))
    assert caught.value.message == f"The hook hooks_module.{name} has failed: ZeroDivisionError: division by zero."
    assert "def " in caught.value.details
    assert "process/hooks.py" not in caught.value.details


@pytest.mark.parametrize("raised", ["KeyError('x')", "SystemExit(1)"])
def test_other_exceptions_are_logged(raised: str, caplog: pytest.LogCaptureFixture) -> None:
    load(f"def child_exit(server, worker): raise {raised}\n").call("child_exit", SERVER, WORKER)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    first, *traceback = record.getMessage().splitlines()
    assert first.startswith(f"hook failed: hooks_module.child_exit: {raised.partition('(')[0]}: ")
    assert traceback[0] == "Traceback (most recent call last):"
    assert "hooks_module.py" in traceback[1]


def test_a_hook_can_be_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt):
        load("def on_exit(server): raise KeyboardInterrupt\n").call("on_exit", SERVER)


# --- The example ---


def test_the_example_in_the_documentation(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO, "ianus.error")
    page = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    hooks = load(example)
    ready = Path("ready")
    hooks.call("when_ready", SERVER)
    monkeypatch.setenv("WORKER", "")
    hooks.call("post_fork", SERVER, WORKER)
    assert os.environ["WORKER"] == "2"
    monkeypatch.setattr(time, "time", lambda: 1e9 + 5)
    hooks.call("child_exit", SERVER, WORKER)
    assert [record.getMessage() for record in caplog.records] == ["worker 11 served for 5 s"]
    hooks.call("on_exit", replace(SERVER, pid=SERVER.pid + 1))
    assert ready.exists(), "it is that of the other server"
    hooks.call("on_exit", SERVER)
    assert not ready.exists()


def test_the_documentation_has_every_hook() -> None:
    page = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()
    listed = re.findall(r"^\| `(\w+)\(([\w, ]+)\)` \|", page, re.MULTILINE)
    assert {name: tuple(parameters.split(", ")) for name, parameters in listed} == PARAMETERS
