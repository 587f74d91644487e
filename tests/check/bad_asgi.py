"""ASGI applications that each violate one rule, on the line with the comment `# RULE`."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[Any], Awaitable[None]]

TEXT = [(b"content-type", b"text/plain")]


def require_http(scope: Scope) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])


async def start(send: Send, headers: Any = TEXT) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def is_answered(scope: Scope, send: Send) -> bool:
    """Answers a request of HTTP, and rejects scopes other than those of WebSockets."""
    if scope["type"] == "websocket":
        return False
    require_http(scope)
    await start(send)
    await send({"type": "http.response.body"})
    return True


async def upper_case(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    headers = [(b"Content-Type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})  # asgi-header-case
    await send({"type": "http.response.body", "body": b"x"})


async def header_of_str(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await send({"type": "http.response.start", "status": 200, "headers": [("x-a", b"1")]})  # asgi-headers
    await send({"type": "http.response.body"})


async def headers_are_a_dict(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await send({"type": "http.response.start", "status": 200, "headers": {b"x-a": b"1"}})  # asgi-headers
    await send({"type": "http.response.body"})


async def body_of_str(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await start(send)
    await send({"type": "http.response.body", "body": "x"})  # asgi-body


async def status_of_str(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await send({"type": "http.response.start", "status": "200", "headers": TEXT})  # asgi-status
    await send({"type": "http.response.body"})


async def status_of_six(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await send({"type": "http.response.start", "status": 600, "headers": TEXT})  # http-status
    await send({"type": "http.response.body"})


async def no_start(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await send({"type": "http.response.body", "body": b"x"})  # asgi-start


async def two_starts(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.start", "status": 500})  # asgi-start
    await send({"type": "http.response.body"})


async def no_response(scope: Scope, receive: Receive, send: Send) -> None:  # asgi-start
    require_http(scope)
    await receive()


async def no_end(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})  # asgi-incomplete
    await send({"type": "http.response.body", "body": b"x", "more_body": True})


async def after_end(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await start(send)
    await send({"type": "http.response.body", "body": b"x"})
    await send({"type": "http.response.body", "body": b"lost"})  # asgi-after-end


async def short_body(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    headers = [(b"content-length", b"10")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})  # http-content-length
    await send({"type": "http.response.body", "body": b"short"})


async def unknown_type(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await start(send)
    await send({"type": "http.response.content", "body": b"x"})  # asgi-type
    await send({"type": "http.response.body"})


async def no_type(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await send({"status": 200})  # asgi-message
    await start(send)
    await send({"type": "http.response.body"})


async def not_awaited(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await start(send)
    send({"type": "http.response.body", "body": b"x"})  # asgi-not-awaited


async def body_of_204(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await send({"type": "http.response.start", "status": 204})  # http-no-content
    await send({"type": "http.response.body", "body": b"x"})


async def line_break(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    headers = [(b"x-a", b"1\r\nx-b: 2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})  # http-field-value
    await send({"type": "http.response.body"})


async def raises(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    raise LookupError("no such page")  # asgi-exception


async def push(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await start(send)
    await send({"type": "http.response.push", "path": "/", "headers": []})  # asgi-extension
    await send({"type": "http.response.body"})


async def other_thread(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)

    def respond() -> None:
        async def run() -> None:
            await send({"type": "http.response.start", "status": 200})  # asgi-thread

        coroutine = run()
        try:
            coroutine.send(None)
        except StopIteration:
            pass
        finally:
            coroutine.close()

    thread = threading.Thread(target=respond)
    thread.start()
    thread.join()
    await send({"type": "http.response.body"})


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    require_http(scope)
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})  # asgi-disconnect
    while True:
        try:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        except OSError:
            pass
        await asyncio.sleep(0.05)


async def lifespan_as_http(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})  # asgi-unknown-scope asgi-type
    await send({"type": "http.response.body"})  # asgi-unknown-scope asgi-type


async def no_shutdown(scope: Scope, receive: Receive, send: Send) -> None:  # asgi-lifespan-shutdown
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    require_http(scope)
    await start(send)
    await send({"type": "http.response.body"})


async def websocket_not_accepted(scope: Scope, receive: Receive, send: Send) -> None:
    if await is_answered(scope, send):
        return
    await receive()
    await send({"type": "websocket.send", "text": "hello"})  # asgi-ws-connect
    await send({"type": "websocket.close"})


async def websocket_no_answer(scope: Scope, receive: Receive, send: Send) -> None:  # asgi-ws-connect
    if await is_answered(scope, send):
        return
    await receive()


async def websocket_both(scope: Scope, receive: Receive, send: Send) -> None:
    if await is_answered(scope, send):
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "hello", "bytes": b"hello"})  # asgi-ws-send
    await receive()


async def websocket_close_code(scope: Scope, receive: Receive, send: Send) -> None:
    if await is_answered(scope, send):
        return
    await receive()
    await send({"type": "websocket.close", "code": 1006})  # asgi-ws-close


async def websocket_subprotocol(scope: Scope, receive: Receive, send: Send) -> None:
    if await is_answered(scope, send):
        return
    await receive()
    await send({"type": "websocket.accept", "subprotocol": b"chat"})  # asgi-ws-accept
    await receive()
