"""Applications of nothing but PEP 3333, so that only the server is measured."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

HELLO = [b"Hello, world!"]
PIECE = bytes(range(256)) * 256  # 64 KiB, the unit of big bodies, as in apps.py
BLOCKS: dict[int, bytes] = {}  # of block, by their size
FOLDER = os.getcwd()  # noqa: PTH109 - as in apps.py
READ_SIZE = 65536  # bytes of an upload asked for at once

# The durations of the paths of `work`, in seconds.
FAST = 0.0001  # computing
SLOW = 0.02  # asleep
SLEEP = 0.01  # asleep
BURN = 0.05  # computing


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers every request with the same 13 bytes."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return HELLO


def work(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers like hello, on some paths only after it has computed or slept."""
    path = environ["PATH_INFO"]
    if path == "/fast":
        _compute(FAST)
    elif path == "/slow":
        time.sleep(SLOW)
    elif path == "/sleep":
        time.sleep(SLEEP)
    elif path == "/burn":
        _compute(BURN)
    return hello(environ, start_response)


def download(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers ``/N`` with N bytes in pieces, and ``/`` with hello."""
    if environ["PATH_INFO"] == "/":
        return hello(environ, start_response)
    size = environ["PATH_INFO"][1:]
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", size)])
    return _pieces(int(size))


def block(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers ``/N`` with N bytes in one piece, and ``/`` with hello."""
    if environ["PATH_INFO"] == "/":
        return hello(environ, start_response)
    size = int(environ["PATH_INFO"][1:])
    if size not in BLOCKS:
        BLOCKS[size] = (PIECE * (size // len(PIECE) + 1))[:size]
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
    return [BLOCKS[size]]


def file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers ``/N`` with the file N of the current folder, which has N bytes, and ``/`` with hello."""
    if environ["PATH_INFO"] == "/":
        return hello(environ, start_response)
    name = environ["PATH_INFO"][1:]
    wrapper: Callable[..., Iterable[bytes]] = environ.get("wsgi.file_wrapper", FileWrapper)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", name)])
    return wrapper(Path(FOLDER, name).open("rb"), len(PIECE))


def upload(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers with the number of bytes in the body of the request, which it forgets piece by piece."""
    # PEP 3333 lets a server's input continue past the body: a request without one, or without its length, is not read.
    left = int(environ.get("CONTENT_LENGTH") or 0)
    size = 0
    while left and (piece := environ["wsgi.input"].read(min(left, READ_SIZE))):
        size += len(piece)
        left -= len(piece)
    body = str(size).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _compute(seconds: float) -> None:
    """Uses as much CPU, however often the thread is interrupted and however fast the machine is."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def _pieces(left: int) -> Iterator[bytes]:
    while left:
        piece = PIECE[:left]
        left -= len(piece)
        yield piece
