"""GUNICORN_CMD_ARGS: the words of the variable, as options."""

import pytest

from ianus.errors import SettingError
from ianus.settings.gunicorn_arguments import split_arguments
from tests.rows import for_each_row


@for_each_row(
    ("text", "words"),
    [
        ("", []),
        ("--bind=0.0.0.0 --timeout 600", ["--bind=0.0.0.0", "--timeout", "600"]),
        ("-w 4 --access-logformat '%(h)s %(s)s' -", ["-w", "4", "--access-logformat", "%(h)s %(s)s", "-"]),
        ("-p /run/a.pid", ["--pid", "/run/a.pid"]),
        ("-p/run/a.pid -p=x --preload", ["--pid=/run/a.pid", "--pid=x", "--preload"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_arguments(text) == words


def test_an_open_quote() -> None:
    with pytest.raises(
        SettingError, match=r"^GUNICORN_CMD_ARGS: .* cannot be split into options: No closing quotation"
    ):
        split_arguments("--name 'x")
