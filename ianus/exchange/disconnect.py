"""The exception that `send()` raises after the client has left, and the recognition of it in other exceptions."""

from __future__ import annotations

import enum
from asyncio import CancelledError

from ianus.errors import cause_of, context_of, members_of

MAX_WALKED = 1000  # Exceptions that are checked; a longer chain is an error like any other.


class ClientDisconnected(OSError):  # noqa: N818 - the event is named "Disconnected Client"
    """The client is gone; output of the application cannot reach it (ASGI HTTP, "Disconnected Client").

    Applications may catch it to clean up. The server never logs it as an error.
    """

    def __init__(self) -> None:
        super().__init__("the client has disconnected")


class Meaning(enum.Enum):
    """The meaning of an exception that an application has raised.

    DISCONNECT: a ClientDisconnected. NOTICE: the exception that a framework makes of `http.disconnect` or
    `websocket.disconnect`. CANCELLATION: of the task. ERROR: everything else.
    """

    DISCONNECT = enum.auto()
    NOTICE = enum.auto()
    CANCELLATION = enum.auto()
    ERROR = enum.auto()


# Classes of Starlette, Litestar, Falcon and Django, by name: their modules may not be installed.
NOTICES = frozenset(
    ("ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect", "WebSocketDisconnected", "RequestAborted")
)


def meaning_of(error: BaseException) -> Meaning:
    """The meaning of an exception, of a group the worst that its members have.

    An exception that was raised `from` a ClientDisconnected stands for it. A cancellation and a framework's notice
    stand for their context too. For all others the context is a coincidence: a clean-up that fails while a
    ClientDisconnected is handled is a mistake of the application. A cancellation beside a ClientDisconnected is the
    work of a task group.

    The walk is bounded: causes can form a cycle, and chains can be longer than any stack.
    """
    found = noticed = False
    seen: set[int] = set()
    pending = [error]
    while pending:
        first = pending.pop()
        current: BaseException | None = first
        while current is not None:
            if issubclass(type(current), ClientDisconnected):
                found = True
                break
            if id(current) in seen or len(seen) == MAX_WALKED:
                current = None
                break
            seen.add(id(current))
            if members := members_of(current):
                pending += members
                break
            current = _wrapped(current)
        if current is None and not _is_cancellation(first):
            if not _is_notice(first):
                return Meaning.ERROR
            noticed = True
    if noticed:
        return Meaning.NOTICE
    return Meaning.DISCONNECT if found else Meaning.CANCELLATION


def _wrapped(error: BaseException) -> BaseException | None:
    """Returns the exception that `error` stands for, or None."""
    cause = cause_of(error)
    if cause is None and (_is_cancellation(error) or _is_notice(error)):
        return context_of(error)
    return cause


# Not isinstance(), which asks a property of the name __class__.


def _is_cancellation(error: BaseException) -> bool:
    return issubclass(type(error), (CancelledError, GeneratorExit))


def _is_notice(error: BaseException) -> bool:
    return any(base.__name__ in NOTICES for base in type(error).__mro__)
