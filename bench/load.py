"""One run of wrk: some keep-alive connections, each sending its next request once it has its answer."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from peers import BENCH
from process import pinned

GRACE = 10.0  # seconds that wrk may take longer than it was told to


@dataclass(frozen=True)
class LoadResult:
    """What wrk counted. Latencies are its percentiles, in microseconds."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    errors: dict[str, int]  # connect, read, write, timeout, status (400 and above)


def run_wrk(port: int, payload: bytes, connections: int, seconds: int, core: int) -> LoadResult:
    """Sends the payload again and again from one thread on the core; RuntimeError when wrk itself fails."""
    with tempfile.NamedTemporaryFile(prefix="bench-request-") as file, pinned(core):
        Path(file.name).write_bytes(payload)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(BENCH / "wrk.lua")]
        command += [f"http://127.0.0.1:{port}/", "--", file.name]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + GRACE)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError("wrk did not end in time") from error
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
