"""`ianus docs [PAGE] [WORDS]` shows the documents that are installed with the package."""

import re
import sys
from pathlib import Path

import click

from ianus.commands.subcommand import SubCommand
from ianus.errors import PACKAGE_DIR, StartupError, closest_match

HELP = """Show the documents of this version.

Without PAGE, lists the pages. With WORDS, shows only the sections of the page with these words in the heading. If no
page has this name, PAGE and WORDS are searched in all pages, as for a message of the log.
"""

MAX_FOUND = 20
MAX_SHOWN_CHARACTERS = 160

# A fence of code, in which # does not start a heading.
FENCE = re.compile(r"^\s*```")
HEADING = re.compile(r"(#+) (.+)")

# The pages that a new user reads, in their order; the others follow.
FIRST = ("starting", "settings", "deployment", "operations", "tls", "messages")


def build_command() -> click.Command:
    def run(page: str | None, words: tuple[str, ...]) -> None:
        pages = find_pages()
        if not pages:
            raise StartupError("The documents are not installed with this package; reinstall it.")
        if page is None:
            click.echo(_list(pages), nl=False)
            click.echo("\n`ianus docs PAGE` shows a page, `ianus docs WORDS` searches all of them.")
            return
        name = page.removeprefix("docs/").removesuffix(".md")
        if words and f"{name}/{words[0]}" in pages:  # `ianus docs migrating uwsgi`
            name, words = f"{name}/{words[0]}", words[1:]
        path = pages.get(name) or pages.get(f"migrating/{name}")
        if path is None:
            _search(pages, [page, *words])
            return
        text = path.read_text(encoding="utf-8")
        _show(_sections(text, words, page) if words else text)

    return SubCommand(
        "docs",
        page="starting",
        params=[click.Argument(["page"], required=False), click.Argument(["words"], nargs=-1)],
        callback=run,
        help=HELP,
        context_settings={"ignore_unknown_options": True},  # An option is a word to search.
    )


def find_pages() -> dict[str, Path]:
    """Returns the paths of all pages by their names."""
    package = Path(PACKAGE_DIR)
    # A working copy has them next to the package.
    folder = next((each for each in (package / "docs", package.parent / "docs") if each.is_dir()), None)
    if folder is None:
        return {}
    found = {str(path.relative_to(folder).with_suffix("")): path for path in folder.rglob("*.md")}
    return {name: found[name] for name in (*(each for each in FIRST if each in found), *sorted(found))}


def _list(pages: dict[str, Path]) -> str:
    """Returns a line for each page, with its title."""
    width = max(map(len, pages))
    return "".join(f"{name:{width}}  {_title(path)}\n" for name, path in pages.items())


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()


def _show(text: str) -> None:
    if sys.stdout.isatty():
        click.echo_via_pager(text)
    else:
        click.echo(text, nl=not text.endswith("\n"))


def _sections(text: str, words: tuple[str, ...], page: str) -> str:
    """Returns the sections whose headings have all words, each with those below it."""
    shown, headings, level, is_code = [], [], 0, False
    for line in text.splitlines(keepends=True):
        is_code ^= FENCE.match(line) is not None
        heading = HEADING.match(line) if not is_code else None
        if heading is not None:
            headings.append(heading[2])
            depth = len(heading[1])
            if level and depth <= level:
                level = 0
            if not level and all(word.lower() in heading[2].lower() for word in words):
                level = depth
        if level:
            shown.append(line)
    if not shown:
        known = "".join(f"\n  {each}" for each in headings)
        raise click.ClickException(f"No heading of {page} has {' '.join(words)!r}. Its headings:{known}")
    return "".join(shown)


def _search(pages: dict[str, Path], words: list[str]) -> None:
    """Shows the lines that have all words. Raises ClickException if there are none, UsageError for an option."""
    wanted = " ".join(words).lower().split()
    found = [
        f"{name}: {line.strip()[:MAX_SHOWN_CHARACTERS]}"
        for name, path in pages.items()
        for line in path.read_text(encoding="utf-8").splitlines()
        if all(word in line.lower() for word in wanted)
    ]
    if not found:
        if words[0].startswith("-"):
            raise click.UsageError(f"No page has the option {' '.join(words)}. `ianus help docs` shows the line.")
        near = closest_match(words[0], pages)
        shown = " ".join(words)
        if near:
            raise click.ClickException(f"No page has {shown!r}. Did you mean {near}?")
        advice = "Search fewer words. The pages are" if len(words) > 1 else "The pages are"
        raise click.ClickException(f"No page has {shown!r}. {advice}:\n\n{_list(pages).rstrip()}")
    more = f"\n{len(found) - MAX_FOUND} further lines; add words." if len(found) > MAX_FOUND else ""
    _show("\n".join(found[:MAX_FOUND]) + more + "\n")
