"""The objects that receive() and send() return: they step as coroutines do."""

import asyncio
import inspect
import types
from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.exchange.conversation import GET, OK, post
from tests.gateway.asgi.stepping import REQUEST_END, App, AsgiConversation, body, is_waiting, start, value_of

Converse = Callable[..., AsgiConversation]


@pytest.fixture
def app(client: AsgiConversation) -> App:
    return client.request(GET)


def test_receive_and_send_are_coroutine_functions(app: App) -> None:
    for function in (app.receive, app.send):
        assert inspect.iscoroutinefunction(function)
    for awaitable in (app.receive(), app.send(start())):
        assert asyncio.iscoroutine(awaitable)
        assert inspect.isawaitable(awaitable)


def test_calls_work_in_generators(app: App) -> None:
    @types.coroutine
    def generator() -> Generator[Any, Any, Any]:
        message = yield from app.receive()
        yield from app.send(start())
        return message

    assert value_of(generator()) == REQUEST_END


def test_each_end_of_receive_has_its_own_value(client: AsgiConversation) -> None:
    """On CPython 3.12 and newer an exception is used again, unless the application has it."""
    app = client.request(post(3))
    kept = []
    for byte in (b"1", b"2"):
        client.connection.receive(byte)
        with pytest.raises(StopIteration) as ended:
            app.receive().send(None)
        kept.append(ended.value)
    client.connection.receive(b"3")
    assert app.received() == {"type": "http.request", "body": b"3", "more_body": False}
    assert [end.value["body"] for end in kept] == [b"1", b"2"]


def test_nothing_happens_before_the_first_step(client: AsgiConversation, app: App) -> None:
    first, second = app.send(start()), app.send(body(b"ok"))
    app.send({"type": "wrong"}).close()
    assert value_of(first) is None
    assert value_of(second) is None
    client.run()
    assert client.receives() == OK


@pytest.mark.parametrize("name", ["receive", "send"])
def test_a_call_is_awaited_once(app: App, name: str) -> None:
    call = app.receive() if name == "receive" else app.send(start())
    value_of(call)
    with pytest.raises(RuntimeError, match=rf"^cannot reuse already awaited {name}\(\)$"):
        call.send(None)
    with pytest.raises(RuntimeError, match=rf"^cannot reuse already awaited {name}\(\)$"):
        next(call.__await__())


@pytest.mark.parametrize("name", ["receive", "send"])
def test_a_call_that_is_being_awaited_is_not_awaited_again(client: AsgiConversation, app: App, name: str) -> None:
    client.connection.stop_reading()
    app.received()
    app.sends(start())
    call = app.receive() if name == "receive" else app.send(body(b"x" * 300000, more_body=True))
    assert is_waiting(call)
    with pytest.raises(RuntimeError, match=rf"^{name}\(\) is being awaited already$"):
        call.__await__()


def test_a_call_that_has_raised_is_over(app: App) -> None:
    call = app.send({"type": "wrong"})
    with pytest.raises(RuntimeError, match="unexpected ASGI message"):
        call.send(None)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        call.send(None)


@pytest.mark.parametrize("name", ["receive", "send"])
@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ((ValueError,), ValueError),
        ((ValueError("value"),), ValueError),
        ((ValueError, ValueError("value")), ValueError),
        ((ValueError, ValueError("value"), None), ValueError),
        ((GeneratorExit,), GeneratorExit),
    ],
)
def test_an_exception_can_be_thrown_into_a_call(
    app: App, name: str, arguments: tuple[Any, ...], kind: type[BaseException]
) -> None:
    app.received()
    call = app.receive() if name == "receive" else app.send(start())
    with pytest.raises(kind):
        call.throw(*arguments)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        call.send(None)


@pytest.mark.parametrize("name", ["receive", "send"])
def test_a_call_can_be_closed(app: App, name: str) -> None:
    call = app.receive() if name == "receive" else app.send(start())
    call.close()
    call.close()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        call.send(None)


def test_calls_can_be_tasks(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        received.append(await asyncio.create_task(receive()))
        await asyncio.gather(send(start()), send(body(b"o", more_body=True)))
        await asyncio.wait_for(send(body(b"k")), 1)

    received: list[Any] = []
    client = converse(application)
    client.connection.receive(GET)
    client.run()
    assert received == [REQUEST_END]
    assert client.receives().endswith(b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n")


def test_a_receive_with_a_time_limit_can_be_repeated(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            try:
                async with asyncio.timeout(1):
                    await receive()
            except TimeoutError:
                timeouts.append(True)
        received.append(await receive())
        await send(start())
        await send(body(b"ok"))

    timeouts: list[bool] = []
    received: list[Any] = []
    client = converse(application)
    client.connection.receive(post(1))
    for _ in range(3):
        client.run()
        client.loop.now += 2
    client.run()
    assert timeouts == [True] * 3
    client.connection.receive(b"1")
    client.run()
    assert received == [{"type": "http.request", "body": b"1", "more_body": False}]
    assert client.receives() == OK


def test_several_calls_wait_for_the_same_message(client: AsgiConversation) -> None:
    app = client.request(post(1))
    first, second = app.receive(), app.receive()
    assert is_waiting(first)
    assert is_waiting(second)
    client.connection.receive(b"1")
    assert value_of(first) == {"type": "http.request", "body": b"1", "more_body": False}
    assert is_waiting(second), "it waits for the disconnect"


def test_a_cancelled_send_frees_its_place(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        try:
            async with asyncio.timeout(1):
                await send(body(b"x" * 300000, more_body=True))
        except TimeoutError:
            timeouts.append(True)
        await send(body(b"end"))

    timeouts: list[bool] = []
    client = converse(application)
    client.connection.stop_reading()
    client.connection.receive(GET)
    client.run()
    client.loop.now += 2
    client.run()
    assert timeouts == [True]
    client.connection.read()
    client.run()
    assert client.receives().endswith(b"3\r\nend\r\n0\r\n\r\n")


def test_receive_and_send_are_called_with_keywords(client: AsgiConversation, app: App) -> None:
    send: Any = app.send
    assert value_of(app.receive(*[])) == REQUEST_END
    value_of(send(message=start()))
    value_of(send(*[body(b"ok")]))
    client.run()
    assert client.receives() == OK


@pytest.mark.parametrize(
    ("name", "arguments", "keywords"),
    [
        ("receive", [1], {}),
        ("receive", [], {"message": 1}),
        ("send", [], {}),
        ("send", [1, 2], {}),
        ("send", [1], {"message": 1}),
        ("send", [], {"event": 1}),
    ],
)
def test_wrong_arguments_raise(app: App, name: str, arguments: list[Any], keywords: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=rf"{name}\(\)"):
        getattr(app, name)(*arguments, **keywords)


def test_receive_and_send_have_signatures(app: App) -> None:
    assert list(inspect.signature(app.receive).parameters) == []
    assert list(inspect.signature(app.send).parameters) == ["message"]
    assert (app.receive.__name__, app.send.__name__) == ("receive", "send")
