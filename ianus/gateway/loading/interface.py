"""Tells which interface an application speaks.

How it can be called tells: (environ, start_response) is WSGI (PEP 3333, "The Application/Framework Side"),
(scope, receive, send) is ASGI 3, and (scope) is ASGI 2. What could be called in more than one way is ASGI if it is
async, which no WSGI application is, or if its parameters are named as a specification names them. Beyond that nobody
guesses: an application that is called in the wrong way fails at every request.
"""

import functools
import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from ianus.errors import StartupError

Interface = Literal["asgi3", "asgi2", "wsgi"]


class Fixes(NamedTuple):
    """What a message advises about an application, depending on how it was given.

    call: of a function that makes one. interface: of one that does not tell its interface.
    """

    call: str
    interface: str


OF_APP = Fixes("add --factory", "say with --interface which it is: wsgi, asgi3 or asgi2")
OF_MOUNT = Fixes(
    "write it as a call, with ()",
    "mount a function around it that takes (environ, start_response) or (scope, receive, send)",
)


def recognise(app: Any, name: str, requested: str = "auto", fixes: Fixes = OF_APP) -> Interface:
    """What `app` speaks.

    requested: as --interface has it. Where it leaves no choice nobody looks at parameters, which may mislead.

    Raises StartupError for what is no such application.
    """
    if not callable(app):
        raise StartupError(f"{name} is {kind_of(app)}, which is not an application: it cannot be called.")
    if requested in ("asgi3", "asgi2"):
        return cast(Interface, requested)
    if requested == "wsgi":
        if _is_async(app):
            raise StartupError(f"{name} is async, which a WSGI application is not; leave --interface wsgi out.")
        return "wsgi"
    may_be_wsgi = requested == "auto" and not _is_async(app)
    params = parameters(app)
    if may_be_wsgi and _is_decorated_view(app):
        return "wsgi"
    if params is None:
        if may_be_wsgi:
            raise _ambiguous(name, fixes)
        return "asgi3"
    if inspect.isclass(app):
        return _recognise_class(app, params, name, fixes, may_be_wsgi)
    if may_be_wsgi and ("start_response" in params.names[:2] or params.exactly(2)):
        return "wsgi"
    return _recognise_asgi(app, params, name, fixes, may_be_wsgi)


def _recognise_asgi(app: Any, params: "Parameters", name: str, fixes: Fixes, may_be_wsgi: bool) -> Interface:
    """Of what is no WSGI application for certain."""
    is_named = "scope" in "".join(params.names[:1]) or params.names[1:3] == ("receive", "send")
    if params.accepts(0) and not is_named:
        raise StartupError(
            f"{name} is not an application: it can be called without arguments. "
            f"If it returns an application {fixes.call}."
        )
    if may_be_wsgi and not is_named and params.accepts(1) and inspect.isfunction(app):
        raise StartupError(
            f"{name} takes ({', '.join(params.names)}), a WSGI application (environ, start_response) and an ASGI "
            f"application (scope, receive, send). If it makes one, give its parameters defaults and {fixes.call}; "
            f"if it is one, {fixes.interface}."
        )
    if may_be_wsgi and not is_named and params.accepts(2):
        raise _ambiguous(name, fixes)
    if params.accepts(3):
        return "asgi3"
    if params.accepts(1) and not _is_async(app):
        return "asgi2"
    if "start_response" in params.names[:2] and _is_async(app):
        raise StartupError(
            f"{name} is async and takes ({', '.join(params.names)}), as a WSGI application would, which is not async."
        )
    raise StartupError(
        f"{name} is not an application: it takes ({', '.join(params.names)}) and would be called with "
        "(scope, receive, send)" + (" or with (environ, start_response)." if may_be_wsgi else ".")
    )


