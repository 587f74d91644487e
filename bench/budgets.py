"""Where Ianus has to stand: ratios of medians of one run, so that they hold on any machine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from peers import PEERS
from results import Results

Value = Callable[[Results], float | None]


@dataclass(frozen=True)
class Budget:
    """``value`` must not exceed ``limit``; it is None when what it needs was not measured."""

    text: str
    unit: str
    limit: float
    value: Value


def _ratio(scenario: str, base: str, metric: str = "cpu_us") -> Value:
    return lambda results: results.ratio(scenario, "ianus", metric, base)


def _plain(scenario: str, metric: str) -> Value:
    return lambda results: results.median(scenario, "ianus", metric)


def _access_log(scenario: str) -> Value:
    def added(results: Results) -> float | None:
        with_log = results.median(scenario, "ianus", "cpu_us")
        without = results.median("hello64", "ianus", "cpu_us")
        return None if with_log is None or without is None else with_log - without

    return added


def _time(scenario: str) -> Value:
    """The time for a body against that of the peer that is quickest."""

    def compared(results: Results) -> float | None:
        own = results.median(scenario, "ianus", "mb_per_second")
        best = max(_of_peers(results, scenario, "mb_per_second"), default=None)
        return None if own is None or best is None else best / own

    return compared


def _latency(scenario: str) -> Value:
    """The p99 against that of the peer with the lowest."""

    def compared(results: Results) -> float | None:
        own = results.median(scenario, "ianus", "p99_us")
        best = min(_of_peers(results, scenario, "p99_us"), default=None)
        return None if own is None or best is None else own / best

    return compared


def _of_peers(results: Results, scenario: str, metric: str) -> Iterator[float]:
    names = {peer.name for peers in PEERS.values() for peer in peers}
    return (value for name in names if (value := results.median(scenario, name, metric)) is not None)


def _wsgi_hello1(metric: str) -> Value:
    """One connection against what h2corn, which has no WSGI, needs for the same answer through ASGI."""

    def compared(results: Results) -> float | None:
        own, other = results.median("wsgihello1", "ianus", metric), results.median("hello1", "h2corn", metric)
        return None if own is None or not other else own / other

    return compared


def _time_a_request(scenario: str, base: str) -> Value:
    def compared(results: Results) -> float | None:
        rates = results.median(scenario, "ianus", "rate"), results.median(scenario, base, "rate")
        return None if rates[0] is None or rates[1] is None else rates[1] / rates[0]

    return compared


BUDGETS = (
    Budget("hello, 64 connections: CPU", "x floor", 1.75, _ratio("hello64", "floor")),
    Budget("hello, 64 connections: CPU", "x h2corn", 0.65, _ratio("hello64", "h2corn")),
    Budget("hello, 64 connections: CPU", "x granian", 0.5, _ratio("hello64", "granian")),
    Budget("the access log adds: CPU", "µs", 1.5, _access_log("accesslog")),
    Budget("the access log as JSON adds: CPU", "µs", 1.5, _access_log("accesslogjson")),
    Budget("hello, 1 connection: CPU", "x h2corn", 0.7, _ratio("hello1", "h2corn")),
    Budget("hello, 1 connection: p50", "x h2corn", 0.7, _ratio("hello1", "h2corn", "p50_us")),
    Budget("FastAPI route: CPU", "x uvicorn", 0.7, _ratio("fastapi", "uvicorn")),
    Budget("FastAPI route: CPU", "x h2corn", 0.85, _ratio("fastapi", "h2corn")),
    Budget("100 MB response: time", "x the best peer", 1.0, _time("download100m")),
    Budget("100 MB response: RSS growth", "MB", 20.0, _plain("download100m", "growth_mb")),
    Budget("100 MB upload: time", "x the best peer", 1.0, _time("upload100m")),
    Budget("100 MB upload: RSS growth", "MB", 20.0, _plain("upload100m", "growth_mb")),
    Budget("64 busy connections of 10,000: CPU", "x 64 alone", 1.15, _plain("open10000", "x_alone")),
    Budget("idle connection: memory", "KB", 0.5, _plain("idle5000", "kb_each")),
    Budget("idle server: wake-ups", "a second", 1.0, _plain("idle5000", "wakeups_per_second")),
    Budget("start to first answer", "ms", 150.0, _plain("startup", "start_ms")),
    Budget("WSGI hello, 64 connections: CPU", "x bjoern", 1.0, _ratio("wsgihello64", "bjoern")),
    Budget("WSGI hello, 64 connections: CPU (stretch)", "x fastpysgi", 1.0, _ratio("wsgihello64", "fastpysgi")),
    Budget("WSGI hello, 1 connection: CPU", "x h2corn's ASGI", 0.7, _wsgi_hello1("cpu_us")),
    Budget("WSGI hello, 1 connection: p50", "x h2corn's ASGI", 0.7, _wsgi_hello1("p50_us")),
    Budget("Flask route: CPU", "x bjoern", 1.0, _ratio("wsgiflask", "bjoern")),
    Budget("Flask route: CPU", "x granian", 0.7, _ratio("wsgiflask", "granian")),
    Budget("WSGI hello, an ASGI application mounted: CPU", "x granian", 1.0, _ratio("wsgimounted", "granian")),
    Budget("WSGI asleep for 10 ms: time a request", "x granian", 1.03, _time_a_request("wsgisleep", "granian")),
    Budget("WSGI asleep for 10 ms: CPU", "x granian", 0.7, _ratio("wsgisleep", "granian")),
    Budget("WSGI, fast among slow: p99 of the fast", "x the best peer", 0.6, _latency("wsgimix")),
    Budget("WSGI, fast beside computing: p99 of the fast", "x the best peer", 0.4, _latency("wsgiburn")),
    Budget("ASGI beside a sleeping WSGI view: p99", "x alone", 1.2, _plain("wsgibeside", "x_alone")),
    Budget("WSGI 100 MB response: time", "x the best peer", 1.0, _time("wsgidownload100m")),
    Budget("WSGI 100 MB response: RSS growth", "MB", 20.0, _plain("wsgidownload100m", "growth_mb")),
    Budget("WSGI 100 MB upload: time", "x the best peer", 1.0, _time("wsgiupload100m")),
    Budget("WSGI 100 MB upload: RSS growth", "MB", 20.0, _plain("wsgiupload100m", "growth_mb")),
)
