"""The WebSocket applications that the end-to-end tests talk to: one coroutine for each path, as in apps.py.

They report events on standard error, since after the end there is no connection left to report them on. HTTP
requests go to apps.py.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.e2e import apps
from tests.e2e.apps import Receive, Scope, Send, report

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

HANDLERS: dict[str, Handler] = {}


def path(name: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await HANDLERS[scope["path"].removeprefix(scope["root_path"])](scope, receive, send)
    else:
        await apps.app(scope, receive, send)


async def accept(receive: Receive, send: Send, **how: Any) -> None:
    message = await receive()
    assert message == {"type": "websocket.connect"}, message
    await send({"type": "websocket.accept", **how})


async def until_disconnect(scope: Scope, receive: Receive) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        pass
    report_close(scope, message)


def report_close(scope: Scope, message: dict[str, Any]) -> None:
    """With the query, by which a test recognises its own connection among those of earlier tests."""
    report(f"end of {scope['query_string'].decode()}", f"{message['code']} {message['reason']}".rstrip())


async def send_text(send: Send, text: str) -> None:
    await send({"type": "websocket.send", "text": text})


# --- Ordinary ones ---


@path("/echo")
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(receive, send)
    await echoing(scope, receive, send)


async def echoing(scope: Scope, receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    report_close(scope, message)


@path("/scope")
async def send_scope(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(receive, send)
    told = {key: value for key, value in scope.items() if key not in ("headers", "state", "client", "server")}
    await send_text(send, json.dumps(told, default=lambda value: value.decode()))
    await until_disconnect(scope, receive)


@path("/accept")
async def accept_as_asked(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts with the subprotocol and headers in the query; reports an error."""
    asked = parse_qs(scope["query_string"].decode())
    how: dict[str, Any] = {}
    if "subprotocol" in asked:
        how["subprotocol"] = asked["subprotocol"][0]
    if "header" in asked:
        how["headers"] = [tuple(part.encode() for part in pair.split("=", 1)) for pair in asked["header"]]
    try:
        await accept(receive, send, **how)
    except Exception as error:
        report("refused", f"{type(error).__name__}: {error}")
        await send({"type": "websocket.close"})
        return
    await until_disconnect(scope, receive)


# --- Handshakes that are not accepted ---


@path("/refuse")
async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 4000})


@path("/deny")
async def deny(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Basic")]})
    await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"you\n"})


@path("/deny-without-end")
async def deny_without_end(scope: Scope, receive: Receive, send: Send) -> None:
    """Streams a response, and never waits for anything but send()."""
    await send({"type": "websocket.http.response.start", "status": int(scope["query_string"]), "headers": []})
    while True:
        await send({"type": "websocket.http.response.body", "body": bytes(65536), "more_body": True})


