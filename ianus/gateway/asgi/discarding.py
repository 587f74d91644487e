"""The `send()` of an ASGI application whose client has left: the rule for HTTP spec version 2.3.

Before version 2.4 of the specification, `send()` on a closed connection is not an error, and frameworks rely on it: an
exception would skip the background tasks of a response, and would end a2wsgi's sender, for which one of its threads
then waits forever. So `send()` discards its messages, and `receive()` notifies the application of the disconnect.

- `send()` returns at once, without suspending. A task that is cancelled because another one received
  `http.disconnect` is therefore cancelled while it awaits something of its own, so that `finally` blocks of generators
  run. Only an application that does not let the event loop run is suspended in `send()`. Many such applications, as
  those of the streams of HTTP/2 that end with their connection, also share a limit in each turn of the loop.
- A fast sender is slowed down, so that it does not use a whole CPU for a client that has left. That starts
  FREE_SECONDS after the client has left, when a task that waits in `receive()` has been notified: the cancellation that
  follows must not find the sender in `send()`.
- An application that still sends parts of a body of unknown length after a limit gets ClientDisconnected, an OSError.
  The limit is short in the task of the request: there the exception ends the whole call. It is long in other
  tasks: other code may wait for them. A body with a Content-Length has an end, and so no limit.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from ianus.exchange.disconnect import ClientDisconnected

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds during which parts of a body are discarded, in the task of the request and in other tasks.
REQUEST_TASK_SECONDS = 2.0
OTHER_TASK_SECONDS = 600.0

# Seconds of a turn of the event loop after which an application that has not let it run has to; and all of them. A
# framework sends one piece of an application as several messages, and the pieces of many clients have to be discarded
# before their applications are suspended.
OWN_SECONDS = 0.005
TURN_SECONDS = 0.05

# A pause of PAUSE_SECONDS follows each PAUSE_MESSAGES messages, once the client has left FREE_SECONDS ago.
FREE_SECONDS = 0.25
PAUSE_MESSAGES = 512
PAUSE_SECONDS = 0.01


class DiscardingTurn:
    """The present turn of an event loop, for all requests whose messages are discarded in it.

    number: of the turn. since: the time of its first discarded message.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_over = True
        self.number = 0
        self.since = 0.0

    def enter(self, now: float) -> None:
        """Notes that a message is discarded in this turn."""
        if self._is_over:
            self._is_over = False
            self.number += 1
            self.since = now
            self._loop.call_soon(self._on_loop)

    def _on_loop(self) -> None:
        self._is_over = True


class DiscardedSends:
    """Handles each `send()` of one request after its client has left.

    finite: the response has a Content-Length.
    """

    def __init__(self, turn: DiscardingTurn, *, finite: bool) -> None:
        self._turn = turn
        self._finite = finite
        self._since = monotonic()
        self._messages = 0
        # The last turn in which it has sent a message, and the time of its first one there
        self._last_turn = 0
        self._turn_since = 0.0

    def send(self, message: dict[str, Any], *, in_request_task: bool, stopping: bool) -> Iterator[Any] | None:
        """Discards one message. Returns None, or an iterator that `send()` has to finish before it returns.

        stopping: the server has ended this response because it stops; there is no other way to notify the application.

        Raises ClientDisconnected when the application has been sending for too long.
        """
        now = monotonic()
        if message.get("type") == "http.response.start":
            self._finite = has_length(message)
        limit = 0.0 if stopping else REQUEST_TASK_SECONDS if in_request_task else OTHER_TASK_SECONDS
        if message.get("more_body") and not self._finite and now - self._since >= limit:
            raise ClientDisconnected
        self._messages += 1
        if self._messages % PAUSE_MESSAGES == 0 and now - self._since >= FREE_SECONDS:
            return asyncio.sleep(PAUSE_SECONDS).__await__()
        self._turn.enter(now)
        if self._last_turn != self._turn.number:
            self._last_turn = self._turn.number
            self._turn_since = now
        elif now - self._turn_since > OWN_SECONDS or now - self._turn.since > TURN_SECONDS:
            return asyncio.sleep(0).__await__()
        return None


def has_length(message: dict[str, Any]) -> bool:
    """Whether this `http.response.start` has a Content-Length."""
    return any(bytes(name).lower() == b"content-length" for name, _ in message.get("headers", ()))
