"""WSGI applications that each violate one rule, on the line with the comment `# RULE`."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

TEXT = [("Content-Type", "text/plain")]


def item_of_str(environ: Environ, start_response: StartResponse) -> Iterable[Any]:
    start_response("200 OK", TEXT)  # wsgi-item
    return ["x"]


def yields_str(environ: Environ, start_response: StartResponse) -> Iterator[Any]:
    start_response("200 OK", TEXT)
    yield b"x"
    yield "x"  # wsgi-item


def bytes_alone(environ: Environ, start_response: StartResponse) -> Iterable[Any]:
    start_response("200 OK", TEXT)  # wsgi-result
    return b"hello"


def returns_none(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", TEXT)  # wsgi-result


def status_of_int(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response(200, TEXT)  # wsgi-status
    return [b"x"]


def status_without_phrase(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200", TEXT)  # wsgi-status
    return [b"x"]


def headers_of_tuple(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", (("Content-Type", "text/plain"),))  # wsgi-headers
    return [b"x"]


def header_of_list(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [["Content-Type", "text/plain"]])  # wsgi-headers
    return [b"x"]


def value_of_int(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("X-Count", 1)])  # wsgi-headers
    return [b"x"]


def no_start(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:  # wsgi-start
    return [b"x"]


def two_starts(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    start_response("500 Failed", TEXT)  # wsgi-start
    return [b"x"]


def keywords(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response(status="200 OK", headers=TEXT)  # wsgi-start
    return [b"x"]


def hop_by_hop(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("Connection", "close")])  # wsgi-hop-by-hop
    return [b"x"]


def line_break(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("X-A", "1\r\nX-B: 2")])  # http-field-value
    return [b"x"]


def wide_character(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("X-Price", "10 \u20ac")])  # wsgi-unicode
    return [b"x"]


def long_body(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("Content-Length", "1")])  # wsgi-content-length
    return [b"long"]


def body_of_204(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("204 No Content", [])  # http-no-content
    return [b"x"]


def writes_str(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", TEXT)
    write("x")  # wsgi-write
    return []


def writes_late(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    write = start_response("200 OK", TEXT)
    yield b"x"
    write(b"y")  # wsgi-write


def closes_input(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.input"].close()  # wsgi-stream
    start_response("200 OK", TEXT)
    return [b"x"]


def raises(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise LookupError("no such page")  # wsgi-exception


class Sized(list[bytes]):
    def __len__(self) -> int:
        return 3


def wrong_len(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)  # wsgi-result
    return Sized([b"x"])


def underscore(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [*TEXT, ("X-Name_", "1")])  # wsgi-validate
    return [b"x"]