@path("/no-answer")
async def no_answer(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


@path("/raise-early")
async def raise_early(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise RuntimeError("early")


@path("/never")
async def never(scope: Scope, receive: Receive, send: Send) -> None:
    """Does not answer the handshake until the client disconnects."""
    await receive()
    report("waiting")
    report_close(scope, await receive())
    try:
        await send({"type": "websocket.accept"})
    except OSError:
        report("send raised", "OSError")


# --- Ends ---


@path("/close")
async def close(scope: Scope, receive: Receive, send: Send) -> None:
    """Closes with the query, CODE or CODE,REASON, when a message asks for it; reports an error."""
    await accept(receive, send)
    await receive()
    message: dict[str, Any] = {"type": "websocket.close"}
    code, _, reason = unquote(scope["query_string"].decode()).partition(",")
    if code:
        message["code"] = int(code)
    if reason:
        message["reason"] = reason
    try:
        await send(message)
    except ValueError as error:
        report("refused", f"{type(error).__name__}: {error}")
        return
    await until_disconnect(scope, receive)


@path("/return")
async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(receive, send)
    await receive()


@path("/raise")
async def raises(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(receive, send)
    await receive()
    raise RuntimeError("on purpose")


@path("/errors")
async def errors(scope: Scope, receive: Receive, send: Send) -> None:
    """Does wrong things in each state, and sends a list of the errors that it got."""
    got: list[str] = []

    async def attempt(message: Any) -> None:
        try:
            await send(message)
        except Exception as error:
            got.append(type(error).__name__)
        else:
            got.append("none")

    await receive()
    await attempt({"type": "websocket.send", "text": "too early"})
    await attempt({"type": "http.response.start", "status": 200})
    await attempt({})
    await attempt({"type": "websocket.accept", "subprotocol": "not offered"})
    await send({"type": "websocket.accept"})
    await attempt({"type": "websocket.accept"})
    await attempt({"type": "websocket.send"})
    await attempt({"type": "websocket.send", "text": None, "bytes": None})
    await attempt({"type": "websocket.send", "text": "both", "bytes": b"both"})
    await attempt({"type": "websocket.send", "text": b"bytes"})
    await attempt({"type": "websocket.send", "bytes": "text"})
    await attempt({"type": "websocket.send", "text": "\ud800"})
    await attempt({"type": "websocket.close", "code": 1005 + 1})
    await attempt({"type": "websocket.http.response.start", "status": 200})
    await send_text(send, json.dumps(got))
    got.clear()
    await until_disconnect(scope, receive)
    await attempt({"type": "websocket.send", "text": "too late"})
    await attempt({"type": "websocket.close"})
    report("errors", " ".join(got))


@path("/send-after-close")
async def send_after_close(scope: Scope, receive: Receive, send: Send) -> None:
    """Closes, before or after it has accepted, and sends before and after it hears of the end."""
    got: list[str] = []

    async def attempt(message: dict[str, Any]) -> None:
        try:
            await send(message)
        except Exception as error:
            got.append("OSError" if isinstance(error, OSError) else type(error).__name__)
        else:
            got.append("none")

    await receive()
    if scope["query_string"] == b"accept":
        await send({"type": "websocket.accept"})
    await send({"type": "websocket.close"})
    await attempt({"type": "websocket.send", "text": "too late"})
    while (await receive())["type"] != "websocket.disconnect":
        pass
    await attempt({"type": "websocket.send", "text": "too late"})
    await attempt({"type": "websocket.send", "bytes": b"too late"})
    await attempt({"type": "websocket.close"})
    report("sent after close", " ".join(got))
    await send({"type": "websocket.send", "text": "and does not look"})


# --- Slow applications ---


deaf_ones: list[asyncio.Event] = []


async def until_it_is_to_listen() -> None:
    listens = asyncio.Event()
    deaf_ones.append(listens)
    await listens.wait()


@path("/deaf")
async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
    """Listens when /listen was connected to, and then echoes."""
    await accept(receive, send)
    await until_it_is_to_listen()
    await echoing(scope, receive, send)


@path("/deaf-to-the-end")
async def deaf_to_the_end(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads slowly as `slow` does, and reports each message."""
    await accept(receive, send)
    await until_it_is_to_listen()
    while (message := await receive())["type"] == "websocket.receive":
        report("received", message["text"])
    report_close(scope, message)


@path("/listen")
async def listen(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(receive, send)
    for listens in deaf_ones:
        listens.set()
    deaf_ones.clear()


@path("/flood")
async def flood(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends blocks of 64 KiB, the number in the query, and reports its progress when asked."""
    await accept(receive, send)
    total = int(scope["query_string"])
    sent = 0

    async def sending() -> None:
        nonlocal sent
        for _ in range(total):
            await send({"type": "websocket.send", "bytes": b"x" * 65536})
            sent += 1

    async def told() -> None:
        try:
            await sending()
        except OSError:
            report("flood ended", "OSError")
        else:
            report("flood ended", sent)

    task = asyncio.create_task(told())
    while (await receive())["type"] == "websocket.receive":
        report("sent", sent)
    await task
