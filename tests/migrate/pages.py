"""Pages that `ianus migrate` prints, as tests read them."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ianus.migrate.command import migrate
from ianus.settings.sources import Configuration, read_sources

SECTIONS = {
    "# Defaults of": "defaults",
    "# Without an equivalent setting:": "notes",
    "# Not needed:": "unneeded",
}


class Page(NamedTuple):
    """The parts of a page.

    given, defaults: the entries of the source, and those of the server's defaults. notes, unneeded: the text of these
    sections.
    """

    text: str
    given: dict[str, Any]
    defaults: dict[str, Any]
    notes: str
    unneeded: str


def read_page(*words: str) -> Page:
    """Migrates a command or a file."""
    return parse_page(migrate(words))


def parse_page(text: str) -> Page:
    parts: dict[str, list[str]] = {"given": [], "defaults": [], "notes": [], "unneeded": []}
    section = "given"
    for line in text.splitlines():
        section = next((name for start, name in SECTIONS.items() if line.startswith(start)), section)
        parts[section].append(line)
    joined = {name: "\n".join(lines) for name, lines in parts.items()}
    return Page(
        text,
        tomllib.loads(joined["given"]),
        tomllib.loads(joined["defaults"]),
        joined["notes"],
        joined["unneeded"],
    )


def load_page(page: Page, folder: Path, environ: Sequence[tuple[str, str]] = ()) -> Configuration:
    """Reads a page as the file of a server in the current directory, which is `folder`."""
    (folder / "ianus.toml").write_text(page.text)
    return read_sources([], dict(environ))
