"""GraphQL subscriptions of Strawberry, by both protocols that clients speak over WebSockets."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.frameworks.client_helpers import expect_app_log, websocket
from tests.helpers import WAIT_SECONDS, Server

# Subprotocol, and how it calls a subscription and its results.
PROTOCOLS = pytest.mark.parametrize(
    ("protocol", "subscribe", "result", "end"),
    [("graphql-transport-ws", "subscribe", "next", "complete"), ("graphql-ws", "start", "data", "stop")],
    ids=["graphql-transport-ws", "graphql-ws"],
)


@pytest.fixture
def server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("strawberry_app:app", "--loop", loop)


@pytest.fixture
def client(server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(server)


@contextmanager
def connect(server: Server, protocol: str) -> Iterator[ClientConnection]:
    with websocket(server, "/graphql", subprotocols=[protocol]) as socket:
        assert socket.subprotocol == protocol
        send(socket, "connection_init")
        assert received(socket) == {"type": "connection_ack"}
        yield socket


def send(socket: ClientConnection, kind: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def received(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(WAIT_SECONDS))


def test_query(client: httpx.Client) -> None:
    response = client.post("/graphql", json={"query": '{ hello(name: "süß") }'})
    assert response.json() == {"data": {"hello": "Hello, süß"}}


@PROTOCOLS
def test_subscription(server: Server, protocol: str, subscribe: str, result: str, end: str) -> None:
    with connect(server, protocol) as socket:
        send(socket, subscribe, id="1", payload={"query": "subscription { count(target: 100) }"})
        for number in range(100):
            assert received(socket) == {"id": "1", "type": result, "payload": {"data": {"count": number}}}
        assert received(socket) == {"id": "1", "type": "complete"}


@PROTOCOLS
def test_two_at_a_time(
    server: Server, client: httpx.Client, protocol: str, subscribe: str, result: str, end: str
) -> None:
    """One waits for a mutation while another runs; then the client ends it and continues."""
    name, mark = f"two by {protocol}", server.log.mark()
    with connect(server, protocol) as socket:
        send(socket, subscribe, id="1", payload={"query": f'subscription {{ wait(name: "{name}") }}'})
        assert received(socket)["payload"] == {"data": {"wait": "waiting"}}
        send(socket, subscribe, id="2", payload={"query": "subscription { count(target: 1) }"})
        assert received(socket) == {"id": "2", "type": result, "payload": {"data": {"count": 0}}}
        assert received(socket) == {"id": "2", "type": "complete"}
        client.post("/graphql", json={"query": f'mutation {{ openLatch(name: "{name}") }}'})
        assert received(socket) == {"id": "1", "type": result, "payload": {"data": {"wait": "passed"}}}
        send(socket, end, id="1")
        expect_app_log(server, "subscription ended", name, mark)


@PROTOCOLS
def test_leaving(server: Server, protocol: str, subscribe: str, result: str, end: str) -> None:
    name, mark = f"left by {protocol}", server.log.mark()
    with connect(server, protocol) as socket:
        send(socket, subscribe, id="1", payload={"query": f'subscription {{ wait(name: "{name}") }}'})
        assert received(socket)["payload"] == {"data": {"wait": "waiting"}}
    expect_app_log(server, "subscription ended", name, mark)


def test_protocol_errors(server: Server) -> None:
    """Strawberry closes with codes of its protocols."""
    with websocket(server, "/graphql", subprotocols=["unheard-of"]) as socket:
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT_SECONDS)
        assert (socket.close_code, socket.close_reason) == (4406, "Subprotocol not acceptable")
    with websocket(server, "/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        socket.send("nonsense")
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT_SECONDS)
        assert socket.close_code == 4400
