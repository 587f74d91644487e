"""Requests as bytes, and a reader of answers that is only as clever as the scenarios need."""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

TIMEOUT_SECONDS = 10.0  # seconds, for one answer


class AnswerError(Exception):
    """The server sent another response than the scenario expects, or none."""


@dataclass(frozen=True)
class Request:
    """One request; Host and Content-Length are added when it is written out."""

    method: str = "GET"
    target: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def raw(self, port: int) -> bytes:
        """As it goes over the wire."""
        fields = [("Host", f"127.0.0.1:{port}"), *self.headers]
        if self.body:
            fields.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


class Connection:
    """A keep-alive connection that reads answers with a Content-Length, in order."""

    def __init__(self, port: int, *, tls: bool = False) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self.socket = _unverified().wrap_socket(plain) if tls else plain
        self._buffer = bytearray()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the socket."""
        self.socket.close()

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to one request; OSError or AnswerError."""
        self.socket.sendall(request)
        return self.read_answer()

    def read_answer(self) -> tuple[int, bytes]:
        """The next answer on the connection."""
        status, fields = self.read_head()
        if b"content-length" not in fields:
            raise AnswerError("no Content-Length in the answer")
        return status, self.read(int(fields[b"content-length"]))

    def read_head(self) -> tuple[int, dict[bytes, bytes]]:
        """The status and the fields of an answer, by their names in lower case."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._fill()
        status_line, *lines = self.read(end + 4).split(b"\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        return int(status_line.split()[1]), fields

    def read(self, length: int) -> bytes:
        """Reads the next ``length`` bytes."""
        while len(self._buffer) < length:
            self._fill()
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    def _fill(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise AnswerError("connection closed instead of an answer")
        self._buffer += data


def _unverified() -> ssl.SSLContext:
    """Returns a context for the certificate of bench/certificate.py."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check(port: int, request: bytes, expected: Sequence[bytes | None], *, tls: bool = False) -> None:
    """Sends the bytes once, wants a 200 for each expected body (None: any body); OSError or AnswerError."""
    with Connection(port, tls=tls) as connection:
        connection.socket.sendall(request)
        for body in expected:
            status, got = connection.read_answer()
            if status != 200 or body not in (None, got):
                raise AnswerError(f"wrong answer: status {status} with {got[:80]!r}")
