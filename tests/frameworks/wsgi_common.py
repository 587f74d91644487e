"""Common parts of the WSGI applications of this folder: bodies that wait, fail or never end.

Each of them answers the same addresses (test_wsgi.py), by the means of its framework.
"""

import atexit
import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests.e2e.apps import alive, report
from tests.frameworks.latches import latch

# The tests start the server in a folder with a few files.
FILES = Path.cwd()

# Each call waits until four calls run at the same time.
together = threading.Barrier(4)


def report_shutdown() -> None:
    """WSGI knows no lifespan."""
    atexit.register(lambda: report("alive", json.dumps(alive())))


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def digest_of(stream: Readable) -> dict[str, object]:
    """Size and digest of all that can be read, to be shown as JSON."""
    size, digest = 0, hashlib.sha256()
    while piece := stream.read(65536):
        size += len(piece)
        digest.update(piece)
    return {"size": size, "sha256": digest.hexdigest()}


def lines(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield b"%d\n" % number


def news(name: str) -> Iterator[bytes]:
    """A line, and another when the gate opens."""
    try:
        yield b"first\n"
        latch(name).wait()
        yield b"second\n"
    finally:
        report("stream closed", name)


def endless(name: str) -> Iterator[bytes]:
    """A line, and when the gate opens more than anybody reads."""
    try:
        yield b"first\n"
        latch(name).wait()
        while True:
            yield b"more\n" * 1000
    finally:
        report("stream closed", name)


def broken() -> Iterator[bytes]:
    yield b"half"
    raise LookupError("raised on purpose")
