"""Event streams, as frameworks send them: each event is sent at once, and a disconnect from an idle one is noticed."""

from collections.abc import Callable

import pytest

from tests.frameworks.client_helpers import DISCONNECTS, expect_app_log, open_latch
from tests.helpers import Client, Server, many, until

# The third event never occurs.
EVENTS = [b"id: 0\nevent: tick\ndata: 0\n\n", b"id: 1\nevent: tick\ndata: 1\n\n"]


@pytest.fixture(params=["starlette_app:app", "sse_starlette_app:app", "django_app:application"])
def streams(request: pytest.FixtureRequest, serve: Callable[..., Server], loop: str) -> Server:
    """StreamingResponse, EventSourceResponse, and StreamingHttpResponse."""
    return serve(request.param, "--loop", loop)


def follow(server: Server, name: str) -> Client:
    """Returns a client that has received the head of the stream, which is sent before there is an event."""
    client = server.connect()
    client.request(f"/ticks/{name}")
    _, status, _, headers = client.head()
    assert (status, dict(headers)[b"content-type"].partition(b";")[0]) == (200, b"text/event-stream")
    return client


def test_each_event_is_sent_at_once(streams: Server) -> None:
    with follow(streams, "tick") as client:
        for number, event in enumerate(EVENTS):
            open_latch(streams, f"tick-{number}")
            assert client.chunk() == event


def test_a_client_of_http_1_0_gets_events_at_once(streams: Server) -> None:
    """There the end of the connection is that of the stream."""
    with streams.connect() as client:
        client.request("/ticks/old", version="1.0")
        _, status, _, headers = client.head()
        assert (status, b"transfer-encoding" in dict(headers)) == (200, False)
        for number, event in enumerate(EVENTS):
            open_latch(streams, f"old-{number}")
            assert client.exactly(len(event)) == event


@pytest.mark.parametrize("events", [0, 2])
@DISCONNECTS
def test_a_client_disconnects_while_the_stream_is_idle(
    streams: Server, events: int, disconnect: Callable[[Client], None]
) -> None:
    name = f"{disconnect.__name__}-{events}"
    mark = streams.log.mark()
    client = follow(streams, name)
    for number in range(events):
        open_latch(streams, f"{name}-{number}")
        assert client.chunk() == EVENTS[number]
    expect_app_log(streams, f"waiting for {events}", name, mark)
    disconnect(client)
    expect_app_log(streams, "stream closed", name, mark)


def test_many_clients_disconnect_at_once(streams: Server) -> None:
    mark = streams.log.mark()
    with many(50, lambda: follow(streams, "crowd")):
        pass
    until(lambda: streams.log.since(mark).count("stream closed: crowd\n") == 50, "all streams are closed")
