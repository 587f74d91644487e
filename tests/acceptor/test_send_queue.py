"""When the responses of a batch are sent: at its end, or at once. Each batch is one that the test has chosen."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ianus.acceptor.recording import Condition, set_max_wait
from ianus.exchange.recording_exchange import RecordingExchange, RecordingGateway
from ianus.process.worker.stack import build_sessions
from tests.acceptor.driven import DrivenReactor
from tests.engine import service, unchecked_settings

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = 20_000  # bytes

Answer = Callable[[RecordingExchange], object]


def answer(exchange: RecordingExchange, size: int = 2) -> None:
    exchange.respond(200, [(b"content-length", b"%d" % size)])
    exchange.send(b"x" * size)
    exchange.end_call()


class Batch:
    """Two clients, whose requests arrive together. answers: the acts of the application, one for each request.

    seen: for each call of the application, how much the first client has received by then.
    """

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.driven = DrivenReactor(stack)
        set_max_wait(self.driven.reactor, float("inf"))
        self.answers: list[Answer] = []
        self.seen: list[int] = []
        self.gateway = RecordingGateway(application=self.call)
        self.listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.listener.bind("")
        self.listener.listen()
        self.driven.reactor.listen(self.listener, build_sessions(service(self.gateway), unchecked_settings()))
        self.clients = self.driven.connect(2, self.listener)
        self.driven.accept(self.listener)

    def call(self, exchange: RecordingExchange) -> None:
        self.seen.append(self.received(0))
        self.answers.pop(0)(exchange)

    def received(self, number: int) -> int:
        """The bytes that a client could read."""
        try:
            return len(self.clients[number].recv(1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return 0

    def run(self, *answers: Answer, requests: tuple[bytes, ...] = (REQUEST, REQUEST)) -> None:
        self.answers = list(answers)
        for client, key, request in zip(self.clients, self.driven.connection_keys(), requests, strict=False):
            client.sendall(request)
            self.driven.poll.put_event(key, Condition.READABLE)
        self.driven.reactor.dispatch(0)


@pytest.fixture
def batch() -> Iterator[Batch]:
    with contextlib.ExitStack() as stack:
        yield Batch(stack)


def test_small_responses_of_a_batch_are_sent_at_its_end(batch: Batch) -> None:
    batch.run(answer, answer)
    assert batch.seen == [0, 0]
    assert batch.received(0) == batch.received(1) > 0


def test_the_only_response_of_a_batch_is_sent(batch: Batch) -> None:
    batch.run(answer, requests=(REQUEST,))
    assert batch.received(0) > 0


def test_a_response_that_closes_its_connection_is_sent_with_the_others(batch: Batch) -> None:
    closing = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    batch.run(answer, answer, requests=(closing, REQUEST))
    assert batch.seen == [0, 0]
    assert batch.received(0) > 0
    assert batch.driven.reactor.connections == 1


def test_a_large_response_is_sent_at_once(batch: Batch) -> None:
    batch.run(lambda exchange: answer(exchange, LARGE), answer)
    assert batch.seen[1] > LARGE


def test_a_file_is_sent_at_once(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")

    def answer_with_file(exchange: RecordingExchange) -> None:
        exchange.respond(200, [(b"content-length", b"7")])
        exchange.send_file(os.open(tmp_path / "file", os.O_RDONLY), 7)
        exchange.end_call()

    batch.run(answer_with_file, answer)
    assert batch.seen[1] > 0


def test_a_response_without_its_end_is_sent_at_once(batch: Batch) -> None:
    def begin(exchange: RecordingExchange) -> None:
        exchange.respond(200, [(b"content-length", b"2")])
        exchange.send(b"x", more=True)
        exchange.suspend()

    batch.run(begin, answer)
    assert batch.seen[1] > 0


def test_a_slow_application_ends_the_waiting(batch: Batch) -> None:
    def answer_late(exchange: RecordingExchange) -> None:
        answer(exchange)
        set_max_wait(batch.driven.reactor, 0)

    third, *_ = batch.driven.connect(1, batch.listener)
    batch.driven.accept(batch.listener)
    batch.clients.append(third)
    batch.run(answer, answer_late, answer, requests=(REQUEST, REQUEST, REQUEST))
    assert batch.seen == [0, 0, batch.received(0)]
    assert batch.received(2) == batch.received(0)


def test_a_lost_connection_is_closed_and_the_other_response_is_sent(batch: Batch) -> None:
    def vanish(exchange: RecordingExchange) -> None:
        batch.clients[0].close()
        answer(exchange)

    batch.run(answer, vanish)
    assert batch.received(1) > 0
    assert batch.driven.reactor.connections == 1
