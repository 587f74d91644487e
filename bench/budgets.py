"""Limits that Ianus has to keep: ratios of medians of one run, so that they hold on any machine."""

from collections.abc import Callable
from dataclasses import dataclass

from peers import PEERS
from results import Results

Value = Callable[[Results], float | None]


@dataclass(frozen=True)
class Budget:
    """``value`` must not exceed ``limit``; it is None if its figures were not measured."""

    text: str
    unit: str
    limit: float
    value: Value


def _of(scenario: str, metric: str, server: str = "ianus") -> Value:
    return lambda results: results.median(scenario, server, metric)


def _best(scenario: str, metric: str, choose: Callable[[list[float]], float]) -> Value:
    """The peer's that is first by ``choose``, which is min or max."""

    def best(results: Results) -> float | None:
        names = {peer.name for peers in PEERS.values() for peer in peers if not peer.fixed_answer}
        values = [value for name in names if (value := results.median(scenario, name, metric)) is not None]
        return choose(values) if values else None

    return best


def _quotient(dividend: Value, divisor: Value) -> Value:
    def quotient(results: Results) -> float | None:
        over, under = dividend(results), divisor(results)
        return over / under if over is not None and under else None

    return quotient


def _ratio(scenario: str, base: str, metric: str = "cpu_us") -> Value:
    return _quotient(_of(scenario, metric), _of(scenario, metric, base))


def _of_best(scenario: str, metric: str = "cpu_us") -> Value:
    """The cost or latency against that of the peer with the lowest."""
    return _quotient(_of(scenario, metric), _best(scenario, metric, min))


def _time(scenario: str) -> Value:
    """The time for a body against that of the peer that is quickest."""
    return _quotient(_best(scenario, "mb_per_second", max), _of(scenario, "mb_per_second"))


def _rate(scenario: str) -> Value:
    """The time for a request against that of the peer that is quickest."""
    return _quotient(_best(scenario, "rate", max), _of(scenario, "rate"))


def _time_a_request(scenario: str, base: str) -> Value:
    return _quotient(_of(scenario, "rate", base), _of(scenario, "rate"))


def _access_log(scenario: str) -> Value:
    def added(results: Results) -> float | None:
        with_log, without = (_of(name, "cpu_us")(results) for name in (scenario, "hello64"))
        return None if with_log is None or without is None else with_log - without

    return added


BEST = "x the best peer"

