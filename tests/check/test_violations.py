"""Each seeded violation is found, with its rule and its line, and correct applications have none."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ianus.check import asgi_driver, wsgi_driver
from tests.check import bad_asgi, bad_wsgi, good_apps
from tests.check.checking import check


def applications(module: ModuleType) -> list[Callable[..., Any]]:
    found = [each for _, each in inspect.getmembers(module, inspect.isfunction) if each.__module__ == module.__name__]
    return [
        each
        for each in found
        if len(inspect.signature(each).parameters) > 1 and each.__name__ not in {"start", "is_answered"}
    ]


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams are observed for a shorter time than by the command."""
    monkeypatch.setattr(asgi_driver, "STREAM_SECONDS", 0.2)
    monkeypatch.setattr(asgi_driver, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr(asgi_driver, "END_SECONDS", 0.5)
    monkeypatch.setattr(asgi_driver, "MAX_REPEATS", 2)
    monkeypatch.setattr(wsgi_driver, "STREAM_SECONDS", 0.2)
    monkeypatch.setattr(wsgi_driver, "MAX_REPEATS", 2)


BAD = applications(bad_asgi) + applications(bad_wsgi)


def seeded(app: Callable[..., Any]) -> set[tuple[str, int]]:
    """The rules and lines that the comments of an application have."""
    lines, first = inspect.getsourcelines(app)
    return {
        (rule, first + index)
        for index, line in enumerate(lines)
        if (match := re.search(r"#((?: (?:asgi|wsgi|http)-[a-z-]+)+)$", line))
        for rule in match[1].split()
    }


def test_there_are_enough_seeded_violations() -> None:
    assert len(applications(bad_asgi)) >= 20
    assert len(applications(bad_wsgi)) >= 20
    assert all(seeded(each) for each in BAD)


def name_of(app: Callable[..., Any]) -> str:
    return f"{app.__module__.rpartition('.')[2]}.{app.__name__}"


def params(apps: list[Callable[..., Any]]) -> list[Any]:
    """The applications as parameters. Those that do not end take longer."""
    unending = {bad_asgi.endless, good_apps.asgi_stream, good_apps.wsgi_stream}
    return [pytest.param(each, marks=pytest.mark.slow if each in unending else ()) for each in apps]


@pytest.mark.parametrize("app", params(BAD), ids=name_of)
def test_a_seeded_violation_is_found_at_its_line(app: Callable[..., Any]) -> None:
    result = check(app, timeout=5.0)
    found = {(each.rule, each.place.line) for each in result.violations if each.place is not None}
    assert found == seeded(app)
    assert all(each.place and Path(each.place.file).name.startswith("bad_") for each in result.violations)


FINISHING = [
    each for each in applications(good_apps) if each.__name__ not in {"respond", "wsgi_never", "asgi_blocks_for_ever"}
]


@pytest.mark.slow
@pytest.mark.parametrize("app", params(FINISHING), ids=name_of)
def test_a_correct_application_has_no_violation(app: Callable[..., Any]) -> None:
    result = check(app)
    assert [each.message for each in result.violations] == []
    assert [each.status for each in result.measurements] == [200]
