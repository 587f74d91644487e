"""Generates the JSON Schema of ianus.toml from the table of settings, so that editors complete and check the file.

python -m ianus.settings.json_schema > ianus/settings/ianus.schema.json
"""
# ruff: noqa: PTH118  (pathlib takes 5 ms to import)

import json
import os
import re
from typing import Any

from ianus.errors import PACKAGE_DIR
from ianus.settings.schema import EXTRA_INPUTS, table
from ianus.settings.setting import Alias, Setting
from ianus.settings.values import boolean_to_text

FILE_NAME = "ianus.schema.json"

Schema = dict[str, Any]

_TIME: Schema = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^[0-9.]+(ms|s|m|h)?$"}]}
_SIZE: Schema = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^[0-9]+([KkMmGg]([Ii]?[Bb])?)?$"}]
}
# A number would be read as decimal.
_OCTAL: Schema = {"type": "string", "pattern": "^(0o)?[0-7]{1,4}$"}


def build_schema() -> Schema:
    """Returns the schema. Other names of a setting are patterns, so that editors check and do not offer them."""
    # A file cannot name another one.
    inputs = [(name, setting, None) for name, setting in EXTRA_INPUTS.items() if name != "config"]
    entries = [*table(), *inputs]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Settings of Ianus",
        "description": "ianus.toml, or the table tool.ianus of pyproject.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _describe(setting, default) for name, setting, default in entries},
        "patternProperties": {
            pattern: {"$ref": f"#/properties/{name}"} if alias is None or alias.convert is str else {}
            for name, setting, _ in entries
            for pattern, alias in _other_names(name, setting)
        },
    }


def schema_url() -> str:
    """Returns the address of the schema that is installed."""
    from urllib.request import pathname2url

    return f"file://{pathname2url(os.path.join(PACKAGE_DIR, 'settings', FILE_NAME))}"


def _describe(setting: Setting, default: object) -> Schema:
    notes = [setting.summary, setting.details, f"In {setting.unit}." if setting.unit else ""]
    if setting.zero_means:
        notes.append(f"0: {setting.zero_means}.")
    schema: Schema = {"description": " ".join(filter(None, notes))}
    if default is not None:
        texts = setting.texts(default)
        is_plain = isinstance(default, (bool, int, str)) and setting.metavar not in ("SIZE", "OCTAL")
        schema["default"] = default if is_plain else texts if setting.repeatable else texts[0] if texts else ""
    one = _one_value(setting)
    if not setting.repeatable:
        return schema | one
    forms = [one, {"type": "array", "items": one}]
    if setting.is_table:
        values = {"type": "string"}
        forms.append(
            {"type": "object", "additionalProperties": {"anyOf": [values, {"type": "array", "items": values}]}}
        )
    return schema | {"anyOf": forms}


def _one_value(setting: Setting) -> Schema:
    if setting.to_text is boolean_to_text:
        return {"type": "boolean"}
    if setting.choices:
        return {"enum": list(setting.choices)}
    known: dict[str, Schema] = {
        "N": {"type": "integer", "minimum": _minimum(setting)},
        "MS": {"type": "integer", "minimum": 0},
        "PORT": {"type": "integer", "minimum": 0, "maximum": 65535},
        "auto|N": {"anyOf": [{"enum": ["auto"]}, {"type": "integer", "minimum": 1}]},
        "SIZE": _SIZE,
        "TIME": _TIME,
        "OCTAL": _OCTAL,
    }
    return known.get(setting.metavar, {"type": "string"})


def _minimum(setting: Setting) -> int:
    try:
        setting.parse(0)
    except ValueError:
        return 1
    return 0


def _other_names(name: str, setting: Setting) -> list[tuple[str, Alias | None]]:
    """Returns patterns for the names with dashes, and those of other servers."""
    named: list[tuple[str, Alias | None]] = [(name, None)] if "_" in name else []
    named += [(alias.name, alias) for alias in setting.aliases]
    # A name with underscores of its own is a property already.
    return [(f"^{re.escape(each).replace('_', '-' if alias is None else '[-_]')}$", alias) for each, alias in named]


if __name__ == "__main__":
    print(json.dumps(build_schema(), indent=2, ensure_ascii=False))
