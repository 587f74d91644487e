"""Loads the module of --hooks and calls its functions; ianus/hooks.py describes each of them.

Mistakes that would be noticed only at the first call of a hook, maybe at night, are reported at the start: names that
may be misspelt, parameters that do not fit.
"""
# ruff: noqa: PTH100  (pathlib takes 5 ms to import)

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ianus.errors import StartupError, one_line, user_traceback
from ianus.hooks import HooksModule
from ianus.settings.python_files import run_file
from ianus.telemetry.logger import logger

Hook = Callable[..., object]

# By name, the arguments of each hook.
PARAMETERS = {
    name: function.__code__.co_varnames[1 : function.__code__.co_argcount]
    for name, function in vars(HooksModule).items()
    if isinstance(function, FunctionType) and not name.startswith("_")
}

# A failure in one of these hooks is fatal: the server or the worker needs its effect.
PREPARING = ("on_starting", "post_fork", "post_worker_init")

# A failure in one of these hooks is one of the request, and its caller's.
RAISING = ("pre_request",)

# Gunicorn also calls these with fewer arguments: the minimum number.
MIN_PARAMETERS = {"post_request": 2}

# Flags of code objects (inspect.CO_*; that module takes 10 ms to import).
_HAS_ANY_NUMBER = 0x04
_NOT_A_PLAIN_FUNCTION = 0x20 | 0x80 | 0x200  # a generator, a coroutine, both


class Hooks:
    """The functions of one module, by name. Without any, nothing is ever called.

    module: its name, for messages.
    """

    def __init__(self, functions: Mapping[str, Hook] | None = None, module: str = "") -> None:
        self._functions = functions or {}
        self._module = module

    @classmethod
    def load(cls, name: str, app_dir: str, program: ModuleType | None = None) -> "Hooks":
        """Loads the hooks of the module `name`, "" for none; a module that was imported before is imported again.

        app_dir: the first directory in which modules are searched; it is put in front of sys.path.
        program: the module, if it is a configuration that has been executed already.

        Raises StartupError; then sys.modules still has the previous module.
        """
        if not name:
            return cls()
        if program is not None:
            module = program
        elif name.startswith("file:"):
            module = run_file(name.removeprefix("file:"), "--hooks")
        else:
            module = _import(name, os.path.abspath(app_dir))
        name = name.removeprefix("file:")
        functions = {}
        for hook, parameters in PARAMETERS.items():
            function: Any = getattr(module, hook, None)
            if isinstance(function, str) and "." in function:
                function = _find(function, f"{name}.{hook}")
            if function is not None:
                taken = _shortened(hook, function, parameters)
                if problem := _problem(function, taken):
                    raise StartupError(
                        f"{name}.{hook} {problem}; it is called as {hook}({', '.join(parameters)}).", page="hooks"
                    )
                functions[hook] = function if taken == parameters else _with_first(function, len(taken))
        for warning in _suspicions(module):
            logger.warning("hook not called: %s.%s", name, warning)
        return cls(functions, name)

    def has(self, name: str) -> bool:
        """Returns whether there is a hook of this name."""
        return name in self._functions

    def find(self, name: str) -> Hook | None:
        """Returns the hook of this name, for a caller that needs its result; None if there is none."""
        return self._functions.get(name)

    def call(self, name: str, *arguments: object) -> None:
        """Calls the hook `name`, if there is one. An exception is logged with its traceback.

        Raises StartupError instead for a hook in PREPARING, and the exception itself for one in RAISING.
        """
        assert len(arguments) == len(PARAMETERS[name])
        function = self._functions.get(name)
        if function is None:
            return
        try:
            function(*arguments)
        except (Exception, SystemExit) as error:  # A hook that exits would end the supervisor.
            if name in RAISING:
                raise
            hook, reason, traceback = f"{self._module}.{name}", one_line(error), user_traceback(error)
            if name in PREPARING:
                raise StartupError(f"The hook {hook} has failed: {reason}.", details=traceback, page="hooks") from None
            logger.error("hook failed: %s: %s\n%s", hook, reason, traceback.rstrip())


def _import(name: str, directory: str) -> ModuleType:
    if directory not in sys.path[:1]:
        sys.path.insert(0, directory)
    before = sys.modules.pop(name, None)
    try:
        # As the import statement does it, whose machinery Python omits from tracebacks.
        __import__(name)
    except (Exception, SystemExit) as error:
        if before is not None:
            sys.modules[name] = before
        if isinstance(error, StartupError):
            raise  # by a server that the module starts
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise StartupError(
                f"There is no module {error.name} in {directory} or elsewhere on the path. Correct --hooks {name}, or"
                " set --app-dir to the module's directory.",
                page="hooks",
            ) from None
        raise StartupError(
            f"The module of hooks {name!r} cannot be imported: {one_line(error)}.",
            details=user_traceback(error),
            page="hooks",
        ) from None
    return sys.modules[name]


def _find(path: str, hook: str) -> Any:
    """Returns the function that is named in place of a hook. Raises StartupError."""
    module, _, attribute = path.rpartition(".")
    try:
        __import__(module)
        return getattr(sys.modules[module], attribute)
    except Exception as error:
        raise StartupError(
            f"{hook} names {path!r}, which cannot be imported: {one_line(error)}.",
            details=user_traceback(error),
            page="hooks",
        ) from None


def _problem(function: object, parameters: tuple[str, ...]) -> str:
    """Returns a description of a mistake in a hook; "" if none can be seen before it is called."""
    if not callable(function):
        return "is not a function"
    code = getattr(function, "__code__", None)
    if not isinstance(function, FunctionType) or not isinstance(code, CodeType):
        return ""
    if code.co_flags & _NOT_A_PLAIN_FUNCTION:
        return "is a coroutine or a generator, and a hook is a plain function"
    needed = code.co_argcount - len(function.__defaults__ or ())
    most = len(parameters) if code.co_flags & _HAS_ANY_NUMBER else code.co_argcount
    return "" if needed <= len(parameters) <= most else f"takes {_count(code.co_argcount)}"


def _shortened(hook: str, function: object, parameters: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the parameters that a hook takes, if it may have fewer."""
    code = getattr(function, "__code__", None)
    if hook not in MIN_PARAMETERS or not isinstance(code, CodeType) or code.co_flags & _HAS_ANY_NUMBER:
        return parameters
    return parameters[: max(code.co_argcount, MIN_PARAMETERS[hook])]


def _with_first(function: Hook, count: int) -> Hook:
    return lambda *arguments: function(*arguments[:count])


def _count(number: int) -> str:
    return f"{number or 'no'} parameter{'' if number == 1 else 's'}"


def _suspicions(module: ModuleType) -> Iterator[str]:
    """Yields warnings of functions that may be meant as hooks and are not hooks."""
    others = [
        name
        for name, value in vars(module).items()
        if isinstance(value, FunctionType)
        and value.__module__ == module.__name__
        and name not in PARAMETERS
        and not name.startswith("_")
    ]
    if not others:
        return
    from difflib import get_close_matches  # Imported only if needed.

    for name in others:
        if near := get_close_matches(name, PARAMETERS, 1, 0.8):
            yield f"{name}: did you mean {near[0]}?"
