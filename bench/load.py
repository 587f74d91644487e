"""The programs that make load, each on one core: wrk for small requests, stream.c for big bodies.

Both keep some connections busy, each sending its next request once it has its answer.
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client import AnswerError
from peers import BENCH
from process import pinned

STREAM = BENCH / "build" / "stream"
WRK_GRACE = 10.0  # seconds that wrk may take longer than it was told to
STREAM_GRACE = 60.0  # the same for stream, which finishes its transfers


@dataclass(frozen=True)
class LoadResult:
    """What wrk counted. Latencies are its percentiles, in microseconds."""

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


def run_wrk(port: int, payload: bytes, connections: int, seconds: int, core: int) -> LoadResult:
    """Sends the payload again and again; RuntimeError when wrk itself fails."""
    with tempfile.NamedTemporaryFile(prefix="bench-request-") as file:
        Path(file.name).write_bytes(payload)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(BENCH / "wrk.lua")]
        command += [f"http://127.0.0.1:{port}/", "--", file.name]
        result = _run(command, seconds + WRK_GRACE, core)
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
    """Sends the head and as many bytes behind it again and again; AnswerError when a single transfer fails."""
    with tempfile.NamedTemporaryFile(prefix="bench-request-") as file:
        Path(file.name).write_bytes(head)
        command = [str(STREAM), str(port), str(connections), str(seconds), file.name, str(body)]
        result = _run(command, seconds + STREAM_GRACE, core)
    if result.returncode:
        raise AnswerError(result.stderr.strip())
    told = json.loads(result.stdout)
    return StreamResult(requests=told["requests"], seconds=told["duration_us"] / 1e6)


def _run(command: Sequence[str], timeout: float, core: int) -> subprocess.CompletedProcess[str]:
    with pinned(core):
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{Path(command[0]).name} did not end in time") from error
