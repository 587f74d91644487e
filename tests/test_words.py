"""tools/words finds each rule's words in texts, not in code, and its exceptions are few and needed."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "words"))


def marked(tool: dict[str, Any], source: str, reader: str = "texts_of_code", **options: bool) -> list[tuple[int, str]]:
    """Returns the line and the word of each mark in `source`."""
    texts = tool[reader](source, **options)
    return [(mark.line, mark.word) for mark in tool["marks"](source.split("\n"), texts)]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (1, "the thread of whoever has it"),
        (2, "closes what is open"),
        (2, "kept where the peer is known"),
        (3, "bytes behind the head"),
        (4, "it tells the worker"),
        (4, "said by a peer"),
        (4, "reading begins"),
        (4, "the worker leaves"),
        (4, "a byte comes"),
        (4, "the response goes on"),
        (4, "started anew"),
        (5, "it is no number"),
        (5, "the most connections"),
        (5, "so many threads"),
        (5, "HTTP/2 is not spoken"),
        (5, "the dearest call"),
        (9, "a crew of threads"),
    ],
)
def test_a_word_of_each_rule(tool: dict[str, Any], rule: int, text: str) -> None:
    for case in (text, text.upper()):
        assert [mark.rule for mark in tool["marks"]([case], [tool["Text"](1, case)])] == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "behind a proxy, behind nginx, behind the load balancer",
        "the line where it failed, the folder where it is, from where",
        "at most 3, at least 4",
        "Traceback (most recent call last):",
        "there is no thread, it is no longer open",
        "a chat room, /room?after=1",
        "Hello, world!",
        "somewhat, whole, elsewhere, keyboard, almost",
    ],
)
def test_right_words(tool: dict[str, Any], text: str) -> None:
    assert list(tool["marks"]([text], [tool["Text"](1, text)])) == []


CODE = '''"""What it does."""

# What it is.
who = where[house]
MESSAGES = (
    # The texts.
    "nobody",
    """
    somebody
    """,
)


def leave():
    """Leaves.

    Says so.
    """
    return "a door"
'''


def test_texts_of_code(tool: dict[str, Any]) -> None:
    docstrings = [(1, "What"), (3, "What"), (15, "Leaves"), (17, "Says")]
    strings = [(7, "nobody"), (9, "somebody"), (19, "door")]
    assert marked(tool, CODE, only_docstrings=True) == docstrings
    assert marked(tool, CODE, only_docstrings=False) == sorted(docstrings + strings)


def test_variables_of_f_strings_are_not_texts(tool: dict[str, Any]) -> None:
    source = """text = f"{where} {{what}} is {who:{most}} nobody's"\nother = rf'{door}'\nplain = "{room}"\n"""
    expected = [(1, "what"), (1, "nobody"), (3, "room")]
    assert marked(tool, source, only_docstrings=False) == expected


def test_texts_of_markdown(tool: dict[str, Any]) -> None:
    fences = "Nobody.\n```\nwho\n```\n`whom` and whoever\n~~~ sh\nsay\n~~~\n| said | `x` |\n"
    source = fences + "\n    who\n    what\n- a\n    anew\n"
    assert marked(tool, source, "texts_of_markdown") == [(1, "Nobody"), (5, "whoever"), (9, "said"), (14, "anew")]


def test_texts_of_c(tool: dict[str, Any]) -> None:
    source = 'int who; /* what it is,\n * and where */\nchar *s = "/* nobody */ \\" //", c = \'"\'; // anew\n'
    assert marked(tool, source, "texts_of_c") == [(1, "what"), (2, "where"), (3, "anew")]


def test_texts_of_scripts(tool: dict[str, Any]) -> None:
    source = "#!/bin/sh who\n# Says it.\nwho=${x#what}  # whose door\n"
    assert marked(tool, source, "texts_of_script") == [(2, "Says"), (3, "door")]


def test_an_exception(tool: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tool["EXCEPTIONS"], "Who's Who", "the title of a book")
    lines = ["See Who's Who.", "Who?"]
    found = tool["marks"](lines, [tool["Text"](1, "\n".join(lines))])
    assert [(mark.line, mark.exceptions) for mark in found] == [(1, ("Who's Who",)), (1, ("Who's Who",)), (2, ())]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the files are those under version control")
def test_exceptions_are_few_and_needed(tool: dict[str, Any]) -> None:
    assert len(tool["EXCEPTIONS"]) <= 20
    assert all(tool["EXCEPTIONS"].values())
    needed = {part for path in tool["files"]() for mark in tool["marks_of"](path) for part in mark.exceptions}
    assert needed == set(tool["EXCEPTIONS"])
