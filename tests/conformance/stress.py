"""Requests by the million at a server of WSGI applications, to find responses that are lost, doubled or swapped.

    python -m tests.conformance.stress --requests 100000 --seed 1

Each request has a number, which every byte of its answer is made of. Clients pipeline, send in pieces, read slowly,
half-close and disconnect at any point; applications block, compute, stream, fork and fail. In the end the application
reports how often each number was called: once if its response arrived, at most once if its client disconnected. A
build with pause points sleeps at each of them at random, by the seed (CHAOS_SEED).

`make stress` runs it under sanitizers.
"""

import argparse
import itertools
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import Client, Server, check_no_leaks

APPS = Path(__file__).parent

# Seconds until an answer counts as lost.
WAIT_SECONDS = 60.0

CONTENT = bytes(range(256)) * 1000

# How many of a hundred thousand requests are of a kind, and its amounts: see stress_app.py.
SHARES: dict[str, tuple[int, Callable[[random.Random], int]]] = {
    "fast": (60_000, lambda choose: choose.choice((0, 1, 20, 20, 5000, 70_000))),
    "nap": (12_000, lambda choose: choose.choice((0, 0, 100, 600, 3000, 20_000))),
    "burn": (8_000, lambda choose: choose.choice((50, 200, 3000))),
    "blocks": (6_000, lambda choose: choose.randrange(12)),
    "write": (4_000, lambda choose: choose.randrange(6)),
    "echo": (6_000, lambda choose: choose.choice((0, 1, 100, 5000, 40_000))),
    "file": (2_400, lambda choose: choose.choice((0, 1, 100_000, len(CONTENT)))),
    "large": (800, lambda choose: choose.choice((300_000, 3_000_000))),
    "fail": (500, lambda choose: choose.randrange(4)),
    "cut": (200, lambda choose: choose.choice((1, 100_000))),
    "fork": (100, lambda choose: choose.randrange(2)),
}


# Minimum bytes of a response: one to HEAD without a known length has only a head of four lines.
SHORTEST = 80


class WrongError(AssertionError):
    """A response is wrong."""


# Likewise of --rows, in which the clients' own work must not limit the number.
ROW = 100
ROW_SHARES: dict[str, tuple[int, tuple[int, ...]]] = {
    "fast": (80, (0, 1, 20)),
    "nap": (12, (0, 0, 100, 600, 3000)),
    "burn": (8, (50, 200)),
}
ROW_ANSWER = re.compile(rb"HTTP/1\.1 200 OK\r\n((?:[^\r]+\r\n)*)\r\n([\d\n]*)")


