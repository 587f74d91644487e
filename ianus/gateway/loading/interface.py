"""Recognises the interface of an application by its parameters.

(environ, start_response) is WSGI (PEP 3333, "The Application/Framework Side"), (scope, receive, send) is ASGI 3, and
(scope) is ASGI 2. A callable that fits more than one of these is ASGI if it is async, which WSGI applications are not,
or if its parameters have the names of a specification. Otherwise it is refused: an application that is called in the
wrong way fails at every request.
"""

import functools
import inspect
import types
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, cast

from ianus.errors import StartupError

Interface = Literal["asgi3", "asgi2", "wsgi"]


class Fixes(NamedTuple):
    """The advice of error messages, which depends on how the application was configured.

    call: for a function that makes an application. interface: for an application whose interface is ambiguous.
    """

    call: str
    interface: str


OF_APP = Fixes("add --factory", "set --interface to wsgi, asgi3 or asgi2")
OF_MOUNT = Fixes(
    "write it as a call, with ()",
    "mount a function around it that takes (environ, start_response) or (scope, receive, send)",
)


def recognise(app: Any, name: str, interface: str, fixes: Fixes) -> Interface:
    """Returns the interface of `app`.

    interface: the value of --interface. If it is definite, the parameters, which may mislead, are not inspected.

    Raises StartupError if `app` is not such an application.
    """
    if not callable(app):
        raise StartupError(
            f"{name} is {kind_of(app)}, which is not an application: it cannot be called. Name the application, as in"
            " MODULE:NAME."
        )
    if interface in ("asgi3", "asgi2"):
        return cast(Interface, interface)
    if interface == "wsgi":
        if _is_async(app):
            raise StartupError(f"{name} is async, which a WSGI application is not; remove --interface wsgi.")
        return "wsgi"
    may_be_wsgi = interface == "auto" and not _is_async(app)
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
    return _recognise_asgi(app, params, name, fixes, interface)


def _recognise_asgi(app: Any, params: "Parameters", name: str, fixes: Fixes, interface: str) -> Interface:
    """Recognises an ASGI application. `app` has not been recognised as a WSGI application."""
    may_be_wsgi = interface == "auto" and not _is_async(app)
    is_named = "scope" in "".join(params.names[:1]) or params.names[1:3] == ("receive", "send")
    if params.accepts(0) and not is_named:
        raise StartupError(
            f"{name} is not an application: it can be called without arguments. "
            f"If it returns an application, {fixes.call}."
        )
    if may_be_wsgi and not is_named and params.accepts(1) and inspect.isfunction(app):
        raise StartupError(
            f"{name} takes ({', '.join(params.names)}), a WSGI application (environ, start_response) and an ASGI "
            f"application (scope, receive, send). If it makes one, call it with its arguments, as in {name}('x'); "
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
    if interface == "asgi" and ("start_response" in params.names[:2] or params.exactly(2)):
        raise StartupError(
            f"{name} takes ({', '.join(params.names)}), as a WSGI application does; remove --interface asgi."
        )
    raise StartupError(
        f"{name} is not an application: it takes ({', '.join(params.names)}) and would be called with "
        "(scope, receive, send)" + (" or with (environ, start_response)." if may_be_wsgi else ".")
    )


def _recognise_class(app: Any, params: "Parameters", name: str, fixes: Fixes, may_be_wsgi: bool) -> Interface:
    """Recognises a class: it is an application if making an instance is the call that the interface requires."""
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
    """Returns whether a decorator of Werkzeug or WebOb has made a WSGI application of a function of a request.

    Such an application takes any arguments and shows the parameters of the function. An ASGI one would be async.
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
    """Returns whether calling `app`, a function or an object, certainly makes a coroutine."""
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


class Parameters(NamedTuple):
    """The parameters of a callable, and the range of the number of positional arguments that it accepts."""

    names: tuple[str, ...]
    min_count: int
    max_count: float

    def accepts(self, count: int) -> bool:
        return self.min_count <= count <= self.max_count

    def exactly(self, count: int) -> bool:
        return self.min_count == self.max_count == count


def parameters(app: Any) -> Parameters | None:
    """Returns the parameters of a callable, or None if they are unknown.

    Compiled code may have no signature, and a wrapper that takes any arguments may hide the wrapped callable.
    """
    seen: list[int] = []
    while app is not None and id(app) not in seen:
        for found in _signatures(app):
            if found is not None and found.max_count != float("inf"):
                return found
        seen.append(id(app))
        app = _enclosed(app)
    return None


def _enclosed(app: Any) -> Any:
    """Returns the one callable in the closure of a wrapper (such as wsgiref.validate), or None."""
    cells = getattr(app, "__closure__", None) or ()
    inner = [cell.cell_contents for cell in cells if cell != types.CellType()]
    applications = [each for each in inner if callable(each)]
    return applications[0] if len(applications) == 1 else None


def _signatures(app: Any) -> Iterator[Parameters | None]:
    """Yields possible parameters of a callable, in the order of reliability."""
    # A wrapper's own parameters have priority over those of the wrapped callable: it may adapt one interface to
    # another.
    for follow in (False, True):
        yield _signature(app, follow=follow)
    # A method that takes any arguments passes them to the method that it overrides.
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
            return Parameters((*names, parameter.name), min_count, -1)  # needs keyword arguments
    return Parameters(tuple(names), min_count, max_count)
