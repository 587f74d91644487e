"""`ianus migrate` prints a file, or one message."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ianus.commands import build_subcommand

pytestmark = pytest.mark.usefixtures("nowhere")


def invoke(*line: str) -> Result:
    return CliRunner().invoke(build_subcommand("migrate"), line, prog_name="ianus migrate")


def test_a_command_is_migrated_with_its_options() -> None:
    result = invoke("gunicorn", "--workers", "4", "--help-me", "main:app", "-h")
    assert result.exit_code == 0
    assert "workers = 4\n" in result.stdout
    assert 'app = "main:app"\n' in result.stdout


def test_the_help_is_that_of_the_sub_command() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    assert "FILE|COMMAND..." in result.stdout


@pytest.mark.parametrize(("line", "code"), [([], 2), (["no-such-file"], 2), (["gunicorn.conf.py"], 3)])
def test_a_failure_is_one_message(line: list[str], code: int, nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").write_text("1 / 0")
    result = invoke(*line)
    assert result.exit_code == code
    assert "Error: " in result.stderr
    assert not result.stdout


def test_no_word_is_explained_with_examples() -> None:
    assert invoke().stderr.endswith(
        "Error: No configuration is given; name a file or a command, as in `ianus migrate gunicorn.conf.py` or"
        " `ianus migrate gunicorn -w 4 main:app`. (ianus docs migrating)\n"
    )


def test_a_directory_and_a_file_of_yaml_are_explained(nowhere: Path) -> None:
    (nowhere / "compose.yml").write_text("services: {}\n")
    assert "Error: .: this is a directory. Name a file or a command" in invoke(".").stderr
    assert "compose.yml: .yml files cannot be read. If it has the command of a server" in invoke("compose.yml").stderr


def test_words_after_a_file_are_explained(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").touch()
    assert invoke("gunicorn.conf.py", "-o", "x.toml").stderr == (
        "Error: No server is found in: gunicorn.conf.py -o x.toml. Give one file alone, as in `ianus migrate"
        " gunicorn.conf.py`; the result is on standard output. (ianus docs migrating)\n"
    )
