"""Configurations written in Python, as gunicorn and hypercorn have them: a file, or a module.

A file is executed each time that it is read, so a reload takes its changes. Its name as a module is gunicorn's,
`__config__`: dataclasses and pickle look for a module of that name.
"""
# ruff: noqa: PTH100, PTH109, PTH113, PTH118, PTH123  (pathlib takes 5 ms to import)

import os
import sys
from types import ModuleType

from ianus.errors import SettingError, StartupError, one_line, user_traceback
from ianus.settings.values import format_value

MODULE_PREFIX = "python:"
FILE_PREFIX = "file:"

_CONFIG_MODULE = "__config__"

# Gunicorn would execute files of these kinds, too.
_OTHER_KINDS = (".toml", ".ini", ".json", ".yaml", ".yml", ".cfg", ".xml", ".txt", ".sock", ".env")


def is_python(name: str) -> bool:
    """Returns whether the name of a configuration stands for a Python file or module."""
    return name.startswith((MODULE_PREFIX, FILE_PREFIX)) or not name.endswith(_OTHER_KINDS)


def load(name: str, label: str) -> ModuleType:
    """Executes a configuration and returns it as a module. The current directory can be imported from.

    name: `FILE`, `file:FILE` or `python:MODULE`. label: the option or variable that gives it, for messages.

    Raises StartupError.
    """
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    module = name.removeprefix(MODULE_PREFIX)
    if module != name and not (module.endswith(".py") and os.path.isfile(module)):
        return _import(module, label)
    return run_file(module.removeprefix(FILE_PREFIX), label)


def run_file(path: str, label: str) -> ModuleType:
    """Executes a file and returns it as a module. Raises StartupError."""
    try:
        with open(path, "rb") as stream:
            source = stream.read()
    except OSError as error:
        raise SettingError(label, f"{path} cannot be read: {error.strerror}. Check its path and permissions.") from None
    module = ModuleType(_CONFIG_MODULE)
    module.__file__ = os.path.abspath(path)
    before = sys.modules.get(_CONFIG_MODULE)
    sys.modules[_CONFIG_MODULE] = module
    directory = os.getcwd()
    try:
        exec(compile(source, module.__file__, "exec"), module.__dict__)
        # Relative paths of settings start in the directory of the server, as in gunicorn.
        os.chdir(directory)
        # Otherwise a worker would print the same text again, since it is forked with the buffer.
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if before is not None:
            sys.modules[_CONFIG_MODULE] = before
        else:
            # The file may have removed it.
            sys.modules.pop(_CONFIG_MODULE, None)
        raise _failure(path, error) from None
    return module


def source_of(module: ModuleType) -> tuple[str, str]:
    """Returns the path of a module relative to the current directory, if it is below it, and its source."""
    path = module.__file__ or module.__name__
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        text = ""  # then messages have no line numbers
    return path.removeprefix(os.path.join(os.getcwd(), "")), text


class UnusableValue:
    """Stands for a value that raises an error when it is shown, tested or compared. Its text names the error."""

    def __init__(self, error: Exception) -> None:
        self._error = one_line(error)

    def __repr__(self) -> str:
        return f"A value that cannot be read ({self._error})"


def values_of(module: ModuleType) -> dict[str, object]:
    """Returns the variables of a configuration, without modules and names that start with `_`."""
    return {
        name: _usable(value)
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }


def _usable(value: object) -> object:
    """Returns the value, or an UnusableValue. Values are objects of any class, and a list may contain itself."""
    try:
        format_value(value)
        for each in value if isinstance(value, (list, tuple)) else [value]:
            str(each).encode(errors="surrogateescape")
        _ = bool(value), value == "", value in ([], {})
    except Exception as error:
        return UnusableValue(error)
    return value


def _import(name: str, label: str) -> ModuleType:
    """Imports a module, or imports it again. Raises StartupError; then sys.modules has the previous module."""
    before = sys.modules.pop(name, None)
    try:
        __import__(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if before is not None:
            sys.modules[name] = before
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise StartupError(
                f"{label}: there is no module {error.name} in {os.getcwd()} or elsewhere on the path. Correct its"
                " name, or start in its directory.",
                page="gunicorn",
            ) from None
        raise _failure(name, error) from None
    return sys.modules[name]


def _failure(name: str, error: BaseException) -> StartupError:
    if isinstance(error, StartupError):
        return error  # of a server that the configuration starts
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        fix = f"Install {package}, or remove the import."
    else:
        fix = "Correct the file."
    return StartupError(
        f"The configuration {name} cannot be executed: {one_line(error)}. {fix}",
        details=user_traceback(error),
        page="gunicorn",
    )
