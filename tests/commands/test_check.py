"""`ianus check`: exit codes, text and JSON."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ianus.commands import build_subcommand, find_subcommand

GOOD = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x"]
"""
BAD = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    print("a line of the application")
    await send({"type": "http.response.body", "body": "x"})
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """run(*words): the result of `ianus check` in a folder with the modules good_module and bad_module."""
    (tmp_path / "good_module.py").write_text(GOOD)
    (tmp_path / "bad_module.py").write_text(BAD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(build_subcommand("check"), words)

    return invoke


def test_a_line_with_an_application_is_the_sub_command() -> None:
    command = find_subcommand(["check", "main:app", "/items"])
    assert command is not None
    assert command.name == "check"


def test_no_violation_is_exit_code_0(run: Callable[..., Result]) -> None:
    result = run("good_module:app")
    assert result.exit_code == 0, result.output
    assert "is a WSGI application: it takes (environ, start_response)." in result.stdout
    assert "Violations: none" in result.stdout


def test_a_violation_is_exit_code_1_with_line_and_section(run: Callable[..., Result]) -> None:
    result = run("bad_module:app")
    assert result.exit_code == 1
    assert "  bad_module.py:7 in app: the body is a str, not bytes\n" in result.stdout
    section = "ASGI HTTP and WebSocket 2.5, Response Body - send event [asgi-body] (GET /, HEAD /, OPTIONS /)"
    assert f"      {section}\n" in result.stdout


def test_json_is_the_only_output(run: Callable[..., Result]) -> None:
    result = run("bad_module:app", "/a", "/b?c=d", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert "a line of the application" in result.stderr
    assert [each["path"] for each in document["measurements"]] == ["/a", "/b?c=d"]
    (violation,) = document["violations"]
    assert violation["place"]["line"] == 7
    assert violation["probes"][:4] == ["GET /a", "HEAD /a", "OPTIONS /a", "GET /b?c=d"]
    assert document["recommendation"]["command"].endswith("bad_module:app")


def test_an_application_that_cannot_be_loaded_is_exit_code_3(run: Callable[..., Result]) -> None:
    result = run("missing_module:app")
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: There is no module missing_module")
    assert result.stdout == ""


def test_the_recommended_line_has_the_options_by_which_the_application_is_loaded(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    result = run("good_module:app", "--interface", "wsgi", "--app-dir", str(tmp_path), "--json")
    command = json.loads(result.stdout)["recommendation"]["command"]
    assert command.endswith(f"--app-dir {tmp_path} --interface wsgi good_module:app")


def test_arguments_of_a_factory_are_not_shown(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "made_module.py").write_text("import good_module\ndef create(secret): return good_module.app\n")
    result = run('made_module:create("hidden")')
    assert result.exit_code == 0, result.output
    assert "hidden" not in result.output
    assert "made_module:create(...)" in result.stdout


def test_a_limit_of_no_time_is_refused(run: Callable[..., Result]) -> None:
    assert run("good_module:app", "--timeout", "0").exit_code == 2


EXITS = """
import asyncio, sys, threading

async def app(scope, receive, send):
    if scope["path"] == "/task":
        asyncio.create_task(exit_later())
        await asyncio.sleep(0.2)
    sys.exit(5)

async def exit_later():
    sys.exit(6)

async def blocks_for_ever(scope, receive, send):
    while True:
        try:
            threading.Event().wait(30)
        except BaseException:
            pass

async def stuck_in_a_thread(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    await asyncio.to_thread(threading.Event().wait)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("app", "path", "code", "expected"),
    [
        ("app", "/", 1, "exits.py:8 in app: the application called sys.exit(5)"),
        ("app", "/task", 1, "exits.py:11 in exit_later: the application called sys.exit()"),
        pytest.param("blocks_for_ever", "/", 3, "blocks the event loop at", marks=pytest.mark.extended),
        pytest.param("stuck_in_a_thread", "/", 0, "did not answer within 0.3 s", marks=pytest.mark.extended),
    ],
)
def test_an_application_that_exits_or_does_not_end_is_reported(
    app: str, path: str, code: int, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "exits.py").write_text(EXITS)
    command = [sys.executable, "-m", "ianus", "check", f"exits:{app}", path, "--timeout", "0.3"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert expected in run.stdout + run.stderr
    assert run.returncode == code


def test_a_line_without_an_application_lists_those_of_the_folder(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run()
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "Error: No application is given; name it, as in `ianus check main:app`. (ianus docs choosing)\n"
    )
    (tmp_path / "main.py").write_text(GOOD)
    assert run().stderr.endswith(
        "Error: No application is given. Found:\n  main.py has app: ianus check main:app\n(ianus docs choosing)\n"
    )


def test_output_to_the_descriptor_is_not_the_result(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import os\n"
        "def app(environ, start_response):\n"
        "    os.write(1, b'a line\\n'); os.system('echo a line of a process')\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [b'x']\n"
    )
    line = [sys.executable, "-m", "ianus", "check", "--json", "app:app"]
    result = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert json.loads(result.stdout)["violations"] == []
    assert "a line of a process" in result.stderr


@pytest.mark.parametrize("when", ["loop.stop(); await asyncio.sleep(1)", "loop.call_soon(loop.stop)"])
def test_an_application_that_stops_the_loop(when: str, run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "stopping_module.py").write_text(
        f"import asyncio\nasync def app(scope, receive, send):\n    loop = asyncio.get_running_loop()\n    {when}\n"
    )
    result = run("stopping_module:app")
    assert result.exit_code == 1
    assert "stopping_module.py:2 in app: the application stopped the event loop" in result.stdout
    assert "()" not in result.stdout


@pytest.mark.slow
def test_a_header_of_a_million_characters(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "long_module.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain'), ('X-Long', 'a' * 1_000_000)] * 5)\n"
        "    return [b'x']\n"
    )
    result = run("--timeout", "2", "long_module:app")
    assert "did not end" not in result.stdout
    assert result.exit_code == 0
