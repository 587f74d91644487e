"""The access log's buffer, with a server that runs in this process."""

import base64
import os
from typing import Any

import pytest

from fuzz.serving import Served
from ianus.telemetry.access_log import AccessLog
from ianus.telemetry.line_format import LineFormat
from tests.engine import line_format
from tests.helpers import until

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body"})


class Logged:
    """A server that logs to a file in memory."""

    def __init__(self, lines: LineFormat) -> None:
        self.file = os.memfd_create("log")
        self.log = AccessLog(self.file, lines, access_log_exclude=(), interval=0.01)
        self.server = Served(app, observer=self.log)

    def size(self) -> int:
        return os.lseek(self.file, 0, os.SEEK_CUR)

    def close(self) -> bytes:
        """Returns the logged lines."""
        self.log.close()
        self.server.close()
        size = self.size()
        try:
            return os.pread(self.file, size, 0)
        finally:
            os.close(self.file)


def test_longest_line_has_its_end() -> None:
    """Five of these fill the buffer but for the last line feed; only a sanitizer sees one written after it."""
    lines = line_format("x" * 52428)
    assert lines.max_line_size > 52428
    logged = Logged(lines)
    logged.server.ask((REQUEST + b"\r\n") * 5)
    assert logged.close() == (b"x" * 52428 + b"\n") * 5


def test_lines_taken_while_one_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading credentials is Python code, in which the log's thread may get its turn."""
    logged = Logged(line_format("%(u)s"))
    decode = base64.b64decode

    def slow(*args: Any, **how: Any) -> bytes:
        until(lambda: logged.size() > 0)
        return decode(*args, **how)

    monkeypatch.setattr(base64, "b64decode", slow)
    logged.server.ask((REQUEST + b"\r\n") * 2)
    logged.log.start()
    logged.server.ask(REQUEST + b"Authorization: Basic YTpi\r\n\r\n")
    assert logged.close() == b"-\n-\na\n"


def test_each_byte_of_a_text_is_escaped_at_each_place() -> None:
    """Eight bytes are checked at once, so an escape depends on the bytes beside it."""
    logged = Logged(line_format("%({x-text}i)s"))
    texts = [
        b"a" * place + bytes([byte]) + b"z" * (17 - place)
        for byte in (0x09, *range(0x21, 0x7F), *range(0x80, 0x100))
        for place in range(1, 17)
    ]
    for start in range(0, len(texts), 16):
        logged.server.ask(b"".join(REQUEST + b"X-Text: %b\r\n\r\n" % text for text in texts[start : start + 16]))

    def escaped(byte: int) -> str:
        return chr(byte) if 0x20 <= byte <= 0x7E and byte not in b'"\\' else f"\\x{byte:02x}"

    expected = ["".join(map(escaped, text)) for text in texts]
    assert logged.close().decode("ascii").splitlines() == expected
