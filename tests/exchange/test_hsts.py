"""Strict-Transport-Security, which all responses over TLS have, and no others."""

from collections.abc import Iterator

import pytest

from ianus.exchange.recording import RecordingConnection
from ianus.exchange.recording_exchange import RecordingGateway
from ianus.process.worker import stack
from tests.engine import service, unchecked_settings
from tests.exchange.conversation import GET

FIELD = b"\r\nstrict-transport-security: max-age=60; preload\r\n"


class TwoListeners:
    """Connections with TLS and without, of one service."""

    def __init__(self) -> None:
        settings = unchecked_settings(hsts="max-age=60; preload", server_header=False, date_header=False)
        self.gateway = RecordingGateway()
        self.service = service(self.gateway, server_header=False, date_header=False)
        self.tls = RecordingConnection(stack.build_tls_sessions(self.service, settings))
        self.plain = RecordingConnection(stack.build_sessions(self.service, settings))

    def ask(self, connection: RecordingConnection, *headers: tuple[bytes, bytes]) -> bytes:
        connection.receive(GET)
        exchange = self.gateway.exchanges[-1]
        exchange.respond(200, headers=list(headers))
        exchange.send(b"ok")
        exchange.end_call()
        connection.resume()
        return connection.take_output()


@pytest.fixture
def listeners() -> Iterator[TwoListeners]:
    both = TwoListeners()
    yield both
    both.tls.lose()
    both.plain.lose()
    both.gateway.exchanges.clear()


def test_responses_over_tls_have_the_field(listeners: TwoListeners) -> None:
    for _ in range(4):  # The head is cached after the second response.
        assert listeners.ask(listeners.tls).count(FIELD) == 1
        # RFC 6797 section 7.2
        assert FIELD not in listeners.ask(listeners.plain)


def test_the_field_of_the_application_replaces_it(listeners: TwoListeners) -> None:
    for _ in range(3):
        answer = listeners.ask(listeners.tls, (b"Strict-Transport-Security", b"max-age=1"))
        assert answer.lower().count(b"strict-transport-security") == 1
        assert b"max-age=1\r\n" in answer


def test_errors_over_tls_have_the_field(listeners: TwoListeners) -> None:
    listeners.tls.receive(b"BAD\r\n\r\n")
    listeners.tls.resume()
    answer = listeners.tls.take_output()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert FIELD in answer
