"""Calls the hooks pre_request and post_request around the calls of WSGI applications, as gunicorn does.

Only applications of a server with such a hook are wrapped, so that others pay nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ianus.gateway.loading.loader import Application
from ianus.gateway.wsgi.file_wrapper import FileWrapper
from ianus.hooks import RequestInfo, ResponseInfo, WorkerInfo
from ianus.process.hooks import Hooks
from ianus.telemetry.logger import logger

WsgiCallable = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_request_hooks(apps: Sequence[Application], hooks: Hooks, worker: WorkerInfo) -> tuple[Application, ...]:
    """Returns the applications, the WSGI ones of them with the hooks around each call, if there are such hooks."""
    names = [name for name in ("pre_request", "post_request") if hooks.has(name)]
    if not names:
        return tuple(apps)
    if any(app.interface != "wsgi" for app in apps):
        logger.warning("hooks not called for ASGI applications: %s", ", ".join(names))
    return tuple(
        app._replace(callable=_wrapped(app.callable, hooks, worker)) if app.interface == "wsgi" else app for app in apps
    )


def _wrapped(app: WsgiCallable, hooks: Hooks, worker: WorkerInfo) -> WsgiCallable:
    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request, response = RequestInfo(environ), ResponseInfo()

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            try:
                write = start_response(status, headers, exc_info) if exc_info else start_response(status, headers)
            finally:
                exc_info = None  # Ends the cycle of the traceback and this frame (PEP 3333).
            response.status, response.headers = status, headers
            return write

        def end() -> None:
            hooks.call("post_request", worker, request, environ, response)

        try:
            hooks.call("pre_request", worker, request)
            result = app(environ, start)
        except BaseException:
            end()
            raise
        # The server sends a list or a file in one piece, and would not do so with an object around it.
        if type(result) in (list, tuple) or isinstance(result, FileWrapper):
            end()
            return result
        return _Ending(result, end)

    return call


class _Ending:
    """The iterable of a response. end: called once, after its close()."""

    def __init__(self, result: Iterable[bytes], end: Callable[[], None]) -> None:
        self._result = result
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._result)

    def close(self) -> None:
        """Closes the application's iterable (PEP 3333)."""
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        finally:
            self._end()
