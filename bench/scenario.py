"""The kinds of scenario: each starts a fresh server, checks that it answers rightly, measures one thing."""

import resource
import select
import socket
import statistics
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass

from apps import big_body
from callgrind import Dialogue, ends_with
from client import AnswerError, Connection, Request, check
from load import run_stream, run_wrk
from peers import Server, Service
from process import Process, ServerError
from slow_readers import slow_readers
from visit import Meter, Metrics, Running, Setting, count_instructions, serving

HELLO = Request()
HELLO_ANSWER = b"Hello, world!"
HELLO_SERVICE = Service("apps:hello")
WARM_UP_SECONDS = 1  # seconds of the same load before the measured one
COUNTED_REQUESTS = 64 * 20  # on all connections together
SETTLE_SECONDS = 1.0  # seconds before memory is read, for deferred work of a server


@dataclass(frozen=True)
class Column:
    """A metric as it stands in a table."""

    heading: str
    metric: str
    digits: int = 0


@dataclass(frozen=True)
class Scenario(ABC):
    """A measurement and the servers that take part.

    ``headline`` is the metric that the ratio columns divide, ``bases`` the servers they divide it by. ``peers`` names
    those that are asked beside Ianus; None stands for all that have the interface.
    """

    name: str
    title: str
    service: Service = HELLO_SERVICE
    peers: tuple[str, ...] | None = None

    columns: tuple[Column, ...] = ()
    headline: str = ""
    bases: tuple[str, ...] = ("ianus",)

    @abstractmethod
    def measure(self, server: Server, setting: Setting) -> Metrics:
        """One measurement; raises an exception with the reason if there is none."""

    def count(self, server: Server, setting: Setting) -> Metrics:
        """Counts the instructions of a request; empty if the scenario is about something else."""
        return {}


