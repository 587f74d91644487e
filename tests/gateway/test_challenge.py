"""Challenges of certificate authorities, which the server answers itself."""

from collections.abc import Iterator

import pytest

from ianus.exchange.recording_exchange import RecordingGateway
from ianus.gateway.challenge import ChallengeGateway
from ianus.gateway.redirect import RedirectGateway
from tests.exchange.conversation import Conversation, get

PATH = "/.well-known/acme-challenge/"


class Challenged:
    def __init__(self, *, redirects: bool = False) -> None:
        self.application = RecordingGateway()
        gateway = ChallengeGateway(self.application, acme_thumbprint="thumb-print_1")
        redirecting = RedirectGateway(gateway, is_known_host=lambda name: True, port=443) if redirects else gateway
        self.client = Conversation(gateway=redirecting)

    def ask(self, request: bytes) -> bytes:
        self.client.connection.receive(request)
        self.client.connection.resume()
        return self.client.receives()

    def close(self) -> None:
        self.client.close()
        self.application.exchanges.clear()


@pytest.fixture(params=[False, True], ids=["plain", "redirecting"])
def server(request: pytest.FixtureRequest) -> Iterator[Challenged]:
    challenged = Challenged(redirects=request.param)
    yield challenged
    challenged.close()


def test_a_challenge_is_answered_with_token_and_thumbprint(server: Challenged) -> None:
    assert server.ask(get(f"{PATH}AZaz09-_")) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncache-control: no-store\r\n"
        b"content-length: 22\r\n\r\nAZaz09-_.thumb-print_1"
    )
    assert server.ask(get(f"{PATH}x?a=b")).endswith(b"\r\n\r\nx.thumb-print_1")
    assert server.ask(get(f"{PATH}x").replace(b"GET", b"HEAD")).endswith(b"\r\n\r\n")
    assert server.application.exchanges == []
    assert [end[1] for end in server.client.ends] == [200, 200, 200]


@pytest.mark.parametrize("token", ["", "a/b", "a.b", "%61", "..", "a" * 201, "<script>"])
def test_other_paths_are_not_answered(server: Challenged, token: str) -> None:
    assert b"thumb-print_1" not in server.ask(get(PATH + token))


def test_other_requests_are_the_applications() -> None:
    server = Challenged()
    server.ask(get("/"))
    server.client.answer(server.application.exchanges[0])
    server.ask(get(f"{PATH}x").replace(b"GET", b"DELETE"))
    assert len(server.application.exchanges) == 2
    server.close()
