"""The JSON Schema of ianus.toml agrees with the table, and with files that are read."""

import functools
import json
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import jsonschema
import pytest

from ianus.settings.json_schema import FILE_NAME, build_schema, schema_url
from ianus.settings.schema import Settings, inputs
from ianus.settings.sources import Configuration, read_sources
from ianus.settings.toml_dump import dump_toml
from tests.rows import for_each_row
from tests.settings.test_toml_dump import UNUSUAL

ROOT = Path(__file__).parents[2]

schema = functools.cache(build_schema)


def problems(text: str) -> list[str]:
    validator = jsonschema.Draft7Validator(schema())
    return [
        f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(tomllib.loads(text))
    ]


def test_the_shipped_schema_is_up_to_date() -> None:
    path = ROOT / "ianus" / "settings" / FILE_NAME
    shipped = json.loads(path.read_text())
    assert shipped == schema(), f"run: python -m ianus.settings.json_schema > {path.relative_to(ROOT)}"
    jsonschema.Draft7Validator.check_schema(shipped)


def test_the_printed_configuration_names_the_schema() -> None:
    first = dump_toml(Configuration("", Settings(), {})).splitlines()[0]
    assert first == f"#:schema {schema_url()}"
    assert json.loads(Path(url2pathname(urlsplit(schema_url()).path)).read_text()) == schema()


@pytest.mark.parametrize("settings", [Settings(), UNUSUAL])
def test_printed_settings_are_valid(settings: Settings) -> None:
    assert problems(dump_toml(Configuration("main:app", settings, {}))) == []


def test_every_default_is_valid() -> None:
    for name, description in schema()["properties"].items():
        if "default" in description:
            one: dict[str, Any] = {"type": "object", "properties": {name: description}}
            jsonschema.validate({name: description["default"]}, one)


@for_each_row("name", [name for name, _ in inputs() if name != "config"])
def test_every_setting_is_offered(name: str) -> None:
    description = schema()["properties"][name]
    assert description["description"]
    assert description.keys() & {"type", "enum", "anyOf"}


# A value that is wrong for the server too.
VALID = """
    bind = "127.0.0.1:8000"
    limit-request-line = "8K"
    keep-alive = 5
    timeout = "1m"
    workers = "auto"
    uds = "/run/x.sock"
    mount = { "/api" = "api:app" }
    header = ["A: b"]
    uds_permissions = "660"
    log-level = "debug"
"""


def test_other_names_and_forms_are_valid(nowhere: Path) -> None:
    assert problems(VALID) == []
    (nowhere / "ianus.toml").write_text(VALID.replace("uds = ", "# "))
    assert read_sources((), {}).settings.timeout == 60


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("wrokers = 4", ""),
        ("workers = 0", "workers"),
        ("backlog = 0", "backlog"),
        ("timeout = -1", "timeout"),
        ("timeout = '5x'", "timeout"),
        ("limit_request_line = '8Q'", "limit_request_line"),
        ("loop = 'gevent'", "loop"),
        ("preload = 3", "preload"),
        ("uds_permissions = 660", "uds_permissions"),
        ("bind = 80", "bind"),
        ("config = 'x.toml'", ""),
        ("[server]", ""),
    ],
)
def test_a_mistake_is_marked(line: str, name: str, nowhere: Path) -> None:
    assert [problem.partition(":")[0] for problem in problems(line)] == [name]
    (nowhere / "ianus.toml").write_text(line)
    with pytest.raises(ValueError, match=r"."):
        read_sources((), {})
