"""Scenarios of HTTP/2, without TLS (by prior knowledge) and with it: h2load makes the load."""

import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from client import AnswerError, Connection
from load import run_h2load
from peers import Server
from process import ServerError
from scenario import HELLO, WARM_UP_SECONDS, Column, Idle, Scenario
from visit import Meter, Metrics, Setting, serving

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# The stream ends with this frame (RFC 9113 section 6), whose type is DATA or HEADERS.
END_STREAM = 0x1
SETTINGS_TYPE = 0x4


@dataclass(frozen=True)
class Http2Load(Scenario):
    """Requests as fast as the server answers them, on some connections with some streams each.

    ``transfers``: their number, in place of a time; for big bodies. ``sent``: bytes of the body of each request.
    """

    target: str = "/"
    connections: int = 16
    streams: int = 10
    transfers: int = 0
    sent: int = 0

    headline: str = "cpu_us"
    columns: tuple[Column, ...] = (
        Column("CPU µs/request", "cpu_us", 1),
        Column("requests/s", "rate", 1),
        Column("mean µs", "mean_us"),
        Column("RSS growth MB", "growth_mb", 1),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        prepare(server, self, setting)
        body = setting.scratch / "body"
        if self.sent:
            body.write_bytes(bytes(self.sent))
        with serving(server, self.service, HELLO, setting) as running:
            url = f"{'https' if self.service.tls else 'http'}://127.0.0.1:{running.port}{self.target}"
            limit = ["-n", str(self.transfers)] if self.transfers else ["-D", str(setting.seconds)]
            load = [
                "-c",
                str(self.connections),
                "-m",
                str(self.streams),
                *(["-d", str(body)] if self.sent else []),
                url,
            ]
            if not self.transfers:
                run_h2load(["-D", str(WARM_UP_SECONDS), *load], setting.cores.load)
            rest = running.process.reset_peak()
            meter = Meter(running.process, setting.cores)
            result = run_h2load([*limit, *load], setting.cores.load)
            cpu, percents = meter.read()
            return {
                "cpu_us": cpu / 1e3 / result.requests,
                "rate": result.requests / result.seconds,
                "mean_us": result.mean_us,
                "growth_mb": (running.process.peak_bytes() - rest) / 1e6,
                **percents,
            }


@dataclass(frozen=True)
class Http2Idle(Idle):
    """Connections that had one response each and are then idle."""

    def measure(self, server: Server, setting: Setting) -> Metrics:
        prepare(server, self, setting)
        return super().measure(server, setting)

    def open_connections(self, port: int, number: int, stack: ExitStack) -> list[Connection]:
        connections = []
        for _ in range(number):
            connection = stack.enter_context(Connection(port))
            ask_hello(connection)
            connections.append(connection)
        return connections


def ask_hello(connection: Connection) -> None:
    """Asks for / on a new connection without TLS, and reads the response."""
    # From the static table (RFC 7541 appendix A): GET, http, /; and an authority without index
    block = b"\x82\x86\x84\x01\x09localhost"
    connection.socket.sendall(PREFACE + frame(SETTINGS_TYPE, 0, 0) + frame(0x1, 0x5, 1, block))
    while True:
        head = connection.read(9)
        payload = connection.read(int.from_bytes(head[:3]))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
        if kind == SETTINGS_TYPE and not flags:
            connection.socket.sendall(frame(SETTINGS_TYPE, 1, 0))
        if kind not in (0x0, 0x1) and stream == 1:
            raise AnswerError(f"a frame of type {kind} in place of a response: {payload[:40]!r}")
        if stream == 1 and flags & END_STREAM:
            return


def prepare(server: Server, scenario: Scenario, setting: Setting) -> None:
    """Raises ServerError if the server has no HTTP/2; makes a certificate for it."""
    if server.http2 is None:
        raise ServerError("has no HTTP/2")
    if shutil.which("h2load") is None:
        raise ServerError("cannot be measured without h2load: apt-get install nghttp2-client")
    if scenario.service.tls:
        make_certificate(setting.scratch)


def make_certificate(folder: Path) -> None:
    """Writes cert.pem and key.pem, which servers on 127.0.0.1 use; the key is on P-256."""
    if (folder / "cert.pem").exists():
        return
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command.split(), *files], cwd=folder, check=True, capture_output=True)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Returns a frame (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload
