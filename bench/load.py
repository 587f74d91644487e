"""The programs that make load, each on one core.

wrk for small requests, h2load for those of HTTP/2 and over TLS, and stream.c for big bodies keep some connections busy,
each sending its next request once it has its answer. arrivals.c is for latencies among requests of several kinds, sent
with or without a response to others. handshakes.c makes connections over TLS, and messages.py has the load of
WebSockets.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client import AnswerError
from peers import BENCH, PROGRAMS
from process import pinned

STREAM = PROGRAMS / "stream"
ARRIVALS = PROGRAMS / "arrivals"
HANDSHAKES = PROGRAMS / "handshakes"
WRK_EXTRA_SECONDS = 10.0  # seconds that wrk may take beyond its duration
STREAM_EXTRA_SECONDS = 60.0  # the same for stream, which finishes its transfers
H2LOAD_SECONDS = 60.0  # seconds that h2load may take
HANDSHAKES_EXTRA_SECONDS = 20.0  # the same for handshakes
NO_LIMIT = 1e6  # connections a second, which no server makes
ARRIVALS_EXTRA_SECONDS = 20.0  # the same for arrivals, which waits for every answer


@dataclass(frozen=True)
class LoadResult:
    """The counts of wrk. Latencies are its percentiles, in microseconds."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: dict[str, int]  # connect, read, write, timeout, status (400 and above)


@dataclass(frozen=True)
class StreamResult:
    """Whole transfers, all of them answered with status 200."""

    requests: int
    seconds: float


@dataclass(frozen=True)
class H2loadResult:
    """Requests of h2load, all of them answered with status 200."""

    requests: int
    seconds: float
    mean_us: float  # from a request to its response


@dataclass(frozen=True)
class HandshakesResult:
    """Connections over TLS with one answer each, ``resumed`` of them with a session; times from their start."""

    done: int
    failed: int
    resumed: int
    seconds: float
    p50_us: float
    p99_us: float


@dataclass(frozen=True)
class Kind:
    """Requests of one kind: ``rate`` arrive every second, or ``busy`` connections have one on its way all the time."""

    request: bytes
    rate: float = 0.0
    busy: int = 0


@dataclass(frozen=True)
class KindResult:
    """All requests of a kind, all of them answered with status 200; times in microseconds from when each was due."""

    requests: int
    p50_us: float
    p99_us: float


@dataclass(frozen=True)
class ArrivalsResult:
    """``late_us`` is the p99 of the delay that the program itself added."""

    seconds: float
    kinds: Sequence[KindResult]
    late_us: float


def run_wrk(port: int, payload: bytes, connections: int, seconds: int, core: int) -> LoadResult:
    """Sends the payload again and again; RuntimeError when wrk itself fails."""
    with tempfile.NamedTemporaryFile(prefix="bench-request-") as file:
        Path(file.name).write_bytes(payload)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(BENCH / "wrk.lua")]
        command += [f"http://127.0.0.1:{port}/", "--", file.name]
        result = _run(command, seconds + WRK_EXTRA_SECONDS, core)
    if result.returncode:
        raise RuntimeError(f"wrk: {(result.stderr or result.stdout).strip()}")
    told = json.loads(result.stdout.splitlines()[-1])
    return LoadResult(
        requests=told["requests"],
        seconds=told["duration_us"] / 1e6,
        p50_us=told["p50_us"],
        p99_us=told["p99_us"],
        errors={kind: told[kind] for kind in ("connect", "read", "write", "timeout", "status")},
    )


def run_stream(port: int, head: bytes, body: int, connections: int, seconds: int, core: int) -> StreamResult:
    """Sends the head and ``body`` bytes after it repeatedly; AnswerError when a single transfer fails."""
    with tempfile.NamedTemporaryFile(prefix="bench-request-") as file:
        Path(file.name).write_bytes(head)
        command = [str(STREAM), str(port), str(connections), str(seconds), file.name, str(body)]
        result = _run(command, seconds + STREAM_EXTRA_SECONDS, core)
    if result.returncode:
        raise AnswerError(result.stderr.strip())
    told = json.loads(result.stdout)
    return StreamResult(requests=told["requests"], seconds=told["duration_us"] / 1e6)


def run_h2load(arguments: Sequence[str], version: str, core: int) -> H2loadResult:
    """Requests by h2load with these arguments; AnswerError if one failed or was of another version (``h2``, ...)."""
    result = _run(["h2load", "-t", "1", *arguments], H2LOAD_SECONDS, core)
    if result.returncode:
        raise RuntimeError(f"h2load: {result.stderr.strip()}")
    return parse_h2load(result.stdout, version)


def parse_h2load(text: str, expected: str) -> H2loadResult:
    """Reads the report of h2load."""
    done = re.search(r"^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded", text, re.MULTILINE)
    seconds = re.search(r"^finished in ([\d.]+)(us|ms|s),", text, re.MULTILINE)
    mean = re.search(r"^time for request: +\S+ +\S+ +([\d.]+)(us|ms|s)", text, re.MULTILINE)
    version = re.search(r"^Application protocol: (\S+)", text, re.MULTILINE)
    if done is None or seconds is None or mean is None or version is None:
        raise AnswerError(f"h2load had no answer: {text.strip()[-200:]}")
    if done[1] != done[2] or version[1].removesuffix("c") != expected or done[1] == "0":
        raise AnswerError(f"h2load: {done[0]}; protocol {version[1]}")
    return H2loadResult(int(done[2]), _seconds(seconds), 1e6 * _seconds(mean))


def _seconds(match: re.Match[str]) -> float:
    return float(match[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[match[2]]


def run_handshakes(port: int, kind: str, connections: int, seconds: int, core: int) -> HandshakesResult:
    """Makes ``full`` or ``resumed`` handshakes, a number of them at once; AnswerError if an answer is wrong."""
    command = [str(HANDSHAKES), str(port), kind, str(connections), str(NO_LIMIT), str(seconds)]
    result = _run(command, seconds + HANDSHAKES_EXTRA_SECONDS, core)
    if result.returncode:
        raise AnswerError(result.stderr.strip())
    told = json.loads(result.stdout)
    return HandshakesResult(
        done=told["done"],
        failed=told["failed"],
        resumed=told["resumed"],
        seconds=told["duration_us"] / 1e6,
        p50_us=told["p50_us"],
        p99_us=told["p99_us"],
    )


def run_arrivals(port: int, kinds: Sequence[Kind], pool: int, seconds: int, core: int) -> ArrivalsResult:
    """Requests of all kinds at once; AnswerError when a single one fails or waits for too long.

    ``pool`` is the number of connections that requests which arrive by themselves share.
    """
    with tempfile.TemporaryDirectory(prefix="bench-requests-") as folder:
        command = [str(ARRIVALS), str(port), str(seconds), str(pool)]
        for number, kind in enumerate(kinds):
            file = Path(folder, str(number))
            file.write_bytes(kind.request)
            command += ["at", str(kind.rate)] if kind.rate else ["busy", str(kind.busy)]
            command.append(str(file))
        result = _run(command, seconds + ARRIVALS_EXTRA_SECONDS, core)
    if result.returncode:
        raise AnswerError(result.stderr.strip())
    told = json.loads(result.stdout)
    return ArrivalsResult(
        seconds=told["duration_us"] / 1e6,
        kinds=[KindResult(**kind) for kind in told["kinds"]],
        late_us=told["late"]["p99_us"],
    )


def _run(command: Sequence[str], timeout: float, core: int) -> subprocess.CompletedProcess[str]:
    with pinned(core):
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{Path(command[0]).name} did not end in time") from error
