"""States how the interface of an application was recognised (gateway/loading/interface has the decision)."""

import inspect
from typing import Any

from ianus.gateway.loading.interface import Interface, kind_of, parameters, unwrap_partial
from ianus.gateway.loading.loader import Application

NAMES: dict[Interface, str] = {"asgi3": "ASGI 3", "asgi2": "ASGI 2", "wsgi": "WSGI"}
# Adapters that make an ASGI application of a WSGI application, and Django's own ASGI application.
ADAPTERS = {"WsgiToAsgi", "WsgiToAsgiInstance", "WSGIMiddleware"}
DJANGO_ASGI = "ASGIHandler"


def explain_interface(app: Application, original: Any, interface: str) -> str:
    """Returns the reason for the interface as a clause. original: the object before an adapter. interface: the option.

    Example: "it takes (environ, start_response)".
    """
    if interface != "auto":
        return f"--interface {interface} is given"
    target = unwrap_partial(original)
    if inspect.isclass(target):
        return "its instances are the response" if app.interface == "wsgi" else "its instances are called to respond"
    found = parameters(original)
    takes = f"takes ({', '.join(found.names)})" if found is not None and found.names else "takes any arguments"
    call = getattr(target, "__call__", None)  # noqa: B004
    is_async = inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)
    subject = "it" if inspect.isroutine(target) else f"{kind_of(target)} object"
    return f"{subject} is async and {takes}" if is_async else f"{subject} {takes}"


def find_wsgi_inside(app: Any, *, is_synchronous: bool) -> str:
    """Returns advice if an ASGI application could be served as a WSGI application, "" if not.

    is_synchronous: its functions ran in threads, and none in the event loop.
    """
    name = type(app).__name__
    module = type(app).__module__
    if name in ADAPTERS:
        return f"{name} adapts a WSGI application; serve that application itself"
    if name == DJANGO_ASGI and is_synchronous and module.startswith("django."):
        return "its views are synchronous, so serve Django's WSGI application, as in `ianus PROJECT.wsgi:application`"
    return ""
