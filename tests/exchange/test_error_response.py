"""The server's own answers."""

import pytest

from ianus.exchange.recording_exchange import RecordingGateway, RecordingHost, send_error_page
from ianus.exchange.service import Service
from tests.engine import service as new_service


@pytest.fixture
def service() -> Service:
    return new_service(RecordingGateway())


def test_an_error_response_has_its_status_as_text(service: Service) -> None:
    host = RecordingHost()
    assert send_error_page(service, host, 404) == 14
    assert host.take_calls() == [("head", 404, "length", 14, "keep"), ("body", b"404 Not Found\n"), "end"]


def test_a_detail_joins_the_status(service: Service) -> None:
    host = RecordingHost()
    send_error_page(service, host, 503, detail="the server is busy", close=True)
    head, body, _ = host.take_calls()
    assert body == ("body", b"503 Service Unavailable: the server is busy\n")
    assert head == ("head", 503, "length", len(body[1]), "close")


def test_a_detail_with_a_surrogate_is_sent(service: Service) -> None:
    host = RecordingHost()
    send_error_page(service, host, 400, detail="\udcff")
    assert host.take_calls()[1] == ("body", b"400 Bad Request: ?\n")


def test_without_a_body_the_length_is_that_of_the_text(service: Service) -> None:
    host = RecordingHost()
    assert send_error_page(service, host, 404, no_body=True) == 0
    assert host.take_calls() == [("head", 404, "length", 14, "keep"), "end"]
