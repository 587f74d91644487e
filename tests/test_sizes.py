"""Bounds for classes, functions and modules of the package, and names that stand for one thing each.

Python and Cython files are read by their indentation, since Python's parser cannot read Cython.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.rows import for_each_row

ROOT = Path(__file__).parents[1]

MAX_METHODS = 30
MAX_FUNCTION_LINES = 80
MAX_MODULE_LINES = 600

# Modules and classes that may exceed a bound, each with the reason. The tests fail if one of them obeys its bound.
ALLOWED = {
    "ianus/settings/schema.py": "the table of all settings",
}

# The modules that may have one file name in several folders, each with the reason.
EQUAL_MODULE_NAMES = {
    "base": "the abstract bases of a folder",
    "codec": "the codec of a protocol",
    "exchange": "the exchanges of an interface",
    "gateway": "the abstract gateway, and the gateway of an interface",
    "http": "an exchange independent of gateways, and that of ASGI",
    "hooks": "the functions that users write, and the code that calls them",
    "liveness": "the monitoring of a worker, and its native thread",
    "request": "the request of a version of HTTP",
    "recording": "the recording sinks and other fakes of a folder",
    "response": "the encoding of responses of a version of HTTP",
    "websocket": "a WebSocket independent of gateways, and those of ASGI and WSGI",
}

TRIPLE_QUOTED = re.compile(r'("""|\'\'\')(?:\\.|[^\\])*?\1', re.DOTALL)
HEADER = re.compile(
    r"""^(?P<indent>\ *)
        (?:(?:cdef|cpdef|ctypedef|public|packed)\ +)*
        (?:(?P<kind>class|enum)\ +(?:class\ +)?(?P<type>\w+)
          |(?:async\ +)?def\ +(?P<def>\w+)
          |(?<=[cp]def\ )(?!struct|union|extern|class|enum)[^=(]*?(?P<cdef>\w+)\()""",
    re.VERBOSE,
)


class Definition(NamedTuple):
    """A class, an enum or a function. lines: their number. methods: functions directly in a class."""

    kind: str
    name: str
    lines: int
    methods: int


def definitions(source: str) -> Iterator[Definition]:
    """Yields the definitions of a Python or Cython file, in their order."""
    masked = TRIPLE_QUOTED.sub(lambda match: "\n" * match[0].count("\n"), source)
    lines = [re.sub(r"^\s*#.*", "", line).rstrip() for line in masked.splitlines()]
    found: list[tuple[str, str, int, int, int]] = []  # kind, name, indent, indexes of the first and the last line
    for first, line in enumerate(lines):
        header = HEADER.match(line)
        if header is None:
            continue
        last = _last_line(lines, first)
        if header["cdef"] and last == first and not line.endswith(":") and "): " not in line:
            continue  # a declaration, or a variable with a call
        kind = header["kind"] or "function"
        found.append((kind, header["type"] or header["def"] or header["cdef"], len(header["indent"]), first, last))
    for kind, name, _, first, last in found:
        methods = 0
        if kind == "class":
            inner = [each for each in found if first < each[3] <= last]
            outermost = min((each[2] for each in inner), default=0)
            methods = sum(each[0] == "function" and each[2] == outermost for each in inner)
        yield Definition(kind, name, last - first + 1, methods)


def _last_line(lines: list[str], first: int) -> int:
    """Returns the index of the last line of the block with this header."""
    indent = _indent(lines[first])
    last = first
    for index in range(first + 1, len(lines)):
        if lines[index] and _indent(lines[index]) <= indent and not lines[index].lstrip().startswith((")", "]")):
            break
        if lines[index]:
            last = index
    return last


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def oversized(files: Mapping[str, str]) -> dict[str, str]:
    """Returns the modules, classes and functions that exceed a bound, with the figure."""
    found = {}
    for path, source in files.items():
        if (count := source.count("\n")) > MAX_MODULE_LINES:
            found[path] = f"{count} lines"
        for each in definitions(source):
            if each.methods > MAX_METHODS:
                found[f"{path} {each.name}"] = f"{each.methods} methods"
            if each.kind == "function" and each.lines > MAX_FUNCTION_LINES:
                found[f"{path} {each.name}"] = f"{each.lines} lines"
    return found


