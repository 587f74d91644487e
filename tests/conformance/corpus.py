"""Input for parsers: the input of the codec's tests, and deterministic mutations of it.

The seeds are collected by running those tests with everything that takes input replaced by something that notes
it, so a case that is added there is a seed here, however it is written.
"""

import inspect
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

from tests.codec import (
    test_http1_attacks,
    test_http1_chunked,
    test_http1_fields,
    test_http1_framing,
    test_http1_limits,
    test_http1_pipelining,
    test_http1_request_line,
)
from tests.codec.feeding import record

# Above this size a case is about limits, and slow to mutate.
LARGEST = 1024

MODULES = (
    test_http1_attacks,
    test_http1_chunked,
    test_http1_fields,
    test_http1_framing,
    test_http1_limits,
    test_http1_pipelining,
    test_http1_request_line,
)


def seeds() -> list[bytes]:
    """Every input of the HTTP/1 codec's tests up to LARGEST bytes, once, in their order."""
    noted: dict[bytes, None] = {}
    for module in MODULES:
        for data in _inputs_of(module):
            if len(data) <= LARGEST:
                noted[data] = None
    return list(noted)


def _inputs_of(module: ModuleType) -> Iterator[bytes]:
    inputs: list[bytes] = []

    def note(data: bytes, *_: object, **__: object) -> None:
        inputs.append(data)

    def note_pieces(chunks: Iterable[bytes], **how: Any) -> list[tuple[Any, ...]]:
        pieces = list(chunks)
        inputs.append(b"".join(pieces))
        return record(pieces, **how)

    replaced = {
        name: value
        for name, value in (("check", note), ("rejects", note), ("record", note_pieces))
        if name in vars(module)
    }
    originals = {name: vars(module)[name] for name in replaced}
    vars(module).update(replaced)
    try:
        for name, test in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_"):
                for arguments in _cases_of(test):
                    test(**arguments)
    finally:
        vars(module).update(originals)
    yield from inputs


def _cases_of(test: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """The arguments of each call that pytest would make for the test's `parametrize` marks."""
    axes = []
    for mark in getattr(test, "pytestmark", []):
        names, values = mark.args
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
        axes.append([dict(zip(names, _unpacked(value, len(names)), strict=True)) for value in values])
    for combination in itertools.product(*axes):
        yield {name: value for case in combination for name, value in case.items()}


def _unpacked(value: Any, count: int) -> tuple[Any, ...]:
    if hasattr(value, "marks"):  # pytest.param
        return tuple(value.values)
    return (value,) if count == 1 else tuple(value)


# Inputs that HTTP/1 parsers have disagreed about.
PIECES = (
    *(bytes([code]) for code in range(0x21)),
    *b"\x7f \x80 \x85 \xa0 \xff".split(b" "),
    *b'0 1 5 a f : ; , = " \\ / ? # % @ [ ] * + - _'.split(b" "),
    *(b"\r\n", b"\r\n\r\n", b"\n\r", b"\r\r\n", b"\r\n ", b"\r\n\t", b"0\r\n\r\n", b"0x", b"00"),
    *(b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"PRI", b" / ", b"http://", b"h:80", b"HTTP/1.0", b"HTTP/1.1"),
    *(b"Host: h\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(
        b"Transfer-Encoding: gzip\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Upgrade: websocket\r\n",
    ),
    *(b"Connection: upgrade\r\n", b"Expect: 100-continue\r\n", b"chunked", b"identity", b"close", b", ", b";a=b"),
)


class Mutator:
    """Endless variations of seeds, the same for the same number `start`."""

    def __init__(self, seeds: list[bytes], start: int) -> None:
        self._seeds = seeds
        self._random = random.Random(start)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            data = self._random.choice(self._seeds)
            for _ in range(self._random.choice((1, 1, 1, 2, 3, 5))):
                data = self._mutated(data)
            yield data[: 2 * LARGEST]

    def _mutated(self, data: bytes) -> bytes:
        randrange, choice = self._random.randrange, self._random.choice
        start = randrange(len(data) + 1)
        end = min(len(data), start + choice((0, 1, 1, 2, 4, 8, 32)))
        match randrange(8):
            case 0 | 1 | 2:  # insert or replace
                return data[:start] + choice(PIECES) + data[end:]
            case 3:
                return data[:start] + data[end:]
            case 4:  # repeat
                return data[:end] + data[start:end] + data[end:]
            case 5:  # another byte
                return data[:start] + bytes([randrange(256)]) + data[start + 1 :]
            case 6:  # a line twice, or moved
                lines = data.split(b"\r\n")
                line = choice(lines)
                lines.insert(randrange(len(lines) + 1), line)
                return b"\r\n".join(lines)
            case _:  # the end of another seed
                other = choice(self._seeds)
                return data[:start] + other[randrange(len(other) + 1) :]
