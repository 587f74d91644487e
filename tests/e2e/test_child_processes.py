"""Processes that an application starts: they behave as without a server, and stop on SIGTERM.

Once, a forked child kept the worker's handlers: Process.terminate() did nothing, `with Pool()` waited for ever, and
each signal to a child woke the server's event loop.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import APPS, WAIT_SECONDS, Client, Output, Server, until

WAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "asyncio": ("asgi", ("--loop", "asyncio")),
    "uvloop": ("asgi", ("--loop", "uvloop")),
    "led": ("wsgi", ()),
    "one": ("wsgi", ("--threads", "1")),
    "pool": ("wsgi", ("--mount", "/asgi=apps:app")),
    "preload": ("wsgi", ("--preload",)),
}

# In a Python program that has not set any; ALRM is the application's own.
HANDLERS = {"INT": "default_int_handler", "ALRM": "on_alarm"}
UNTOUCHED = {"handlers": HANDLERS, "wakeup": -1, "blocked": [], "listening": 0}


@pytest.fixture(scope="module", params=WAYS)
def ask(shared: Callable[..., Server], request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Returns the application's answer."""
    app, options = WAYS[request.param]
    if "uvloop" in options:
        pytest.importorskip("uvloop")

    def ask(target: str) -> Any:
        with shared(*options, app=f"child_apps:{app}").connect() as client:
            return json.loads(client.get(target).body)

    return ask


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_terminate_ends_a_process_of_multiprocessing(ask: Callable[[str], Any], method: str) -> None:
    assert ask(f"/terminate?{method}") == -signal.SIGTERM


def test_sigterm_right_after_the_fork_is_never_lost(ask: Callable[[str], Any]) -> None:
    assert ask("/terminate-many?50") == [str(-signal.SIGTERM)]


@pytest.mark.parametrize("kind", ["pool", "executor"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_ends_with_its_block(ask: Callable[[str], Any], kind: str, method: str) -> None:
    assert ask(f"/{kind}?{method}") == [2, 4, 6]


def test_a_manager_ends_with_its_block(ask: Callable[[str], Any]) -> None:
    assert ask("/manager") == {"a": 1}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_a_signal_ends_a_forked_child_as_it_would_end_python(ask: Callable[[str], Any], name: str) -> None:
    assert ask(f"/signal?{name}") == -signal.Signals[name]


def test_sigint_interrupts_a_forked_child(ask: Callable[[str], Any]) -> None:
    assert ask("/signal?SIGINT") == 55


def test_a_program_with_preexec_fn_is_terminated(ask: Callable[[str], Any]) -> None:
    assert ask("/preexec") == -signal.SIGTERM


@pytest.mark.parametrize("generations", [1, 2])
def test_a_child_has_nothing_of_the_server(ask: Callable[[str], Any], generations: int) -> None:
    assert ask(f"/state?{generations}") == UNTOUCHED


@pytest.mark.parametrize("app", ["asgi", "wsgi"])
def test_a_pool_that_was_made_at_import_has_nothing_of_the_server(
    start_server: Callable[..., Server], app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POOL_AT_IMPORT", "1")
    server = start_server(app=f"child_apps:{app}")
    numbers, state = json.loads(server.get("/pool-at-import").body)
    assert numbers == [2, 4, 6]
    assert state == UNTOUCHED
    server.stop()  # Its processes are terminated, and waited for.


def test_a_fork_in_a_hook_inherits_nothing_of_the_supervisor(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    """Once, it ignored SIGTERM, and held the sockets and the lifelines of all workers."""
    (tmp_path / "my_hooks.py").write_text(
        "import json, sys; from child_apps import state_of_child, terminate\n"
        "def when_ready(server):\n"
        "    print('child', json.dumps([state_of_child(), terminate('fork')]), file=sys.stderr, flush=True)\n"
    )
    (tmp_path / "child_apps.py").symlink_to(APPS / "child_apps.py")
    server = start_server("--hooks", "my_hooks", app="child_apps:wsgi", app_dir=tmp_path)
    assert json.loads(server.log.wait_for(r"^child (.*\])$")[1]) == [UNTOUCHED, -signal.SIGTERM]


# --- ianus.run(), and a server in a program's own loop ---


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[[str], tuple[Callable[[str], Any], "subprocess.Popen[bytes]"]]]:
    """program(text): starts a program that serves; returns a function that sends requests to it, and its process."""
    started: list[tuple[subprocess.Popen[bytes], Output]] = []

    def start(text: str) -> tuple[Callable[[str], Any], "subprocess.Popen[bytes]"]:
        (tmp_path / "program.py").write_text(text)
        process = subprocess.Popen(
            [sys.executable, "program.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{APPS}"},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert process.stderr is not None
        log = Output(process.stderr)
        started.append((process, log))
        port = int(log.wait_for(r"http://127.0.0.1:(\d+)")[1])

        def ask(target: str) -> Any:
            with Client(("127.0.0.1", port)) as client:
                return json.loads(client.get(target).body)

        return ask, process

    yield start
    for process, log in started:
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 0, log.text
        log.join()


@pytest.mark.parametrize("app", ["asgi", "wsgi"])
def test_children_of_a_program_that_calls_run(program: Callable[[str], Any], app: str) -> None:
    ask, _ = program(f"import child_apps, ianus\nianus.run(child_apps.{app}, bind='127.0.0.1:0')\n")
    assert ask("/state?1") == UNTOUCHED
    assert ask("/terminate?fork") == -signal.SIGTERM


def test_children_have_the_handlers_that_a_program_set_before_run(program: Callable[[str], Any]) -> None:
    ask, _ = program(
        "import child_apps, ianus, signal\n"
        "signal.signal(signal.SIGUSR1, lambda number, frame: None)\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "ianus.run(child_apps.wsgi, bind='127.0.0.1:0')\n"
    )
    handlers = {"INT": str(int(signal.SIG_IGN)), "USR1": "<lambda>", "ALRM": "on_alarm"}
    assert ask("/state?1") == {**UNTOUCHED, "handlers": handlers}


def test_children_of_a_program_with_a_server_of_its_own_have_its_handlers(program: Callable[[str], Any]) -> None:
    ask, process = program(
        "import asyncio, child_apps, ianus, signal, sys\n"
        "async def main():\n"
        "    server = ianus.Server(child_apps.wsgi, bind='127.0.0.1:0')\n"
        "    def on_term(number, frame):\n"
        "        server.should_exit = True\n"
        "    signal.signal(signal.SIGTERM, on_term)\n"
        "    serving = asyncio.create_task(server.serve())\n"
        "    await server.wait_started()\n"
        "    print(server.url, file=sys.stderr, flush=True)\n"
        "    await serving\n"
        "asyncio.run(main())\n"
    )
    state = ask("/state?1")
    assert state["handlers"]["TERM"] == "on_term"
    assert state["listening"] == 0
    assert ask("/signal?SIGUSR1") == -signal.SIGUSR1
    until(lambda: process.poll() is None)
