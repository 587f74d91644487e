"""Finds the application that a name such as MODULE:ATTR stands for.

Every newcomer meets these errors once, so each case has its own message: a module that does not exist (with the
modules that do), an import that fails inside the application (with the application's traceback alone), an attribute
that does not exist (with similar ones), a factory without --factory.
"""
# ruff: noqa: PTH100, PTH121  (pathlib takes 5 ms to import)

import inspect
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from ianus.errors import StartupError, one_line, user_traceback
from ianus.gateway.loading.advice import (
    advise_attribute,
    advise_django,
    advise_folder,
    advise_module,
    advise_relative_import,
    explain_missing_module,
)
from ianus.gateway.loading.interface import (
    OF_APP,
    OF_MOUNT,
    Fixes,
    Interface,
    kind_of,
    recognise,
    unwrap_partial,
)
from ianus.gateway.loading.target import CallArguments, Target, parse_target

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiCallable = Callable[[Scope, Receive, Send], Awaitable[None]]

DEFAULT_ATTRIBUTES = ("application", "app")


class Application(NamedTuple):
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

    app: the name, of which `target` has the forms; or the application or factory itself.
    factory: the name is that of a function that returns the application; it is called without arguments.
    app_dir: the first directory in which modules are searched; it is put in front of sys.path.
    interface: the application's interface; "asgi" is either version, "auto" any known one.
    fixes: the advice of error messages.

    Raises StartupError.
    """
    call: CallArguments | None = None
    if isinstance(app, str):
        target = parse_target(app, app_dir)
        name, found = _find(target, app_dir)
        call = target.call
    else:
        name, found = _name_of(app), app
        if not callable(app):
            raise StartupError(
                f"The application is {kind_of(app)}, which cannot be called. Give the application itself, or its name,"
                ' as in "main:app".'
            )
    if call is not None or factory:
        found = _make(found, name, call or CallArguments((), {}))
    speaks = recognise(found, name, interface, fixes)
    return Application(_single_callable(found) if speaks == "asgi2" else found, speaks, name)


def load_mounted(prefix: str, app: Any, *, app_dir: str) -> Application:
    """Loads the application to be mounted at `prefix`, as load() does. Raises StartupError."""
    try:
        return load(app, factory=False, app_dir=app_dir, interface="auto", fixes=OF_MOUNT)._replace(prefix=prefix)
    except StartupError as error:
        raise StartupError(f"{error.message} (mounted at {prefix})", details=error.details) from None


def _name_of(app: object) -> str:
    app = unwrap_partial(app)
    named = app if hasattr(app, "__qualname__") else type(app)
    return f"{named.__module__}:{named.__qualname__}"


# --- The module ---


def _find(target: Target, app_dir: str) -> tuple[str, Any]:
    """Returns the full name of the attribute, and the object that it is."""
    for folder in (os.path.abspath(app_dir), target.folder):
        if folder not in sys.path[:1]:
            sys.path.insert(0, folder)
    module = _import(target)
    names = target.attributes or (_default_attribute(module, target.folder),)
    full_name = target.format(names)
    return full_name, _attribute(module, names, full_name)


def _import(target: Target) -> ModuleType:
    name = target.module
    try:
        if target.file.endswith(".wsgi"):
            return _import_script(name, target.file)
        # The statement's own function and not importlib: Python hides the frames of its import machinery from
        # tracebacks only there.
        __import__(name)
    except ModuleNotFoundError as error:
        if _is_about(error, name):
            message = explain_missing_module(name, str(error.name), target.folder, target.attribute())
            raise StartupError(message) from None
        raise _import_failed(target, error) from None
    except StartupError:
        raise  # by a server that the module starts
    except (Exception, SystemExit) as error:
        raise _import_failed(target, error) from None
    module = sys.modules[name]
    found = getattr(module, "__file__", None)
    if target.file and (found is None or not os.path.samefile(found, target.file)):
        raise StartupError(
            f"{target.file} cannot be imported as {name}: another module has this name ({found or 'built in'})."
            " Rename the file."
        )
    return module


def _import_script(name: str, file: str) -> ModuleType:
    """Imports a file that Python does not take for a module by its name."""
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    if name not in sys.modules:
        spec = spec_from_loader(name, SourceFileLoader(name, file))
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
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


def _import_failed(target: Target, error: BaseException) -> StartupError:
    name = target.module
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}, line {error.lineno}"
        return StartupError(f"{name} cannot be imported: {error.msg} ({place}).", details=user_traceback(error))
    if isinstance(error, SystemExit):
        reason = f"it called sys.exit({error.code!r})"
        fix = "Put the code of a script under `if __name__ == '__main__':`."
    else:
        reason, fix = one_line(error), "The traceback above is the application's."
    advice = ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        advice = advise_folder(name, error.name, target.folder, target.attribute())
        if not advice and "." not in error.name:
            advice = f"Is {error.name} installed for {sys.executable}?"
    elif isinstance(error, ImportError) and "no known parent package" in str(error):
        advice = advise_relative_import(name, target.folder, target.attribute())
    return StartupError(f"{name} cannot be imported: {reason}. {fix} {advice}".rstrip(), details=user_traceback(error))


# --- The attribute ---


def _default_attribute(module: ModuleType, folder: str) -> str:
    for name in DEFAULT_ATTRIBUTES:
        if hasattr(module, name):
            return name
    wanted = " nor ".join(DEFAULT_ATTRIBUTES)
    advice = advise_attribute(module, DEFAULT_ATTRIBUTES[-1:]) or advise_django(folder)
    raise StartupError(
        f"{module.__name__} has neither {wanted}.{advice or f' Name the application, as in {module.__name__}:NAME.'}"
    )


def _attribute(module: ModuleType, names: Sequence[str], full_name: str) -> Any:
    found: Any = module
    for index, name in enumerate(names):
        holder = found
        try:
            found = getattr(holder, name)
        except AttributeError:
            path = ".".join([module.__name__, *names[:index]])
            advice = advise_attribute(holder, names[index:]) or f" Check the name in {full_name}."
            raise StartupError(f"{path} has no attribute {name}.{advice}") from None
    if isinstance(found, ModuleType):
        advice = advise_module(found) or f" Name the application in it, as in {found.__name__}:NAME."
        raise StartupError(f"{full_name} is a module, which is not an application.{advice}")
    return found


# --- Factories and ASGI 2 ---


def _make(factory: Any, name: str, arguments: CallArguments) -> Any:
    if not callable(factory):
        raise StartupError(
            f"{name} is {kind_of(factory)}, not a function that makes the application. "
            "Remove --factory and () if it is the application itself."
        )
    _check_arguments(factory, name, arguments)
    try:
        made = factory(*arguments.positional, **arguments.named)
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
    if not callable(made):
        raise StartupError(
            f"The factory {name} has returned {kind_of(made)}, which is not an application: it cannot be called. Return"
            " the application from it."
        )
    return made


def _check_arguments(factory: Callable[..., Any], name: str, arguments: CallArguments) -> None:
    """Raises StartupError if the factory does not take these arguments."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return  # Compiled code may have none.
    try:
        signature.bind(*arguments.positional, **arguments.named)
    except TypeError as error:
        names = ", ".join(signature.parameters)
        if any(arguments):
            message = f"The factory {name} takes ({names}): {error}. Correct the arguments in the name of APP."
        else:
            message = (
                f"The factory {name} needs arguments ({names}). Write them, as in {name.removesuffix('()')}('x'), or"
                " give them defaults. Remove --factory and () if it is the application itself."
            )
        raise StartupError(message) from None


def _single_callable(app: Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]) -> AsgiCallable:
    """Wraps an ASGI 2 application, which is called twice, first without await (asgi-main, "Legacy Applications")."""

    async def asgi3(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return asgi3
