"""A gRPC service as an ASGI application, without a library: messages with a prefix, and trailers with the status.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md has the protocol. Messages are bytes here.
"""

import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

OK, INVALID_ARGUMENT, UNIMPLEMENTED = 0, 3, 12


class CancelledError(Exception):
    """The client has cancelled the call."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    fields = dict(scope["headers"])
    assert fields[b"te"] == b"trailers", fields
    assert fields[b"content-type"].startswith(b"application/grpc"), fields
    headers = [(b"content-type", fields[b"content-type"]), (b"x-version", scope["http_version"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    status, text = OK, ""
    try:
        match scope["path"]:
            case "/test.Echo/Each":  # one response a message, also of streams
                async for message in _messages(receive):
                    await _send_message(send, message)
            case "/test.Echo/All":
                await _send_message(send, b"".join([message async for message in _messages(receive)]))
            case "/test.Echo/Count":
                async for message in _messages(receive):
                    for number in range(int(message)):
                        await _send_message(send, b"%d" % number)
            case "/test.Echo/Metadata":
                await _send_message(send, fields[b"x-name"])
            case "/test.Echo/Refuse":
                status, text = INVALID_ARGUMENT, "not this one"
            case "/test.Echo/Hang":
                while (await receive())["type"] != "http.disconnect":
                    pass
                raise CancelledError
            case _:
                status = UNIMPLEMENTED
    except CancelledError:
        os.write(2, b"app: cancelled\n")
        return
    await send({"type": "http.response.body"})
    trailers = [(b"grpc-status", b"%d" % status), (b"grpc-message", text.encode())]
    await send({"type": "http.response.trailers", "headers": trailers})


async def _messages(receive: Receive) -> AsyncIterator[bytes]:
    data = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise CancelledError
        data += event["body"]
        while len(data) >= 5 and len(data) >= (end := 5 + struct.unpack_from(">xI", data)[0]):
            message, data = data[5:end], data[end:]
            yield message
        if not event["more_body"]:
            return


async def _send_message(send: Send, message: bytes) -> None:
    prefix = struct.pack(">?I", False, len(message))
    await send({"type": "http.response.body", "body": prefix + message, "more_body": True})
