"""A reactor whose poll driver records, so each event is one that the test has chosen."""

import asyncio
import contextlib
import socket
from typing import Any

from ianus.acceptor.byte_filter import ByteFilterFactory
from ianus.acceptor.reactor import Reactor
from ianus.acceptor.recording import Condition, RecordingPoll, RecordingSessions
from ianus.gateway.loading.loader import Application
from ianus.process.worker.stack import build_asgi_gateway, build_sessions
from tests.engine import service, unchecked_settings

LISTENER_ID = 0xFFFFFFFD


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    raise AssertionError("no client sends a request")


class DrivenReactor:
    """A reactor with listeners on Unix sockets, and their clients."""

    def __init__(self, stack: contextlib.ExitStack, *, limit_connections: int = 0) -> None:
        self.stack = stack
        self.loop = asyncio.new_event_loop()
        stack.callback(self.loop.close)
        self.poll = RecordingPoll()
        self.reactor = Reactor(self.poll, limit_connections=limit_connections, receive_size=65536)
        stack.callback(self.reactor.close)
        self.listener = self.listen(self.sessions())

    def sessions(self) -> RecordingSessions:
        settings = unchecked_settings()
        gateway = build_asgi_gateway(Application(app, "asgi3", "application"), settings, self.loop)
        return RecordingSessions(build_sessions(service(gateway), settings))

    def listen(self, sessions: RecordingSessions, filters: ByteFilterFactory | None = None) -> socket.socket:
        listener = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind("")  # Linux chooses a name without a file
        listener.listen(128)
        self.reactor.listen(listener, sessions, filters)
        return listener

    def connect(self, number: int = 1, listener: socket.socket | None = None) -> list[socket.socket]:
        clients = [self.stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(number)]
        for client in clients:
            client.connect((listener or self.listener).getsockname())
        return clients

    def is_watched(self, listener: socket.socket | None = None) -> bool:
        return (listener or self.listener).fileno() in self.poll.watched

    def dispatch(self, key: tuple[int, int], flags: int) -> None:
        """Dispatches one event."""
        self.poll.put_event(key, flags)
        self.reactor.dispatch(0)

    def accept(self, listener: socket.socket | None = None) -> int:
        """The number of connections after an event of a watched listener."""
        self.dispatch(self.poll.key_of((listener or self.listener).fileno()), Condition.READABLE)
        return self.reactor.connections

    def connection_keys(self) -> list[tuple[int, int]]:
        """The keys of the connections, by age."""
        return [(id_, generation) for _, id_, generation in self.poll.watched.values() if id_ < LISTENER_ID]

    def reset(self, key: tuple[int, int]) -> int:
        """The number of connections after the one with `key` was reset."""
        self.dispatch(key, Condition.BROKEN | Condition.HANGUP)
        return self.reactor.connections
