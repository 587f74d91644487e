"""Measures established connections over TLS while floods of handshakes arrive: ``make flood``.

In each round, requests arrive at a fixed rate on connections that exist already: once on the idle server, and once
during each flood. The server has the last core, and the load the first one.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certificate import make_certificate
from client import AnswerError
from install import compile_program
from load import HANDSHAKES
from peers import Service, ianus
from process import START_TIMEOUT_SECONDS, Process, ServerError, choose_cores, pinned
from visit import free_port

CONNECTIONS, RATE = 64, 400  # of the established connections, and of their requests a second
SETTLE_SECONDS = 1.0  # from the start of a flood to the measurement, and from its end to that of the memory
FLOOD_SECONDS = 600.0  # at most: a flood is stopped after the measurement
CORES = choose_cores()
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Flood:
    """A load of handshakes. kind: of handshakes.c. connections: the maximum at once. rate: that start in a second."""

    text: str
    kind: str
    connections: int
    rate: int


FLOODS = (
    Flood("2,000 handshakes/s", "full", 3000, 2000),
    Flood("2,000 first messages/s", "first", 3000, 2000),
    Flood("1,000 half-open handshakes", "silent", 1000, 2000),
)


@dataclass(frozen=True)
class Sample:
    """One measurement. p50, p99: of requests on established connections, in microseconds. memory: bytes after it.

    answers: to the flood, in a second. peak: bytes of memory during the flood.
    """

    p50: float
    p99: float
    memory: int
    answers: float = 0.0
    peak: int = 0


@contextmanager
def load(port: int, kind: str, connections: int, rate: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Runs handshakes.c, and yields its result, which is empty until the end of the block.

    A flood is stopped then. The requests of `asks` start then, on connections that are made before the block.
    """
    command = [str(HANDSHAKES), str(port), kind, str(connections), str(rate), str(seconds)]
    if kind != "asks":
        # The program that measures times precedes the one that floods.
        command = ["nice", *command]
    result: dict[str, Any] = {}
    with pinned(CORES.load):
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    with process:
        assert process.stderr is not None
        first = process.stderr.readline()
        try:
            if first == "is up\n":
                yield result
        finally:
            if kind != "asks":
                process.terminate()
            output, errors = process.communicate("\n")
    if process.returncode:
        raise AnswerError(f"handshakes {kind}: {first}{errors}".strip())
    result.update(json.loads(output))


def measure_idle(process: Process, port: int, seconds: float) -> Sample:
    """Measures requests without a flood."""
    with load(port, "asks", CONNECTIONS, RATE, seconds) as asked:
        pass
    return Sample(asked["p50_us"], asked["p99_us"], process.anonymous_bytes())


def measure(process: Process, port: int, flood: Flood, seconds: float) -> Sample:
    """Measures requests during a flood, and the memory after it."""
    with ExitStack() as stack:
        with load(port, "asks", CONNECTIONS, RATE, seconds) as asked:
            answers = stack.enter_context(load(port, flood.kind, flood.connections, flood.rate, FLOOD_SECONDS))
            time.sleep(SETTLE_SECONDS)
        peak = process.anonymous_bytes()
    time.sleep(SETTLE_SECONDS)
    rate = 1e6 * answers["done"] / answers["duration_us"]
    return Sample(asked["p50_us"], asked["p99_us"], process.anonymous_bytes(), rate, peak)


@contextmanager
def serving(tls_engine: str) -> Iterator[tuple[Process, int]]:
    """Starts Ianus with a certificate, and waits until it answers."""
    port = free_port()
    server = ianus("ianus", Path(sys.executable).with_name("ianus"))
    options = ["--tls-engine", tls_engine, "--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem"]
    command = [*server.command_line(Service("apps:hello"), port), *options]
    with tempfile.TemporaryDirectory(prefix="bench-flood-") as name:
        folder = Path(name)
        make_certificate(folder)
        with Process(command, server.environment(), {CORES.server}, folder, folder / "log") as process:
            _wait_for_answer(process, port)
            yield process, port


def _wait_for_answer(process: Process, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        process.require_alive()
        try:
            measure_idle(process, port, 0.1)
        except AnswerError:
            time.sleep(0.05)
        else:
            return
    raise ServerError(f"no answer within {START_TIMEOUT_SECONDS:.0f} s: {process.output_tail()}")


def print_row(text: str, samples: Sequence[Sample], idle: Sequence[Sample]) -> None:
    """Prints the medians of the rounds."""
    values = {
        field: statistics.median(getattr(sample, field) for sample in samples)
        for field in ("p50", "p99", "answers", "peak", "memory")
    }
    ratio = values["p99"] / statistics.median(sample.p99 for sample in idle)
    print(
        f"| {text} | {values['answers']:,.0f} | {values['p50']:,.0f} | {values['p99']:,.0f} | {ratio:.1f} |"
        f" {values['peak'] / MEBIBYTE:.1f} | {samples[-1].memory / MEBIBYTE:.1f} |"
    )


def main() -> None:
    """Prints a table of all floods."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--tls-engine", default="auto", help="as that of ianus")
    options = parser.parse_args()
    if reason := compile_program(HANDSHAKES, "-lssl", "-lcrypto"):
        raise SystemExit(f"handshakes.c cannot be compiled ({reason}). It needs libssl-dev.")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    idle: list[Sample] = []
    flooded: list[list[Sample]] = [[] for _ in FLOODS]
    with serving(options.tls_engine) as (process, port):
        # Each kind of load has been there once before memory is compared.
        for flood in FLOODS:
            measure(process, port, flood, 0.5)
        for _ in range(options.rounds):
            idle.append(measure_idle(process, port, options.seconds))
            for flood, samples in zip(FLOODS, flooded, strict=True):
                samples.append(measure(process, port, flood, options.seconds))
    print("| load | answers/s | p50 µs | p99 µs | p99 x idle | MB in it | MB after |")
    print("|---|---|---|---|---|---|---|")
    print_row("none", idle, idle)
    for flood, samples in zip(FLOODS, flooded, strict=True):
        print_row(flood.text, samples, idle)


if __name__ == "__main__":
    main()
