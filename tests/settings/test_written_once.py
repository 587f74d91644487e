"""A setting is written once: its default is in the schema alone, and its name is the same everywhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ianus.settings.schema import Settings, table
from tests.rows import for_each_row

PACKAGE = Path(__file__).parents[2] / "ianus"
SOURCES = [
    path
    for path in sorted(PACKAGE.rglob("*"))
    if path.suffix in (".py", ".pyx", ".pyi") and PACKAGE / "settings" not in path.parents
]

# Parameters with a number that only looks like a setting's default.
COINCIDENCES = {
    ("RecordedConnection.__init__", "connection_window"): "A test's connection, as large as another limit.",
    ("RecordedConnection.__init__", "stream_window"): "A test's connection, as large as another limit.",
    ("RecordedConnection.__init__", "max_concurrent_streams"): "A test's connection.",
    ("RecordedConnection.fill", "size"): "A test's connection.",
    ("FileWrapper.__init__", "block_size"): "PEP 3333 has this number in its example.",
}


# A comment, a text, or any other character.
PART = re.compile(r"""#[^\n]*|"[^"\n]*"|'[^'\n]*'|.""", re.S)


class Parameter(NamedTuple):
    """A parameter of a function. default: its text, "" if there is none."""

    function: str
    name: str
    default: str


def parameters(source: str) -> Iterator[Parameter]:
    """Yields the parameters of all functions of a module, which may be Cython."""
    owner = ""
    for match in re.finditer(
        r"^( *)(?:cdef class (\w+)|class (\w+)|(?:async )?(?:cdef|cpdef|def)\b[^(\n=:#]*?(\w+)\()", source, re.M
    ):
        if name := match[2] or match[3]:
            owner = name
        else:
            function = f"{owner}.{match[4]}" if match[1] else match[4]
            for each in _split(source, match.end()):
                declared, _, default = each.partition("=")
                if name := re.search(r"(\w+)(?: (?:not|or) None)?\s*(?::.*)?$", declared.partition(":")[0].strip()):
                    yield Parameter(function, name[1], default.strip())


def _split(source: str, start: int) -> list[str]:
    """Returns the parameters from `start` up to the parenthesis that closes their list."""
    depth, parts = 0, [""]
    for match in PART.finditer(source, start):
        part = match[0]
        depth += (part in "([{") - (part in ")]}")
        if depth < 0:
            break
        if part == "," and not depth:
            parts.append("")
        elif not part.startswith("#"):
            parts[-1] += part
    return [part.strip() for part in parts]


def number(text: str) -> float | None:
    """Returns the value of a literal such as `4 << 20`, or None."""
    if not re.fullmatch(r"[0-9_.]+(?:\s*(?:<<|\*)\s*[0-9_]+)*", text):
        return None
    return float(eval(text))  # digits and two operators


@for_each_row("path", SOURCES)
def test_no_function_repeats_a_default(path: Path) -> None:
    defaults = {name: default for name, _, default in table()}
    # 0 and 1 are also the defaults of many other things.
    numbers = {float(each) for each in defaults.values() if isinstance(each, (int, float)) and each > 1}
    for function, name, default in parameters(path.read_text()):
        if default and (function, name) not in COINCIDENCES:
            assert name not in defaults, f"{function}({name}={default}): {name} has its default in the schema"
            assert number(default) not in numbers, f"{function}({name}={default}): this is a default of the schema"


def test_parameters_are_found() -> None:
    """As they are written in Python, stubs and Cython."""
    source = """
def plain(a, b: int = 1 << 3, *, c: dict[str, int] = {}, **more): pass
cdef class Made:
    def __init__(
        self, Limits limits not None, *, int threads=64,  # comment, with a comma
        str text="a, b",
    ):
    cdef int act(self, const char* data, Py_ssize_t size) except -1:
"""
    assert [each for each in parameters(source) if each.name not in ("self", "")] == [
        *(("plain", "a", ""), ("plain", "b", "1 << 3"), ("plain", "c", "{}"), ("plain", "more", "")),
        *(("Made.__init__", "limits", ""), ("Made.__init__", "threads", "64"), ("Made.__init__", "text", '"a, b"')),
        *(("Made.act", "data", ""), ("Made.act", "size", "")),
    ]


# Parameters to which a setting is passed under another name.
OTHER_NAMES = {
    ("LogFile", "path"): "It opens the file of either log.",
    ("move", "path"): "It is a method of PidFile.",
    ("new_loop", "name"): "A loop is the event loop itself.",
    ("load_loop", "name"): "A loop is the event loop itself.",
    ("format_extension", "seconds"): "Starts are extended too.",
    ("CertificateStore", "password"): "A key has a password.",
    **{
        ("TlsOptions", name): "All of these are about TLS."
        for name in ("ciphers", "cert_reqs", "ca_certs", "crl", "timeout_handshake", "handshake_log")
    },
    **{
        ("Http2Factory", name): "All of these are about HTTP/2."
        for name in ("max_concurrent_streams", "stream_window", "connection_window")
    },
}


@pytest.mark.slow
def test_settings_are_passed_on_under_their_names() -> None:
    """In `f(name=settings.name)` both names are the same, and in `f(settings.name)` that of the parameter is."""
    modules = [ast.parse(path.read_text()) for path in SOURCES if path.suffix == ".py"]
    signatures = _signatures(modules)
    used, settings = set(), Settings()
    for call in (node for module in modules for node in ast.walk(module) if isinstance(node, ast.Call)):
        function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        names = signatures.get(function, [])
        for name, value in [*zip(names, call.args, strict=False), *((each.arg, each.value) for each in call.keywords)]:
            if isinstance(value, ast.Attribute) and re.search(r"\bsettings$", ast.unparse(value.value)):
                assert hasattr(settings, value.attr), ast.unparse(call)
                if name != value.attr:
                    assert (function, name) in OTHER_NAMES, f"{function}({name}) gets {value.attr}"
                    used.add((function, name))
    assert used == OTHER_NAMES.keys()


def _signatures(modules: list[ast.Module]) -> dict[str, list[str]]:
    """Returns the positional parameters of functions and classes whose name is in one module only."""
    found: dict[str, list[list[str]]] = {}
    for node in (node for module in modules for node in ast.walk(module)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names = [each.arg for each in node.args.args]
            found.setdefault(node.name, []).append(names[1:] if names[:1] in (["self"], ["cls"]) else names)
        elif isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                    found.setdefault(node.name, []).append([parameter.arg for parameter in each.args.args[1:]])
    return {name: signatures[0] for name, signatures in found.items() if len(signatures) == 1}
