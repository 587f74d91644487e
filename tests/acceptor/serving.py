"""A reactor that serves real sockets and is turned by hand: no event loop watches it, dispatch() is called."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

from ianus.exchange.base import SessionFactory
from ianus.gateway.loading.loader import Application
from ianus.process.worker.stack import build_asgi_gateway, build_reactor, build_sessions
from ianus.runtime.live_objects import live_objects
from tests.engine import service, unchecked_settings

TURNS = 20000
TURN_SECONDS = 0.001


class Serving:
    """A reactor, and one listener that a test gives it by listen()."""

    def __init__(self, listener: socket.socket | None = None, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.settings = unchecked_settings(**options)
        self.state: dict[str, Any] = {}  # of the lifespan, in the scopes of all applications
        self.reactor = build_reactor(self.settings)
        self.listener = listener or socket.create_server(("127.0.0.1", 0))

    def sessions(self, app: Any) -> SessionFactory:
        """Returns the factory of sessions for an ASGI application."""
        gateway = build_asgi_gateway(Application(app, "asgi3", "application"), self.settings, self.loop, self.state)
        return build_sessions(service(gateway), self.settings)

    def turn(self) -> None:
        self.reactor.dispatch(TURN_SECONDS)
        # Not the loop's part to watch the reactor, but tasks need one to run in.
        self.loop.run_until_complete(asyncio.sleep(0))

    def until(self, condition: Callable[[], Any]) -> Any:
        """Turns until the condition is true, and returns its value."""
        for _ in range(TURNS):
            if result := condition():
                return result
            self.turn()
        raise AssertionError("the condition has not become true")

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.listener.getsockname())
        client.setblocking(False)
        return client

    def read(self, client: socket.socket, end: bytes) -> bytes:
        """Returns the bytes that the client receives, up to and including `end`."""
        data = b""

        def more() -> bool:
            nonlocal data
            with contextlib.suppress(BlockingIOError):
                data += client.recv(65536)
            return data.endswith(end)

        self.until(more)
        return data

    def close(self) -> None:
        self.reactor.close()
        self.listener.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Asserts that no connection and no exchange is left, on builds that count them."""
    before = live_objects()
    yield
    after = live_objects()
    if before is not None and after is not None:
        assert (after["connections"], after["exchanges"]) == (before["connections"], before["exchanges"])
