"""The gateway of an ASGI application: its running calls, and their ends."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import pytest

from ianus.exchange.recording import RecordingConnection
from tests.exchange.conversation import GET, OK
from tests.gateway.asgi.stepping import AsgiConversation, body, start

Converse = Callable[..., AsgiConversation]


class Calls:
    """Calls of an application on connections of their own, which return when the test ends them."""

    def __init__(self, converse: Converse, number: int) -> None:
        self.ends: list[asyncio.Future[None]] = []
        self.client = converse(self.application)
        self.connections = [RecordingConnection(self.client.sessions) for _ in range(number)]
        for connection in self.connections:
            connection.receive(GET)
        self.client.run()

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        end = asyncio.get_running_loop().create_future()
        self.ends.append(end)
        await end
        await send(start())
        await send(body(b"ok"))

    def end(self, index: int) -> None:
        self.ends[index].set_result(None)
        self.client.run()
        self.connections[index].resume()

    def close(self) -> None:
        for connection in self.connections:
            connection.lose()
        self.ends.clear()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_the_tasks_of_running_calls_are_known(converse: Converse, order: tuple[int, ...]) -> None:
    calls = Calls(converse, 3)
    tasks = calls.client.gateway.tasks()
    assert len(tasks) == len(set(tasks)) == 3
    assert {task.get_name() for task in tasks} == {"ianus-request"}
    for left, index in zip((2, 1, 0), order, strict=True):
        calls.end(index)
        assert calls.connections[index].take_output() == OK
        assert len(calls.client.gateway.tasks()) == left
        assert calls.client.service.in_flight.requests == left
    calls.close()


def test_running_calls_are_cancelled_by_their_tasks(converse: Converse, caplog: pytest.LogCaptureFixture) -> None:
    calls = Calls(converse, 2)
    for task in calls.client.gateway.tasks():
        task.cancel()
    calls.client.run()
    assert calls.client.gateway.tasks() == []
    assert caplog.messages == ["application was cancelled: GET /"] * 2
    calls.close()


def test_calls_that_were_cancelled_before_their_first_step_are_ended(converse: Converse) -> None:
    client = converse()
    client.connection.receive(GET)
    lost = RecordingConnection(client.sessions)
    lost.receive(GET)
    lost.lose()
    for task in client.gateway.tasks():
        task.cancel()
    for _ in range(3):
        client.loop.turn()
    client.gateway.end_cancelled()
    assert client.gateway.tasks() == []
    assert client.service.in_flight.requests == 0


def test_calls_that_run_are_not_ended(converse: Converse) -> None:
    calls = Calls(converse, 2)
    calls.client.gateway.end_cancelled()
    assert len(calls.client.gateway.tasks()) == 2
    calls.end(0)
    calls.end(1)
    calls.close()


def test_a_context_variable_does_not_reach_the_next_request(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(variable.get())
        variable.set("set")
        await send(start())
        await send(body(b"ok"))

    variable = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []
    client = converse(application)
    for _ in range(2):
        client.connection.receive(GET)
        client.run()
    assert seen == ["unset", "unset"]


def test_an_application_may_be_any_callable(converse: Converse, caplog: pytest.LogCaptureFixture) -> None:
    def application(scope: Any, receive: Any, send: Any) -> Any:
        return asyncio.gather(send(start()), send(body(b"ok")))

    client = converse(application)
    client.connection.receive(GET)
    client.run()
    assert client.receives() == OK
    assert caplog.messages == []


def test_an_application_that_is_not_asynchronous_is_a_500(converse: Converse, caplog: pytest.LogCaptureFixture) -> None:
    client = converse(lambda scope, receive, send: None)
    client.connection.receive(GET)
    client.run()
    assert client.receives().startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert caplog.messages == ["exception in application: GET /"]
