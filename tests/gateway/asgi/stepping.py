"""ASGI applications without a socket: the test sends the bytes, runs the loop by hand, and is the application."""

import asyncio
from collections.abc import Callable
from typing import Any

from ianus.gateway.asgi.gateway import AsgiGateway
from tests.engine import asgi_gateway
from tests.exchange.conversation import Conversation

# More than any application here takes.
TURNS = 10

Message = dict[str, Any]


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of the test."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__()

    def time(self) -> float:
        return self.now

    def turn(self) -> None:
        """Runs the callbacks that are ready."""
        self.call_soon(self.stop)
        self.run_forever()


class App:
    """An application that waits until the test ends its call. The test uses its scope, receive() and send()."""

    scope: dict[str, Any]
    receive: Callable[[], Any]
    send: Callable[[Message], Any]

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.calls += 1
        self.scope, self.receive, self.send = scope, receive, send
        self.done = asyncio.get_running_loop().create_future()
        await self.done

    def received(self) -> Message:
        """Returns the next message, which must be there."""
        message = value_of(self.receive())
        assert isinstance(message, dict)
        return message

    def sends(self, *messages: Message) -> None:
        """Sends messages, which must not wait."""
        for message in messages:
            assert value_of(self.send(message)) is None

    def returns(self) -> None:
        self.done.set_result(None)

    def raises(self, error: BaseException) -> None:
        self.done.set_exception(error)


def is_waiting(awaitable: Any) -> bool:
    """Steps an awaitable. Returns whether it is suspended then."""
    try:
        awaitable.send(None)
    except StopIteration:
        return False
    return True


def value_of(awaitable: Any) -> Any:
    """Steps an awaitable, which must not suspend, and returns its value."""
    try:
        awaitable.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("the call is suspended")


class AsgiConversation(Conversation):
    """One connection to an application. gateway: keywords of asgi_gateway()."""

    gateway: AsgiGateway

    def __init__(self, app: Any = None, *, gateway: dict[str, Any] | None = None, **values: Any) -> None:
        self.loop = SteppedLoop()
        self.app = app or App()
        self.gateway = asgi_gateway(self.app, self.loop, **(gateway or {}))
        super().__init__(gateway=self.gateway, **values)

    def run(self) -> None:
        """Runs the loop and the connection until nothing is left to do."""
        for _ in range(TURNS):
            self.loop.turn()
            self.connection.resume()

    def request(self, data: bytes) -> App:
        """Sends a request. Returns the application, which has it."""
        self.connection.receive(data)
        self.run()
        assert isinstance(self.app, App)
        return self.app

    def close(self) -> None:
        super().close()
        for task in self.gateway.tasks():
            task.cancel()
        self.run()
        self.gateway.end_cancelled()
        assert self.gateway.tasks() == []
        assert self.service.in_flight.requests == self.service.in_flight.websockets == 0
        self.loop.close()
        if isinstance(self.app, App):
            # Its receive() and send() have the exchange.
            vars(self.app).clear()


def start(status: int = 200, *headers: tuple[bytes, bytes], **more: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(data: bytes = b"", **more: Any) -> Message:
    return {"type": "http.response.body", "body": data, **more}


DISCONNECT = {"type": "http.disconnect"}
REQUEST_END = {"type": "http.request", "body": b"", "more_body": False}
