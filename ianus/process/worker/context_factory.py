"""The function of --ssl-context-factory, or the hook ssl_context, which makes the context of TLS connections."""
# ruff: noqa: PTH100  (pathlib takes 5 ms to import)

import os
import ssl
import sys
from collections.abc import Callable
from typing import Any

from ianus.errors import StartupError, closest_match, one_line, user_traceback
from ianus.settings.gunicorn_view import GunicornView
from ianus.settings.schema import Settings

MakeContext = Callable[[Callable[[], ssl.SSLContext]], ssl.SSLContext]

_ADVICE = "It is a function (config, default_factory) that returns an ssl.SSLContext."

# Settings that have one value in other servers
_SINGLE = {
    "certfile": "ssl_certfile",
    "keyfile": "ssl_keyfile",
    "ssl_certfile": "ssl_certfile",
    "ssl_keyfile": "ssl_keyfile",
}


class NoCertificates:
    """The store of a server whose contexts all have certificates of their own."""

    def select(self, server_name: str | None) -> tuple[()]:
        return ()

    def refresh(self, now: float) -> bool:
        return False

    def find_challenge(self, server_name: str | None) -> None:
        return None

    def has_name(self, name: str) -> bool:
        return True


class _ContextConfig(GunicornView):
    """The settings as context factories read them: by gunicorn's names, or by those of Ianus and uvicorn."""

    def __getattr__(self, name: str) -> Any:
        if name in _SINGLE:
            values = getattr(self._settings, _SINGLE[name])
            return values[0] if values else None
        if name in Settings.__dataclass_fields__:
            return getattr(self._settings, name)
        return super().__getattr__(name)


def find_context_factory(settings: Settings, hook: Callable[..., Any] | None = None) -> MakeContext | None:
    """Returns a function that makes the context, or None if there is neither the setting nor the hook.

    hook: ssl_context. Raises StartupError if the function cannot be imported. The returned function raises it, too.
    """
    if not settings.ssl_context_factory:
        return None if hook is None else _guarded(hook, "The hook ssl_context", settings)
    name = f"{settings.ssl_context_factory} of --ssl-context-factory"
    return _guarded(_import_function(settings), name, settings)


def _import_function(settings: Settings) -> Callable[..., Any]:
    module, _, path = settings.ssl_context_factory.partition(":")
    directory = os.path.abspath(settings.app_dir)
    if directory not in sys.path[:1]:
        sys.path.insert(0, directory)
    try:
        __import__(module)
    except (Exception, SystemExit) as error:
        if isinstance(error, StartupError):
            raise  # by a server that the module starts
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise StartupError(
                f"There is no module {error.name} in {directory} or elsewhere on the path. Correct"
                f" --ssl-context-factory {settings.ssl_context_factory}, or set --app-dir to the module's directory.",
                page="tls",
            ) from None
        raise StartupError(
            f"The module {module!r} of --ssl-context-factory cannot be imported: {one_line(error)}.",
            details=user_traceback(error),
            page="tls",
        ) from None
    found: Any = sys.modules[module]
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            similar = closest_match(attribute, dir(found))
            advice = f"Did you mean {similar}?" if similar else _ADVICE
            raise StartupError(
                f"{getattr(found, '__name__', 'The object')} has no attribute {attribute}, which --ssl-context-factory"
                f" {settings.ssl_context_factory} names. {advice}",
                page="tls",
            )
        found = getattr(found, attribute)
    if not callable(found):
        raise StartupError(
            f"{settings.ssl_context_factory} of --ssl-context-factory is not a function. {_ADVICE}", page="tls"
        )
    function: Callable[..., Any] = found
    return function


def _guarded(function: Callable[..., Any], name: str, settings: Settings) -> MakeContext:
    def make_context(make_default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        try:
            context = function(_ContextConfig(settings), make_default)
        except (Exception, SystemExit) as error:
            # Perhaps it takes other arguments.
            advice = f" {_ADVICE}" if isinstance(error, TypeError) else ""
            raise StartupError(
                f"{name} has failed: {one_line(error)}.{advice}", details=user_traceback(error), page="tls"
            ) from None
        if not isinstance(context, ssl.SSLContext):
            raise StartupError(
                f"{name} has returned {type(context).__name__} and not an ssl.SSLContext. {_ADVICE}", page="tls"
            )
        try:
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
        except ssl.SSLError:
            raise StartupError(
                f"{name} has returned a context for clients. Make it with ssl.PROTOCOL_TLS_SERVER.", page="tls"
            ) from None
        return context

    return make_context
