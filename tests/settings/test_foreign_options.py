"""Options of other servers that are not settings: each is ignored with a reason, or refused with a hint."""

from ianus.settings.foreign_options import (
    HINTS,
    IGNORED_BY_FLAG,
    IGNORED_OPTIONS,
    REJECTED_SWITCHES,
    hint,
    ignored_warning,
)
from ianus.settings.schema import NAMES
from tests.rows import for_each_row


def test_an_option_has_one_answer() -> None:
    ignored = [flag for option in IGNORED_OPTIONS for flag in option.flags.split()]
    assert len(set(ignored)) == len(ignored)
    assert set(ignored).isdisjoint(HINTS)


def test_rejected_switches_are_rejected_options() -> None:
    assert HINTS.keys() >= REJECTED_SWITCHES


@for_each_row("flag", [*HINTS, *IGNORED_BY_FLAG])
def test_no_option_is_a_setting(flag: str) -> None:
    assert flag.lstrip("-").replace("-", "_") not in NAMES


@for_each_row(
    ("name", "value", "expected"),
    [
        ("worker_class", "gthread", "worker_class='gthread' has no effect: Ianus has one kind of worker."),
        (
            "worker_class",
            "gevent",
            "worker_class='gevent' has no effect: calls run in threads, at most --max-threads at once",
        ),
        ("worker_class", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker", "worker_class='geventwebsocket."),
        ("worker_class", "project.workers.MyWorker", "worker_class='project.workers.MyWorker' has no effect: Ianus"),
        ("worker_class", "trio", ""),
        ("worker_class", "gthred", ""),
        ("logger_class", "project.logs.Quiet", "logger_class='project.logs.Quiet' has no effect: --log-config sets"),
        ("respawn_interval", 3.5, "respawn_interval=3.5 has no effect: a worker that crashes repeatedly is replaced"),
        ("master", True, "master has no effect: a supervisor is always started."),
        ("no_log", True, "no_log has no effect: --log-level critical logs only fatal errors."),
        ("backlog", 5, ""),
        ("daemon", True, ""),
    ],
)
def test_ignored_values(name: str, value: object, expected: str) -> None:
    warning = ignored_warning(name, value)
    assert warning.startswith(expected)
    assert bool(warning) is bool(expected)


@for_each_row(
    ("name", "expected"),
    [
        ("worker_class", "Remove it: Ianus has one kind of worker."),
        ("daemon", "The server runs in the foreground; start it with systemd, a container or a similar manager."),
        ("backlog", ""),
        ("k", ""),
    ],
)
def test_hints(name: str, expected: str) -> None:
    assert hint(name) == expected


@for_each_row("text", [*HINTS.values(), *(f"{option.reason}." for option in IGNORED_OPTIONS)])
def test_each_answer_is_a_sentence(text: str) -> None:
    assert text.endswith(".")
    assert not text.endswith("..")
