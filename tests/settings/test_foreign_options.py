"""Options of other servers that are not settings: each is ignored with a reason, or refused with a hint."""

import pytest

from ianus.settings.foreign_options import HINTS, IGNORED_BY_NAME, IGNORED_OPTIONS, hint, ignored_warning
from ianus.settings.schema import NAMES


def test_an_option_has_one_answer() -> None:
    ignored = [flag for option in IGNORED_OPTIONS for flag in option.flags.split()]
    assert len(set(ignored)) == len(ignored)
    assert set(ignored).isdisjoint(HINTS)


@pytest.mark.parametrize("flag", [*HINTS, *(f"--{name.replace('_', '-')}" for name in IGNORED_BY_NAME)])
def test_no_option_is_a_setting(flag: str) -> None:
    assert flag.lstrip("-").replace("-", "_") not in NAMES


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("worker_class", "gthread", "worker_class='gthread' has no effect: Ianus has one kind of worker."),
        ("worker_class", "gevent", ""),
        ("respawn_interval", 3.5, "respawn_interval=3.5 has no effect: a worker that crashes repeatedly is replaced"),
        ("master", True, "master has no effect: a supervisor is always started."),
        ("no_use_colors", True, "no_use_colors has no effect: the log has no colours."),
        ("backlog", 5, ""),
        ("daemon", True, ""),
    ],
)
def test_ignored_values(name: str, value: object, expected: str) -> None:
    warning = ignored_warning(name, value)
    assert warning.startswith(expected)
    assert bool(warning) is bool(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("worker_class", "Remove it: Ianus has one kind of worker."),
        ("daemon", "The server runs in the foreground; start it with systemd, a container or a similar manager."),
        ("no_ws", "Write --ws none."),
        ("backlog", ""),
        ("k", ""),
    ],
)
def test_hints(name: str, expected: str) -> None:
    assert hint(name) == expected


@pytest.mark.parametrize("text", [*HINTS.values(), *(f"{option.reason}." for option in IGNORED_OPTIONS)])
def test_each_answer_is_a_sentence(text: str) -> None:
    assert text.endswith(".")
    assert not text.endswith("..")
