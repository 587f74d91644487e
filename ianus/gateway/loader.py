"""Finds the application that MODULE:ATTR names, and which interface it speaks.

Whatever can go wrong here goes wrong for every newcomer once, so each case has its own message: a module that
does not exist (what is there instead?), an import that fails inside the application (its traceback, none of
ours), an attribute that is not there (which one could be meant?), a factory that was not said to be one, a
WSGI application.
"""
# ruff: noqa: PTH100, PTH112, PTH113, PTH118  (pathlib takes 5 ms to import)

import functools
import inspect
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from ianus.errors import StartupError, nearest, one_line, user_traceback

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiCallable = Callable[[Scope, Receive, Send], Awaitable[None]]

Interface = Literal["asgi3", "asgi2"]

DEFAULT_ATTRIBUTES = ("application", "app")


@dataclass(frozen=True, slots=True)
class Application:
    """An application that is ready to be called.

    callable: takes (scope, receive, send), whatever the interface.
    interface: what the application itself speaks.
    name: MODULE:ATTR, or what comes near it for an object.
    """

    callable: AsgiCallable
    interface: Interface
    name: str


def load(app: Any, *, factory: bool = False, app_dir: str = ".", interface: str = "auto") -> Application:
    """The application that `app` names or is.

    app: "MODULE:ATTR", "MODULE:ATTR.ATTR", "MODULE:FACTORY()", "MODULE", or the application or factory
        itself.
    factory: call what was found, without arguments, for the application.
    app_dir: where modules are looked for first; it is put in front of sys.path.
    interface: what the application speaks. For "asgi3" and "asgi2" nobody looks at its parameters, which may
        mislead; "asgi" is one of both, "auto" any that is known.

    Raises StartupError.
    """
    if isinstance(app, str):
        name, found, called = _find(app, app_dir)
    else:
        name = _name_of(app)
        found, called = app, False
    if factory or called:
        found = _make(found, name)
    return _recognise(found, name, interface)


def _name_of(app: object) -> str:
    app = _unwrap_partial(app)
    named = app if hasattr(app, "__qualname__") else type(app)
    return f"{named.__module__}:{named.__qualname__}"


# --- The module ---


def _find(spec: str, app_dir: str) -> tuple[str, Any, bool]:
    """The name in full, what it names, and whether it ends in a call."""
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
        return f"{spec!r} is a file and not a module; write {match[1].replace('/', '.')}:{match[2] or 'app'}."
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
    except (Exception, SystemExit) as error:
        raise _import_failed(name, error) from None
    return sys.modules[name]


def _is_about(error: ModuleNotFoundError, name: str) -> bool:
    """Whether it is `name` itself that does not exist, and not something that it imports."""
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
        where = f"{error.filename}, line {error.lineno}"
        return StartupError(f"{name} cannot be imported: {error.msg} ({where}).", details=user_traceback(error))
    if isinstance(error, SystemExit):
        what = f"it called sys.exit({error.code!r})"
        fix = "Put what a script does under `if __name__ == '__main__':`."
    else:
        what, fix = one_line(error), "The traceback above is the application's."
    if isinstance(error, ModuleNotFoundError) and error.name and "." not in error.name:
        fix += f" Is {error.name} installed for {sys.executable}?"
    return StartupError(f"{name} cannot be imported: {what}. {fix}", details=user_traceback(error))


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
    near = nearest(last, _modules_in(places))
    if near:
        right = f"{parent}.{near}" if parent else near
        return f"{message}. Did you mean {right}{name.removeprefix(missing)}?"
    for folder in _folders_in(directory) if not parent else ():
        if last in _modules_in([os.path.join(directory, folder)]):
            return f"{message}. There is one in {folder}: add --app-dir {folder}."
    return f"{message}. Check its spelling, or say with --app-dir where the application is."


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
    """A hint at what could have been meant; "" where there is nothing."""
    public = [each for each in dir(holder) if not each.startswith("_")]
    near = nearest(name, public)
    if near:
        return f" Did you mean {near}?"
    applications = [each for each in public if _looks_like_an_application(getattr(holder, each, None))]
    if applications:
        return f" Did you mean {' or '.join(applications)}?"
    return ""


def _looks_like_an_application(value: Any) -> bool:
    if inspect.isclass(value) or not callable(value):
        return False
    parameters = _parameters(value)
    return parameters is not None and parameters.names[:3] == ("scope", "receive", "send")


# --- The interface ---


def _make(factory: Any, name: str) -> Any:
    if not callable(factory):
        raise StartupError(
            f"{name} is {_kind_of(factory)}, not a function that makes the application. "
            "Leave --factory and () out if it is the application itself."
        )
    parameters = _parameters(factory)
    if parameters is not None and not parameters.accepts(0):
        raise StartupError(
            f"The factory {name} needs arguments ({', '.join(parameters.names)}), and it is called without "
            "any. Give them defaults, or leave --factory and () out if it is the application itself."
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
            "(what has to be awaited belongs into its lifespan)."
        )
    return made


