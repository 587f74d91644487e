"""Writes a migration as an ianus.toml."""

import re
import textwrap
from collections.abc import Iterator, Sequence

from ianus.errors import ConflictError, StartupError
from ianus.migrate.migration import Migration, Note, setting_of
from ianus.settings.layers import Given
from ianus.settings.schema import EXTRA_INPUTS, Settings, table
from ianus.settings.toml_dump import format_literal

COLUMN = 48  # the column of comments
WIDTH = 110  # columns of a line of advice


def write_page(migration: Migration, source: str) -> str:
    """Returns the text of the file. source: the command or the file, for the first line."""
    return "".join(f"{line}\n" for line in _lines(migration, source))


def _lines(migration: Migration, source: str) -> Iterator[str]:
    yield f"# Migrated from {migration.server}: {_clean(', '.join([source, *migration.files]))}"
    yield "# `ianus --check-config` checks this file, saved as ianus.toml; `ianus` serves it."
    guide = migration.server.lower().replace(" ", "-")
    yield f"# `ianus docs migrating/{guide}` has the differences that no setting removes."
    if problem := _conflict(migration):
        yield f"# Not valid yet: {_clean(problem)}"
    yield ""
    yield _entry("app", _text(migration.app)) if migration.app else '# app = "main:app"  # or on the command line'
    if migration.host:
        yield _entry("host", _text(migration.host), "with the port of the variable PORT, or 8000")
    order = [name for name, _, _ in table()]
    for name in sorted(migration.settings, key=order.index):
        entry = migration.settings[name]
        yield _entry(name, format_literal(setting_of(name), entry.value), entry.comment)
    if migration.env_files:
        yield f"env_file = {format_literal(EXTRA_INPUTS['env_file'], tuple(migration.env_files))}"
    if migration.environment:
        variables = [f"{name}={value}" for name, value in migration.environment.items()]
        yield f"env = {format_literal(EXTRA_INPUTS['env'], tuple(variables))}"
    defaults = migration.differing_defaults()
    if defaults:
        yield ""
        yield f"# Defaults of {migration.server}. Remove a line to have the default of Ianus."
        ours = {name: default for name, _, default in table()}
        for name in sorted(defaults, key=order.index):
            own = _default_of(name, ours[name])
            yield _entry(name, format_literal(setting_of(name), defaults[name]), f"Ianus: {own}")
    yield from _notes("Without an equivalent setting", migration.notes)
    yield from _notes("Not needed", migration.unneeded)


def _entry(name: str, literal: str, comment: str = "") -> str:
    entry = f"{name} = {literal}"
    return f"{entry:{COLUMN - 2}}  # {_clean(comment)}" if comment else entry


def _text(value: str) -> str:
    return format_literal(EXTRA_INPUTS["app"], value)


def _clean(text: str) -> str:
    """Returns a text without characters that would end a comment, or that TOML does not permit in one."""
    return "".join(each if each.isprintable() else " " for each in text)


def _notes(title: str, notes: Sequence[Note]) -> Iterator[str]:
    if notes:
        yield ""
        yield f"# {title}:"
        for note in dict.fromkeys(notes):
            yield f"#   {_clean(note.written)}"
            yield from textwrap.wrap(
                _clean(note.advice), WIDTH, initial_indent="#       ", subsequent_indent="#       "
            )


def _default_of(name: str, value: object) -> str:
    """Describes the default of a setting."""
    setting = setting_of(name)
    if name == "access_log_format":
        return "combined, with the duration"
    if value is not None:
        return format_literal(setting, value)
    match = re.search(r"by default ([^ ]+)\.$", setting.summary)
    return match[1] if match else "none"


def _conflict(migration: Migration) -> str:
    """Returns the problem of settings that do not go together; "" if there is none."""
    values = {name: entry.value for name, entry in migration.settings.items()} | dict(migration.differing_defaults())
    try:
        Settings.from_layer({name: Given(name, value, name, name) for name, value in values.items()})
    except ConflictError as error:
        return error.message
    except StartupError as error:
        return error.message
    return ""
