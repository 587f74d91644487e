"""Event streams, long polls and finite streams when the server stops, in the frameworks that people use."""

import signal
import time
from collections.abc import Callable

from tests.frameworks.client_helpers import APPS, expect_app_log
from tests.helpers import Client, Server

STREAMS = ["starlette", "middleware", "fastapi", "quart", "litestar", "django", "mcp"]


def follow(server: Server, name: str) -> Client:
    """A client that has got the first event."""
    client = server.connect()
    client.request(f"/{name}/events", b"Accept: text/event-stream")
    assert client.head()[1] == 200
    assert client.chunk()
    return client


def check_stop(server: Server, since: float) -> None:
    assert server.wait() == 0
    # The limit for requests in flight is 30 seconds.
    assert time.monotonic() - since < 12
    assert "app: alive" in server.log.text
    assert " ERROR " not in server.log.text
    assert "abandoned" not in server.log.text


def test_stop_with_open_event_streams(start_server: Callable[..., Server], loop: str) -> None:
    """Kludex/uvicorn#2943 and many others: a server with one listener did not stop, and Docker killed it."""
    server = start_server("--loop", loop, app="stopped_app:app", app_dir=APPS)
    clients = {name: follow(server, name) for name in STREAMS}
    since = time.monotonic()
    server.signal(signal.SIGTERM)
    for name, client in clients.items():
        assert (name, client.chunk()) == (name, b""), "the stream ends in order"
        client.close()
        expect_app_log(server, "closed", name)
    check_stop(server, since)


def test_farewells_long_polls_and_finite_streams(start_server: Callable[..., Server]) -> None:
    """sse-starlette sets its shutdown_event, because it finds should_exit through the handler of SIGTERM. The answer of
    a language model, of the type text/event-stream to a POST, gets its time.
    """
    server = start_server(app="stopped_app:app", app_dir=APPS)
    farewell = follow(server, "sse")
    poll = server.connect()
    poll.request("/starlette/poll")
    server.app_log("polling")
    finite = server.connect()
    finite.request("/starlette/tokens", b"Content-Length: 0", method="POST")
    assert finite.head()[1] == 200
    since = time.monotonic()
    server.signal(signal.SIGTERM)
    tokens = []
    while token := finite.chunk():
        tokens.append(token)
    assert tokens == [b"data: %d\n\n" % number for number in range(5)]
    assert poll.response().status == 204
    assert farewell.chunk() == b"data: farewell\r\n\r\n"
    assert farewell.chunk() == b""
    for client in (farewell, poll, finite):
        client.close()
    check_stop(server, since)


def test_streams_learn_of_a_hand_over(start_server: Callable[..., Server]) -> None:
    """HUP: the old worker does not stay because of them, and their clients find the new one."""
    server = start_server(app="stopped_app:app", app_dir=APPS)
    clients = {name: follow(server, name) for name in STREAMS}
    server.signal(signal.SIGHUP)
    for name, client in clients.items():
        assert (name, client.chunk()) == (name, b""), "the stream ends in order"
        client.close()
    with follow(server, "starlette"):
        pass
