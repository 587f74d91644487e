"""Clients that keep their connections, check each response, and record all visible effects of changes of the server.

After a response with Connection: close a new connection is opened. The server may close one without notice as
long as nothing was asked for on it and it was idle for as long as it may be; anything else is a failure.
"""

import itertools
import re
import select
import signal
import subprocess
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.helpers import WAIT_SECONDS, Address, Client, until, url_of

# Seconds for which the clients pause at most, well below --timeout-drain-idle as the servers here have it: a
# connection that was idle for no longer than ALLOWED must not be closed without notice.
MAX_PAUSE_SECONDS = 0.3
MIN_IDLE_SECONDS = 1.0


@dataclass(frozen=True)
class Failure:
    """worker: the process that the connection was seen to be on, None before its first answer."""

    worker: int | None
    what: str


class LoadClient(threading.Thread):
    """A client. manner: "busy" asks again at once, "pausing" in a moment, "waiting" when its connection was closed.

    failures, workers (that have answered), versions (of the application), answered, waited (connections whose end was
    waited for): its observations.
    """

    def __init__(self, address: Address, first: int, behavior: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._numbers = itertools.count(first)
        self._behavior = behavior
        self._over = threading.Event()
        self.failures: list[Failure] = []
        self.workers: set[int] = set()
        self.versions: set[str] = set()
        self.answered = 0
        self.waited = 0
        self._worker: int | None = None  # of the present connection

    def stop(self) -> None:
        self._over.set()

    def run(self) -> None:
        while not self._over.is_set():
            self._worker = None
            try:
                with Client(self._address, timeout=3 * WAIT_SECONDS) as client:
                    self._use_connection(client)
            except (OSError, AssertionError, ValueError) as problem:
                self.failures.append(Failure(self._worker, f"{type(problem).__name__}: {problem}"))
                self._over.wait(0.05)  # not to fail a thousand times

    def _use_connection(self, client: Client) -> None:
        """Sends requests on one connection until it is closed."""
        since = time.monotonic()
        while not self._over.is_set():
            if self._worker is not None:
                if self._behavior == "pausing":
                    self._over.wait(MAX_PAUSE_SECONDS * (next(self._numbers) % 7) / 6)
                elif self._behavior == "waiting":
                    self._wait_for_close(client)
                    return
                if _readable(client):
                    assert client.nothing(), "bytes that belong to no answer"
                    assert time.monotonic() - since > MIN_IDLE_SECONDS, "closed without notice before its time"
                    return
            try:
                closing = self._request(client, next(self._numbers))
            except ConnectionError:
                if self._worker is not None and time.monotonic() - since > MIN_IDLE_SECONDS:
                    return  # This client was late: its request met the close on the way.
                raise
            since = time.monotonic()
            if closing:
                assert client.nothing(), "bytes after the last response"
                return

    def _request(self, client: Client, number: int) -> bool:
        """Sends one request; returns whether the server closes the connection."""
        nap = b"?nap=0.03" if number % 10 == 0 else b""
        body = body_of(number)
        if body:  # in two pieces, between which the server may change its mind about the connection
            client.request(f"/{number}{nap.decode()}", b"Content-Length: %d" % len(body), method="POST")
            client.send(body)
        else:
            client.request(f"/{number}{nap.decode()}")
        response = client.response()
        assert response.status == 200, f"status {response.status}: {response.body!r}"
        self._check(number, response.body)
        return response.closing

    def _check(self, number: int, content: bytes) -> None:
        """Checks the content of a response, and notes which worker has sent it."""
        found = re.fullmatch(rb"(\d+) (\d+) (\w+) (\d+)", content)
        assert found is not None, f"{content!r}"
        assert (int(found[1]), int(found[4])) == (number, zlib.crc32(body_of(number))), f"{content!r} for {number}"
        worker = int(found[2])
        assert self._worker in (None, worker), f"{self._worker} and {worker} on one connection"
        self._worker = worker
        self.workers.add(worker)
        self.versions.add(found[3].decode())
        self.answered += 1

    def _wait_for_close(self, client: Client) -> None:
        while not self._over.is_set():
            if _readable(client, 0.05):
                assert client.nothing(), "bytes that belong to no answer"
                self.waited += 1
                return


def body_of(number: int) -> bytes:
    """Returns the body of the request with this number."""
    return b"%d " % number * (number % 400) if number % 4 == 0 else b""


def _readable(client: Client, seconds: float = 0.0) -> bool:
    return bool(select.select([client.sock], [], [], seconds)[0])


class LoadClients:
    """Several clients at once, for as long as the block lasts; also `wrk` if it is installed."""

    def __init__(
        self,
        address: Address,
        *,
        busy: int = 6,
        pausing: int = 6,
        waiting: int = 2,
        wrk: str | None = None,
        more: Sequence[LoadClient] = (),
    ) -> None:
        """wrk: the path of the command. more: further clients, of another protocol."""
        behaviors = ["busy"] * busy + ["pausing"] * pausing + ["waiting"] * waiting
        self._clients = [LoadClient(address, 10_000_000 * place, behavior) for place, behavior in enumerate(behaviors)]
        self._clients += more
        self._address = address
        self._wrk_path = wrk
        self._wrk: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        if self._wrk_path is not None:
            command = [self._wrk_path, "-t1", "-c4", "-d3600", "--timeout", f"{WAIT_SECONDS:.0f}s"]
            command.append(url_of(self._address, "/0"))
            self._wrk = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.stop()
        told = self._end_wrk()
        for client in self._clients:
            client.join()
        if kind is None and told is not None:
            assert "Socket errors" not in told, told
            assert "Non-2xx" not in told, told

    def _end_wrk(self) -> str | None:
        if self._wrk is None:
            return None
        self._wrk.send_signal(signal.SIGINT)  # wrk prints its counts so far.
        try:
            return self._wrk.communicate(timeout=WAIT_SECONDS)[0]
        finally:
            self._wrk.kill()
            self._wrk.wait()

    @property
    def count(self) -> int:
        """The number of connections at a time."""
        return len(self._clients)

    @property
    def failures(self) -> list[Failure]:
        return [failure for client in self._clients for failure in list(client.failures)]

    @property
    def answered(self) -> int:
        return sum(client.answered for client in self._clients)

    @property
    def waited(self) -> int:
        return sum(client.waited for client in self._clients)

    @property
    def workers(self) -> set[int]:
        return set[int]().union(*(set(client.workers) for client in self._clients))

    @property
    def versions(self) -> set[str]:
        return set[str]().union(*(set(client.versions) for client in self._clients))

    def progress(self, answers: int = 200) -> None:
        """Waits until the clients have received `answers` more responses."""
        wanted = self.answered + answers
        until(lambda: self.answered >= wanted, f"{answers} more answers; {self.failures[:3]}")
