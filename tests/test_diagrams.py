"""The state diagrams in docs/architecture.md have the states of the code, and its transitions.

Of a state in compiled code, each function that assigns it has an arrow to it, and no other function has.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from ianus.process.supervisor.worker_process import Stage

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ianus"
START = END = "[*]"


def read(path: str) -> str:
    return (PACKAGE / path).read_text()


class Transition(NamedTuple):
    """An arrow. function: the one at the end of its text."""

    source: str
    target: str
    function: str


def transitions(heading: str) -> list[Transition]:
    """Returns the arrows of the diagram below a heading."""
    section = (ROOT / "docs/architecture.md").read_text().partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    diagram = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", section, re.DOTALL)
    assert diagram is not None, heading
    lines = diagram[1].splitlines()
    found = [re.fullmatch(r" +(\S+) --> (\S+) : .*?(?:(\w+)\(\))?", line) for line in lines]
    assert None not in found, lines
    return [Transition(each[1], each[2], each[3]) for each in found if each is not None]


def states(arrows: list[Transition]) -> set[str]:
    return {state for arrow in arrows for state in (arrow.source, arrow.target)} - {START, END}


def members(path: str, enum: str) -> list[str]:
    """Returns the names of an enum in a .pxd."""
    block = re.search(rf"^cdef enum{enum}:\n((?: +.*\n)+)", read(path), re.MULTILINE)
    assert block is not None, path
    return re.findall(r"^ +([A-Z_]+)", block[1], re.MULTILINE)


def assignments(source: str, pattern: str) -> Counter[tuple[str, str]]:
    """Counts the assignments by (function, state). pattern: matches one, with its states in the groups."""
    found: Counter[tuple[str, str]] = Counter()
    for function in re.split(r"^ *(?=(?:cdef|def) [^=\n]*\()", source, flags=re.MULTILINE):
        for match in re.finditer(pattern, function):
            name = re.match(r"(?:cdef|def) [^(\n]*?(\w+)\(", function)
            assert name is not None
            found.update((name[1], state) for state in match.groups() or ("",) if state is not None)
    return found


def check_arrows(arrows: list[Transition], assigned: Counter[tuple[str, str]]) -> None:
    """Asserts that each assignment has at least one arrow, and each arrow one assignment."""
    drawn = Counter((arrow.function, arrow.target) for arrow in arrows if arrow.function)
    assert drawn.keys() == assigned.keys()
    assert drawn >= assigned


def test_stages_of_a_worker() -> None:
    arrows = transitions("States of a worker")
    assert states(arrows) == {stage.name for stage in Stage}
    functions = {arrow.function for arrow in arrows if arrow.source != START}
    source = "\n".join(path.read_text() for path in (PACKAGE / "process/supervisor").glob("*.py"))
    assert [name for name in functions if f"def {name}(" not in source] == []


@pytest.mark.parametrize(
    ("heading", "enum", "module", "pattern"),
    [
        (
            "States of the HTTP/1 codec",
            " ReadState",
            "codec/http1/codec",
            r"\b(?:self|codec)\.state = ([A-Z_]+)(?: if .* else ([A-Z_]+))?",
        ),
        ("States of a WebSocket", " HandshakeState", "gateway/asgi/websocket", r"\bself\.state = ([A-Z_]+)"),
    ],
)
def test_states_of_an_enum(heading: str, enum: str, module: str, pattern: str) -> None:
    arrows = transitions(heading)
    assert states(arrows) == set(members(f"{module}.pxd", enum))
    assigned = assignments(read(f"{module}.pyx"), pattern)
    # A new object is all zeros, which is the first state, so that a function need not assign it.
    check_arrows(arrows, assigned)


def test_states_of_a_conversation() -> None:
    """They are the flags of a WebSocket that is open."""
    arrows = transitions("States of a conversation")
    assert states(arrows) == {"open", "close_sent", "over"}
    assigned = assignments(read("exchange/websocket.pyx"), r"\bself\.(close_sent|over) = True")
    check_arrows([arrow for arrow in arrows if arrow.source != START], assigned)


def test_states_of_the_lead() -> None:
    """The functions are those that write the atomic word."""
    arrows = transitions("States of the lead")
    assert states(arrows) == set(members("gateway/threads/watchdog.pxd", "")) - {"CALL_INCREMENT"}
    source = "".join(path.read_text() for path in (PACKAGE / "gateway/threads").glob("*.p[yx][xd]"))
    writes = assignments(source, r"(?:atomic_store|compare_and_swap)\(&(?:self\.)?watchdog\.word")
    assert {(arrow.function, "") for arrow in arrows} == writes.keys()
