"""Scenarios of requests of two kinds at once, and the effect of one kind on the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from capacity import POOL, capacity
from client import Request, check
from load import ArrivalsResult, Kind, run_arrivals
from peers import Server
from scenario import HELLO, HELLO_ANSWER, WARM_UP_SECONDS, Column, Scenario
from visit import Meter, Metrics, Running, Setting, serving


@dataclass(frozen=True)
class Traffic:
    """Requests of one kind: a share of the mix's capacity, a rate, or connections that are always busy."""

    request: Request = HELLO
    share: float = 0.0  # of capacity()
    rate: float = 0.0  # a second
    busy: int = 0

    def kind(self, port: int, setting: Setting) -> Kind:
        """As the load generator wants it."""
        rate = self.share * capacity(setting) if self.share else self.rate
        return Kind(self.request.raw(port), rate=rate, busy=self.busy)


@dataclass(frozen=True)
class Neighbours(Scenario):
    """Fast requests among slow ones."""

    fast: Traffic = Traffic()
    slow: Traffic = Traffic()
    pool: int = POOL  # connections for all that arrives by itself
    stretch: int = 1  # how many times as long it is measured, for the sake of requests that are few

    headline: str = "p99_us"
    columns: tuple[Column, ...] = (
        Column("fast p99 µs", "p99_us"),
        Column("fast p50 µs", "p50_us"),
        Column("fast/s", "rate"),
        Column("slow p99 µs", "slow_p99_us"),
        Column("slow p50 µs", "slow_p50_us"),
        Column("slow/s", "slow_rate", 1),
        Column("CPU µs/request", "cpu_us", 1),
        Column("late µs", "late_us"),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        with serving(server, self.service, HELLO, setting) as running:
            kinds = [_checked(running, traffic, setting) for traffic in (self.fast, self.slow)]
            run_arrivals(running.port, kinds, self.pool, WARM_UP_SECONDS, setting.cores.load)
            seconds = self.stretch * setting.seconds
            result, metrics = _measured(running, kinds, self.pool, seconds, setting)
            slow = result.kinds[1]
            return {
                **metrics,
                "slow_p99_us": slow.p99_us,
                "slow_p50_us": slow.p50_us,
                "slow_rate": slow.requests / result.seconds,
            }


@dataclass(frozen=True)
class Beside(Scenario):
    """Requests of one application alone, and then beside those of another one in the same process."""

    watched: Traffic = Traffic()
    other: Traffic = Traffic()

    headline: str = "p99_us"
    columns: tuple[Column, ...] = (
        Column("p99 µs", "p99_us"),
        Column("p99 alone", "alone_p99_us"),
        Column("x alone", "x_alone", 2),
        Column("p50 µs", "p50_us"),
        Column("p50 alone", "alone_p50_us"),
        Column("watched/s", "rate"),
        Column("others/s", "other_rate"),
        Column("late µs", "late_us"),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        with serving(server, self.service, HELLO, setting) as running:
            watched, other = (_checked(running, traffic, setting) for traffic in (self.watched, self.other))
            run_arrivals(running.port, [watched, other], POOL, WARM_UP_SECONDS, setting.cores.load)
            _, alone = _measured(running, [watched], POOL, setting.seconds, setting)
            result, metrics = _measured(running, [watched, other], POOL, setting.seconds, setting)
            return {
                **metrics,
                "alone_p99_us": alone["p99_us"],
                "alone_p50_us": alone["p50_us"],
                "x_alone": metrics["p99_us"] / alone["p99_us"],
                "other_rate": result.kinds[1].requests / result.seconds,
            }


def _checked(running: Running, traffic: Traffic, setting: Setting) -> Kind:
    kind = traffic.kind(running.port, setting)
    check(running.port, kind.request, [HELLO_ANSWER])
    return kind


def _measured(
    running: Running, kinds: Sequence[Kind], pool: int, seconds: int, setting: Setting
) -> tuple[ArrivalsResult, Metrics]:
    """The latencies are those of the first kind, CPU time is for the mean request of all."""
    meter = Meter(running.process, setting.cores)
    result = run_arrivals(running.port, kinds, pool, seconds, setting.cores.load)
    cpu, percents = meter.read()
    first = result.kinds[0]
    return result, {
        "p99_us": first.p99_us,
        "p50_us": first.p50_us,
        "rate": first.requests / result.seconds,
        "cpu_us": cpu / 1e3 / sum(kind.requests for kind in result.kinds),
        "late_us": result.late_us,
        "others_percent": percents["others_percent"],  # the load's own is meaningless: it never sleeps
    }
