"""docs/messages.md lists each message of the error log once, with its levels, and no other."""

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/messages.md"

LEVELS = {name: name.upper() for name in ("debug", "info", "warning", "error", "critical")} | {"exception": "ERROR"}

# Functions of Cython modules that log their first argument: the level, and the text that they add.
FORWARDERS = {
    "report": ("ERROR", ": <>"),
    "report_raised": ("ERROR", ": <>"),
    "log_exception": ("ERROR", ""),
    "warn_once": ("WARNING", ""),
}

# The files in which they are defined.
DEFINITIONS = {"ianus/exchange/http.pyx", "ianus/exchange/service.pyx", "ianus/gateway/threads/pool.pyx"}

CALL = re.compile(r"\b(?:logger\.(\w+)|(report|report_raised|log_exception|warn_once))\(\s*")
LITERALS = re.compile(r'((?:f?"(?:[^"\\]|\\.)*"\s*)+)[,)]')

# A value in a text of the code and on the page, and the sign that stands for both in comparisons.
CONVERSION = re.compile(r"%[-#0 +]*[\d.]*[a-zA-Z]")
PLACEHOLDER = re.compile(r"<[a-zA-Z ,]+>")
VALUE = "<>"

ROW = re.compile(r"\| ([A-Z, ]+) \| `([^`]+)` \| (.+) \| (.+) \|")


class Message(NamedTuple):
    """A call that logs. text: its first line, with VALUE for each value."""

    place: str
    text: str
    levels: frozenset[str]


class Row(NamedTuple):
    """A line of a table of the page."""

    levels: frozenset[str]
    text: str
    meaning: str
    remedy: str


def text_of(node: ast.expr) -> str:
    """Returns the first line of a text, or VALUE if the text is not a literal."""
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else VALUE for part in node.values)
    elif isinstance(node, ast.Constant):
        text = CONVERSION.sub(VALUE, str(node.value))
    else:
        text = VALUE
    return text.partition("\n")[0]


def own_records(source: str) -> Iterator[tuple[int, str, frozenset[str]]]:
    """Yields messages of functions in ianus/telemetry that make a record themselves. They assign it to `message`."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            nodes = list(ast.walk(function))
            levels = {each.attr for each in nodes if isinstance(each, ast.Attribute)} & {*LEVELS.values()}
            for node in nodes:
                match node:
                    case ast.Assign(targets=[ast.Name("message")], value=ast.Constant() as text):
                        yield node.lineno, text_of(text), frozenset(levels or {"ANY"})


def python_messages(source: str) -> Iterator[tuple[int, str, frozenset[str]]]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("logger"), attr="log"), args=[level, text, *_]):
                names = {each.attr for each in ast.walk(level) if isinstance(each, ast.Attribute)}
                yield node.lineno, text_of(text), frozenset(names)
            case ast.Call(func=ast.Attribute(value=ast.Name("logger"), attr=name), args=[text, *_]) if name in LEVELS:
                yield node.lineno, text_of(text), frozenset({LEVELS[name]})


def cython_messages(source: str) -> Iterator[tuple[int, str, frozenset[str]]]:
    for call in CALL.finditer(source):
        method, forwarder = call.groups()
        if method is not None and method not in LEVELS:
            continue
        level, added = (LEVELS[method], "") if method is not None else FORWARDERS[forwarder]
        literals = LITERALS.match(source, call.end())
        if literals is not None:
            text = text_of(ast.parse(f"({literals[1]})", mode="eval").body) + added
        elif method is not None:
            text = VALUE
        else:
            continue  # the definition of a forwarder, or a call that forwards the argument of its function
        yield source.count("\n", 0, call.start()) + 1, text, frozenset({level})


@functools.cache
def all_messages() -> list[Message]:
    found = []
    for path in sorted((ROOT / "ianus").rglob("*.py*")):
        if path.suffix in (".py", ".pyx"):
            source = path.read_text()
            read = python_messages if path.suffix == ".py" else cython_messages
            place = path.relative_to(ROOT)
            found += [Message(f"{place}:{line}", text, levels) for line, text, levels in read(source)]
            if path.suffix == ".py" and path.parent.name == "telemetry":
                found += [Message(f"{place}:{line}", text, levels) for line, text, levels in own_records(source)]
    return found


def has_words(message: Message) -> bool:
    return re.search(r"\w", message.text) is not None


def messages() -> list[Message]:
    return [message for message in all_messages() if has_words(message)]


def tables() -> dict[str, list[Row]]:
    """Returns the rows of the page by the heading above them."""
    found: dict[str, list[Row]] = defaultdict(list)
    heading = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif row := ROW.fullmatch(line):
            found[heading].append(Row(frozenset(row[1].split(", ")), *row.groups()[1:]))
    return found


def phrase(row: Row) -> str:
    """Returns the fixed words of a row, by which the rows of a table are sorted."""
    return " ".join(re.findall(r"[\w/.-]+", PLACEHOLDER.sub(" ", row.text))).casefold()


@pytest.mark.slow
def test_each_message_of_the_code_is_on_the_page_with_its_levels() -> None:
    levels: dict[str, frozenset[str]] = defaultdict(frozenset)
    places: dict[str, list[str]] = defaultdict(list)
    for message in messages():
        levels[message.text] |= message.levels
        places[message.text].append(message.place)
    rows = {PLACEHOLDER.sub(VALUE, row.text): row for table in tables().values() for row in table}
    missing = {text: places[text] for text in levels if text not in rows or rows[text].levels != levels[text]}
    assert not missing


@pytest.mark.slow
def test_each_message_of_the_page_is_in_the_code_and_once_on_the_page() -> None:
    texts = [PLACEHOLDER.sub(VALUE, row.text) for table in tables().values() for row in table]
    known = {message.text for message in messages()}
    assert [text for text in texts if text not in known] == []
    assert sorted(texts) == sorted(set(texts))


def test_each_table_is_sorted_by_the_fixed_words() -> None:
    for heading, rows in tables().items():
        assert [row.text for row in rows] == [row.text for row in sorted(rows, key=phrase)], heading


def test_no_line_of_a_table_is_missed() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    heads = [line for line in lines if line.startswith(("| level |", "| --- |"))]
    assert len(lines) - len(heads) == sum(map(len, tables().values()))


@pytest.mark.slow
def test_only_forwarders_log_a_text_without_fixed_words() -> None:
    assert {message.place.partition(":")[0] for message in all_messages() if not has_words(message)} == DEFINITIONS


@pytest.mark.slow
def test_the_code_is_read_as_python_and_as_cython() -> None:
    places = {message.place.partition(":")[0] for message in messages()}
    assert {"ianus/process/supervisor/workers.py", "ianus/acceptor/accepting.pyx"} <= places
    source = 'logger.error(\n    "%s: at %.1f s"\n    " or so\\n%s", 1\n)\nself.report(f"more than {limit}", None)\n'
    assert list(cython_messages(source)) == [
        (1, "<>: at <> s or so", frozenset({"ERROR"})),
        (5, "more than <>: <>", frozenset({"ERROR"})),
    ]
