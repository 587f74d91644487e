"""The modules and names in docs/naming.md and docs/architecture.md exist in the code."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ianus"
PAGES = ("naming.md", "architecture.md")
SUFFIXES = (".py", ".pyx", ".pxd", ".pyi")


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def _spans(text: str) -> set[str]:
    """The code spans of a page, without its code blocks."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)))


def _sources() -> list[Path]:
    return [path for path in PACKAGE.rglob("*") if path.suffix in SUFFIXES]


@cache
def _words() -> frozenset[str]:
    """All identifiers in the source of the package."""
    return frozenset(word for path in _sources() for word in re.findall(r"\w+", path.read_text()))


def _module_exists(path: str) -> bool:
    """Returns whether a path relative to the package, with or without suffix, is a module or a folder."""
    return any((PACKAGE / f"{path}{suffix}").exists() for suffix in ("", *SUFFIXES))


def _modules(text: str) -> list[str]:
    """The code spans that are paths in the package."""
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    return sorted(span for span in _spans(text) if "/" in span and span.split("/")[0] in folders)


@pytest.mark.parametrize("name", PAGES)
def test_each_module_of_the_page_exists(name: str) -> None:
    modules = _modules(_page(name))
    assert len(modules) > 20
    assert [module for module in modules if not _module_exists(module)] == []


@pytest.mark.parametrize("name", PAGES)
def test_each_link_to_a_file_leads_to_one(name: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", _page(name))
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []


def test_each_link_of_the_glossary_is_the_module_that_its_text_names() -> None:
    links = re.findall(r"\[`([^`]+)`\]\(\.\./ianus/([^)]+)\)", _page("naming.md"))
    assert len(links) > 40
    assert [link for link in links if link[0] != str(Path(link[1]).with_suffix(""))] == []


@pytest.mark.parametrize("name", PAGES)
def test_each_name_of_the_page_is_in_the_code(name: str) -> None:
    # Options of the command line, file names, classes of asyncio and prefixes are not names of the package.
    spans = {span.removesuffix("()") for span in _spans(_page(name))}
    names = {span for span in spans if re.fullmatch(r"[A-Za-z]\w*[A-Za-z0-9]", span)} - {"NOUN_UNIT", "MIN"}
    assert len(names) > 20
    assert sorted(names - _words()) == []


def test_each_phrase_of_the_log_is_in_a_message() -> None:
    table = _page("naming.md").partition("### Words of the log")[2]
    phrases = re.findall(r"^\|.*\| `([^`]+)` \|$", table, re.MULTILINE)
    assert len(phrases) > 5
    source = "\n".join(path.read_text() for path in _sources() if path.suffix in {".py", ".pyx"})
    assert [phrase for phrase in phrases if phrase not in source] == []
