"""wsgiref's validator around an application: its errors about either side become errors of the application.

It hides file wrappers from the server, so every application is served without it, too.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from wsgiref.validate import validator

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment


def validated(app: "WSGIApplication") -> "WSGIApplication":
    """The same application; AssertionError if it or the server breaks PEP 3333."""

    def sized(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["wsgi.input"] = Sized(environ["wsgi.input"])
        return app(environ, start_response)

    checked = validator(sized)

    # With the true signature: the validator's own takes anything.
    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return checked(environ, start_response)

    return application


class Sized:
    """A wsgi.input whose read() may have no size, as frameworks call it; the validator insists on one."""

    def __init__(self, stream: "InputStream") -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def readline(self, size: int = -1) -> bytes:
        return self._stream.readline(size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return self._stream.readlines(hint)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)
