"""What is measured: a scenario starts a fresh server, checks that it answers rightly, measures one thing."""

import resource
import select
import socket
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from client import AnswerError, Connection, Request, check
from load import run_wrk
from peers import Server
from process import START_TIMEOUT, Cores, Process, ServerError, core_busy_ns

HELLO = Request()
WARM_UP = 1  # seconds of the same load before the measured one
SETTLE = 1.0  # seconds before memory is read, for what a server puts off

Metrics = dict[str, float]


@dataclass(frozen=True)
class Setting:
    """What all measurements of a run have in common. ``scratch`` holds the servers' output."""

    cores: Cores
    seconds: int
    scratch: Path


@dataclass(frozen=True)
class Column:
    """A metric as it stands in a table."""

    heading: str
    metric: str
    digits: int = 0


@dataclass(frozen=True)
class Running:
    """A server that has given its first answer."""

    process: Process
    port: int
    start_ms: float


@dataclass(frozen=True)
class Scenario(ABC):
    """``headline`` is the metric that the ratio columns divide, ``bases`` the servers they divide it by."""

    name: str
    title: str

    columns: tuple[Column, ...] = ()
    headline: str = ""
    bases: tuple[str, ...] = ("ianus",)

    @abstractmethod
    def measure(self, server: Server, setting: Setting) -> Metrics:
        """One measurement; an exception that says why there is none."""


