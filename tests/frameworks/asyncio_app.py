"""Uses of receive() and send() by frameworks, in plain ASGI: tasks, time limits, task groups, threads.

A path is the name of a coroutine of this module.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.wsgi import WsgiToAsgi

from tests.e2e.apps import alive, body_of, report, until_disconnect
from tests.frameworks.latches import latch
from tests.frameworks.wsgi_app import wsgi_app

Scope = dict[str, Any]
Receive = Callable[[], Coroutine[Any, Any, dict[str, Any]]]
Send = Callable[[dict[str, Any]], Coroutine[Any, Any, None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

WAIT_SECONDS = 20.0  # Seconds that threads wait for the event loop.
SOON = 0.01  # Seconds after which a time limit ends a wait that nothing else would end.

handlers: dict[str, Handler] = {}


def handler(function: Handler) -> Handler:
    handlers["/" + function.__name__.replace("_", "-")] = function
    return function


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"].startswith("/wsgi/"):
        await wsgi(scope | {"root_path": "/wsgi"}, receive, send)
    else:
        await handlers[scope["path"]](scope, receive, send)


async def lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    report("alive", json.dumps(alive()))
    await send({"type": "lifespan.shutdown.complete"})


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def answer(send: Send, value: object) -> None:
    await send(start())
    await send(piece(json.dumps(value).encode()))


def name_of(scope: Scope) -> str:
    return str(scope["query_string"].decode())


@handler
async def open_latch(scope: Scope, receive: Receive, send: Send) -> None:
    latch(name_of(scope)).open()
    await answer(send, None)


# --- Waiting for a message, and giving up ---


@handler
async def timeouts(scope: Scope, receive: Receive, send: Send) -> None:
    """Waits a little for a message in each possible way, before it arrives; none may lose the message."""
    await body_of(receive)
    ways = []
    try:
        async with asyncio.timeout(SOON):
            await receive()
    except TimeoutError:
        ways.append("asyncio.timeout")
    try:
        await asyncio.wait_for(receive(), SOON)
    except TimeoutError:
        ways.append("asyncio.wait_for")
    with anyio.move_on_after(SOON) as moved:
        await receive()
    if moved.cancelled_caught:
        ways.append("anyio.move_on_after")
    task: asyncio.Future[Any] = asyncio.ensure_future(receive())
    done, _ = await asyncio.wait({task}, timeout=SOON)
    task.cancel()
    if not done:
        ways.append("asyncio.wait")
    await send(start())
    await send(piece(json.dumps(ways).encode(), more=True))
    await until_disconnect(receive)
    report("left", name_of(scope))


@handler
async def timeout_in_body(scope: Scope, receive: Receive, send: Send) -> None:
    """Gives up on waiting for a piece of the body; the next receive() gives it, whole."""
    given_up, body, more = 0, b"", True
    report("reading", name_of(scope))
    while more:
        try:
            async with asyncio.timeout(SOON):
                message = await receive()
        except TimeoutError:
            if (given_up := given_up + 1) == 2:
                report("given up", name_of(scope))
            continue
        assert message["type"] == "http.request"
        body, more = body + message["body"], message["more_body"]
    await answer(send, [given_up >= 2, body.decode()])


@handler
async def receive_in_task(scope: Scope, receive: Receive, send: Send) -> None:
    """A task that listens from the first moment on, while another one answers."""
    await body_of(receive)
    listening = asyncio.create_task(receive())
    await send(start())
    await send(piece(b"open", more=True))
    await asyncio.wait({listening}, timeout=WAIT_SECONDS)
    report("left", f"{name_of(scope)} {listening.result()['type']}")


@handler
async def two_listeners(scope: Scope, receive: Receive, send: Send) -> None:
    """Both of two concurrent calls of receive() get the disconnect."""
    await body_of(receive)
    await send(start())
    await send(piece(b"open", more=True))
    both = await asyncio.gather(receive(), receive())
    report("left", f"{name_of(scope)} {[message['type'] for message in both]}")


@handler
async def listen_while_answering(scope: Scope, receive: Receive, send: Send) -> None:
    """A receive() that waits when the response is complete returns http.disconnect, with the client still there."""
    await body_of(receive)
    listening = asyncio.create_task(receive())
    await asyncio.sleep(0)
    await answer(send, "whole")
    report("over", f"{name_of(scope)} {(await listening)['type']}")


@handler
async def late_end(scope: Scope, receive: Receive, send: Send) -> None:
    """The client has the declared length, and disconnects before the application sends the last message."""
    await body_of(receive)
    await send(start(200, (b"content-length", b"5")))
    await send(piece(b"whole", more=True))
    await until_disconnect(receive)
    await send(piece(b""))
    report("ended", name_of(scope))


@handler
async def echo_pieces(scope: Scope, receive: Receive, send: Send) -> None:
    """Both ways at once: sends back each piece, while more is arriving."""
    await send(start())
    more = True
    while more:
        message = await receive()
        more = message["more_body"]
        await send(piece(message["body"], more=more))


@handler
async def cancel_oneself(scope: Scope, receive: Receive, send: Send) -> None:
    await body_of(receive)
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await receive()


# --- Task groups ---


@handler
async def task_group(scope: Scope, receive: Receive, send: Send) -> None:
    """Gives receive and send themselves to task groups, which require coroutines from the functions they start."""
    await body_of(receive)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        tasks.start_soon(send, start())
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    async with asyncio.TaskGroup() as group:
        group.create_task(send(piece(b"from ", more=True)))
        group.create_task(send(piece(b"groups")))


@handler
async def failing_group(scope: Scope, receive: Receive, send: Send) -> None:
    """One task fails, the other is cancelled inside of receive(), and the application answers."""

    async def fail() -> None:
        raise LookupError("raised on purpose")

    await body_of(receive)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(until_disconnect(receive))
            group.create_task(fail())
    except* LookupError as errors:
        await answer(send, [str(error) for error in errors.exceptions])


# --- Contexts ---

variable: ContextVar[str] = ContextVar("variable", default="unset")


@handler
async def context(scope: Scope, receive: Receive, send: Send) -> None:
    """A request's context variables are seen by its tasks and threads, and by no other request."""
    seen = [variable.get()]
    variable.set(name_of(scope))
    await body_of(receive)
    seen.append(await asyncio.create_task(read_variable()))
    seen.append(await asyncio.to_thread(variable.get))
    seen.append(await anyio.to_thread.run_sync(variable.get))
    await answer(send, seen)


