"""Command lines of other servers are parsed as these servers do it."""

from ianus.migrate.flags import Flag, FlagList
from tests.rows import for_each_row

OPTIONS = FlagList(
    "--bind/-b=+ --workers/-w= --worker-class= --reload --daemon/-D --capture/-R --alias== --limit_size="
)


@for_each_row(
    ("line", "expected"),
    [
        ("--bind :1", [("bind", ":1")]),
        ("--bind=:1 -b :2 -b:3 -b=:4", [("bind", ":1"), ("bind", ":2"), ("bind", ":3"), ("bind", ":4")]),
        ("--reload --daemon", [("reload", None), ("daemon", None)]),
        ("-DR", [("daemon", None), ("capture", None)]),
        ("--rel", [("reload", None)]),
        ("--work 3", [("", "3")]),
        ("--workers 3", [("workers", "3")]),
        ("--alias /a /srv/a", [("alias", "/a /srv/a")]),
        ("--limit-size 3", [("limit_size", "3")]),
        ("--bind=", [("bind", "")]),
        ("--bind", []),
        ("--alias /a", []),
        ("--unknown 3 app", [("", "3")]),
        ("--unknown app", [("", None)]),
        ("app --unknown 3", [("", "3")]),
        ("--unknown 3", [("", "3")]),
        ("--unknown - app", [("", "-")]),
        ("--unknown 127.0.0.1:80 --reload", [("", "127.0.0.1:80"), ("reload", None)]),
        ("--unknown a.b:c --reload", [("", None), ("reload", None)]),
    ],
)
def test_options(line: str, expected: list[tuple[str, str | None]]) -> None:
    flags, _ = OPTIONS.parse(line.replace("--work 3", "--work 3 app").split())
    assert [(flag.name, flag.value) for flag in flags] == expected


@for_each_row(
    ("line", "expected"),
    [
        ("app", ["app"]),
        ("app -D extra", ["app", "extra"]),
        ("-w 4 app", ["app"]),
        ("-- --app", ["--app"]),
        ("-", ["-"]),
    ],
)
def test_other_words(line: str, expected: list[str]) -> None:
    assert OPTIONS.parse(line.split())[1] == expected


def test_an_option_is_shown_as_it_was_written() -> None:
    assert OPTIONS.parse(["-b", "a b"])[0] == [Flag("bind", "a b", "-b 'a b'")]


def test_an_option_without_its_value_is_reported() -> None:
    incomplete: list[tuple[str, str]] = []
    OPTIONS.parse(["app", "-w"], None, lambda *each: incomplete.append(each))
    OPTIONS.parse(["app", "--alias", "/a"], None, lambda *each: incomplete.append(each))
    assert incomplete == [("-w", "The option needs a value."), ("--alias /a", "The option needs a value.")]


def test_the_last_value_of_an_option_counts() -> None:
    repeated: list[tuple[str, str]] = []
    line = "-w 1 -b :1 --workers=2 --reload --reload --x 1 --x 2 -w 3 -w3"
    flags, _ = OPTIONS.parse(
        line.split(),
        lambda written, reason: repeated.append((written, reason)),
    )
    assert [(flag.name, flag.value) for flag in flags] == [
        ("bind", ":1"), ("reload", None), ("reload", None), ("", "1"), ("", "2"), ("workers", "3"),
    ]  # fmt: skip
    reason = "the option is repeated, and the last one counts: -w3"
    assert repeated == [("-w 1", reason), ("--workers=2", reason)], "and not the same value again"
