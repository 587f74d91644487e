"""The scenario of several workers: the distribution of connections, and the total cost of the processes."""

import statistics
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

from client import AnswerError, Connection
from peers import Server
from process import START_TIMEOUT_SECONDS, ServerError
from scenario import HELLO, SETTLE_SECONDS, Column, Scenario, at_rest, require_files
from visit import Metrics, Setting, serving


@dataclass(frozen=True)
class Workers(Scenario):
    """Keep-alive connections that are opened all at once, again and again; then nothing.

    The application answers with the number of its process. The server has all cores: on one, workers that accept from
    the same queue would take turns in another way than they do in earnest.
    """

    connections: int = 200
    openings: int = 20
    rest: int = 3  # how many times as long as anything else the server is left alone

    headline: str = "busiest"
    columns: tuple[Column, ...] = (
        Column("busiest x fair", "busiest", 2),
        Column("worst x fair", "worst", 2),
        Column("PSS MB", "pss_mb", 1),
        Column("processes", "processes"),
        Column("CPU ms/s", "cpu_ms_per_second", 2),
        Column("wake-ups/s", "wakeups_per_second", 1),
    )

    def measure(self, server: Server, setting: Setting) -> Metrics:
        require_files(self.connections)
        with serving(server, self.service, HELLO, setting) as running:
            request = HELLO.raw(running.port)
            self._meet_all(running.port, request)
            shares = [self._busiest(running.port, request) for _ in range(self.openings)]
            time.sleep(SETTLE_SECONDS)
            return {
                "busiest": statistics.median(shares),
                "worst": max(shares),
                "pss_mb": running.process.pss_bytes() / 1e6,
                "processes": len(running.process.members()),
                **at_rest(running.process, self.rest * setting.seconds),
            }

    def _meet_all(self, port: int, request: bytes) -> None:
        """Waits until every worker has answered once; ServerError when one does not."""
        deadline, met = time.monotonic() + START_TIMEOUT_SECONDS, Counter[bytes]()
        while len(met) < self.service.workers:
            if time.monotonic() > deadline:
                raise ServerError(f"only {len(met)} of {self.service.workers} workers answer")
            met.update(self._answers(port, request))

    def _busiest(self, port: int, request: bytes) -> float:
        """The largest share of the connections that a worker got, in fair shares."""
        (_, most), *_ = Counter(self._answers(port, request)).most_common()
        return most * self.service.workers / self.connections

    def _answers(self, port: int, request: bytes) -> list[bytes]:
        """Of all connections, each of which is answered once while the others are open."""
        with ExitStack() as stack:
            opened = [stack.enter_context(Connection(port)) for _ in range(self.connections)]
            for connection in opened:
                connection.socket.sendall(request)
            answers = [connection.read_answer() for connection in opened]
        if wrong := [status for status, _ in answers if status != 200]:
            raise AnswerError(f"status {wrong[0]}")
        return [body for _, body in answers]
