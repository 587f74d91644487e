"""Load by h2load: HTTP/2, without TLS (by prior knowledge) and with it, and HTTP/1.1 over TLS."""

import shutil
from dataclasses import dataclass

from load import run_h2load
from peers import Server
from process import ServerError
from scenario import HELLO, WARM_UP_SECONDS, Column, Scenario
from visit import Meter, Metrics, Setting, serving


@dataclass(frozen=True)
class H2Load(Scenario):
    """Requests as fast as the server answers them, on some connections with some streams each.

    ``transfers``: their number, in place of a time; for big bodies. ``sent``: bytes of the body of each request.
    ``is_small``: whether the answer is hello. The version is HTTP/2 if the service has it.
    """

    target: str = "/"
    connections: int = 16
    streams: int = 10
    transfers: int = 0
    sent: int = 0
    is_small: bool = True

    headline: str = "cpu_us"
    columns: tuple[Column, ...] = (
        Column("CPU µs/request", "cpu_us", 1),
        Column("requests/s", "rate", 1),
        Column("mean µs", "mean_us"),
        Column("RSS growth MB", "growth_mb", 1),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        if shutil.which("h2load") is None:
            raise ServerError("cannot be measured without h2load: apt-get install nghttp2-client")
        if server.fixed_answer and not self.is_small:
            raise ServerError("has no bodies")
        body = setting.scratch / "body"
        if self.sent:
            body.write_bytes(bytes(self.sent))
        with serving(server, self.service, HELLO, setting) as running:
            url = f"{'https' if self.service.tls else 'http'}://127.0.0.1:{running.port}{self.target}"
            limit = ["-n", str(self.transfers)] if self.transfers else ["-D", str(setting.seconds)]
            version = "h2" if self.service.http2 else "http/1.1"
            load = [
                "-c",
                str(self.connections),
                "-m",
                str(self.streams),
                *(["-d", str(body)] if self.sent else []),
                *([] if self.service.http2 else ["--h1"]),
                url,
            ]
            if not self.transfers:
                run_h2load(["-D", str(WARM_UP_SECONDS), *load], version, setting.cores.load)
            rest = running.process.reset_peak()
            meter = Meter(running.process, setting.cores)
            result = run_h2load([*limit, *load], version, setting.cores.load)
            cpu, percents = meter.read()
            return {
                "cpu_us": cpu / 1e3 / result.requests,
                "rate": result.requests / result.seconds,
                "mean_us": result.mean_us,
                "growth_mb": (running.process.peak_bytes() - rest) / 1e6,
                **percents,
            }
