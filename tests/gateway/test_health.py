"""The health path, which is answered before any application."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ianus.exchange.recording import drain_sessions
from ianus.exchange.recording_exchange import RecordingGateway
from ianus.gateway.health import HealthGateway
from tests.exchange.conversation import Conversation, get

CHECK = get("/up")
SERVING = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\ncontent-length: 7"
DRAINING = b"HTTP/1.1 503 Service Unavailable\r\n"


class Application:
    """A recording application and its conversation, in which the health path is /up."""

    def __init__(self, **values: Any) -> None:
        self.gateway = RecordingGateway()
        self.client = Conversation(gateway=HealthGateway(self.gateway, health_path="/up"), **values)
        self.client.service.note_serving()

    def ask(self, request: bytes = CHECK) -> bytes:
        self.client.connection.receive(request)
        self.client.connection.resume()
        return self.client.receives()


@pytest.fixture
def start() -> Iterator[Callable[..., Application]]:
    started = []

    def make(**values: Any) -> Application:
        started.append(Application(**values))
        return started[-1]

    yield make
    for each in started:
        each.client.close()
        each.gateway.exchanges.clear()


def test_the_server_answers_in_place_of_the_application(start: Callable[..., Application]) -> None:
    application = start()
    assert application.ask() == SERVING + b"\r\n\r\n200 OK\n"
    assert application.ask(CHECK.replace(b"GET", b"HEAD")) == SERVING + b"\r\n\r\n"
    assert application.ask(get("/up?verbose=1")) == SERVING + b"\r\n\r\n200 OK\n"
    assert application.gateway.exchanges == []


@pytest.mark.parametrize("target", ["/", "/up/", "/ups", "/UP", "/%75p", "//up", "/a/up"])
def test_other_paths_are_the_applications(start: Callable[..., Application], target: str) -> None:
    application = start()
    assert application.ask(get(target)) == b""
    assert len(application.gateway.exchanges) == 1


def test_other_methods_are_the_applications(start: Callable[..., Application]) -> None:
    application = start()
    application.ask(CHECK.replace(b"GET", b"OPTIONS"))
    assert len(application.gateway.exchanges) == 1


def test_a_check_needs_no_host(start: Callable[..., Application]) -> None:
    assert start().ask(b"GET /up HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_check_fails_before_the_applications_have_started() -> None:
    client = Conversation(gateway=HealthGateway(RecordingGateway(), health_path="/up"))
    client.connection.receive(CHECK)
    client.connection.resume()
    answer = client.receives()
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert answer.endswith(b"\r\n\r\n503 Service Unavailable: starting\n")
    client.close()


def test_a_check_fails_while_requests_are_still_served(start: Callable[..., Application]) -> None:
    application = start()
    application.client.service.note_draining()
    answer = application.ask()
    assert answer.startswith(DRAINING)
    assert b"cache-control: no-store\r\n" in answer
    assert answer.endswith(b"\r\n\r\n503 Service Unavailable: draining\n")
    assert b"connection: close\r\n" in answer
    another = start()
    another.client.service.note_draining()
    another.ask(get("/"))
    assert len(another.gateway.exchanges) == 1


@pytest.mark.parametrize(("handover", "begin"), [(False, DRAINING), (True, b"HTTP/1.1 200 OK\r\n")])
def test_a_stopping_worker_fails_a_check_unless_another_one_has_taken_over(
    start: Callable[..., Application], handover: bool, begin: bytes
) -> None:
    application = start()
    drain_sessions(application.client.sessions, handover=handover)
    assert application.ask().startswith(begin)


def test_a_check_is_answered_while_requests_are_rejected(start: Callable[..., Application]) -> None:
    application = start(limit_concurrency=1)
    application.ask(get("/"))
    exchange = application.gateway.exchanges[0]
    exchange.respond()
    exchange.send(b"ok")  # The response is complete, and the call still runs.
    application.client.connection.resume()
    application.client.receives()
    assert application.ask(get("/")).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert application.ask() == SERVING + b"\r\n\r\n200 OK\n"


def test_a_check_is_not_counted_as_a_request(start: Callable[..., Application]) -> None:
    notices: list[bool] = []
    application = start(max_requests=1, on_max_requests=lambda: notices.append(True))
    for _ in range(3):
        application.ask()
    assert notices == []
    application.ask(get("/"))
    assert notices == [True]


def test_a_check_is_not_reported(start: Callable[..., Application]) -> None:
    application = start()
    application.ask()
    assert application.client.ends == []


def test_the_body_of_a_check_is_discarded(start: Callable[..., Application]) -> None:
    application = start()
    request = b"GET /up HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n"
    assert application.ask(request).startswith(b"HTTP/1.1 200 OK\r\n")
    assert application.ask(b"xy" + CHECK).startswith(b"HTTP/1.1 200 OK\r\n")
    assert application.gateway.exchanges == []