def _recognise_class(app: Any, params: "Parameters", name: str, fixes: Fixes, may_be_wsgi: bool) -> Interface:
    """A class is an application where making an instance is the call that the interface asks for."""
    if params.accepts(3) and hasattr(app, "__await__"):
        return "asgi3"
    if params.accepts(2) and hasattr(app, "__iter__") and may_be_wsgi:
        return "wsgi"  # PEP 3333, AppClass: the instance is the response
    call = inspect.getattr_static(app, "__call__", None)  # `app.__call__` could be the metaclass's
    of_call = parameters(call) if call is not None else None
    if params.min_count == 1 and (of_call is None or of_call.accepts(3)) and inspect.iscoroutinefunction(call):
        return "asgi2"  # 3: self, receive, send
    raise StartupError(
        f"{name} is a class, not an application; serve an instance of it. "
        f"If it can be made without arguments, {fixes.call}."
    )


def _is_decorated_view(app: Any) -> bool:
    """Whether it is a function of a request that a decorator of Werkzeug or WebOb has made a WSGI application.

    These take any arguments and show the parameters of the function. It would have to be async to be one of ASGI.
    """
    if inspect.isclass(app) or inspect.iscoroutinefunction(inspect.unwrap(app)):
        return False
    own, shown = _signature(app, follow=False), _signature(app)
    if own is None or shown is None:
        return False
    return own.accepts(2) and shown.names[:1] in (("request",), ("req",))


def _ambiguous(name: str, fixes: Fixes) -> StartupError:
    return StartupError(f"{name} can be called like a WSGI and like an ASGI application; {fixes.interface}.")


def kind_of(value: object) -> str:
    if value is None or isinstance(value, types.ModuleType):
        return "None" if value is None else "a module"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _is_async(app: Any) -> bool:
    """Whether calling `app`, a function or an object, makes a coroutine for certain."""
    app = unwrap_partial(app)
    if inspect.isclass(app):
        return False  # calling it makes an instance
    call = getattr(app, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call)


def unwrap_partial(app: Any) -> Any:
    while isinstance(app, functools.partial):
        app = app.func
    return app


# --- Parameters ---


@dataclass(frozen=True, slots=True)
class Parameters:
    """How something can be called with positional arguments only: with `min_count` to `max_count`."""

    names: tuple[str, ...]
    min_count: int
    max_count: float

    def accepts(self, count: int) -> bool:
        return self.min_count <= count <= self.max_count

    def exactly(self, count: int) -> bool:
        return self.min_count == self.max_count == count


def parameters(app: Any) -> Parameters | None:
    """None where nothing tells: compiled code need not, and what takes everything may hide what it wraps."""
    seen: list[int] = []
    while app is not None and id(app) not in seen:
        for found in _signatures(app):
            if found is not None and found.max_count != float("inf"):
                return found
        seen.append(id(app))
        app = _enclosed(app)
    return None


def _enclosed(app: Any) -> Any:
    """What a function that takes everything calls, such as that of wsgiref.validate; None where it is not plain."""
    cells = getattr(app, "__closure__", None) or ()
    inner = [cell.cell_contents for cell in cells if cell != types.CellType()]
    applications = [each for each in inner if callable(each)]
    return applications[0] if len(applications) == 1 else None


def _signatures(app: Any) -> Iterator[Parameters | None]:
    """What tells how something can be called, the best first."""
    # A wrapper's own parameters count before those of what it wraps: it may adapt one interface to another.
    for follow in (False, True):
        yield _signature(app, follow=follow)
    # A method that takes everything hands it on to the one that it overrides.
    if not inspect.isclass(app):
        for base in type(app).__mro__:
            overridden = getattr(super(base, app), "__call__", None)  # noqa: B004
            if overridden is not None:
                yield _signature(overridden)


def _signature(app: Any, *, follow: bool = True) -> Parameters | None:
    # An object that is a descriptor too, such as WebOb's, is taken for compiled code; its method is not.
    for each in (app, getattr(app, "__call__", app)):  # noqa: B004
        try:
            return _positional(inspect.signature(each, follow_wrapped=follow))
        except (TypeError, ValueError):
            pass
    return None


def _positional(signature: inspect.Signature) -> Parameters:
    names, min_count, max_count = [], 0, 0.0
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
            max_count += 1
            min_count += parameter.default is parameter.empty
        elif parameter.kind is parameter.VAR_POSITIONAL:
            max_count = float("inf")
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            return Parameters((*names, parameter.name), min_count, -1)  # cannot be called by position at all
    return Parameters(tuple(names), min_count, max_count)
