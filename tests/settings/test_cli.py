"""The command line: every setting has its flag, wrong lines exit with 2 and say what is wrong."""

from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ianus.settings.cli import build_command
from ianus.settings.schema import Settings, table
from ianus.settings.values import TcpBind, UnixBind

Served = list[tuple[str, Settings]]


@pytest.fixture
def served() -> Served:
    return []


def invoke(served: Served, *line: str, code: int = 0) -> Result:
    def serve(app: str, settings: Settings) -> int:
        served.append((app, settings))
        return code

    return CliRunner().invoke(build_command(serve, "1.2.3"), line)


def test_the_application_alone_is_served_with_the_defaults(served: Served) -> None:
    result = invoke(served, "main:app")
    assert result.exit_code == 0
    assert served == [("main:app", Settings())]


def test_the_exit_code_is_that_of_serving(served: Served) -> None:
    assert invoke(served, "main:app", code=3).exit_code == 3


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (["--bind", "unix:x"], "bind", (UnixBind("x"),)),
        (["-b", "1.2.3.4:5", "-b", "unix:x"], "bind", (TcpBind("1.2.3.4", 5), UnixBind("x"))),
        (["--uds-permissions", "660"], "uds_permissions", 0o660),
        (["--factory"], "factory", True),
        (["--loop", "asyncio"], "loop", "asyncio"),
        (["--lifespan", "off"], "lifespan", "off"),
        (["--root-path", "/api/"], "root_path", "/api"),
        (["--timeout-write", "0.5"], "timeout_write", 0.5),
        (["--timeout-keep-alive", "0"], "timeout_keep_alive", 0.0),
        (["--max-request-body-size", "0"], "max_request_body_size", 0),
        (["--no-date-header"], "date_header", False),
        (["--no-server-header"], "server_header", False),
        (["--no-access-log"], "access_log", False),
        (["--access-log"], "access_log", True),
        (["--header", "A: b", "--header", "C: d"], "header", ((b"a", b"b"), (b"c", b"d"))),
    ],
)
def test_flags(line: list[str], name: str, value: Any, served: Served) -> None:
    result = invoke(served, *line, "main:app")
    assert result.exit_code == 0, result.output
    assert getattr(served[0][1], name) == value


def test_every_setting_has_a_flag_in_the_help_page(served: Served) -> None:
    result = invoke(served, "--help")
    assert result.exit_code == 0
    for name, setting, _ in table():
        assert "--" + name.replace("_", "-") in result.output
        assert f"\n{setting.group}:\n" in result.output
    assert served == []


def test_the_help_page_shows_defaults_units_and_what_zero_means(served: Served) -> None:
    words = " ".join(invoke(served, "--help").output.split())
    assert "[default: 127.0.0.1:8000]" in words
    assert "[0: no limit; default: 75]" in words
    assert "[bytes a second; 0: no limit; default: 240]" in words


def test_the_version(served: Served) -> None:
    assert invoke(served, "--version").output.startswith("ianus 1.2.3 (")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], "Missing argument 'APP'"),
        (["main:app", "other:app"], "unexpected extra argument"),
        (["main:app", "--timeout-writ", "3"], "--timeout-write"),
        (["main:app", "--backlog", "many"], "Invalid value for '--backlog': 'many' is not a whole number."),
        (["main:app", "--backlog", "0"], "0 is out of range"),
        (["main:app", "-b", "localhost"], "'localhost' has no port; write localhost:8000."),
        (["main:app", "-b", "1.2.3.4:5", "-b", "1.2.3.4:5"], "1.2.3.4:5 is given twice"),
        (["main:app", "--loop", "trio"], "'trio' is not one of 'auto', 'asyncio', 'uvloop'"),
        (["main:app", "--header", "Content-Length: 3"], "cannot be added"),
    ],
)
def test_a_line_that_cannot_be_understood_exits_with_2(line: list[str], expected: str, served: Served) -> None:
    result = invoke(served, *line)
    assert result.exit_code == 2
    assert expected in result.output
    assert served == []


def test_the_shell_can_complete_options_and_choices() -> None:
    from click.shell_completion import ShellComplete

    command = build_command(lambda *_: 0, "1.2.3")
    complete = ShellComplete(command, {}, "ianus", "_IANUS_COMPLETE")
    assert "--timeout-write" in [item.value for item in complete.get_completions([], "--timeout-w")]
    assert {item.value for item in complete.get_completions(["--loop"], "")} == {"auto", "asyncio", "uvloop"}
    assert isinstance(command, click.Command)


@pytest.mark.parametrize("option", ["--host", "--port", "--uds", "--fd"])
def test_options_of_other_servers_are_told_what_to_use_instead(option: str) -> None:
    command = build_command(lambda app, settings: 0, "1")
    result = CliRunner().invoke(command, [option, "1", "main:app"])
    assert result.exit_code == 2
    assert f"No such option: {option}. " in result.stderr
    assert "--bind" in result.stderr
