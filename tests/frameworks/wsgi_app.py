"""A WSGI application, for the adapters that run such in threads under ASGI (PEP 3333)."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    match environ["PATH_INFO"]:
        case "/digest":
            body = _digest(environ)
        case "/environ":
            names = (
                "REQUEST_METHOD",
                "SCRIPT_NAME",
                "PATH_INFO",
                "QUERY_STRING",
                "REMOTE_ADDR",
                "SERVER_PROTOCOL",
            )
            body = json.dumps({name: environ.get(name) for name in names}).encode()
        case "/stream":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return _stream(int(environ["QUERY_STRING"]))
        case _:
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return []
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _digest(environ: dict[str, Any]) -> bytes:
    digest = hashlib.sha256()
    while piece := environ["wsgi.input"].read(10_000):
        digest.update(piece)
    return digest.hexdigest().encode()


def _stream(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield b"%d\n" % number
