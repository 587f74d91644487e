"""The values of a line, and that the help pages have the same options."""

from typing import Any

import click

from ianus.settings.line import PAGES, Line, parse_arguments, parse_line
from tests.rows import for_each_row
from tests.settings.lines import pages


@for_each_row(
    ("words", "given"),
    [
        ("", {}),
        ("--backlog 7", {"backlog": "7"}),
        ("--backlog=7", {"backlog": "7"}),
        ("--backlog 7 --backlog 8", {"backlog": "8"}),
        ("-b :1 --bind=:2", {"bind": (":1", ":2")}),
        ("--mount /a=a:app", {"mount": ("/a=a:app",)}),
        ("--reload", {"reload": True}),
        ("--no-reload", {"reload": False}),
        ("--reload --no-reload", {"reload": False}),
        ("--root_path=/x", {"root_path": "/x"}),
        ("--root-path=", {"root_path": ""}),
        ("--print-config", {"print_config": True}),
        ("--backlog 7 -- --reload", {"backlog": "7"}),
    ],
)
def test_values(words: str, given: dict[str, Any]) -> None:
    line = parse_line(words.split())
    assert line._replace(applications=()) == Line(given, (), "", [], [])


def test_words_that_are_no_option_are_applications() -> None:
    assert parse_line(["a:app", "--reload", "b", "--", "--c"]).applications == ("a:app", "b", "--c")


def test_the_first_page_is_shown() -> None:
    assert parse_line(["a:app", "-v", "--help", "--backlog", "7"]).page == "-v"


def test_problems_are_of_the_whole_line() -> None:
    assert parse_line(["--reload=1", "--backlog"]).problems == [
        "Option '--reload' does not take a value.",
        "Option '--backlog' requires an argument.",
    ]


def test_the_pages_are_no_options_of_gunicorns_variable() -> None:
    assert len(parse_arguments(["--help"]).problems) == 1
    assert parse_arguments(["--workers", "3", "app"]) == Line({"workers": "3"}, ("app",), "", [], [])


def test_the_last_one_of_options_that_are_single_elsewhere_counts() -> None:
    line = parse_arguments(["--pythonpath", "a", "--pythonpath", "b"])
    assert line.given == {"pythonpath": ("b",)}
    assert line.warnings == ["--pythonpath is repeated, and the last one counts, as in other servers."]


def test_the_help_pages_have_the_options_of_the_line() -> None:
    """An option that a page shows, or a shell completes, is parsed with the same kind of value, and no other one is."""
    shown = {
        flag: (not option.is_flag, option.multiple)
        for option in pages().params
        if isinstance(option, click.Option)
        for flag in (*option.opts, *option.secondary_opts)
    }
    for flag, (takes_value, is_repeatable) in shown.items():
        # A value for an option that takes none is a problem, and so is none for one that takes one.
        line = parse_line([flag, "1"] if takes_value else [flag])
        assert line.problems == [], flag
        if flag not in PAGES and not flag.startswith("--ws"):
            values = list(line.given.values())
            assert len(values) == 1, flag
            assert isinstance(values[0], tuple) == is_repeatable, flag
