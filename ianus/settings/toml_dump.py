"""Formats a configuration as TOML, for --print-config."""

import json
from collections.abc import Iterator

from ianus.settings.json_schema import schema_url
from ianus.settings.schema import table
from ianus.settings.setting import Setting
from ianus.settings.sources import Configuration
from ianus.settings.values import permissions

COLUMN = 48  # the column of the origins


def dump_toml(configuration: Configuration) -> str:
    """Formats every setting with its value, valid as ianus.toml, and the origin as a comment."""
    return "".join(f"{line}\n" for line in _lines(configuration))


def _lines(configuration: Configuration) -> Iterator[str]:
    yield f"#:schema {schema_url()}\n"
    app = _quoted(configuration.app) if configuration.app else ""
    yield _line("app", app, configuration.origins.get("app", "not set"))
    group = ""
    groups = list(dict.fromkeys(setting.group for _, setting, _ in table()))
    # Settings of one group are not all beside each other in the table.
    for name, setting, _ in sorted(table(), key=lambda row: groups.index(row[1].group)):
        if setting.group != group:
            group = setting.group
            yield f"\n# {group}"
        value = getattr(configuration.settings, name)
        origin = configuration.origins.get(name, "default")
        if setting.is_secret and value:
            # A comment, since the text in place of the value would be a wrong one.
            yield _line(f"# {name}", '"********"', origin)
        else:
            yield _line(name, format_literal(setting, value), origin)


def _line(name: str, literal: str, origin: str) -> str:
    entry = f"{name} = {literal}" if literal else f"# {name} ="  # TOML has no null.
    return f"{entry:{COLUMN - 2}}  # {origin}"


def format_literal(setting: Setting, value: object) -> str:
    """Formats a checked value of a setting for TOML; "" for None, which TOML does not have."""
    texts = setting.texts(value)
    if setting.repeatable:
        return f"[{', '.join(map(_quoted, texts))}]"
    if not texts:
        return ""
    is_bare = isinstance(value, bool) or (isinstance(value, int) and texts[0] == str(value))
    is_bare &= setting.parse is not permissions  # The permissions 640 are not the number 640.
    return texts[0] if is_bare else _quoted(texts[0])


def _quoted(text: str) -> str:
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    # Strings of JSON are strings of TOML, except DEL, and characters that JSON does not need to escape.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
