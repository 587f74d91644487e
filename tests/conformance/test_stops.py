"""A server with nothing in flight stops within two seconds, even with open connections, and always cleans up.

Each kind of client is connected to fifty servers. No client closes its side: that is for the server alone to do.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.websocket_client import WebSocket
from tests.helpers import Client, Server

pytestmark = pytest.mark.conformance

STOPS = 50
BOUND_SECONDS = 2.0
# A stop without clients takes less than this on a machine that has nothing else to do.
USUAL_SECONDS = 0.5


def idle(server: Server) -> Client:
    client = server.connect()
    assert client.get().status == 200
    return client


def long_idle(server: Server) -> Client:
    client = idle(server)
    time.sleep(1.1)  # Such a connection is not expected to send a request at this moment.
    return client


def never_used(server: Server) -> Client:
    client = server.connect()
    server.get()  # By now it is accepted.
    return client


def event_stream(server: Server, path: str = "/events") -> Client:
    client = server.connect()
    client.request(path)
    client.head()
    client.chunk()
    return client


def deaf_event_stream(server: Server) -> Client:
    return event_stream(server, "/deaf-events")


def long_poll(server: Server) -> Client:
    client = server.connect()
    client.request("/poll")
    server.app_log("polling")
    return client


def silent_websocket(server: Server) -> Client:
    client = WebSocket(server.address)
    client.shake_hands("/")
    return client


def half_sent_head(server: Server) -> Client:
    client = server.connect()
    client.send(b"GET /hello HTTP/1.1\r\nHo")
    server.get()
    return client


def half_sent_body(server: Server) -> Client:
    client = server.connect()
    client.request("/upload", b"Content-Length: 10", method="POST")
    client.send(b"hello")
    server.app_log("uploading")
    return client


def lingering(server: Server) -> Client:
    client = server.connect()
    assert client.get("/hello", b"Connection: close").status == 200
    assert client.nothing()
    return client


def none(server: Server) -> Client | None:
    return None


KINDS: list[Callable[[Server], Client | None]] = [
    idle,
    long_idle,
    never_used,
    event_stream,
    deaf_event_stream,
    long_poll,
    silent_websocket,
    half_sent_head,
    half_sent_body,
    lingering,
]


def stop_seconds(connect: Callable[[Server], Client | None], cwd: Path) -> float:
    """How long a server with such a client takes to stop."""
    server = Server("stopping_app:app", app_dir=Path(__file__).parent, cwd=cwd)
    try:
        client = connect(server)
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        seconds = time.monotonic() - started
        assert "app: shutdown" in server.log.text
        assert " WARNING " not in server.log.text
        assert " ERROR " not in server.log.text
        if client is not None:
            client.close()
    finally:
        server.kill()
    return seconds


@pytest.mark.parametrize("connect", KINDS, ids=lambda kind: kind.__name__)
def test_stop_with_nothing_in_flight_takes_less_than_two_seconds(
    connect: Callable[[Server], Client | None], tmp_path: Path
) -> None:
    """p99 of fifty stops is their maximum. The delay of a stop without clients is the machine's."""
    extra = 0.0
    times = []
    for number in range(STOPS):
        if number % 5 == 0:
            extra = max(extra, stop_seconds(none, tmp_path) - USUAL_SECONDS)
        times.append(stop_seconds(connect, tmp_path))
    assert max(times) < BOUND_SECONDS + extra, sorted(times)
