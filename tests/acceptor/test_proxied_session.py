"""Connections on which a proxy sends a header of the PROXY protocol, with real sockets."""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ianus.acceptor.proxied_session import ProxiedSessionFactory
from ianus.acceptor.recording import expire_deadlines
from tests.acceptor.serving import Serving, nothing_left
from tests.acceptor.test_proxy_protocol import INET, VALID, paths, tlv, v2

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
REPORTED = "client=('192.0.2.1', 56324) server=('198.51.100.2', 443) scheme=http"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with the facts of the connection."""
    text = f"client={scope['client']} server={scope['server']} scheme={scope['scheme']}"
    if "ianus.proxy_protocol" in scope["extensions"]:
        text += f" {scope['extensions']['ianus.proxy_protocol']}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"<{text}>".encode()})


Start = Callable[..., Serving]


@pytest.fixture
def start() -> Iterator[Start]:
    """start(**settings): a reactor that expects headers."""
    with nothing_left(), contextlib.ExitStack() as stack:

        def run(listener: socket.socket | None = None, **settings: Any) -> Serving:
            serving = Serving(listener, **{"proxy_protocol": "auto", **settings})
            stack.callback(serving.close)
            serving.reactor.listen(serving.listener, serving.sessions(app))
            return serving

        yield run


def facts(serving: Serving, client: socket.socket, requests: int = 1) -> str:
    """Returns the facts in the last response."""
    data = b""
    for _ in range(requests):
        data = serving.read(client, b">")
    return data.decode().rpartition("<")[2].rstrip(">")


def is_closed(serving: Serving, client: socket.socket) -> bool:
    """Waits for the end of a connection. Returns whether the client has received no byte of a response."""
    received: list[bytes] = []

    def has_ended() -> bool:
        with contextlib.suppress(BlockingIOError):
            try:
                received.append(client.recv(100))
            except ConnectionResetError:
                received.append(b"")
        return received[-1:] == [b""]

    serving.until(has_ended)
    serving.until(lambda: serving.reactor.connections == 0)
    return received == [b""]


def expire(serving: Serving, when: float) -> None:
    """Lets the deadlines pass that are earlier than a moment. A timer that is handled late is extended once."""
    expire_deadlines(serving.reactor, when)
    expire_deadlines(serving.reactor, when)


def test_without_the_setting_there_is_no_such_session() -> None:
    serving = Serving()
    assert not isinstance(serving.sessions(app), ProxiedSessionFactory)
    serving.close()


@pytest.mark.parametrize("name", ["v1 IPv4", "v2 IPv4", "v2 TLVs"])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_the_header_has_the_addresses_of_all_requests(start: Start, name: str, in_pieces: bool) -> None:
    serving = start()
    header, _ = VALID[name]
    with serving.connect() as client:
        if in_pieces:
            for byte in header:
                client.sendall(bytes([byte]))
                serving.turn()
            client.sendall(GET)
        else:
            client.sendall(header + GET)
        assert facts(serving, client) == REPORTED
        client.sendall(GET)
        assert facts(serving, client) == REPORTED


def test_pipelined_requests_after_the_header(start: Start) -> None:
    serving = start()
    with serving.connect() as client:
        client.sendall(V1 + GET + GET)
        received = b""
        while received.count(b">") < 2:
            received += serving.read(client, b">")
        assert received.count(REPORTED.encode()) == 2


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(b"", command=0x20), v2(b"", family=0)])
def test_a_header_without_addresses_leaves_those_of_the_socket(start: Start, header: bytes) -> None:
    serving = start()
    with serving.connect() as client:
        client.sendall(header + GET)
        peer, server = client.getsockname(), client.getpeername()
        assert facts(serving, client) == f"client={peer} server={server} scheme=http"


def test_tls_of_the_client_and_the_endpoint_of_aws(start: Start) -> None:
    serving = start()
    with serving.connect() as client:
        client.sendall(v2(INET + tlv(0x20, b"\1\0\0\0\0") + tlv(0xEA, b"\1vpce-1")) + GET)
        expected = REPORTED.replace("scheme=http", "scheme=https") + " {'aws_vpc_endpoint_id': 'vpce-1'}"
        assert facts(serving, client) == expected


@pytest.mark.parametrize("protocol", ["off", "v1"])
def test_the_scheme_of_a_proxy_that_does_not_report_it(start: Start, protocol: str) -> None:
    serving = start(proxy_protocol=protocol, url_scheme="https")
    with serving.connect() as client:
        client.sendall((V1 if protocol == "v1" else b"") + GET)
        assert facts(serving, client).endswith(" scheme=https")


def test_a_trusted_proxy_reports_another_scheme_than_the_set_one(start: Start) -> None:
    serving = start(proxy_protocol="off", url_scheme="https")
    with serving.connect() as client:
        client.sendall(GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-Proto: http\r\n\r\n"))
        assert facts(serving, client).endswith(" scheme=http")


def test_a_client_of_the_proxys_unix_socket(start: Start) -> None:
    serving = start()
    with serving.connect() as client:
        client.sendall(v2(paths(b"", b"/run/proxy.sock"), family=0x31) + GET)
        assert facts(serving, client) == "client=None server=('/run/proxy.sock', None) scheme=http"


def test_a_proxy_at_a_unix_socket(start: Start) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("")
    listener.listen()
    serving = start(listener)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(listener.getsockname())
        client.setblocking(False)
        client.sendall(V1 + GET)
        assert facts(serving, client) == REPORTED


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GET, "the connection does not start with a PROXY header"),
        (b"PROXY TCP4 1 2 3\r\n" + GET, "the line is malformed"),
        (v2(command=0x2F) + GET, "the version and command 0x2f do not exist"),
    ],
)
def test_a_connection_without_a_header_is_refused(
    start: Start, caplog: pytest.LogCaptureFixture, data: bytes, reason: str
) -> None:
    serving = start()
    with caplog.at_level(logging.WARNING, "ianus.error"), serving.connect() as client:
        client.sendall(data)
        port = client.getsockname()[1]
        assert is_closed(serving, client)
    assert caplog.messages == [f"refused 1 connection(s) without a valid PROXY header: 127.0.0.1:{port}: {reason}"]


def test_a_peer_that_is_not_allowed_is_refused(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    serving = start(proxy_allow_ips=("unix", "192.0.2.0/24"))
    with caplog.at_level(logging.WARNING, "ianus.error"), serving.connect() as client:
        client.sendall(V1 + GET)
        assert is_closed(serving, client)
    (line,) = caplog.messages
    assert line.endswith(": the peer is not in --proxy-allow-ips")


def test_a_flood_of_refusals_is_a_line_a_second(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    serving = start()
    started = time.monotonic()
    with caplog.at_level(logging.WARNING, "ianus.error"):
        for _ in range(50):
            with serving.connect() as client:
                client.sendall(b"x")
                assert is_closed(serving, client)
    assert len(caplog.messages) <= 1 + (time.monotonic() - started)


def test_a_client_that_only_connects_is_not_logged(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    serving = start(proxy_allow_ips=("unix",))
    with caplog.at_level(logging.DEBUG, "ianus.error"):
        for number in range(2):
            client = serving.connect()
            serving.until(lambda: serving.reactor.connections == 1)
            if number:  # and waits for the server's end
                client.shutdown(socket.SHUT_WR)
                assert is_closed(serving, client)
            client.close()
            serving.until(lambda: serving.reactor.connections == 0)
    assert not caplog.messages


def test_a_health_check_with_a_header_alone_is_not_logged(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    serving = start()
    with caplog.at_level(logging.DEBUG, "ianus.error"), serving.connect() as client:
        client.sendall(v2(b"", command=0x20, family=0))
        client.shutdown(socket.SHUT_WR)
        assert is_closed(serving, client)
    assert not caplog.messages


def test_the_end_within_a_header_is_refused(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    serving = start()
    with caplog.at_level(logging.WARNING, "ianus.error"), serving.connect() as client:
        client.sendall(V1[:-1])
        client.shutdown(socket.SHUT_WR)
        assert is_closed(serving, client)
    assert caplog.messages[0].endswith(": the peer closed within the header")


def test_the_deadline_of_a_header_starts_with_its_first_byte(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    serving = start(timeout_request_header=10.0, timeout_keep_alive=75.0)
    with caplog.at_level(logging.WARNING, "ianus.error"), serving.connect() as client:
        serving.until(lambda: serving.reactor.connections == 1)
        client.sendall(V1[:5])
        serving.turn()
        before = time.monotonic()
        client.sendall(V1[5:10])
        serving.turn()
        expire(serving, before + 8)
        assert serving.reactor.connections == 1
        expire(serving, before + 11)
        assert is_closed(serving, client)
    assert caplog.messages[0].endswith(": the header is incomplete")


def test_an_idle_connection_is_closed_after_the_keep_alive_time(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    serving = start(timeout_keep_alive=75.0)
    with caplog.at_level(logging.DEBUG, "ianus.error"), serving.connect() as client:
        serving.until(lambda: serving.reactor.connections == 1)
        # Longer than a header may take.
        expire(serving, time.monotonic() + 20)
        assert serving.reactor.connections == 1
        expire(serving, time.monotonic() + 80)
        assert is_closed(serving, client)
    assert not caplog.messages


@pytest.mark.slow
def test_a_request_that_arrives_with_its_header_at_the_stop_is_answered(start: Start) -> None:
    serving = start()
    with serving.connect() as client:
        client.sendall(V1 + GET)
        drained: list[bool] = []
        # The connection is still in the backlog.
        serving.reactor.drain(lambda: drained.append(True))
        assert facts(serving, client) == REPORTED
        serving.until(lambda: drained)


def test_an_unused_connection_ends_soon_at_the_stop(start: Start) -> None:
    serving = start()
    with serving.connect() as client:
        serving.until(lambda: serving.reactor.connections == 1)
        serving.reactor.drain(lambda: None)
        expire(serving, time.monotonic() + 2)
        assert is_closed(serving, client)


def test_a_second_header_is_an_invalid_request(start: Start) -> None:
    serving = start()
    with serving.connect() as client:
        client.sendall(V1 + V1 + GET)
        response = serving.read(client, b"--proxy-protocol\n")
        assert response.startswith(b"HTTP/1.1 400 ")
        assert b"unexpected PROXY header" in response
