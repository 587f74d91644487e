"""Reads a configuration in Python: the values that it sets, and the expressions that they are computed from."""

import ast
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from typing import Any, NamedTuple

from ianus.errors import SettingError
from ianus.migrate.migration import MigrationError
from ianus.settings.python_files import load, source_of, values_of


class PythonConfiguration(NamedTuple):
    """The variables that a configuration sets.

    path: of the file.
    values: by name, without modules and names that start with `_`.
    computed: the expressions of values that depend on the machine or its environment.
    unread: names that no other line of the file reads.
    """

    path: str
    values: Mapping[str, Any]
    computed: Mapping[str, str]
    unread: frozenset[str]


def read_configuration(name: str) -> PythonConfiguration:
    """Runs a file or imports a module. name: `FILE`, `file:FILE` or `python:MODULE`. Raises StartupError."""
    # The result is on standard output, and many files print something.
    with redirect_stdout(sys.stderr):
        try:
            module = load(name, name)
        except SettingError as error:
            if error.setting != name:
                raise  # of a server that the configuration starts
            raise MigrationError(error.problem) from None
    path, source = source_of(module)
    values = values_of(module)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        tree = ast.parse("")  # The file has another encoding than UTF-8, and no comments for its values.
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    computed = {}
    for target, expression in _assignments(tree):
        if any(isinstance(part, (ast.Call, ast.Name)) for part in ast.walk(expression)):
            computed[target] = ast.unparse(expression)
        else:
            computed.pop(target, None)
    return PythonConfiguration(path, values, computed, frozenset(values.keys() - read))


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value
