"""ianus docs: pages, sections and a search, from the documents of the package."""

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ianus.commands import build_subcommand
from ianus.commands import docs as module
from ianus.errors import PACKAGE_DIR, SettingError, StartupError, ThreadLimitError
from tests.rows import for_each_row

ROOT = Path(__file__).parents[2]


def docs(*line: str) -> Result:
    return CliRunner().invoke(build_subcommand("docs"), line)


def test_all_pages_are_listed_with_their_titles() -> None:
    lines = docs().output.splitlines()
    assert re.fullmatch(r"starting +Starting", lines[0])
    assert len(lines) == len(list((ROOT / "docs").rglob("*.md"))) + 2


@pytest.mark.parametrize("name", ["hooks", "hooks.md", "docs/hooks.md"])
def test_a_page_is_shown(name: str) -> None:
    assert docs(name).output == (ROOT / "docs/hooks.md").read_text()


def test_a_section_is_shown_with_those_below_it() -> None:
    output = docs("operations", "PROC", "esses").output
    assert output.startswith("## Processes\n")
    assert "### Balance" in output
    assert not re.search(r"^## (?!Processes)", output, re.MULTILINE)


def test_a_comment_in_code_is_not_a_heading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n## One\n```\n# a comment\n```\nend\n## Two\n")
    monkeypatch.setattr(module, "find_pages", lambda: {"page": page})
    assert docs("page", "one").output == "## One\n```\n# a comment\n```\nend\n"


def test_an_unknown_section_lists_the_headings() -> None:
    result = docs("starting", "zzz")
    assert result.exit_code == 1
    assert (
        "No heading of starting has 'zzz'. Its headings:\n  Starting\n  The name of the application\n" in result.stderr
    )


@pytest.mark.parametrize("words", [("worker", "failed to start"), ("WORKER FAILED to", "start")])
def test_words_are_searched_in_all_pages(words: tuple[str, ...]) -> None:
    assert "messages: | ERROR | `worker failed to start (<exit>): <worker>`" in docs(*words).output


def test_an_option_is_searched() -> None:
    assert "settings: | `--hsts`" in docs("--hsts").output
    result = docs("--lst")
    assert result.exit_code == 2
    assert "Error: No page has the option --lst. `ianus help docs` shows the line." in result.stderr


def test_a_long_result_is_cut() -> None:
    lines = docs("the").output.splitlines()
    assert len(lines) == module.MAX_FOUND + 1
    assert re.fullmatch(r"\d+ further lines; add words\.", lines[-1])


def test_words_that_no_page_has() -> None:
    assert docs("setings").stderr == "Error: No page has 'setings'. Did you mean settings?\n"
    for words, advice in ((("zzzz",), ""), (("zzzz", "yyyy"), "Search fewer words. ")):
        first, empty, *pages = docs(*words).stderr.splitlines()
        assert first == f"Error: No page has {' '.join(words)!r}. {advice}The pages are:"
        assert [*pages, empty] == docs().output.splitlines()[: len(pages) + 1]


def test_a_package_without_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE_DIR", f"{tmp_path}/ianus/")
    assert "reinstall it" in docs().stderr


def test_the_pages_of_errors_exist() -> None:
    assert {each.page for each in (StartupError, SettingError, ThreadLimitError)} <= module.find_pages().keys()


def test_a_folder_of_pages_follows_its_index() -> None:
    names = list(module.find_pages())
    assert names[names.index("migrating") + 1] == "migrating/daphne"


def test_messages_name_pages_by_the_command() -> None:
    """An installed package has no docs/ next to it, so a message that names docs/settings.md leads nowhere."""
    found = []
    for path in Path(PACKAGE_DIR).rglob("*.py"):
        source = path.read_text()
        if "docs/" not in source:
            continue
        tree = ast.parse(source)
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        docstrings = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
                found += [f"{path.name}:{node.lineno} {each}" for each in re.findall(r"docs/[\w/-]+\.md", node.value)]
    assert found == []
    pages = module.find_pages()
    for path in Path(PACKAGE_DIR).rglob("*.py"):
        named = re.findall(r"`ianus docs ([\w/-]+)`", path.read_text())
        assert {each for each in named if each.islower()} <= pages.keys(), path


@for_each_row("line", ["uwsgi", "migrating uwsgi", "migrating/uwsgi", "docs/migrating/uwsgi.md"])
def test_the_page_of_a_server_is_found_by_its_name(line: str) -> None:
    assert docs(*line.split()).output.startswith("# From uWSGI\n")


def test_words_after_the_page_of_a_server_select_its_sections() -> None:
    assert docs("migrating", "uwsgi", "nginx").output.startswith("## nginx\n")
    assert docs("gunicorn").output.startswith("# Configuration files of gunicorn")
