"""Contract: for any input of a client, each response is one line of printable ASCII in the configured format."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from fuzz.serving import Served
from ianus.telemetry.access_log import INTERVAL_SECONDS, AccessLog
from ianus.telemetry.line_format import LineFormat

PRINTABLE = re.compile(r"[ -~]+")
# Values from clients have no quote, so a quoted text ends at the next quote.
TEXT = r'"[^"]*"'
COMBINED = re.compile(rf'[^ ]+ - [^"]+ \[[^]"]+\] {TEXT} [0-9]{{3}} [0-9]+ {TEXT} {TEXT} [0-9]+\.[0-9]{{6}}')
ATOMS = [*"hlurmUqHstBbfaTDMLQp", "{x-echo}i", "{x-echo}o", "{absent}i"]
EVERY_ATOM = re.compile(" ".join([TEXT] * len(ATOMS)))
KEYS = [
    *("time", "client", "method", "target", "protocol", "status", "size", "duration", "queue_time"),
    *("referer", "user_agent"),
    "request_id",  # if it has one
]


def seeds() -> Iterable[bytes]:
    for data in (b"a", b"", b"\x1b[31m", b'"', b"\\", b"\\x41", b"\x80\xff", b"\t", b"%s", b"a" * 2100):
        fields = (b"Referer", b"User-Agent", b"X-Echo", b"X-Request-Id")
        yield b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(name + b": " + data + b"\r\n" for name in fields) + b"\r\n"
        yield b"GET /" + data + b" HTTP/1.0\r\nUser-Agent: a\r\nUser-Agent: " + data + b"\r\n\r\n"
        yield data + b" / HTTP/1.1\r\nHost: h\r\n\r\n" + data
    for credentials in (b"YTpi", b"GzpbMW0=", b"Olw=", b"not base64", b"IiI6"):
        yield b"GET /?a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic " + credentials + b"\r\n\r\n"
    yield b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.1\r\nHost: h\r\n\r\nx\r\n\r\n"


_logs: Sequence["_Log"] = ()


def check(data: bytes) -> None:
    global _logs
    if not _logs:
        every_atom = " ".join(f'"%({atom})s"' for atom in ATOMS)
        formats = [("", "text"), (every_atom, "text"), ("", "json")]
        _logs = [_Log(LineFormat(access_log_format=text, log_format=name)) for text, name in formats]
    combined, texts, objects = [log.lines(data) for log in _logs]
    for line in combined:
        assert COMBINED.fullmatch(line), line
    for line in texts:
        assert EVERY_ATOM.fullmatch(line), line
    for line in objects:
        entry = json.loads(line)
        assert list(entry) in (KEYS, KEYS[:-1]), entry


async def _app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    echo = [pair for pair in scope["headers"] if pair[0] == b"x-echo"]
    await send({"type": "http.response.start", "status": 200, "headers": echo})
    await send({"type": "http.response.body", "body": b"ok"})


class _Log:
    """A server and the lines that it writes."""

    def __init__(self, line_format: LineFormat) -> None:
        self._file = os.memfd_create("access log")
        self._log = AccessLog(self._file, line_format, access_log_exclude=(), interval=INTERVAL_SECONDS)
        self._served = Served(_app, observer=self._log, request_id_header="x-request-id")

    def lines(self, data: bytes) -> list[str]:
        """Returns the lines of the responses to data."""
        responses = self._served.ask(data).count(b"HTTP/1.1 ")
        self._log.close()  # it was never started, so it only writes
        size = os.lseek(self._file, 0, os.SEEK_CUR)
        lines = os.pread(self._file, size, 0).decode("ascii").split("\n")[:-1]
        os.lseek(self._file, 0, os.SEEK_SET)
        assert len(lines) == responses, lines
        for line in lines:
            assert PRINTABLE.fullmatch(line), line
        return lines