def _recognise(app: Any, name: str, interface: str) -> Application:
    """Raises StartupError for what is not an ASGI application."""
    if not callable(app):
        raise StartupError(f"{name} is {_kind_of(app)}, which is not an application: it cannot be called.")
    if interface == "asgi3":
        return Application(app, "asgi3", name)
    if interface == "asgi2":
        return Application(_single_callable(app), "asgi2", name)
    if interface == "wsgi":
        raise _wsgi(f"{name} is to be served as one")
    parameters = _parameters(app)
    if parameters is None:
        return Application(app, "asgi3", name)  # Compiled code need not tell its parameters.
    is_async = _is_async(app)
    if interface == "auto" and ("start_response" in parameters.names[:2] or (parameters.exactly(2) and not is_async)):
        raise _wsgi(f"{name} is one")
    if inspect.isclass(app):
        return _recognise_class(app, parameters, name)
    if parameters.accepts(0) and parameters.names[:1] != ("scope",):
        raise StartupError(
            f"{name} is not an application: it can be called without arguments. "
            "If it returns an application add --factory."
        )
    if parameters.accepts(3):
        return Application(app, "asgi3", name)
    if parameters.accepts(1) and not is_async:
        if interface == "auto" and inspect.isfunction(app) and "scope" not in parameters.names[0]:
            raise StartupError(
                f"{name} takes ({', '.join(parameters.names)}), an ASGI application (scope, receive, send). "
                "If it makes one, give its parameters defaults and add --factory; if it is one of ASGI 2, "
                "--interface asgi2 says so."
            )
        return Application(_single_callable(app), "asgi2", name)
    raise StartupError(
        f"{name} is not an ASGI application: it takes ({', '.join(parameters.names)}) "
        "and would be called with (scope, receive, send)."
    )


def _wsgi(what: str) -> StartupError:
    return StartupError(
        f"WSGI applications are not served yet, and {what}. "
        "Until then an adapter can wrap it: app = a2wsgi.WSGIMiddleware(app)."
    )


def _recognise_class(app: Any, parameters: "_Parameters", name: str) -> Application:
    """A class is an application where making an instance is the call that the interface asks for."""
    if parameters.accepts(3) and hasattr(app, "__await__"):
        return Application(app, "asgi3", name)
    call = inspect.getattr_static(app, "__call__", None)  # `app.__call__` could be the metaclass's
    taken = _parameters(call) if call is not None else None
    if parameters.least == 1 and (taken is None or taken.accepts(3)) and inspect.iscoroutinefunction(call):
        return Application(_single_callable(app), "asgi2", name)  # 3: self, receive, send
    raise StartupError(
        f"{name} is a class, not an application; serve an instance of it. "
        "If it can be made without arguments, --factory makes one."
    )


def _single_callable(app: Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]) -> AsgiCallable:
    """ASGI 2 is called twice, first without awaiting (asgi-main, "Legacy Applications")."""

    async def asgi3(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope)(receive, send)

    return asgi3


def _kind_of(value: object) -> str:
    if value is None or isinstance(value, ModuleType):
        return "None" if value is None else "a module"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _is_async(app: Any) -> bool:
    """Whether calling `app`, a function or an object, makes a coroutine for certain."""
    app = _unwrap_partial(app)
    if inspect.isclass(app):
        return False  # calling it makes an instance
    call = getattr(app, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call)


def _unwrap_partial(app: Any) -> Any:
    while isinstance(app, functools.partial):
        app = app.func
    return app


@dataclass(frozen=True, slots=True)
class _Parameters:
    """How something can be called with positional arguments only: with `least` to `most`."""

    names: tuple[str, ...]
    least: int
    most: float

    def accepts(self, count: int) -> bool:
        return self.least <= count <= self.most

    def exactly(self, count: int) -> bool:
        return self.least == self.most == count


def _parameters(app: Any) -> _Parameters | None:
    """None where Python cannot tell, or where a decorator takes everything and hides what it wraps."""
    for follow in (False, True):
        # A wrapper's own parameters count before those of what it wraps: it may adapt one interface to
        # another.
        try:
            signature = inspect.signature(app, follow_wrapped=follow)
        except (TypeError, ValueError):
            return None
        parameters = _positional(signature)
        if parameters is None or parameters.most != float("inf"):
            return parameters
    return None


def _positional(signature: inspect.Signature) -> _Parameters | None:
    names, least, most = [], 0, 0.0
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
            most += 1
            least += parameter.default is parameter.empty
        elif parameter.kind is parameter.VAR_POSITIONAL:
            most = float("inf")
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            return _Parameters((*names, parameter.name), least, -1)  # cannot be called by position at all
    return _Parameters(tuple(names), least, most)
