"""Applications that wait in receive(), and continue when a message arrives."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import pytest

from tests.codec.websocket.feeding import TEXT, frame
from tests.exchange.conversation import post
from tests.gateway.asgi.stepping import AsgiConversation, Message, body, start
from tests.gateway.asgi.test_websocket import ACCEPT, ACCEPTED, handshake, text

Converse = Callable[..., AsgiConversation]

VARIABLE = contextvars.ContextVar("VARIABLE", default="of the server")


def message(content: bytes) -> bytes:
    return frame(TEXT, content)


def echoed(*contents: bytes) -> bytes:
    return b"".join(b"\x81" + bytes([len(content)]) + content for content in contents)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(ACCEPT)
    while (received := await receive())["type"] == "websocket.receive":
        await send(text(received["text"]))


def arrives(client: AsgiConversation, data: bytes) -> None:
    """Has the event loop find the bytes, and run nothing else."""
    client.loop.call_soon(client.connection.receive, data)
    client.loop.turn()


def opened(converse: Converse, app: Any) -> AsgiConversation:
    client = converse(app)
    client.connection.receive(handshake())
    client.run()
    assert client.receives() == ACCEPTED % b""
    return client


def test_a_message_continues_its_application_at_once(converse: Converse) -> None:
    client = opened(converse, echo)
    for content in (b"one", b"two", b"three"):
        arrives(client, message(content))
        assert client.receives() == echoed(content)


def test_messages_of_one_input_are_answered_together(converse: Converse) -> None:
    client = opened(converse, echo)
    arrives(client, message(b"one") + message(b"two"))
    assert client.receives() == echoed(b"one", b"two")


def test_a_body_continues_its_application_at_once(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        pieces: list[Message] = []
        while not pieces or pieces[-1]["more_body"]:
            pieces.append(await receive())
        await send(start(200, (b"content-length", b"%d" % len(pieces))))
        await send(body(b"x" * len(pieces)))

    client = converse(application)
    client.connection.receive(post(4) + b"ab")
    client.run()
    assert client.receives() == b""
    arrives(client, b"cd")
    assert client.receives().endswith(b"\r\n\r\nxx")


def test_a_head_without_a_body_leaves_when_its_application_waits_again(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()
        await send(start())
        await receive()

    client = converse(application)
    client.connection.receive(post(6) + b"ab")
    client.run()
    arrives(client, b"cd")
    assert client.receives().startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_application_keeps_its_context(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        VARIABLE.set("of the application")
        await receive()
        seen.append(VARIABLE.get())
        VARIABLE.set("changed")
        await receive()
        seen.append(VARIABLE.get())

    seen: list[str] = []
    client = opened(converse, application)
    arrives(client, message(b"one"))
    assert VARIABLE.get() == "of the server"
    arrives(client, message(b"two"))
    assert seen == ["of the application", "changed"]


def test_inside_a_task_another_one_does_not_continue(converse: Converse) -> None:
    async def other() -> None:
        client.connection.receive(message(b"one"))
        seen.append(client.receives())

    seen: list[bytes] = []
    client = opened(converse, echo)
    client.loop.run_until_complete(other())
    client.run()
    assert seen == [b""]
    assert client.receives() == echoed(b"one")


def test_inside_the_context_of_a_task_it_does_not_continue(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await asyncio.get_running_loop().create_task(one(receive, send), context=context)
        await receive()

    async def one(receive: Any, send: Any) -> None:
        await send(text((await receive())["text"]))

    context = contextvars.copy_context()
    client = opened(converse, application)
    client.loop.call_soon(client.connection.receive, message(b"one"), context=context)
    client.loop.turn()
    assert client.receives() == b""
    client.run()
    assert client.receives() == echoed(b"one")


def test_a_task_of_the_application_continues_at_once(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        for _ in range(2):
            await asyncio.create_task(one(receive, send))
        await receive()

    async def one(receive: Any, send: Any) -> None:
        await send(text((await receive())["text"]))

    client = opened(converse, application)
    for content in (b"one", b"two"):
        arrives(client, message(content))
        assert client.receives() == echoed(content)
        client.run()


def test_of_two_calls_that_wait_each_gets_one_message(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        seen.extend(await asyncio.gather(receive(), receive()))
        await receive()

    seen: list[Message] = []
    client = opened(converse, application)
    arrives(client, message(b"one"))
    client.run()
    arrives(client, message(b"two"))
    client.run()
    assert sorted(each["text"] for each in seen) == ["one", "two"]


def test_a_cancelled_call_takes_no_message(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        for _ in range(3):
            call = asyncio.create_task(receive())
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await send(text((await receive())["text"]))
        await receive()

    client = opened(converse, application)
    arrives(client, message(b"one"))
    assert client.receives() == echoed(b"one")


def test_a_cancelled_application_ends_in_its_receive(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        try:
            await receive()
        except asyncio.CancelledError as error:
            seen.append(error.args)
            await send(text((await receive())["text"]))
            raise

    seen: list[Any] = []
    client = opened(converse, application)
    client.gateway.tasks()[0].cancel("reason")
    client.run()
    arrives(client, message(b"one"))
    assert seen == [("reason",)]
    assert client.receives().startswith(echoed(b"one"))


def test_an_application_that_is_cancelled_with_a_message_does_not_lose_it(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        try:
            await receive()
        except asyncio.CancelledError:
            await send(text((await receive())["text"]))

    async def other() -> None:
        client.connection.receive(message(b"one"))
        client.gateway.tasks()[0].cancel()

    client = opened(converse, application)
    client.loop.run_until_complete(other())
    client.run()
    assert client.receives().startswith(echoed(b"one"))


def test_a_task_written_in_python_continues_in_the_loop(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await tasks._PyTask(echo_one(receive, send), loop=asyncio.get_running_loop())
        await receive()

    async def echo_one(receive: Any, send: Any) -> None:
        await send(text((await receive())["text"]))

    tasks: Any = asyncio.tasks
    client = opened(converse, application)
    arrives(client, message(b"one"))
    assert client.receives() == b""
    client.run()
    assert client.receives() == echoed(b"one")


def test_a_callback_of_others_finds_the_future_done(converse: Converse) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        call = receive()
        future = call.send(None)
        future.add_done_callback(lambda done: seen.append(done.result()))
        await asyncio.shield(future)
        with pytest.raises(StopIteration) as ended:
            call.send(None)
        await send(text(ended.value.value["text"]))
        await receive()

    seen: list[None] = []
    client = opened(converse, application)
    arrives(client, message(b"one"))
    client.run()
    assert seen == [None]
    assert client.receives() == echoed(b"one")
