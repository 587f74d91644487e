"""Loads the module of --hooks and calls its functions; ianus/hooks.py describes each of them.

Mistakes that would be noticed only at the first call of a hook, maybe at night, are reported at the start: names that
may be misspelt, parameters that do not fit.
"""
# ruff: noqa: PTH100  (pathlib takes 5 ms to import)

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType

from ianus.errors import StartupError, one_line, user_traceback
from ianus.hooks import HooksModule, ServerInfo, WorkerInfo
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

# Gunicorn's other hooks, and why they are not called.
NOT_CALLED = {
    "worker_int": "workers are stopped by the supervisor and no INT reaches them",
    "pre_request": "a middleware of the application can do it",
    "post_request": "a middleware of the application can do it",
    "ssl_context": "TLS is not supported",
}

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
    def load(cls, name: str, app_dir: str) -> "Hooks":
        """Loads the hooks of the module `name`, "" for none; a module that was imported before is imported again.

        app_dir: the first directory in which modules are searched; it is put in front of sys.path.

        Raises StartupError; then sys.modules still has the previous module.
        """
        if not name:
            return cls()
        module = _import(name, os.path.abspath(app_dir))
        functions = {}
        for hook, parameters in PARAMETERS.items():
            function = getattr(module, hook, None)
            if function is not None:
                if problem := _problem(function, parameters):
                    raise StartupError(f"{name}.{hook} {problem}; it is called as {hook}({', '.join(parameters)}).")
                functions[hook] = function
        for warning in _suspicions(module):
            logger.warning("hook not called: %s.%s", name, warning)
        return cls(functions, name)

    def call(self, name: str, *arguments: ServerInfo | WorkerInfo | int) -> None:
        """Calls the hook `name`, if there is one. An exception is logged with its traceback.

        Raises StartupError instead for a hook in PREPARING.
        """
        assert len(arguments) == len(PARAMETERS[name])
        function = self._functions.get(name)
        if function is None:
            return
        try:
            function(*arguments)
        except (Exception, SystemExit) as error:  # A hook that exits would end the supervisor.
            hook, reason, traceback = f"{self._module}.{name}", one_line(error), user_traceback(error)
            if name in PREPARING:
                raise StartupError(f"The hook {hook} has failed: {reason}.", details=traceback) from None
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
                f"There is no module {error.name!r} in {directory} or elsewhere on the path; see --hooks and --app-dir."
            ) from None
        raise StartupError(
            f"The module of hooks {name!r} cannot be imported: {one_line(error)}.", details=user_traceback(error)
        ) from None
    return sys.modules[name]


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
        if name in NOT_CALLED:
            yield f"{name}: {NOT_CALLED[name]}"
        elif near := get_close_matches(name, PARAMETERS, 1, 0.8):
            yield f"{name}: did you mean {near[0]}?"
