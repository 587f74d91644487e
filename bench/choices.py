"""Measures the interfaces, and whether `ianus check` recommends the right settings: ``make choices``.

    bench/choices.py costs             the cost of a request and of an open response, by interface
    bench/choices.py recommendations   eight applications, each with the recommended settings and two alternatives

A recommendation is right if it reaches RIGHT_SHARE of the better alternative. All servers run on all CPUs, beside the
load. So compare the figures of one run, and the CPU time that a server got: other programs take it from some more than
from others. docs/choosing.md has a table of both.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from load import run_wrk
from process import Process

BENCH = Path(__file__).resolve().parent
IANUS = str(Path(sys.executable).with_name("ianus"))
RIGHT_SHARE = 0.9
START_SECONDS = 20.0
# A server that uses less CPU time than this for a while has started.
IDLE_SECONDS = 0.5
IDLE_CPU_NS = 5_000_000
MIB = 1024 * 1024
# The time from the opening of all streams at once to the first event of each.
FIRST_EVENT_SECONDS = 2.0
WEBSOCKET_KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
# A masked text message of 16 bytes, with a mask of zeros (RFC 6455 section 5.2).
MESSAGE = b"\x81\x90\x00\x00\x00\x00" + b"x" * 16
RETURNED_BYTES = 18


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(options: str, app: str) -> Iterator[tuple[int, Process]]:
    """Starts Ianus with an application of choice_apps, and waits until it answers."""
    port = free_port()
    command = [IANUS, "--bind", f"127.0.0.1:{port}", "--no-access-log", *options.split(), f"choice_apps:{app}"]
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(BENCH), "HOME": folder}
        log = Path(folder, "log")
        with Process(command, environment, os.sched_getaffinity(0), Path(folder), log) as process:
            asyncio.run(_wait_for_answer(port, process))
            _wait_until_idle(process)
            yield port, process


def _wait_until_idle(process: Process) -> None:
    """Waits for the start of all workers: the first one would get all connections, and keep them."""
    until = time.monotonic() + START_SECONDS
    before = -IDLE_CPU_NS
    while (cpu := process.cpu_ns()) - before >= IDLE_CPU_NS and time.monotonic() < until:
        before = cpu
        time.sleep(IDLE_SECONDS)


async def _wait_for_answer(port: int, process: Process) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        process.require_alive()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if await reader.readuntil(b"\r\n"):
                writer.close()
                return
        except (OSError, asyncio.IncompleteReadError):
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.02)


# --- Load ---


async def request_rate(port: int, seconds: float, *, connections: int, targets: Sequence[str], body: int) -> float:
    """Returns the responses in a second. Each connection sends its next request after a response."""
    length = f"Content-Length: {body}\r\n" if body else ""
    method = "POST" if body else "GET"
    raw = [f"{method} {each} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n".encode() + bytes(body) for each in targets]
    end = time.monotonic() + seconds
    count = 0

    async def run(number: int) -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                writer.write(raw[number % len(raw)])
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(head.decode())
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0]))
                if time.monotonic() > end:
                    return
                count += 1
                number += 1
        finally:
            writer.close()

    await asyncio.gather(*(run(number) for number in range(connections)))
    return count / seconds


async def message_rate(port: int, seconds: float, *, connections: int) -> float:
    """Returns the messages in a second that WebSockets send back."""
    end = time.monotonic() + seconds
    count = 0
    head = (
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {WEBSOCKET_KEY}\r\n\r\n"
    )

    async def run() -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head.encode())
            await reader.readuntil(b"\r\n\r\n")
            while time.monotonic() < end:
                writer.write(MESSAGE)
                await reader.readexactly(RETURNED_BYTES)
                count += 1
        finally:
            writer.close()

    await asyncio.gather(*(run() for _ in range(connections)))
    return count / seconds


async def first_events(port: int, *, connections: int, during: Callable[[], None] = lambda: None) -> int:
    """Opens event streams at once, and returns the number of those that get an event in time."""
    writers: list[asyncio.StreamWriter] = []

    async def run() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            async with asyncio.timeout(FIRST_EVENT_SECONDS):
                await reader.readuntil(b"data:")
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            return False
        return True

    answered = await asyncio.gather(*(run() for _ in range(connections)))
    during()
    for writer in writers:
        writer.close()
    return sum(answered)


# --- Recommendations ---


@dataclass(frozen=True)
class Sample:
    """An application, its load and two alternatives to the recommendation.

    paths: that `ianus check` gets. twin: the WSGI application inside an ASGI application that adapts one. unit: of the
    figure. alternatives: options and application.
    """

    name: str
    app: str
    alternatives: tuple[tuple[str, str], tuple[str, str]]
    measure: Callable[[int, float], float]
    unit: str = "requests/s"
    paths: tuple[str, ...] = ("/",)
    twin: str = ""


def requests(connections: int, targets: Sequence[str] = ("/",), body: int = 0) -> Callable[[int, float], float]:
    return lambda port, seconds: asyncio.run(
        request_rate(port, seconds, connections=connections, targets=targets, body=body)
    )


SAMPLES = (
    Sample(
        "CPU-bound",
        "wsgi_computes",
        (("--workers 1", "wsgi_computes"), ("--workers 1 --threads 16", "wsgi_computes")),
        requests(32),
    ),
    Sample(
        "sleeping",
        "wsgi_waits",
        (("--workers 2", "wsgi_waits"), ("--workers 9 --threads 1", "wsgi_waits")),
        requests(400),
    ),
    Sample(
        "mixed",
        "wsgi_mixed",
        (("--workers 2 --threads 1", "wsgi_mixed"), ("--workers 1 --threads 8", "wsgi_mixed")),
        requests(64, ("/", "/report", "/remote")),
        paths=("/", "/report", "/remote"),
    ),
    Sample(
        "streaming",
        "asgi_stream",
        (("--workers 2", "wsgi_stream"), ("--workers 5 --threads 8", "wsgi_stream")),
        lambda port, seconds: asyncio.run(first_events(port, connections=300)),
        unit="of 300 streams",
    ),
    Sample(
        "WebSocket",
        "asgi_websocket",
        (("--workers 1", "asgi_websocket"), ("--workers 1 --loop asyncio", "asgi_websocket")),
        lambda port, seconds: asyncio.run(message_rate(port, seconds, connections=64)),
        unit="messages/s",
    ),
    Sample(
        "async that blocks",
        "asgi_blocks",
        (("--workers 1", "asgi_blocks"), ("--workers 2", "asgi_blocks")),
        requests(64),
    ),
    Sample(
        "sync in ASGI",
        "adapted",
        (("--workers 2", "adapted"), ("--workers 5", "adapted")),
        requests(128),
        twin="wsgi_short_wait",
    ),
    Sample(
        "large uploads",
        "wsgi_upload",
        (("--workers 1 --threads 1", "wsgi_upload"), ("--workers 9 --threads 1", "wsgi_upload")),
        requests(8, body=4 * MIB),
    ),
)


def recommended(sample: Sample) -> tuple[str, str]:
    """Returns the options and the application that `ianus check` recommends."""
    command = [IANUS, "check", f"choice_apps:{sample.app}", *sample.paths, "--json", "--app-dir", str(BENCH)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if run.returncode:
        raise RuntimeError(f"ianus check {sample.app}: {run.stdout}{run.stderr}")
    advice = json.loads(run.stdout)["recommendation"]
    workers = f"--workers {advice['workers']}"
    options = f"{workers} --max-threads {advice['max_threads']}" if (advice["max_threads"] or 0) > 64 else workers
    return options, sample.twin if advice["interface"] == "wsgi" and sample.twin else sample.app


def compare(sample: Sample, rounds: int, seconds: float) -> bool:
    """Prints the figures of a sample. Returns whether the recommendation is right."""
    choices = [recommended(sample), *sample.alternatives]
    figures: list[list[float]] = [[] for _ in choices]
    cpu_ms: list[list[float]] = [[] for _ in choices]
    for _ in range(rounds):
        for (options, app), found, cpu in zip(choices, figures, cpu_ms, strict=True):
            with serving(options, app) as (port, process):
                before, started = process.cpu_ns(), time.monotonic()
                found.append(sample.measure(port, seconds))
                cpu.append((process.cpu_ns() - before) / 1e6 / (time.monotonic() - started))
    medians = [statistics.median(found) for found in figures]
    is_right = medians[0] >= RIGHT_SHARE * max(medians[1:])
    cells = [
        f"`{options} {app}`: {median:,.0f} ({statistics.median(cpu) / 10:.0f} % CPU)"
        for (options, app), median, cpu in zip(choices, medians, cpu_ms, strict=True)
    ]
    print(f"| {sample.name} | {' | '.join(cells)} | {sample.unit} | {'right' if is_right else 'WRONG'} |", flush=True)
    return is_right


def show_recommendations(rounds: int, seconds: float, names: Sequence[str]) -> bool:
    print("| application | recommended | alternative | alternative | figure | |\n| --- | --- | --- | --- | --- | --- |")
    results = [compare(sample, rounds, seconds) for sample in SAMPLES if not names or sample.name in names]
    return all(results)


# --- Costs ---

FAST = (
    ("WSGI", "wsgi_fast"),
    ("ASGI", "asgi_fast"),
    ("ASGI, a synchronous handler in a thread", "asgi_in_thread"),
)
WAITING = (("WSGI", "--max-threads 400", "wsgi_waits"), ("ASGI", "", "asgi_waits"))
STREAMS = (("WSGI", "--max-threads 400", "wsgi_stream"), ("ASGI", "", "asgi_stream"))
OPEN = 300


def show_costs(rounds: int, seconds: float) -> None:
    print("| a request that does not wait | CPU µs |\n| --- | --- |")
    for name, app in FAST:
        print(f"| {name} | {statistics.median([_cpu_us(app, seconds) for _ in range(rounds)]):.0f} |", flush=True)
    print("\n| 300 requests that wait 100 ms | requests/s | KB each |\n| --- | --- | --- |")
    for name, options, app in WAITING:
        rate, size = _waiting(options, app, seconds)
        print(f"| {name} | {rate:,.0f} | {size:.0f} |", flush=True)
    print("\n| 300 open event streams | served | KB each |\n| --- | --- | --- |")
    for name, options, app in STREAMS:
        served, size = _open_streams(options, app)
        print(f"| {name} | {served} | {size:.0f} |", flush=True)


def _cpu_us(app: str, seconds: float) -> float:
    """Returns the CPU time of the server for a request, in microseconds."""
    payload = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    core = min(os.sched_getaffinity(0))
    with serving("", app) as (port, process):
        run_wrk(port, payload, 32, 1, core)
        before = process.cpu_ns()
        result = run_wrk(port, payload, 32, max(1, int(seconds)), core)
        return (process.cpu_ns() - before) / 1000 / result.requests


def _waiting(options: str, app: str, seconds: float) -> tuple[float, float]:
    with serving(options, app) as (port, process):
        before = process.anonymous_bytes()
        rate = requests(OPEN)(port, seconds)
        return rate, (process.anonymous_bytes() - before) / OPEN / 1024


def _open_streams(options: str, app: str) -> tuple[int, float]:
    with serving(options, app) as (port, process):
        before = process.anonymous_bytes()
        after = 0

        def measure() -> None:
            nonlocal after
            after = process.anonymous_bytes()

        served = asyncio.run(first_events(port, connections=OPEN, during=measure))
        return served, (after - before) / OPEN / 1024


def main() -> int:
    global IANUS
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", nargs="?", choices=["all", "costs", "recommendations"], default="all")
    parser.add_argument("--sample", nargs="*", default=[], choices=[sample.name for sample in SAMPLES])
    parser.add_argument(
        "--ianus", default=IANUS, metavar="PATH", help="another command than the one beside this interpreter"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    IANUS = options.ianus
    if options.part != "recommendations":
        show_costs(options.rounds, options.seconds)
        print()
    if options.part != "costs":
        return 0 if show_recommendations(options.rounds, options.seconds, options.sample) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