def text(number: int, amount: int) -> bytes:
    piece = b"%d\n" % number
    return piece * (amount // len(piece)) + piece[: amount % len(piece)]


@dataclass(frozen=True)
class Request:
    number: int
    kind: str
    amount: int
    method: str
    data: bytes

    @classmethod
    def make(cls, number: int, choose: random.Random) -> "Request":
        kinds, shares = list(SHARES), [share for share, _ in SHARES.values()]
        (kind,) = choose.choices(kinds, shares)
        amount = SHARES[kind][1](choose)
        method, body, fields = "GET", b"", [b"Host: test"]
        if kind == "echo":
            method, body = "POST", text(number, amount)
            if choose.random() < 0.5:
                fields.append(b"Content-Length: %d" % len(body))
            else:
                fields.append(b"Transfer-Encoding: chunked")
                cuts = sorted({0, len(body), *(choose.randrange(len(body) + 1) for _ in range(3))})
                pieces = [body[a:b] for a, b in itertools.pairwise(cuts)]
                body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        elif kind in ("fast", "blocks", "large", "file") and choose.random() < 0.05:
            method = "HEAD"
        line = f"{method} /{kind}/{number}/{amount} HTTP/1.1".encode()
        return cls(number, kind, amount, method, b"\r\n".join([line, *fields, b"", body]))

    def body(self) -> bytes:
        """Returns the expected body of its response."""
        match self.kind:
            case "fast" | "large" | "echo":
                return text(self.number, self.amount)
            case "blocks":
                return text(self.number, 100) * self.amount
            case "write":
                return text(self.number, 100) * (self.amount + 1)
            case "file":
                return CONTENT[self.amount :]
            case _:
                return text(self.number, 20)

    def check(self, client: Client) -> None:
        """Reads the answer. Raises WrongError."""
        if self.kind == "cut":
            self._check_cut(client)
            return
        response = client.response(self.method)
        if self.kind == "fail":
            if response.status != 500:
                raise WrongError(f"{self}: {response.status}")
            return
        expected = b"" if self.method == "HEAD" else self.body()
        if response.header(b"x-number") != b"%d" % self.number or response.body != expected:
            raise WrongError(f"{self}: {response.status} {response.headers} {response.body[:200]!r}")

    def _check_cut(self, client: Client) -> None:
        """Its body breaks off, and so does the connection; or nothing of it had left, and it is a 500."""
        _, status, _, headers = client.head()
        if status == 500:
            return
        data = client.rest()
        if (b"x-number", b"%d" % self.number) not in headers or data.endswith(b"0\r\n\r\n") or b"HTTP/" in data:
            raise WrongError(f"{self}: {headers} {data[:200]!r}")


class StressClient(threading.Thread):
    """A client with numbers of its own, one connection after another.

    answered: numbers whose responses arrived. unsure: those sent whose answers were not waited for.
    problem: why it has stopped before its last number.
    """

    def __init__(self, server: Server, numbers: range, seed: str) -> None:
        super().__init__()
        self._server = server
        self._numbers = iter(numbers)
        self._choose = random.Random(seed)
        self._client: Client | None = None
        self.answered: list[int] = []
        self.unsure: list[int] = []
        self.problem: BaseException | None = None

    def run(self) -> None:
        requests: list[Request] = []
        try:
            while requests := self._next_requests():
                self._round(requests)
        except BaseException as problem:
            problem.add_note(f"in a round of {requests}")
            self.problem = problem
        finally:
            self._hang_up()

    def _next_requests(self) -> list[Request]:
        """Some requests; the last one may be such that its connection ends with it."""
        requests: list[Request] = []
        for number in self._numbers:
            requests.append(Request.make(number, self._choose))
            if requests[-1].kind == "cut" or self._choose.random() < 0.4:
                break
        return requests

    def _round(self, requests: list[Request]) -> None:
        client = self._client = self._client or self._connect()
        data = b"".join(request.data for request in requests)
        what = self._choose.random()
        if what < 0.02:  # disconnects before all was sent
            self.unsure += [request.number for request in requests]
            self._send(client, data[: self._choose.randrange(len(data))])
            self._leave(client)
            return
        self._send(client, data)
        if what < 0.06:  # disconnects before all responses were read
            self.unsure += [request.number for request in requests]
            if self._choose.random() < 0.7:
                client.exactly(self._choose.randrange(1, SHORTEST))
            self._leave(client)
            return
        if what < 0.08:
            client.finish()
        for request in requests:
            if self._choose.random() < 0.01:
                time.sleep(self._choose.random() / 50)
            request.check(client)
            self.answered.append(request.number)
        if what < 0.08 or requests[-1].kind == "cut":
            if requests[-1].kind != "cut" and not client.nothing():
                raise WrongError(f"more than was asked for, behind {requests[-1]}")
            self._hang_up()

    def _connect(self) -> Client:
        return Client(self._server.address, timeout=WAIT_SECONDS, buffer=self._choose.choice((0, 0, 4096)))

    def _send(self, client: Client, data: bytes) -> None:
        if self._choose.random() < 0.1:
            middle = self._choose.randrange(len(data) + 1)
            client.send(data[:middle])
            time.sleep(self._choose.random() / 200)
            data = data[middle:]
        client.send(data)

    def _leave(self, client: Client) -> None:
        (client.close, client.reset)[self._choose.randrange(2)]()
        self._client = None

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class RowClient(StressClient):
    """A client that sends a hundred small requests at once, and knows the bytes of their answers by their order."""

    def run(self) -> None:
        kinds, shares = list(ROW_SHARES), [share for share, _ in ROW_SHARES.values()]
        try:
            while numbers := list(itertools.islice(self._numbers, ROW)):
                rows = [
                    (number, kind, self._choose.choice(ROW_SHARES[kind][1]))
                    for number, kind in zip(numbers, self._choose.choices(kinds, shares, k=ROW), strict=False)
                ]
                self._row(numbers, rows)
        except BaseException as problem:
            self.problem = problem
        finally:
            self._hang_up()

    def _row(self, numbers: list[int], rows: list[tuple[int, str, int]]) -> None:
        client = self._client = self._client or Client(self._server.address, timeout=WAIT_SECONDS)
        client.send(b"".join(b"GET /%b/%d/%d HTTP/1.1\r\nHost: test\r\n\r\n" % (k.encode(), n, a) for n, k, a in rows))
        if self._choose.random() < 0.03:
            self.unsure += numbers
            client.exactly(self._choose.randrange(1, 2000))
            self._leave(client)
            return
        expected = [(number, text(number, amount if kind == "fast" else 20)) for number, kind, amount in rows]
        data = bytearray()
        while data.count(b"X-Number: ") < len(rows) or not data.endswith(expected[-1][1] or b"\r\n\r\n"):
            piece = client.sock.recv(1 << 18)
            if not piece:
                raise WrongError(f"the server closed behind {len(data)} bytes of {rows[:3]}...")
            data += piece
        answers = [
            (int(head.partition(b"X-Number: ")[2].partition(b"\r\n")[0]), body)
            for head, body in ROW_ANSWER.findall(data)
        ]
        if answers != expected or len(ROW_ANSWER.sub(b"", data)) > 0:
            raise WrongError(f"{rows[:3]}...: {bytes(data[:500])!r}")
        self.answered += numbers


def check_calls(calls: bytes, stress_clients: list[StressClient]) -> None:
    """Raises WrongError unless every response had one call, and each other request at most one."""
    for stress_client in stress_clients:
        for number in stress_client.answered:
            if calls[number] != 1:
                raise WrongError(f"request {number} was answered and called {calls[number]} times")
        for number in stress_client.unsure:
            if calls[number] > 1:
                raise WrongError(f"request {number} was called {calls[number]} times")


def stress(
    requests: int, seed: int, clients: int, options: list[str], folder: Path, kind: type[StressClient] = StressClient
) -> str:
    """Sends that many requests; returns a summary. Raises WrongError, or the error of a client."""
    os.environ["CHAOS_SEED"] = str(seed)
    os.environ["STRESS_REQUESTS"] = str(requests)
    os.environ["STRESS_THREADS"] = options[options.index("--threads") + 1] if "--threads" in options else "64"
    limits = ("--request-buffer", "4K", "--response-buffer", "64K", "--no-access-log", "--limit-concurrency", "0")
    server = Server("stress_app:app", *limits, *options, cwd=folder, app_dir=APPS)
    try:
        stress_clients = [
            kind(server, range(first, requests, clients), f"{seed} {first}") for first in range(min(clients, requests))
        ]
        started = time.monotonic()
        for stress_client in stress_clients:
            stress_client.start()
        for stress_client in stress_clients:
            stress_client.join()
        took = time.monotonic() - started
        problems = [stress_client.problem for stress_client in stress_clients if stress_client.problem is not None]
        if problems:
            os.kill(server.pid, signal.SIGABRT)  # its supervisor logs the stacks of all threads
            time.sleep(1)
            raise BaseExceptionGroup(f"{len(problems)} of {clients} clients, server {server.process.poll()}", problems)
        with Client(server.address, timeout=WAIT_SECONDS) as client:
            check_calls(client.get("/calls").body, stress_clients)
            deadline = time.monotonic() + WAIT_SECONDS
            offset = 0
            while True:  # until the calls have returned whose clients left
                made, closed = (int(word) - offset for word in client.get("/bodies").body.split())
                offset += 1
                if made == closed:
                    break
                if time.monotonic() > deadline:
                    raise WrongError(f"{made} bodies were made and {closed} closed")
                time.sleep(0.05)
        threads = len(list(Path(f"/proc/{server.pid}/task").iterdir()))
        resident = server.resident()
        server.stop()
        check_no_leaks(server)
        if "too many calls" in server.log.text:
            raise WrongError("more calls ran at once than there may be threads")
    except BaseException:
        sys.stderr.write(server.log.text[-20_000:])
        if server.process.poll() is None:
            server.kill()
        raise
    answered = sum(len(stress_client.answered) for stress_client in stress_clients)
    return (
        f"{answered} answers and {requests - answered} requests whose clients left, in {took:.0f} s; "
        f"{threads} threads, {resident >> 20} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="of the clients' choices and of the delays")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--round", type=int, default=100_000, help="requests for each server, which is then stopped")
    parser.add_argument("--rows", action="store_true", help="many small requests at once, for large numbers")
    parser.add_argument("options", nargs="*", help="of the servers, behind --")
    arguments = parser.parse_args()
    left, seed = arguments.requests, arguments.seed
    while left > 0:
        # Threads lead; threads only call, beside an event loop; few threads lead, each with a limited number of calls.
        for options in ([], ["--mount", "/asgi=stress_app:asgi"], ["--threads", "1"], ["--threads", "3"]):
            count = min(arguments.round, left)
            if count <= 0:
                break
            with tempfile.TemporaryDirectory() as folder:
                how = [*options, *arguments.options]
                print(f"seed {seed}, {' '.join(how) or 'default settings'}:", end=" ", flush=True)
                kind = RowClient if arguments.rows else StressClient
                print(stress(count, seed, arguments.clients, how, Path(folder), kind), flush=True)
            left, seed = left - count, seed + 1


if __name__ == "__main__":
    main()