@dataclass(frozen=True)
class Load(Scenario):
    """Requests as fast as the server answers them."""

    app: str = "apps:hello"
    request: Request = HELLO
    answer: bytes = b"Hello, world!"
    connections: int = 64
    pipelined: int = 1
    access_log: bool = False

    headline: str = "cpu_us"
    bases: tuple[str, ...] = ("floor", "ianus")
    columns: tuple[Column, ...] = (
        Column("CPU µs/request", "cpu_us", 1),
        Column("requests/s", "rate"),
        Column("p50 µs", "p50_us"),
        Column("p99 µs", "p99_us"),
        Column("PSS MB", "pss_mb", 1),
        Column("errors", "errors"),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        if self.access_log and server.log_on is None and not server.fixed_answer:
            raise ServerError("has no access log")
        with serving(server, self.app, self.request, setting, access_log=self.access_log) as running:
            payload = self.request.raw(running.port) * self.pipelined
            answer = None if server.fixed_answer else self.answer
            check(running.port, payload, [answer] * self.pipelined)
            run_wrk(running.port, payload, self.connections, WARM_UP, setting.cores.load)
            return self._under_load(running, payload, setting)

    def _under_load(self, running: Running, payload: bytes, setting: Setting) -> Metrics:
        process, cores = running.process, setting.cores
        wall, busy, client, cpu = (
            time.monotonic_ns(),
            core_busy_ns(cores),
            _children_cpu_ns(),
            process.cpu_ns(),
        )
        result = run_wrk(running.port, payload, self.connections, setting.seconds, cores.load)
        cpu = process.cpu_ns() - cpu
        client = _children_cpu_ns() - client
        busy = core_busy_ns(cores) - busy
        wall = (time.monotonic_ns() - wall) * len({cores.server, cores.load})
        process.require_alive()
        if not result.requests:
            raise AnswerError(f"no request was answered under load: {result.errors}")
        return {
            "cpu_us": cpu / 1e3 / result.requests,
            "rate": result.requests / result.seconds,
            "p50_us": result.p50_us,
            "p99_us": result.p99_us,
            "pss_mb": process.pss_bytes() / 1e6,
            "errors": sum(result.errors.values()),
            **{f"{kind}_errors": count for kind, count in result.errors.items()},
            "others_percent": max(0.0, 100 * (busy - cpu - client) / wall),
        }


@dataclass(frozen=True)
class Idle(Scenario):
    """Keep-alive connections that had one answer each and then say nothing."""

    connections: int = 5000
    warm_up_requests: int = 500

    headline: str = "kb_each"
    columns: tuple[Column, ...] = (
        Column("KB/connection", "kb_each", 2),
        Column("PSS MB", "pss_mb", 1),
        Column("CPU ms/s", "cpu_ms_per_second", 2),
        Column("wake-ups/s", "wakeups_per_second", 1),
        Column("still open", "open"),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit < self.connections + 100:
            raise ServerError(f"only {limit} files may be open here")
        with serving(server, "apps:hello", HELLO, setting) as running, ExitStack() as stack:
            request = HELLO.raw(running.port)
            with Connection(running.port) as connection:
                for _ in range(self.warm_up_requests):
                    connection.ask(request)
            time.sleep(SETTLE)
            before = running.process.pss_bytes()
            connections = [stack.enter_context(Connection(running.port)) for _ in range(self.connections)]
            for connection in connections:
                connection.ask(request)
            time.sleep(SETTLE)
            after = running.process.pss_bytes()
            return {
                "kb_each": (after - before) / 1e3 / self.connections,
                "pss_mb": after / 1e6,
                **_at_rest(running.process, setting.seconds),
                "open": sum(_is_open(connection.socket) for connection in connections),
            }


@dataclass(frozen=True)
class Startup(Scenario):
    """From the start of the process to its first answer, with everything in the page cache."""

    starts: int = 5

    headline: str = "start_ms"
    columns: tuple[Column, ...] = (Column("ms", "start_ms"),)

    def measure(self, server: Server, setting: Setting) -> Metrics:
        times = [self._start(server, setting) for _ in range(self.starts + 1)]
        return {"start_ms": statistics.median(times[1:])}

    def _start(self, server: Server, setting: Setting) -> float:
        with serving(server, "apps:hello", HELLO, setting) as running:
            return running.start_ms


BROWSER_HEADERS = (
    ("Connection", "keep-alive"),
    ("Cache-Control", "max-age=0"),
    ("sec-ch-ua", '"Chromium";v="142", "Not=A?Brand";v="24", "Google Chrome";v="142"'),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", '"Linux"'),
    ("DNT", "1"),
    ("Upgrade-Insecure-Requests", "1"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-User", "?1"),
    ("Sec-Fetch-Dest", "document"),
    ("Referer", "http://127.0.0.1/account/orders?page=2&sort=date"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
    (
        "Cookie",
        "session=0f8c4d1e2b7a49d3a6c5e9f10b2d3c4e; theme=dark; consent=yes; _ga=GA1.1.123456789.1700000000",
    ),
    ("If-None-Match", 'W/"1f4-18c2a3b4d5e"'),
    ("Priority", "u=0, i"),
)
assert len(BROWSER_HEADERS) == 19, "twenty with Host"

SCENARIOS: tuple[Scenario, ...] = (
    Load("hello64", "Hello, 64 connections"),
    Load("hello1", "Hello, 1 connection", connections=1),
    Load("headers", "Hello, 20 browser-like headers, 64 connections", request=Request(headers=BROWSER_HEADERS)),
    Load("accesslog", "Hello with the access log on (to /dev/null), 64 connections", access_log=True),
    Load(
        "fastapi",
        "FastAPI JSON route, 64 connections",
        app="fastapi_app:app",
        request=Request(target="/items/42?currency=USD", headers=(("Accept", "application/json"),)),
        answer=b'{"id":42,"name":"Item 42","price":9.5,"tags":["small","USD"]}',
    ),
    Load(
        "post1k",
        "Echo of a 1 KB POST, 64 connections",
        app="apps:echo",
        request=Request("POST", headers=(("Content-Type", "application/octet-stream"),), body=b"x" * 1024),
        answer=b"x" * 1024,
    ),
    Load(
        "pipeline16",
        "Hello, 16 requests at once, 64 connections",
        pipelined=16,
        # wrk takes one latency a batch and then corrects it as if it were one a request: no percentiles.
        columns=tuple(column for column in Load.columns if column.metric not in ("p50_us", "p99_us")),
    ),
    Idle("idle5000", "5,000 idle keep-alive connections"),
    Startup("startup", "Start to first answer"),
)


@contextmanager
def serving(
    server: Server, app: str, request: Request, setting: Setting, *, access_log: bool = False
) -> Iterator[Running]:
    """A server that has answered the request; it is gone when the block ends."""
    port = _free_port()
    command = server.command_line(app, port, access_log=access_log)
    log = None if access_log else setting.scratch / f"{server.name}.log"
    begin = time.monotonic()
    with Process(command, server.environment(), setting.cores.server, log) as process:
        try:
            _wait_for_answer(process, port, request.raw(port))
            start_ms = 1e3 * (time.monotonic() - begin)
            yield Running(process, port, start_ms)
        except (AnswerError, OSError, RuntimeError) as error:
            process.require_alive()  # its end explains more than what its client saw of it
            raise AnswerError(f"{error} (server: {process.last_words()})") from error


def _wait_for_answer(process: Process, port: int, request: bytes) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        process.require_alive()
        try:
            return check(port, request, [None])
        except ConnectionError:
            time.sleep(0.001)
    raise ServerError(f"no answer within {START_TIMEOUT:.0f} s: {process.last_words()}")


def _at_rest(process: Process, seconds: int) -> Metrics:
    cpu, wakeups = process.cpu_ns(), process.wakeups()
    time.sleep(seconds)
    return {
        "cpu_ms_per_second": (process.cpu_ns() - cpu) / 1e6 / seconds,
        "wakeups_per_second": (process.wakeups() - wakeups) / seconds,
    }


def _is_open(connection: socket.socket) -> bool:
    """Whether nothing has come from the other side, its FIN or RST included."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)


def _children_cpu_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int(1e9 * (usage.ru_utime + usage.ru_stime))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
