"""Contract: whatever a client sent, each response is one line of printable ASCII in the form that was asked for."""

import os
import re
from collections.abc import Iterable
from typing import Any

from fuzz.serving import Served
from ianus.telemetry.access_log import AccessLog

# The combined format and the duration: a client's quotes and backslashes are escaped, so nothing ends its text early.
TEXT = rb'"((?:[^"\\]|\\x[0-9a-f]{2})*)"'
LINE = re.compile(rb"[^ ]+ - - \[[^]]+\] " + TEXT + rb" [0-9]{3} [0-9]+ " + TEXT + rb" " + TEXT + rb" [0-9]+\.[0-9]{6}")
PRINTABLE = re.compile(rb"[ -~]+")


def seeds() -> Iterable[bytes]:
    for data in (b"a", b"", b"\x1b[31m", b'"', b"\\", b"\\x41", b"\x80\xff", b"\t", b"%s", b"a" * 5000):
        yield b"GET / HTTP/1.1\r\nHost: h\r\nReferer: " + data + b"\r\nUser-Agent: " + data + b"\r\n\r\n"
        yield b"GET /" + data + b" HTTP/1.0\r\nUser-Agent: a\r\nUser-Agent: " + data + b"\r\n\r\n"
        yield data + b" / HTTP/1.1\r\nHost: h\r\n\r\n" + data
    yield b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.1\r\nHost: h\r\n\r\nx\r\n\r\n"


def check(data: bytes) -> None:
    log = _Log.only()
    responses = log.served.ask(data).count(b"HTTP/1.1 ")
    lines = log.lines()
    assert len(lines) == responses, lines
    for line in lines:
        assert PRINTABLE.fullmatch(line), line
        assert LINE.fullmatch(line), line


async def _app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"ok"})


class _Log:
    """A server and the lines that it writes."""

    _only: "_Log | None" = None

    @classmethod
    def only(cls) -> "_Log":
        cls._only = cls._only or cls()
        return cls._only

    def __init__(self) -> None:
        self._file = os.memfd_create("access log")
        self._log = AccessLog(self._file)
        self.served = Served(_app, access_log=self._log)

    def lines(self) -> list[bytes]:
        """The lines since the last time."""
        self._log.close()  # it was never started, so it only writes
        size = os.lseek(self._file, 0, os.SEEK_CUR)
        text = os.pread(self._file, size, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        return text.removesuffix(b"\n").split(b"\n") if text else []
