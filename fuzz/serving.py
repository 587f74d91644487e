"""The compiled server without a network and without waiting: bytes in, responses out.

Everything from the socket to the application is real. The loop is one of asyncio that never waits: the caller
runs its passes by hand until no work is left.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from ianus.acceptor.byte_filter import ByteFilterFactory
from ianus.gateway.loading.loader import Application
from ianus.process.worker.stack import build_asgi_gateway, build_reactor, build_service, build_sessions
from ianus.runtime.live_objects import live_objects
from ianus.settings.schema import Settings
from ianus.telemetry.observer import Observer

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

# Turns of the loop in which every exchange must have ended.
TURNS = 1000


class Served:
    """A server of one application, to be asked again and again."""

    def __init__(
        self,
        app: App,
        *,
        observer: Observer | None = None,
        request_id_header: str = "",
        filters: ByteFilterFactory | None = None,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        settings = Settings(early_hints=True, ws="none", request_id_header=request_id_header)
        self._gateway = build_asgi_gateway(Application(app, "asgi3", "application"), settings, self._loop)
        self._service = build_service(self._gateway, settings, observer, on_max_requests=None)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)
        self._listener.bind("")  # Linux picks a name without a file
        self._listener.listen()
        self._reactor = build_reactor(settings)
        self._reactor.listen(self._listener, build_sessions(self._service, settings), filters)
        self._reactor.attach(self._loop)
        self._alive = live_objects() or {}

    def ask(self, data: bytes) -> bytes:
        """Sends data and FIN on a connection of their own; returns all bytes until the server closes."""
        answer = bytearray()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self._listener.getsockname())
            client.setblocking(False)
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            for _ in range(TURNS):
                self._loop.call_soon(self._loop.stop)
                self._loop.run_forever()
                try:
                    while piece := client.recv(1 << 14):
                        answer += piece
                    break
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    break
            else:
                raise AssertionError(f"no end of the answer, which is so far {bytes(answer[:1000])!r}")
        self.check_nothing_is_left()
        return bytes(answer)

    def close(self) -> None:
        self._reactor.close()
        self._listener.close()
        self._loop.close()

    def check_nothing_is_left(self) -> None:
        """No application call, no connection, no exchange outlives its request."""
        for _ in range(TURNS):
            if not self._service.in_flight.requests and not self._reactor.connections:
                break
            self._loop.call_soon(self._loop.stop)
            self._loop.run_forever()
        assert self._service.in_flight.requests == 0
        assert self._reactor.connections == 0
        self._reactor.dispatch(0)  # each turn releases the objects that were closed in the one before
        alive = live_objects() or {}
        for kind in ("connections", "exchanges"):
            assert alive.get(kind, 0) <= self._alive.get(kind, 0), alive