@dataclass(frozen=True)
class Load(Scenario):
    """Requests as fast as the server answers them."""

    request: Request = HELLO
    answer: bytes = HELLO_ANSWER
    connections: int = 64
    pipelined: int = 1

    headline: str = "cpu_us"
    bases: tuple[str, ...] = ("floor", "ianus")
    columns: tuple[Column, ...] = (
        Column("CPU µs/request", "cpu_us", 1),
        Column("instructions", "instructions"),
        Column("requests/s", "rate"),
        Column("p50 µs", "p50_us"),
        Column("p99 µs", "p99_us"),
        Column("PSS MB", "pss_mb", 1),
        Column("errors", "errors"),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        log = self.service.log
        if log != "off" and log not in server.logs and not server.fixed_answer:
            raise ServerError("has no access log" if log == "text" else f"has no access log as {log}")
        with serving(server, self.service, self.request, setting) as running:
            payload = self.request.raw(running.port) * self.pipelined
            answer = None if server.fixed_answer else self.answer
            check(running.port, payload, [answer] * self.pipelined)
            run_wrk(running.port, payload, self.connections, WARM_UP_SECONDS, setting.cores.load)
            return _under_load(running, payload, self.connections, setting)

    def count(self, server: Server, setting: Setting) -> Metrics:
        if self.pipelined > 1:
            return {}
        end = HELLO_ANSWER if server.fixed_answer else self.answer
        rounds = COUNTED_REQUESTS // self.connections
        return count_instructions(
            server,
            self.service,
            self.request,
            setting,
            lambda port: Dialogue(self.request.raw(port), ends_with(end), self.connections, rounds),
        )


@dataclass(frozen=True)
class Stream(Scenario):
    """Big bodies, one after the other on each connection."""

    start: Request = HELLO  # the small one that the server starts with
    request: Request = HELLO
    sent: int = 0  # bytes of the request's body
    answer: bytes | int = 0  # the body of the answer, or the size of a big one
    in_file: bool = False  # whether the application finds the answer in a file
    connections: int = 4

    headline: str = "cpu_ms"
    columns: tuple[Column, ...] = (
        Column("CPU ms/request", "cpu_ms", 2),
        Column("MB/s", "mb_per_second"),
        Column("RSS growth MB", "growth_mb", 1),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        if server.fixed_answer:
            raise ServerError("has no bodies")
        answer = big_body(self.answer) if isinstance(self.answer, int) else self.answer
        if self.in_file:
            (setting.scratch / str(len(answer))).write_bytes(answer)
        with serving(server, self.service, self.start, setting) as running:
            head = self.request.raw(running.port)
            rest = running.process.reset_peak()
            check(running.port, head + bytes(self.sent), [answer])
            meter = Meter(running.process, setting.cores)
            result = run_stream(running.port, head, self.sent, self.connections, setting.seconds, setting.cores.load)
            cpu, percents = meter.read()
            return {
                "cpu_ms": cpu / 1e6 / result.requests,
                "mb_per_second": result.requests * (self.sent + len(answer)) / 1e6 / result.seconds,
                "growth_mb": (running.process.peak_bytes() - rest) / 1e6,
                **percents,
            }


@dataclass(frozen=True)
class Crowd(Scenario):
    """Few busy connections among many that had one answer each, against the busy ones alone before."""

    active: int = 64
    connections: int = 10_000

    headline: str = "cpu_us"
    bases: tuple[str, ...] = ("floor", "ianus")
    columns: tuple[Column, ...] = (
        Column("CPU µs/request", "cpu_us", 1),
        Column("at 64", "alone_us", 1),
        Column("x at 64", "x_alone", 2),
        Column("p50 µs", "p50_us"),
        Column("p99 µs", "p99_us"),
        Column("PSS MB", "pss_mb", 1),
        Column("errors", "errors"),
        Column("still open", "open"),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        require_files(self.connections)
        with serving(server, self.service, HELLO, setting) as running, ExitStack() as stack:
            payload = HELLO.raw(running.port)
            check(running.port, payload, [None if server.fixed_answer else HELLO_ANSWER])
            run_wrk(running.port, payload, self.active, WARM_UP_SECONDS, setting.cores.load)
            alone = _under_load(running, payload, self.active, setting)
            idle = _answered_connections(running.port, self.connections - self.active, stack)
            crowded = _under_load(running, payload, self.active, setting)
            return {
                **crowded,
                "alone_us": alone["cpu_us"],
                "x_alone": crowded["cpu_us"] / alone["cpu_us"],
                "open": sum(_is_open(connection.socket) for connection in idle) + self.active,
            }


@dataclass(frozen=True)
class Mixed(Scenario):
    """Fast small requests while others read something big slowly."""

    readers: int = 50
    size: int = 10_000_000  # bytes that each reader asks for; it gets to see few of them
    connections: int = 64

    headline: str = "p99_us"
    columns: tuple[Column, ...] = (
        Column("p99 µs", "p99_us"),
        Column("p50 µs", "p50_us"),
        Column("requests/s", "rate"),
        Column("errors", "errors"),
        Column("RSS growth MB", "growth_mb", 1),
        Column("slow MB/s", "slow_mb_per_second", 1),
        Column("still reading", "reading"),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        if server.fixed_answer:
            raise ServerError("has no bodies")
        with serving(server, self.service, HELLO, setting) as running:
            payload = HELLO.raw(running.port)
            check(running.port, payload, [HELLO_ANSWER])
            rest = running.process.reset_peak()
            big = Request(target=f"/{self.size}").raw(running.port)
            with slow_readers(running.port, big, self.readers) as readers:
                run_wrk(running.port, payload, self.connections, WARM_UP_SECONDS, setting.cores.load)
                received = readers.received
                fast = _under_load(running, payload, self.connections, setting)
                return {
                    **fast,
                    "growth_mb": (running.process.peak_bytes() - rest) / 1e6,
                    "slow_mb_per_second": (readers.received - received) / 1e6 / setting.seconds,
                    "reading": len(readers.reading),
                }


@dataclass(frozen=True)
class Idle(Scenario):
    """Keep-alive connections that had one response each and are then idle."""

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
        require_files(self.connections)
        with serving(server, self.service, HELLO, setting) as running, ExitStack() as stack:
            request = HELLO.raw(running.port)
            with Connection(running.port, tls=self.service.tls) as connection:
                for _ in range(self.warm_up_requests):
                    connection.ask(request)
            time.sleep(SETTLE_SECONDS)
            before = running.process.anonymous_bytes()
            connections = self.open_connections(running.port, self.connections, stack)
            time.sleep(SETTLE_SECONDS)
            after = running.process.anonymous_bytes()
            return {
                "kb_each": (after - before) / 1e3 / self.connections,
                "pss_mb": running.process.pss_bytes() / 1e6,
                **at_rest(running.process, setting.seconds),
                "open": sum(_is_open(connection.socket) for connection in connections),
            }

    def open_connections(self, port: int, number: int, stack: ExitStack) -> list[Connection]:
        """Opens connections that stay open for as long as the stack, and have one answer each."""
        return _answered_connections(port, number, stack, tls=self.service.tls)


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
        with serving(server, self.service, HELLO, setting) as running:
            return running.start_ms


def _under_load(running: Running, payload: bytes, connections: int, setting: Setting) -> Metrics:
    """Measures a busy server by wrk and by the kernel's counters."""
    meter = Meter(running.process, setting.cores)
    result = run_wrk(running.port, payload, connections, setting.seconds, setting.cores.load)
    cpu, percents = meter.read()
    if not result.requests:
        raise AnswerError(f"no request was answered under load: {result.errors}")
    return {
        "cpu_us": cpu / 1e3 / result.requests,
        "rate": result.requests / result.seconds,
        "p50_us": result.p50_us,
        "p99_us": result.p99_us,
        "pss_mb": running.process.pss_bytes() / 1e6,
        "errors": sum(result.errors.values()),
        **{f"{kind}_errors": count for kind, count in result.errors.items()},
        **percents,
    }


def require_files(connections: int) -> None:
    """Raises ServerError if the limit on open files does not allow ``connections``."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < connections + 100:
        raise ServerError(f"only {limit} files may be open here")


def _answered_connections(port: int, number: int, stack: ExitStack, *, tls: bool = False) -> list[Connection]:
    """Each had one answer; they stay open for as long as the stack."""
    request = HELLO.raw(port)
    connections = []
    for _ in range(number):
        connection = stack.enter_context(Connection(port, tls=tls))
        connection.ask(request)  # one after the other: not all of them fit into the backlog
        connections.append(connection)
    return connections


def at_rest(process: Process, seconds: int) -> Metrics:
    """Measures an idle server."""
    cpu, wakeups = process.cpu_ns(), process.wakeups()
    time.sleep(seconds)
    return {
        "cpu_ms_per_second": (process.cpu_ns() - cpu) / 1e6 / seconds,
        "wakeups_per_second": (process.wakeups() - wakeups) / seconds,
    }


def _is_open(connection: socket.socket) -> bool:
    """Whether nothing has arrived from the other side, its FIN or RST included."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)
