"""The call of an application, as its task and debuggers see it."""

import asyncio
import inspect
import types
from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.exchange.conversation import GET, OK
from tests.gateway.asgi.stepping import App, AsgiConversation, body, start

Converse = Callable[..., AsgiConversation]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    # Suspended once, so that a later step ends it.
    await asyncio.sleep(0)
    await send(start())
    await send(body(b"ok"))


def answers(client: AsgiConversation) -> bytes:
    client.connection.receive(GET)
    client.run()
    return client.receives()


class Awaitable:
    def __await__(self) -> Generator[Any, Any, None]:
        return (yield from answer(None, None, self.send).__await__())

    def __init__(self, send: Any) -> None:
        self.send = send


@types.coroutine
def generator(scope: Any, receive: Any, send: Any) -> Generator[Any, Any, None]:
    yield from answer(scope, receive, send).__await__()


@pytest.mark.parametrize(
    "application",
    [
        answer,
        lambda scope, receive, send: Awaitable(send),
        lambda scope, receive, send: asyncio.ensure_future(answer(scope, receive, send)),
        generator,
    ],
    ids=["coroutine", "awaitable", "task", "generator"],
)
def test_an_application_returns_any_awaitable(converse: Converse, application: Any) -> None:
    assert answers(converse(application)) == OK


@pytest.mark.parametrize("value", [None, 1, "text"])
def test_an_application_that_returns_no_awaitable(
    converse: Converse, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    assert b" 500 " in answers(converse(lambda scope, receive, send: value))
    assert "await" in caplog.text


def test_an_application_that_raises_before_it_returns_an_awaitable(
    converse: Converse, caplog: pytest.LogCaptureFixture
) -> None:
    def application(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("at once")

    assert b" 500 " in answers(converse(application))
    assert "at once" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_exception_that_ends_programs_ends_one_request(converse: Converse, error: type[BaseException]) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        raise error

    client = converse(application)
    assert b" 500 " in answers(client)
    assert b" 500 " in answers(client)


def test_a_call_is_awaited_once(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        coroutines.append(task.get_coro())
        await answer(scope, receive, send)

    coroutines: list[Any] = []
    assert answers(converse(application)) == OK
    (call,) = coroutines
    assert asyncio.iscoroutine(call)
    with pytest.raises(RuntimeError, match="already awaited"):
        call.send(None)
    call.close()


@pytest.mark.parametrize("limit", [0.5, None])
def test_an_application_may_catch_its_cancellation(converse: Converse, limit: float | None) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            async with asyncio.timeout(limit):
                if limit is None:
                    raise asyncio.CancelledError
                await asyncio.sleep(10)
        except (TimeoutError, asyncio.CancelledError):
            await answer(scope, receive, send)

    client = converse(application)
    client.connection.receive(GET)
    client.run()
    client.loop.now += 1
    client.run()
    assert client.receives() == OK


def test_a_task_shows_the_coroutine_of_the_application(client: AsgiConversation) -> None:
    client.request(GET)
    (task,) = client.gateway.tasks()
    assert "App.__call__" in repr(task)
    (frame,) = task.get_stack()
    assert frame.f_code is App.__call__.__code__
    assert inspect.getcoroutinestate(task.get_coro()) == inspect.CORO_SUSPENDED  # type: ignore[arg-type]


def test_a_call_that_is_closed_ends_its_exchange(client: AsgiConversation) -> None:
    client.request(GET)
    (task,) = client.gateway.tasks()
    coroutine: Any = task.get_coro()
    coroutine.close()
    coroutine.close()
    client.run()
    assert client.gateway.tasks() == []
    assert b" 500 " in client.receives()
    task.cancel()  # or asyncio would log its end when it is collected, in a later test
    client.run()
    assert task.done()
