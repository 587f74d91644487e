"""Finds the application that MODULE:ATTR names.

Every newcomer meets these errors once, so each case has its own message: a module that does not exist (with the
modules that do), an import that fails inside the application (with the application's traceback alone), an attribute
that does not exist (with similar ones), a factory without --factory.
"""
# ruff: noqa: PTH100, PTH112, PTH113, PTH118  (pathlib takes 5 ms to import)

import inspect
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from ianus.errors import StartupError, closest_match, one_line, user_traceback
from ianus.gateway.loading.interface import (
    OF_APP,
    OF_MOUNT,
    Fixes,
    Interface,
    kind_of,
    parameters,
    recognise,
    unwrap_partial,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiCallable = Callable[[Scope, Receive, Send], Awaitable[None]]

DEFAULT_ATTRIBUTES = ("application", "app")


@dataclass(frozen=True, slots=True)
class Application:
    """An application that is ready to be called.

    callable: takes (environ, start_response) if the interface is wsgi, else (scope, receive, send).
    interface: the interface of the application itself.
    name: MODULE:ATTR, or for an object the name of its function or type.
    prefix: the path that it is mounted at; "" is the application for all other paths.
    """

    callable: Callable[..., Any]
    interface: Interface
    name: str
    prefix: str = ""


def load(app: Any, *, factory: bool, app_dir: str, interface: str, fixes: Fixes = OF_APP) -> Application:
    """Loads the application that `app` names or is.

    app: "MODULE:ATTR", "MODULE:ATTR.ATTR", "MODULE:FACTORY()", "MODULE", or the application or factory
        itself.
    factory: the name is that of a function that returns the application; it is called without arguments.
    app_dir: the first directory in which modules are searched; it is put in front of sys.path.
    interface: the application's interface; "asgi" is either version, "auto" any known one.
    fixes: the advice of error messages.

    Raises StartupError.
    """
    if isinstance(app, str):
        name, found, called = _find(app, app_dir)
    else:
        name = _name_of(app)
        found, called = app, False
    if factory or called:
        found = _make(found, name)
    speaks = recognise(found, name, interface, fixes)
    return Application(_single_callable(found) if speaks == "asgi2" else found, speaks, name)


def load_mounted(prefix: str, app: Any, *, app_dir: str) -> Application:
    """Loads the application to be mounted at `prefix`, as load() does. Raises StartupError."""
    try:
        return replace(load(app, factory=False, app_dir=app_dir, interface="auto", fixes=OF_MOUNT), prefix=prefix)
    except StartupError as error:
        raise StartupError(f"{error.message} (mounted at {prefix})", details=error.details) from None


def _name_of(app: object) -> str:
    app = unwrap_partial(app)
    named = app if hasattr(app, "__qualname__") else type(app)
    return f"{named.__module__}:{named.__qualname__}"


# --- The module ---


def _find(spec: str, app_dir: str) -> tuple[str, Any, bool]:
    """Returns the full name, the object that it names, and whether the name ends in a call."""
    module_name, colon, path = spec.partition(":")
    called = path.endswith("()")
    names = path.removesuffix("()").split(".") if path else []
    directory = os.path.abspath(app_dir)
    if not os.path.isdir(directory):
        raise StartupError(f"The directory {app_dir} does not exist; give the application's as --app-dir.")
    is_file = module_name.endswith(".py") and os.path.isfile(os.path.join(directory, module_name))
    is_spec = _is_dotted_name(module_name) and (not colon or _is_dotted_name(".".join(names)))
    if is_file or not is_spec:
        raise StartupError(_explain_spec(spec))
    if directory not in sys.path[:1]:
        sys.path.insert(0, directory)
    module = _import(module_name, directory)
    if not names:
        names = [_default_attribute(module)]
        spec = f"{module_name}:{names[0]}"
    return spec, _attribute(module, names, spec), called


def _is_dotted_name(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _explain_spec(spec: str) -> str:
    match = re.fullmatch(r"(?:\./)?([\w/]+)\.py(?::(\w+))?", spec)
    if match:
        right = match[1].replace("/", ".") + (f":{match[2]}" if match[2] else "")
        return f"{spec!r} is a file and not a module; write {right}."
    if "(" in spec:
        return f"{spec!r}: a factory can only be called without arguments, as in main:create_app()."
    return f"{spec!r} does not name an application; write MODULE:ATTRIBUTE, as in main:app."


def _import(name: str, directory: str) -> ModuleType:
    try:
        # The statement's own function and not importlib: Python hides the frames of its import machinery from
        # tracebacks only there.
        __import__(name)
    except ModuleNotFoundError as error:
        if _is_about(error, name):
            raise StartupError(_explain_missing_module(name, str(error.name), directory)) from None
        raise _import_failed(name, error) from None
    except StartupError:
        raise  # by a server that the module starts
    except (Exception, SystemExit) as error:
        raise _import_failed(name, error) from None
    return sys.modules[name]


def _is_about(error: ModuleNotFoundError, name: str) -> bool:
    """Returns whether the missing module is `name` itself, and not one that it imports."""
    if error.name is None or not f"{name}.".startswith(f"{error.name}."):
        return False
    traceback = error.__traceback__
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        if module != __name__ and not module.startswith("importlib"):
            return False  # It was raised under code of the application.
        traceback = traceback.tb_next
    return True


def _import_failed(name: str, error: BaseException) -> StartupError:
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}, line {error.lineno}"
        return StartupError(f"{name} cannot be imported: {error.msg} ({place}).", details=user_traceback(error))
    if isinstance(error, SystemExit):
        reason = f"it called sys.exit({error.code!r})"
        fix = "Put the code of a script under `if __name__ == '__main__':`."
    else:
        reason, fix = one_line(error), "The traceback above is the application's."
    if isinstance(error, ModuleNotFoundError) and error.name and "." not in error.name:
        fix += f" Is {error.name} installed for {sys.executable}?"
    return StartupError(f"{name} cannot be imported: {reason}. {fix}", details=user_traceback(error))


def _explain_missing_module(name: str, missing: str, directory: str) -> str:
    parent, _, last = missing.rpartition(".")
    if not parent:
        places, shown = [directory], directory
    else:
        package = sys.modules[parent]
        if not hasattr(package, "__path__"):
            reason = f"{parent} is a file and not a package"
            return f"There is no module {missing}: {reason}. Did you mean {parent}:{last}?"
        places, shown = list(package.__path__), f"the package {parent}"
    message = f"There is no module {missing} in {shown}"
    near = closest_match(last, _modules_in(places))
    if near:
        right = f"{parent}.{near}" if parent else near
        return f"{message}. Did you mean {right}{name.removeprefix(missing)}?"
    for folder in _folders_in(directory) if not parent else ():
        if last in _modules_in([os.path.join(directory, folder)]):
            return f"{message}. There is one in {folder}: add --app-dir {folder}."
    return f"{message}. Check its spelling, or set --app-dir to the directory of the application."


def _modules_in(places: Iterable[str]) -> list[str]:
    import pkgutil  # Only on the way out.

    return [module.name for module in pkgutil.iter_modules(places)]


def _folders_in(directory: str) -> list[str]:
    return sorted(entry.name for entry in os.scandir(directory) if entry.is_dir() and entry.name.isidentifier())


# --- The attribute ---


def _default_attribute(module: ModuleType) -> str:
    for name in DEFAULT_ATTRIBUTES:
        if hasattr(module, name):
            return name
    wanted = " nor ".join(DEFAULT_ATTRIBUTES)
    offer = _offer(module, DEFAULT_ATTRIBUTES[-1])
    raise StartupError(
        f"{module.__name__} has neither {wanted}.{offer or f' Name the application, as in {module.__name__}:NAME.'}"
    )


def _attribute(module: ModuleType, names: list[str], spec: str) -> Any:
    found: Any = module
    for index, name in enumerate(names):
        holder = found
        try:
            found = getattr(holder, name)
        except AttributeError:
            path = ".".join([module.__name__, *names[:index]])
            raise StartupError(
                f"{path} has no attribute {name}.{_offer(holder, name) or f' Check the name in {spec}.'}"
            ) from None
    return found


def _offer(holder: Any, name: str) -> str:
    """Returns a hint at similar names and at applications, or ""."""
    public = [each for each in dir(holder) if not each.startswith("_")]
    near = closest_match(name, public)
    if near:
        return f" Did you mean {near}?"
    applications = [each for each in public if _looks_like_an_application(getattr(holder, each, None))]
    if applications:
        return f" Did you mean {' or '.join(applications)}?"
    return ""


def _looks_like_an_application(value: Any) -> bool:
    if inspect.isclass(value) or not callable(value):
        return False
    params = parameters(value)
    if params is None:
        return False
    return params.names[:3] == ("scope", "receive", "send") or params.names[1:2] == ("start_response",)


# --- Factories and ASGI 2 ---


def _make(factory: Any, name: str) -> Any:
    if not callable(factory):
        raise StartupError(
            f"{name} is {kind_of(factory)}, not a function that makes the application. "
            "Remove --factory and () if it is the application itself."
        )
    params = parameters(factory)
    if params is not None and not params.accepts(0):
        raise StartupError(
            f"The factory {name} needs arguments ({', '.join(params.names)}), and it is called without "
            "any. Give them defaults, or remove --factory and () if it is the application itself."
        )
    try:
        made = factory()
    except (Exception, SystemExit) as error:
        raise StartupError(
            f"The factory {name} failed: {one_line(error)}. The traceback above is the application's.",
            details=user_traceback(error),
        ) from None
    if inspect.iscoroutine(made):
        made.close()
        raise StartupError(
            f"The factory {name} is an async function; make it a plain one that returns the application "
            "(code that has to await belongs into its lifespan)."
        )
    return made


def _single_callable(app: Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]) -> AsgiCallable:
    """Wraps an ASGI 2 application, which is called twice, first without await (asgi-main, "Legacy Applications")."""

    async def asgi3(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return asgi3
