"""Handshakes of TLS, full and resumed."""

from dataclasses import dataclass

from client import AnswerError
from install import compile_program
from load import HANDSHAKES, run_handshakes
from peers import Server
from process import ServerError
from scenario import HELLO, WARM_UP_SECONDS, Column, Scenario
from visit import Meter, Metrics, Setting, serving

CONNECTIONS = 16  # at once
MIN_RESUMED = 0.99  # of the handshakes that offer a session


@dataclass(frozen=True)
class Handshakes(Scenario):
    """Connections with one request each, as fast as the server takes them. ``resumed``: each offers a session."""

    resumed: bool = False

    headline: str = "cpu_us"
    columns: tuple[Column, ...] = (
        Column("CPU µs/connection", "cpu_us", 1),
        Column("connections/s", "rate"),
        Column("p50 µs", "p50_us"),
        Column("p99 µs", "p99_us"),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        if reason := compile_program(HANDSHAKES, "-lssl", "-lcrypto"):
            raise ServerError(f"cannot be measured ({reason}): apt-get install libssl-dev")
        kind = "resumed" if self.resumed else "full"
        with serving(server, self.service, HELLO, setting) as running:
            run_handshakes(running.port, kind, CONNECTIONS, WARM_UP_SECONDS, setting.cores.load)
            meter = Meter(running.process, setting.cores)
            result = run_handshakes(running.port, kind, CONNECTIONS, setting.seconds, setting.cores.load)
            cpu, percents = meter.read()
        if result.failed or not result.done:
            raise AnswerError(f"{result.failed} of {result.failed + result.done} connections failed")
        if self.resumed and result.resumed < MIN_RESUMED * result.done:
            raise AnswerError(f"{result.resumed} of {result.done} sessions were resumed")
        return {
            "cpu_us": cpu / 1e3 / result.done,
            "rate": result.done / result.seconds,
            "p50_us": result.p50_us,
            "p99_us": result.p99_us,
            **percents,
        }
