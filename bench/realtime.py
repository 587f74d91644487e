"""Scenarios of WebSockets: echoes, idle connections, one message to all connections."""

import time
from dataclasses import dataclass

from apps import NEWS
from callgrind import Dialogue, ends_with
from client import AnswerError
from messages import Messages, check_message, frame, handshake, has_message, messages, texts
from peers import Server
from scenario import COUNTED_REQUESTS, HELLO, SETTLE_SECONDS, WARM_UP_SECONDS, Column, Scenario, require_files
from visit import Meter, Metrics, Running, Setting, count_instructions, serving

COUNTED_BYTES = 50_000  # bytes of a message above which fewer messages are counted


@dataclass(frozen=True)
class Echo(Scenario):
    """Echoes of text messages, each connection sending its next one as soon as it has the last one back."""

    size: int = 128  # bytes of a message
    deflated: bool = False
    connections: int = 64

    headline: str = "cpu_us"
    bases: tuple[str, ...] = ("floor", "ianus")
    columns: tuple[Column, ...] = (
        Column("CPU µs/message", "cpu_us", 1),
        Column("instructions", "instructions"),
        Column("messages/s", "rate"),
        Column("p50 µs", "p50_us"),
        Column("p99 µs", "p99_us"),
        Column("bytes/message", "bytes_each"),
        Column("PSS MB", "pss_mb", 1),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        contents = texts(self.size)
        frames = b"".join(frame(text, self.deflated) for text in contents)
        with serving(server, self.service, HELLO, setting) as running:
            if not server.fixed_answer:
                check_message(running.port, contents[0], contents[0], self.deflated)
            request = handshake(self.deflated).raw(running.port)
            with messages(running.port, self.connections, request, setting.cores.load, "echo", frames) as load:
                return _under_load(running, load, setting)

    def count(self, server: Server, setting: Setting) -> Metrics:
        message = frame(texts(self.size)[0], self.deflated)
        is_answer = ends_with(message) if server.fixed_answer else has_message
        rounds = COUNTED_REQUESTS // self.connections // (1 + self.size // COUNTED_BYTES)
        return count_instructions(
            server,
            self.service,
            HELLO,
            setting,
            lambda port: Dialogue(message, is_answer, self.connections, rounds, handshake(self.deflated).raw(port)),
        )


@dataclass(frozen=True)
class FanOut(Scenario):
    """The application sends one message to all connections, and the next one as soon as all have it."""

    connections: int = 5000

    headline: str = "cpu_us"
    columns: tuple[Column, ...] = (
        Column("CPU µs/message", "cpu_us", 2),
        Column("messages/s", "rate"),
        Column("p50 µs", "p50_us"),
        Column("p99 µs", "p99_us"),
        Column("PSS MB", "pss_mb", 1),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        require_files(self.connections)
        with serving(server, self.service, HELLO, setting) as running:
            check_message(running.port, b"news", NEWS.encode())
            request = handshake().raw(running.port)
            with messages(
                running.port, self.connections, request, setting.cores.load, "fanout", frame(b"news")
            ) as load:
                return _under_load(running, load, setting)


@dataclass(frozen=True)
class Silent(Scenario):
    """WebSockets on which nothing but pings is sent: the cost of each additional one between few and many."""

    few: int = 1000
    many: int = 10_000

    headline: str = "kb_each"
    columns: tuple[Column, ...] = (
        Column("KB/WebSocket", "kb_each", 2),
        Column("CPU µs/ping", "ping_us", 1),
        Column("pings/s", "pings_per_second"),
        Column("CPU ms/s", "cpu_ms_per_second", 1),
        Column("wake-ups/s", "wakeups_per_second", 1),
        Column("PSS MB", "pss_mb", 1),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        require_files(self.many)
        with serving(server, self.service, HELLO, setting) as running:
            seconds = max(setting.seconds, self.service.ping_interval)  # for at least one ping on each
            few, many = (_silent(running, number, seconds, setting) for number in (self.few, self.many))
        more = {metric: many[metric] - few[metric] for metric in many}
        pings = more["pings_per_second"]
        return {
            **many,
            "kb_each": 1e3 * more["pss_mb"] / (self.many - self.few),
            **({"ping_us": 1e3 * more["cpu_ms_per_second"] / pings} if pings > 0 else {}),
        }


def _silent(running: Running, number: int, seconds: int, setting: Setting) -> Metrics:
    process = running.process
    with messages(running.port, number, handshake().raw(running.port), setting.cores.load) as load:
        time.sleep(SETTLE_SECONDS)
        memory, wakeups, meter = process.pss_bytes(), process.wakeups(), Meter(process, setting.cores)
        result = load.measure(seconds)
        cpu, percents = meter.read(result.cpu_ns)
        return {
            "pss_mb": memory / 1e6,
            "pings_per_second": result.pings / result.seconds,
            "cpu_ms_per_second": cpu / 1e6 / result.seconds,
            "wakeups_per_second": (process.wakeups() - wakeups) / result.seconds,
            **percents,
        }


def _under_load(running: Running, load: Messages, setting: Setting) -> Metrics:
    load.measure(WARM_UP_SECONDS)
    meter = Meter(running.process, setting.cores)
    result = load.measure(setting.seconds)
    cpu, percents = meter.read(result.cpu_ns)
    if not result.messages:
        raise AnswerError("no message came")
    return {
        "cpu_us": cpu / 1e3 / result.messages,
        "rate": result.messages / result.seconds,
        "p50_us": result.p50_us,
        "p99_us": result.p99_us,
        "bytes_each": result.received / result.messages,
        "pss_mb": running.process.pss_bytes() / 1e6,
        **percents,
    }