async def read_variable() -> str:
    return variable.get()


# --- Threads ---


@handler
async def receive_in_thread(scope: Scope, receive: Receive, send: Send) -> None:
    """A thread drives the whole exchange through the loop, as adapters for WSGI do."""
    loop = asyncio.get_running_loop()

    def work() -> None:
        def wait(awaitable: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(awaitable, loop).result(WAIT_SECONDS)

        size, more = 0, True
        while more:
            message = wait(receive())
            size, more = size + len(message["body"]), message["more_body"]
        wait(send(start()))
        wait(send(piece(b"%d" % size)))

    await asyncio.to_thread(work)


@handler
async def from_thread(scope: Scope, receive: Receive, send: Send) -> None:
    """The same by the means of anyio."""

    def work() -> None:
        size, more = 0, True
        while more:
            message = anyio.from_thread.run(receive)
            size, more = size + len(message["body"]), message["more_body"]
        anyio.from_thread.run(send, start())
        anyio.from_thread.run(send, piece(b"%d" % size))

    await anyio.to_thread.run_sync(work)


@handler
async def there_and_back(scope: Scope, receive: Receive, send: Send) -> None:
    """The same by the means of asgiref, as Django does it: a view in a thread that calls back into the loop."""

    def view() -> bytes:
        variable.set("view")
        return async_to_sync(body)()

    async def body() -> bytes:
        return await body_of(receive) + variable.get().encode()

    await answer(send, (await sync_to_async(view)()).decode())


wsgi = WsgiToAsgi(wsgi_app)  # type: ignore[no-untyped-call]
