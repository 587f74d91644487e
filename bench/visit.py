"""A visit to one server: started, asked once, measured by its scenario, gone."""

import resource
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from callgrind import CountError, Dialogue, count_dialogue, counted_environment, valgrind_command
from certificate import make_certificate
from client import AnswerError, Request, check
from peers import Server, Service
from process import START_TIMEOUT_SECONDS, Cores, Process, ServerError, core_busy_ns

Metrics = dict[str, float]

COUNTED_SLOWER = 8  # times that the start of a counted server may take


@dataclass(frozen=True)
class Setting:
    """The settings of all measurements of a run. ``scratch`` is the servers' current folder."""

    cores: Cores
    seconds: int
    scratch: Path


@dataclass(frozen=True)
class Running:
    """A server that has given its first answer."""

    process: Process
    port: int
    start_ms: float


class Meter:
    """Meters the CPU time of the server, of the load, and of other processes from here on."""

    def __init__(self, process: Process, cores: Cores) -> None:
        self._process, self._cores = process, cores
        self._wall, self._busy, self._client = time.monotonic_ns(), core_busy_ns(cores), _own_cpu_ns()
        self._members, self._server = process.members(), process.cpu_ns()

    def read(self, load_ns: int = 0) -> tuple[int, Metrics]:
        """User and system time of the server in nanoseconds, and whose the cores were.

        ``load_ns`` is the CPU time since then of load programs that still run.
        """
        cores = self._cores
        server = self._process.cpu_ns() - self._server
        client = _own_cpu_ns() - self._client + load_ns
        busy = core_busy_ns(cores) - self._busy
        wall = time.monotonic_ns() - self._wall
        self._process.require_alive(self._members)
        others = 100 * (busy - server - client) / wall / len({cores.server, cores.load})
        return server, {
            "others_percent": max(0.0, others),
            "load_percent": 100 * client / wall,
            "server_percent": 100 * server / wall,
        }


@contextmanager
def serving(
    server: Server, service: Service, request: Request, setting: Setting, counts: Path | None = None
) -> Iterator[Running]:
    """A server that has answered the request; it is gone when the block ends.

    counts: the folder for the files of callgrind, if it counts the server's instructions.
    """
    if missing := server.missing(service):
        raise ServerError(f"has no {missing}")
    if service.tls:
        make_certificate(setting.scratch)
    port = free_port()
    command, environment = server.command_line(service, port), server.environment()
    if counts is not None:
        command, environment = valgrind_command(command, counts), environment | counted_environment()
    cores = {setting.cores.server} if service.workers == 1 else {setting.cores.server, setting.cores.load}
    output = setting.scratch / f"{server.name}.log" if service.log == "off" else None
    begin = time.monotonic()
    with Process(command, environment, cores, setting.scratch, output) as process:
        try:
            _wait_for_answer(
                process,
                port,
                request.raw(port),
                START_TIMEOUT_SECONDS * (COUNTED_SLOWER if counts else 1),
                tls=service.tls,
            )
            start_ms = 1e3 * (time.monotonic() - begin)
            yield Running(process, port, start_ms)
        except (AnswerError, CountError, OSError, RuntimeError) as error:
            process.require_alive()  # its exit explains more than the client's error
            raise AnswerError(f"{error} (server: {process.output_tail()})") from error


def count_instructions(
    server: Server, service: Service, request: Request, setting: Setting, dialogue: Callable[[int], Dialogue]
) -> Metrics:
    """Counts the instructions of each request of a dialogue, which is made for a port."""
    with tempfile.TemporaryDirectory(prefix="bench-counts-") as name:
        folder = Path(name)
        with serving(server, service, request, setting, folder) as running:
            chosen = dialogue(running.port)
            counts = count_dialogue(chosen, running.port, running.process.members(), folder)
    return {"instructions": sum(counts.values()) / chosen.rounds / chosen.connections}


def _wait_for_answer(process: Process, port: int, request: bytes, seconds: float, *, tls: bool) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        process.require_alive()
        try:
            return check(port, request, [None], tls=tls)
        except ConnectionError:
            time.sleep(0.001)
    raise ServerError(f"no answer within {seconds:.0f} s: {process.output_tail()}")


def _own_cpu_ns() -> int:
    """User and system time of the bench and of the programs that it ran to their end."""
    usages = (resource.getrusage(process_id) for process_id in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return int(1e9 * sum(usage.ru_utime + usage.ru_stime for usage in usages))


def free_port() -> int:
    """Returns a port of the loopback interface that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