def ambiguous_types(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Returns the names of several classes and enums, with the files."""
    places = defaultdict(set)
    for path, source in files.items():
        for each in definitions(source):
            if each.kind != "function":
                places[each.name].add(path.rpartition(".")[0])
    return {name: modules for name, modules in places.items() if len(modules) > 1}


def equal_module_names(paths: Iterable[str]) -> dict[str, set[str]]:
    """Returns the file names that modules in several folders have, with the folders.

    Modules of `ianus/commands` have the names of sub-commands.
    """
    folders = defaultdict(set)
    for path in paths:
        folder, _, name = path.rpartition(".")[0].rpartition("/")
        if name != "__init__" and folder != "ianus/commands":
            folders[name].add(folder)
    return {name: several for name, several in folders.items() if len(several) > 1}


def package() -> dict[str, str]:
    """The sources of the package, without stubs, by their path."""
    return {
        str(path.relative_to(ROOT)): path.read_text()
        for path in sorted((ROOT / "ianus").rglob("*"))
        if path.suffix in {".py", ".pyx", ".pxd"}
    }


FILES = package()


def test_classes_functions_and_modules_have_their_bounds() -> None:
    assert len(FILES) > 100, "the package was not found"
    found = oversized(FILES)
    assert {name: figure for name, figure in found.items() if name not in ALLOWED} == {}
    assert sorted(ALLOWED.keys() - found.keys()) == [], "below its bound: remove it from ALLOWED"


def test_a_class_or_an_enum_has_a_name_of_its_own() -> None:
    assert ambiguous_types(FILES) == {}


def test_a_module_has_a_file_name_of_its_own() -> None:
    assert equal_module_names(FILES).keys() == EQUAL_MODULE_NAMES.keys()


CYTHON = '''"""A module.

class InADocstring:
"""
cdef enum Mode:
    FAST = 1

ctypedef struct timer_t:
    int seconds

cdef extern from "x.h":
    int read(int fd)

cpdef enum Stage:
    FIRST

cdef class Reader(Base):
    cdef int fd
    cdef object later(self, int size)       # declared, as in a .pxd

    def __init__(self):
        self.fd = read(0)

    cdef inline int step(
        self,
        const char* data,
    ) except -1:
        # a comment
        cdef int size = strlen(data)
        if size:

            return size
# a comment at the start of a line
        return 0

    @property
    def size(self): return 3

    async def wait(self):
        def inner():
            pass
        return inner

cdef int last() noexcept nogil:
    return 1
'''


def test_definitions_of_cython_are_read() -> None:
    found = list(definitions(CYTHON))
    assert [(each.kind, each.name, each.lines) for each in found] == [
        ("enum", "Mode", 2),
        ("enum", "Stage", 2),
        ("class", "Reader", 26),
        ("function", "__init__", 2),
        ("function", "step", 11),
        ("function", "size", 1),
        ("function", "wait", 4),
        ("function", "inner", 2),
        ("function", "last", 2),
    ]
    assert [each.methods for each in found if each.kind == "class"] == [4]


@for_each_row(
    ("source", "figures"),
    [
        ("x = 1\n" * MAX_MODULE_LINES, {}),
        ("x = 1\n" * (MAX_MODULE_LINES + 1), {"a.py": "601 lines"}),
        ("def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES - 1), {}),
        ("def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES, {"a.py f": "81 lines"}),
        ("class A:\n" + "    def f(self):\n        pass\n" * MAX_METHODS, {}),
        ("cdef class A:\n" + "    cdef int f(self):\n        pass\n" * (MAX_METHODS + 1), {"a.py A": "31 methods"}),
    ],
)
def test_a_bound_is_the_last_permitted_size(source: str, figures: dict[str, str]) -> None:
    assert oversized({"a.py": source}) == figures


def test_equal_names_are_seen() -> None:
    files = {
        "ianus/a/x.pyx": "cdef class A:\n    pass\ncdef enum B:\n    ONE\n",
        "ianus/a/x.pxd": "cdef class A:\n    cdef int b\n",
        "ianus/b/x.py": "class B(Enum):\n    pass\n",
    }
    assert ambiguous_types(files) == {"B": {"ianus/a/x", "ianus/b/x"}}
    assert equal_module_names(files) == {"x": {"ianus/a", "ianus/b"}}
