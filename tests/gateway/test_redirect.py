"""Redirects to https, in front of all applications."""

from collections.abc import Iterator

import pytest

from ianus.exchange.recording_exchange import RecordingGateway
from ianus.gateway.redirect import RedirectGateway
from tests.exchange.conversation import OK, Conversation, get, post


class Redirecting:
    """A recording application and its conversation, whose host h has a certificate."""

    def __init__(self) -> None:
        self.application = RecordingGateway()
        gateway = RedirectGateway(self.application, is_known_host={"h"}.__contains__, port=8443)
        self.client = Conversation(gateway=gateway, limit_concurrency=1)

    def ask(self, request: bytes) -> bytes:
        self.client.connection.receive(request)
        self.client.connection.resume()
        return self.client.receives()


@pytest.fixture
def server() -> Iterator[Redirecting]:
    redirecting = Redirecting()
    yield redirecting
    redirecting.client.close()
    redirecting.application.exchanges.clear()


def test_a_get_is_redirected(server: Redirecting) -> None:
    answer = server.ask(get("/a%20b?c=d"))
    assert answer == (
        b"HTTP/1.1 301 Moved Permanently\r\ncontent-type: text/plain; charset=utf-8\r\n"
        b"location: https://h:8443/a%20b?c=d\r\ncontent-length: 22\r\n\r\n301 Moved Permanently\n"
    )
    assert server.ask(get("/").replace(b"GET", b"HEAD")).endswith(b"content-length: 22\r\n\r\n")
    assert server.application.exchanges == []
    assert [end[1] for end in server.client.ends] == [301, 301]


def test_other_methods_are_repeated_as_they_are(server: Redirecting) -> None:
    answer = server.ask(post(3) + b"abc" + post(3) + b"abc")
    assert answer.count(b"HTTP/1.1 308 Permanent Redirect\r\n") == 2
    assert answer.count(b"location: https://h:8443/\r\n") == 2


def test_a_large_body_is_not_awaited(server: Redirecting) -> None:
    answer = server.ask(post(1 << 20))
    assert answer.startswith(b"HTTP/1.1 308 ")
    assert b"\r\nconnection: close\r\n" in answer


def test_a_host_without_a_certificate_is_refused(server: Redirecting) -> None:
    answer = server.ask(get("/").replace(b"host: h", b"host: evil.test"))
    assert answer.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
    assert b"location" not in answer
    assert server.ask(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 421 ")


def test_the_host_of_the_target_counts(server: Redirecting) -> None:
    answer = server.ask(b"GET http://evil.test/ HTTP/1.1\r\nhost: h\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 421 ")


def test_options_of_the_server_are_redirected_to_its_root(server: Redirecting) -> None:
    assert b"location: https://h:8443/\r\n" in server.ask(b"OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n")


def test_challenges_are_served(server: Redirecting) -> None:
    assert server.ask(get("/.well-known/acme-challenge/token")) == b""
    (exchange,) = server.application.exchanges
    server.client.answer(exchange)
    assert server.client.receives() == OK


@pytest.mark.parametrize(
    "target",
    [
        *("/.well-known/acme-challenge", "/.well-known/", "//.well-known/acme-challenge/x"),
        *("/a/.well-known/acme-challenge/x", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/a/b"),
        # An application could take these for another path.
        *("/.well-known/acme-challenge/../../secret", "/.well-known/acme-challenge/..%2fsecret"),
        *("/.well-known/acme-challenge/..", "/%2ewell-known/acme-challenge/x"),
    ],
)
def test_other_paths_are_redirected(server: Redirecting, target: str) -> None:
    assert server.ask(get(target)).startswith(b"HTTP/1.1 301 ")


def test_other_methods_for_challenges_are_redirected(server: Redirecting) -> None:
    assert server.ask(get("/.well-known/acme-challenge/x").replace(b"GET", b"PUT")).startswith(b"HTTP/1.1 308 ")