BUDGETS = (
    Budget("hello, 64 connections: CPU", "x floor", 1.6, _ratio("hello64", "floor")),
    Budget("hello, 64 connections: CPU", "x peregrine", 0.85, _ratio("hello64", "peregrine")),
    Budget("hello, 64 connections: CPU", "x h2corn", 0.5, _ratio("hello64", "h2corn")),
    Budget("hello, 64 connections: CPU", "x granian", 0.4, _ratio("hello64", "granian")),
    Budget("the access log adds: CPU", "µs", 0.8, _access_log("accesslog")),
    Budget("the access log as JSON adds: CPU", "µs", 0.8, _access_log("accesslogjson")),
    Budget("hello, 1 connection: CPU", BEST, 0.8, _of_best("hello1")),
    Budget("hello, 1 connection: p50", BEST, 0.8, _of_best("hello1", "p50_us")),
    Budget("FastAPI route: CPU", "x uvicorn", 0.8, _ratio("fastapi", "uvicorn")),
    Budget("FastAPI route: CPU", BEST, 1.0, _of_best("fastapi")),
    Budget("100 MB response: time", BEST, 1.0, _time("download100m")),
    Budget("100 MB response: CPU", BEST, 1.0, _of_best("download100m", "cpu_ms")),
    Budget("100 MB response: RSS growth", "MB", 20.0, _of("download100m", "growth_mb")),
    Budget("100 MB response in one piece: CPU", BEST, 1.0, _of_best("block100m", "cpu_ms")),
    Budget("100 MB upload: time", BEST, 1.0, _time("upload100m")),
    Budget("100 MB upload: CPU", BEST, 1.0, _of_best("upload100m", "cpu_ms")),
    Budget("100 MB upload: RSS growth", "MB", 20.0, _of("upload100m", "growth_mb")),
    Budget("100 MB file by pathsend: CPU", BEST, 1.0, _of_best("pathsend100m", "cpu_ms")),
    Budget("64 busy connections of 10,000: CPU", "x 64 alone", 1.15, _of("open10000", "x_alone")),
    Budget("idle connection: memory", "KB", 0.5, _of("idle5000", "kb_each")),
    Budget("idle server: wake-ups", "a second", 1.0, _of("idle5000", "wakeups_per_second")),
    Budget("200 connections over 4 workers: the busiest", "x its fair share", 1.3, _of("workers4", "busiest")),
    Budget("idle server of 4 workers: wake-ups", "a second", 1.0, _of("workers4", "wakeups_per_second")),
    Budget("start to first answer", "ms", 150.0, _of("startup", "start_ms")),
    Budget("WebSocket echo of 128 bytes: CPU", "x peregrine", 0.85, _ratio("websocket128", "peregrine")),
    Budget("WebSocket echo of 128 bytes: CPU", "x h2corn", 0.5, _ratio("websocket128", "h2corn")),
    Budget("WebSocket echo of 128 bytes, compressed: CPU", BEST, 1.0, _of_best("websocket128deflated")),
    Budget("WebSocket echo of 16 KiB: CPU", BEST, 1.0, _of_best("websocket16k")),
    Budget("WebSocket echo of 16 KiB, compressed: CPU", BEST, 1.0, _of_best("websocket16kdeflated")),
    Budget("WebSocket echo of 1 MB: CPU", BEST, 1.0, _of_best("websocket1m")),
    Budget("WebSocket echo of 1 MB, compressed: CPU", BEST, 1.0, _of_best("websocket1mdeflated")),
    Budget("WSGI hello, 64 connections: CPU", BEST, 0.9, _of_best("wsgihello64")),
    Budget("WSGI hello, 1 connection: CPU", BEST, 0.8, _of_best("wsgihello1")),
    Budget("WSGI hello, 1 connection: p50", BEST, 0.8, _of_best("wsgihello1", "p50_us")),
    Budget("Flask route: CPU", BEST, 1.0, _of_best("wsgiflask")),
    Budget("WSGI hello, an ASGI application mounted: CPU", "x granian", 1.0, _ratio("wsgimounted", "granian")),
    Budget("WSGI asleep for 10 ms: time a request", "x granian", 1.03, _time_a_request("wsgisleep", "granian")),
    Budget("WSGI asleep for 10 ms: CPU", "x granian", 0.7, _ratio("wsgisleep", "granian")),
    Budget("WSGI asleep for 10 ms: CPU", BEST, 1.0, _of_best("wsgisleep")),
    Budget("WSGI asleep for 10 ms: p99", BEST, 1.0, _of_best("wsgisleep", "p99_us")),
    Budget("WSGI, fast among slow: p99 of the fast", BEST, 0.6, _of_best("wsgimix", "p99_us")),
    Budget("WSGI, fast among slow: CPU", BEST, 1.0, _of_best("wsgimix")),
    Budget("WSGI, fast beside computing: p99 of the fast", BEST, 0.4, _of_best("wsgiburn", "p99_us")),
    Budget("ASGI beside a sleeping WSGI view: p99", "x alone", 1.2, _of("wsgibeside", "x_alone")),
    Budget("WSGI 100 MB response: time", BEST, 1.0, _time("wsgidownload100m")),
    Budget("WSGI 100 MB response: CPU", BEST, 1.0, _of_best("wsgidownload100m", "cpu_ms")),
    Budget("WSGI 100 MB response: RSS growth", "MB", 20.0, _of("wsgidownload100m", "growth_mb")),
    Budget("WSGI 100 MB response in one piece: CPU", BEST, 1.0, _of_best("wsgiblock100m", "cpu_ms")),
    Budget("WSGI 100 MB file by wsgi.file_wrapper: CPU", BEST, 1.0, _of_best("wsgifile100m", "cpu_ms")),
    Budget("WSGI 100 MB upload: time", BEST, 1.0, _time("wsgiupload100m")),
    Budget("WSGI 100 MB upload: CPU", BEST, 1.0, _of_best("wsgiupload100m", "cpu_ms")),
    Budget("WSGI 100 MB upload: RSS growth", "MB", 20.0, _of("wsgiupload100m", "growth_mb")),
    Budget("hello over TLS: CPU", "x h2corn", 0.7, _ratio("tls", "h2corn")),
    Budget("hello over TLS: CPU", "x granian", 0.7, _ratio("tls", "granian")),
    Budget("hello over TLS: CPU", "x peregrine", 0.9, _ratio("tls", "peregrine")),
    Budget("hello over TLS: CPU", "x nginx", 1.0, _ratio("tls", "nginx")),
    Budget("100 MB response over TLS: CPU", BEST, 1.0, _of_best("tlsdownload100m")),
    Budget("100 MB upload over TLS: CPU", BEST, 1.0, _of_best("tlsupload100m")),
    Budget("idle connection over TLS: memory", "x nginx", 1.0, _ratio("tlsidle5000", "nginx", "kb_each")),
    Budget("HTTP/2 hello: CPU", "x granian", 0.4, _ratio("http2", "granian")),
    Budget("HTTP/2 hello: CPU", "x h2corn", 0.4, _ratio("http2", "h2corn")),
    Budget("HTTP/2 hello: CPU", "x peregrine", 0.8, _ratio("http2", "peregrine")),
    Budget("HTTP/2 hello over TLS: CPU", "x granian", 0.4, _ratio("http2tls", "granian")),
    Budget("HTTP/2 hello over TLS: CPU", "x h2corn", 0.4, _ratio("http2tls", "h2corn")),
    Budget("HTTP/2 hello over TLS: CPU", "x peregrine", 0.8, _ratio("http2tls", "peregrine")),
    Budget("HTTP/2 hello over TLS: CPU", "x nginx", 1.0, _ratio("http2tls", "nginx")),
    Budget("HTTP/2, WSGI hello: CPU", "x granian", 0.5, _ratio("http2wsgi", "granian")),
    *(
        Budget(f"HTTP/2 100 MB {kind}, {streams} streams: time", BEST, 1.0, _rate(f"http2{kind}100m{streams}"))
        for kind in ("download", "upload")
        for streams in (1, 10)
    ),
    Budget("HTTP/2 idle connection: memory", "KB", 2.6, _of("http2idle5000", "kb_each")),
)
