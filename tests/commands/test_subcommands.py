"""Sub-commands: each can be run, and none hides an application of its name."""

import platform
import re
import ssl
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ianus._version import __version__
from ianus.commands import SUBCOMMANDS, build_subcommand, find_subcommand
from ianus.commands.docs import find_pages
from ianus.commands.serving import build_serving_command
from tests.rows import for_each_row

pytestmark = pytest.mark.usefixtures("nowhere")


def invoke(*line: str) -> Result:
    command = find_subcommand(line)
    assert command is not None
    return CliRunner().invoke(command, line[1:], prog_name=f"ianus {line[0]}")


@for_each_row(
    ("line", "expected"),
    [
        (["completion", "bash"], "completion"),
        (["completion", "main:app"], "completion"),
        (["completion"], "completion"),
        (["completion", "--help"], "completion"),
        (["completion:app", "bash"], None),
        (["--factory", "completion", "bash"], None),
        (["main:app", "completion"], None),
        ([], None),
    ],
)
def test_a_sub_command_is_the_first_word(line: list[str], expected: str | None) -> None:
    command = find_subcommand(line)
    assert (command.name if command is not None else None) == expected


@pytest.mark.parametrize("file", ["version.py", "version/__init__.py", "src/version.py"])
def test_an_application_may_have_the_name_of_a_sub_command(file: str, nowhere: Path) -> None:
    path = nowhere / file
    path.parent.mkdir(exist_ok=True)
    path.touch()
    options = ["--app-dir=src"] if file.startswith("src/") else []
    assert find_subcommand(["version", *options]) is None
    assert find_subcommand(["version", "--reload", *options]) is None
    assert find_subcommand(["version", "x", *options]) is not None, "a line serves one application"


@pytest.mark.parametrize("variable", ["IANUS_APP_DIR", "PYTHONPATH"])
def test_variables_name_folders_of_applications(variable: str, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nowhere / "src").mkdir()
    (nowhere / "src/version.py").touch()
    assert find_subcommand(["version"]) is not None
    monkeypatch.setenv(variable, "src")
    assert find_subcommand(["version"]) is None


def test_a_folder_that_is_not_a_package_is_not_an_application(nowhere: Path) -> None:
    (nowhere / "help").mkdir()
    assert find_subcommand(["help"]) is not None


@for_each_row("name", SUBCOMMANDS)
def test_each_sub_command_has_help(name: str) -> None:
    assert build_subcommand(name).name == name
    for line in ([name, "--help"], [name, "-h"], ["help", name]):
        result = invoke(*line)
        assert result.exit_code == 0
        assert result.output.startswith(f"Usage: ianus {name} ")


