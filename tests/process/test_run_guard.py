"""ianus.run() in a program that its own child processes would run again: once, 28 processes in five seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import WAIT_SECONDS, Client, Output

pytestmark = pytest.mark.slow

APP = """
import ianus, sys
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

UNGUARDED = "calls ianus.run() while a server loads it"


def run(path: Path, *arguments: str) -> tuple[int, str]:
    """Returns the exit code and the output of a program that does not serve."""
    ended = subprocess.run([sys.executable, *arguments], cwd=path, capture_output=True, text=True, timeout=WAIT_SECONDS)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("more", ["", ", workers=2", ", workers=2, preload=True"])
def test_a_module_that_runs_itself_without_a_guard_is_refused(tmp_path: Path, more: str) -> None:
    (tmp_path / "main.py").write_text(f"{APP}ianus.run('main:app', bind='127.0.0.1:0'{more})\n")
    code, message = run(tmp_path, "main.py")
    assert code == 3
    assert message.startswith(f"Error: main {UNGUARDED} (")
    assert message.endswith(
        "main.py, line 6). Put the call under `if __name__ == '__main__':`. (ianus docs operations)\n"
    )
    assert len(message.splitlines()) == 1


def test_the_command_refuses_a_module_that_calls_run(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(f"{APP}ianus.run(app, bind='127.0.0.1:0')\n")
    code, message = run(tmp_path, "-m", "ianus", "-b", "127.0.0.1:0", "main:app")
    assert code == 3
    assert UNGUARDED in message


def test_hooks_that_call_run_are_refused(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APP)
    (tmp_path / "my_hooks.py").write_text("import ianus\nianus.run('main:app', bind='127.0.0.1:0')\n")
    code, message = run(tmp_path, "-m", "ianus", "-b", "127.0.0.1:0", "--hooks", "my_hooks", "main:app")
    assert code == 3
    assert f"my_hooks {UNGUARDED}" in message


def test_a_spawned_process_of_an_unguarded_program_is_refused(tmp_path: Path) -> None:
    """multiprocessing imports the program once more, as __mp_main__."""
    (tmp_path / "main.py").write_text(
        f"{APP}import multiprocessing\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=print)\n"
        "    process.start()\n"
        "    process.join()\n"
        "    sys.exit(process.exitcode)\n"
        "ianus.run(app, bind='127.0.0.1:0')\n"
    )
    code, message = run(tmp_path, "main.py")
    assert code == 1
    assert "__mp_main__ calls ianus.run() in a process of multiprocessing" in message


def program(path: Path, text: str) -> Path:
    """A program that is its own sys.executable, as a frozen one is."""
    script, executable = path / "program.py", path / "program"
    script.write_text(f"import sys\nsys.executable = {str(executable)!r}\n{text}")
    executable.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    executable.chmod(0o755)
    return executable


SERVE = "import ianus\nianus.run('main:app', bind='127.0.0.1:0', workers=2)\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APP)
    return tmp_path


def test_a_frozen_program_without_freeze_support_is_refused(path: Path) -> None:
    executable = program(path, f"sys.frozen = True\n{SERVE}")
    ended = subprocess.run([executable], cwd=path, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert ended.returncode == 3
    assert "Call ianus.freeze_support() first" in ended.stderr


def test_a_program_that_embeds_python_is_refused(path: Path) -> None:
    executable = program(path, SERVE)
    ended = subprocess.run([executable], cwd=path, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert ended.returncode == 3
    assert ended.stderr.startswith(f"Error: {executable} is not a Python interpreter but this program")


def test_a_frozen_program_with_freeze_support_serves(path: Path) -> None:
    executable = program(path, f"sys.frozen = True\nimport ianus\nianus.freeze_support()\n{SERVE}")
    with subprocess.Popen([executable], cwd=path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        log = Output(process.stderr)
        port = int(log.wait_for(r" serves .* on http://127.0.0.1:(\d+); .* 2 workers")[1])
        with Client(("127.0.0.1", port)) as client:
            assert client.get().body == b"ok"
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 0
        log.join()


def test_freeze_support_of_other_programs_does_nothing(path: Path) -> None:
    assert run(path, "-c", "import ianus; ianus.freeze_support()", "--ianus-supervisor", "0") == (0, "")
