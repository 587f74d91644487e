"""The application of the stress program (stress.py): each response has only the number of its request.

A path is /KIND/NUMBER/AMOUNT. Every call is counted under its number, every iterable that is to be closed is counted
when it is made and when it is closed.
"""

import atexit
import itertools
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.e2e.apps import alive, report
from tests.e2e.apps import app as asgi

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]

__all__ = ["app", "asgi"]

# How often the request of each number was called; as many as the stress program makes.
calls = bytearray(int(os.environ["STRESS_REQUESTS"]))
# Threads change this without a lock, since each change is atomic.
made = itertools.count()
closed = itertools.count()
inside: list[int] = []
THREADS = int(os.environ["STRESS_THREADS"])

FILE = tempfile.TemporaryFile()  # noqa: SIM115
FILE.write(bytes(range(256)) * 1000)
FILE.flush()


def report_live_objects(pid: int) -> None:
    if os.getpid() == pid:
        report("alive", json.dumps(alive()))


atexit.register(report_live_objects, os.getpid())


def text(number: int, amount: int) -> bytes:
    """That many bytes, each of which belongs to this number."""
    piece = b"%d\n" % number
    return piece * (amount // len(piece)) + piece[: amount % len(piece)]


class Body:
    """Blocks of an answer, which must be closed."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        next(made)
        self._blocks = blocks

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks

    def close(self) -> None:
        next(closed)


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    _, kind, *rest = environ["PATH_INFO"].split("/")
    if kind == "calls":
        start_response("200 OK", [])
        return [bytes(calls)]
    if kind == "bodies":
        start_response("200 OK", [])
        # Stepping them is the only way to read them; they are asked for once.
        return [b"%d %d" % (next(made), next(closed))]
    number, amount = map(int, rest)
    calls[number] += 1
    inside.append(number)
    if len(inside) > THREADS:
        report("too many calls", inside)
    try:
        return KINDS[kind](number, amount, environ, start_response)
    finally:
        inside.remove(number)


def head(start_response: StartResponse, number: int, *fields: tuple[str, str]) -> Callable[[bytes], object]:
    return start_response("200 OK", [("X-Number", str(number)), *fields])


def fast(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    head(start_response, number, ("Content-Length", str(amount)))
    return [text(number, amount)]


def nap(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Blocks for that many microseconds: its path may be known for it, or not."""
    time.sleep(amount / 1e6)
    head(start_response, number)
    return [text(number, 20)]


def burn(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Computes for that many microseconds."""
    end = time.perf_counter() + amount / 1e6
    while time.perf_counter() < end:
        pass
    head(start_response, number)
    return [text(number, 20)]


def blocks(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """That many blocks, with waits between some of them, and a late start."""

    def produce() -> Iterator[bytes]:
        head(start_response, number)
        yield b""
        for block in range(amount):
            yield text(number, 100)
            if (number + block) % 5 == 0:
                time.sleep(0.001)

    return Body(produce())


def write(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = head(start_response, number)
    for block in range(amount):
        write(text(number, 100))
        if (number + block) % 5 == 0:
            time.sleep(0.001)
    return Body(iter([text(number, 100)]))


def large(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """More than the server buffers, in blocks of 64 KiB."""
    head(start_response, number, ("Content-Length", str(amount)))
    whole = text(number, amount)
    return Body(whole[start : start + 65536] for start in range(0, amount, 65536))


def file(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A file of its own for each request, from a position on."""
    copy = open(f"/proc/self/fd/{FILE.fileno()}", "rb")  # noqa: PTH123, SIM115
    copy.seek(amount)
    head(start_response, number)
    return environ["wsgi.file_wrapper"](copy)  # type: ignore[no-any-return]


def echo(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    head(start_response, number)
    return [environ["wsgi.input"].read()]


def fail(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    head(start_response, number)
    raise (LookupError, SystemExit, KeyboardInterrupt, OSError)[amount](number)


def cut(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Fails when a part of its body has left."""

    def produce() -> Iterator[bytes]:
        yield text(number, amount)
        raise LookupError(number)

    head(start_response, number)
    return Body(produce())


def fork(number: int, amount: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A child that ends at once, or that ends like an answered request."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    else:
        if amount:
            os._exit(0)
        signal.alarm(100)  # a child that does not end must not outlive the program for long
    head(start_response, number)
    return [text(number, 20)]


KINDS = {each.__name__: each for each in (fast, nap, burn, blocks, write, large, file, echo, fail, cut, fork)}