@pytest.mark.parametrize(("word", "near"), [("chek", "check"), ("migrat", "migrate"), ("hlep", "help")])
def test_a_misspelled_sub_command_is_named(word: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        find_subcommand([word, "main:app"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        f"Error: There is no sub-command {word}. Did you mean {near}? (ianus docs starting)\n"
    )
    assert find_subcommand([f"{word}:app", "x"]) is None


@for_each_row(
    ("word", "advice"),
    [
        ("versoin", "Did you mean version?"),
        ("inti", "Did you mean init?"),
        ("dve", "Did you mean dev?"),
        ("migrat", "Did you mean migrate?"),
        ("doc", "Did you mean docs?"),
        ("chekc", "Did you mean check?"),
        ("dev-certs", "Did you mean dev-cert?"),
        ("check-config", "Did you mean --check-config?"),
        ("print-config", "Did you mean --print-config?"),
        ("start", "Name the application, as in `ianus main:app`; `ianus` alone finds it."),
    ],
)
def test_a_word_alone_may_be_a_misspelled_sub_command(
    word: str, advice: str, nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in ([word], [word, "--reload"]):
        with pytest.raises(SystemExit) as caught:
            find_subcommand(line)
        assert caught.value.code == 2
        assert capsys.readouterr().err == f"Error: There is no sub-command {word}. {advice} (ianus docs starting)\n"
    assert find_subcommand([f"{word}:app"]) is None
    # An application may have this name.
    file = nowhere / f"{word}.py"
    file.touch()
    assert find_subcommand([word]) is None
    assert find_subcommand([word, "--reload"]) is None
    file.unlink()


@pytest.mark.parametrize("word", ["main", "app", "chess", "shop.wsgi", "json", "my_docs"])
def test_other_words_are_applications(word: str) -> None:
    assert find_subcommand([word]) is None


def test_help_has_the_options_and_the_sub_commands() -> None:
    result = invoke("help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ianus [OPTIONS] [APP]\n")
    assert "--bind" in result.output
    assert "\nSub-commands:\n" in result.output
    for name, sentence in SUBCOMMANDS.items():
        assert f"  {name} " in result.output
        assert sentence in " ".join(result.output.split())


def test_help_of_an_unknown_word_names_the_sub_commands() -> None:
    result = invoke("help", "me")
    assert result.exit_code == 2
    assert "'me' is not one of " in result.output


def test_the_version() -> None:
    first, second = invoke("version").output.splitlines()
    assert first == f"ianus {__version__} (CPython {platform.python_version()})"
    # Each engine has its name there, so this holds for any build of Python.
    assert second in {f"TLS by {ssl.OPENSSL_VERSION}, engine {name}" for name in ("openssl", "python")}


@pytest.mark.parametrize(("shell", "expected"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete ")])
def test_the_script_that_completes(shell: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    completed = subprocess.CompletedProcess((), 0, b"5.2.15")  # click asks bash for its version
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: completed)
    result = invoke("completion", shell)
    assert result.exit_code == 0
    assert expected in result.output
    assert f"_IANUS_COMPLETE={shell}_complete" in result.output


def test_the_script_of_an_unknown_shell() -> None:
    result = invoke("completion", "tcsh")
    assert result.exit_code == 2
    assert "Error: 'tcsh' is not one of bash, zsh, fish. (ianus docs starting)\n" in result.stderr


def test_no_shell_is_explained() -> None:
    assert (
        "Error: No shell is given; name one of bash, zsh, fish. (ianus docs starting)\n" in invoke("completion").stderr
    )


@for_each_row("name", sorted(SUBCOMMANDS.keys() - {"dev", "docs", "migrate"}))
def test_an_error_of_each_line_names_its_page(name: str) -> None:
    # migrate takes all words of a command, dev all options of `ianus`, and docs searches all words.
    result = invoke(name, "--no-such-option")
    assert result.exit_code == 2
    page = re.search(r"\(ianus docs ([\w/]+)\)$", result.stderr.rstrip())
    assert page is not None, result.stderr
    assert page[1] in find_pages()


@for_each_row(
    ("line", "problem"),
    [
        ("check --bogus", "No such option: --bogus. `ianus help check` lists the options."),
        ("check main:app --jsn", "No such option: --jsn. Did you mean --json?"),
        ("check -json main:app", "No such option: -json. It has two dashes: --json."),
        ("check main:app --app_dri=. -x", "No such option: --app-dri. Did you mean --app-dir?"),
        ("check main:app --app_dri=. -x", "No such option: -x. `ianus help check` lists the options."),
        ("check main:app --workers 3", "No such option: --workers. It is an option of `ianus APP` alone."),
        ("check main:app --no-access-log", "No such option: --no-access-log. It is an option of `ianus APP` alone."),
        ("check main:app -w 3", "No such option: -w. It is an option of `ianus APP` alone."),
        ("check main:app --timeout x", "--timeout: 'x' is not a time, such as 10 or 0.5 (seconds), 500ms, 5m or 1h."),
        ("check main:app --timeout 0", "--timeout: 0 is too short for a response; write at least 0.1."),
        ("check main:app --interface asg", "--interface: 'asg' is not one of auto, asgi, asgi3, asgi2, wsgi. Did you"),
        ("check main:app --host", "Option '--host' requires an argument."),
        ("dev-cert --forc", "No such option: --forc. Did you mean --force?"),
        ("docs --no-such-word", "No page has the option --no-such-word. `ianus help docs` shows the line."),
        ("help chek", " Did you mean check?"),
        ("init here", "Unexpected: here. `ianus help init` shows the line."),
        ("version all of it", "Unexpected: all of it. `ianus help version` shows the line."),
        ("migrate --output x.toml gunicorn.conf.py", "No such option: --output. The file or the command is first;"),
    ],
)
def test_an_error_of_a_line_has_advice(line: str, problem: str) -> None:
    result = invoke(*line.split())
    assert result.exit_code in (1, 2)
    assert problem in result.stderr


def test_underscores_of_options_are_dashes() -> None:
    assert invoke("check", "main:app", "--app_dir", "missing").exit_code == 3


def test_all_unknown_options_of_a_line_are_reported() -> None:
    assert "Error: This line has 2 problems.\n  No such option: --one." in invoke("check", "--one", "x", "--two").stderr


def test_an_option_without_its_value_names_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        build_serving_command().main(["main:app", "--config"], "ianus")
    assert capsys.readouterr().err.endswith("Error: Option '--config' requires an argument. (ianus docs settings)\n")
