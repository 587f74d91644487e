"""Bodies of any size for WSGI: counted, or made in blocks of 1 MiB."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

PIECE = b"x" * (1 << 20)


def app(environ: dict[str, Any], start_response: Callable[..., Callable[[bytes], object]]) -> Iterable[bytes]:
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path.startswith("/up"):
        body = b"%d" % up(environ, slow=path == "/up/slow")
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    write = start_response("200 OK", [("Content-Length", query)] if path == "/down/length" else [])
    if path == "/down/write":
        for piece in pieces(int(query)):
            write(piece)
        return []
    return pieces(int(query))


def up(environ: dict[str, Any], *, slow: bool) -> int:
    """Counts the bytes of the request."""
    total = 0
    while piece := environ["wsgi.input"].read(len(PIECE)):
        total += len(piece)
        if slow:
            time.sleep(0.002)
    return total


def pieces(size: int) -> Iterator[bytes]:
    while size:
        piece = PIECE[:size]
        size -= len(piece)
        yield piece
