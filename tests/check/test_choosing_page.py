"""docs/choosing.md shows the output of the command, and options and anchors that exist."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ianus.commands import build_subcommand

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "choosing.md").read_text()


def without_figures(text: str) -> str:
    """Replaces times, and numbers of workers and CPUs, which depend on the machine."""
    text = re.sub(r"[0-9.]+ ms", "N ms", text)
    return re.sub(r"(workers:? |--workers |change below, |\()[0-9]+", r"\1N", text)


@pytest.mark.slow
def test_the_example_has_the_output_that_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```console\n\$ ianus check shop:app / /slow\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "shop.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(build_subcommand("check"), ["shop:app", "/", "/slow"])
    assert result.exit_code == 1
    assert without_figures(result.stdout) == without_figures(shown)


def test_the_options_of_the_command_are_those_of_the_page() -> None:
    flags = {flag for param in build_subcommand("check").params for flag in param.opts if flag.startswith("--")}
    table = PAGE.partition("| option | |")[2].partition("\n\n")[0]
    assert set(re.findall(r"--[a-z][a-z-]+", table)) == flags


def test_links_to_sections_of_other_pages_lead_to_headings() -> None:
    for page, anchor in re.findall(r"\]\(([a-z]*\.?m?d?)#([a-z-]+)\)", PAGE):
        text = (ROOT / "docs" / page).read_text() if page else PAGE
        titles = re.findall("^#+ (.*)", text, re.MULTILINE)
        headings = [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles]
        assert anchor in headings, (page, anchor)
