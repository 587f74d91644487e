"""Applications whose requests end with exceptions of every make. The query names the kind.

`app` serves HTTP and WebSocket, `wsgi` WSGI, `lifespan` fails in its startup with the kind in EXCEPTION.
"""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from tests.e2e.apps import report

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

KINDS: dict[str, Callable[[], BaseException]] = {}

# Those of 100,000 exceptions.
BIG_KINDS = ("deep-groups", "wide-group", "long-cause", "long-context")


def kind(make: Callable[[], BaseException]) -> Callable[[], BaseException]:
    KINDS[make.__name__.replace("_", "-")] = make
    return make


@kind
def own_cause() -> BaseException:
    error = ValueError("marked")
    error.__cause__ = error
    return error


@kind
def cause_cycle() -> BaseException:
    error, other = ValueError("marked"), KeyError("other")
    error.__cause__, other.__cause__ = other, error
    return error


@kind
def context_cycle() -> BaseException:
    errors = [ValueError("marked"), KeyError("b"), KeyError("c")]
    for error, context in zip(errors, errors[1:] + errors[:1], strict=True):
        error.__context__ = context
    return errors[0]


@kind
def group() -> BaseException:
    return ExceptionGroup("marked", [ValueError("a"), KeyError("b")])


@kind
def group_cycle() -> BaseException:
    member = ValueError("member")
    error = ExceptionGroup("marked", [member, ExceptionGroup("inner", [member])])
    member.__cause__ = member.__context__ = error
    return error


@kind
def shared_members() -> BaseException:
    error: Exception = ValueError("member")
    for depth in range(100):
        error = ExceptionGroup(f"marked {depth}", [error, error])
    return error


@kind
def deep_groups() -> BaseException:
    error: Exception = ValueError("member")
    for _ in range(100_000):
        error = ExceptionGroup("marked", [error])
    return error


@kind
def wide_group() -> BaseException:
    return ExceptionGroup("marked", [ValueError(str(number)) for number in range(100_000)])


@kind
def long_cause() -> BaseException:
    error = ValueError("marked")
    for _ in range(100_000):
        error, cause = ValueError("marked"), error
        error.__cause__ = cause
    return error


@kind
def long_context() -> BaseException:
    error = ValueError("marked")
    for _ in range(100_000):
        error, context = ValueError("marked"), error
        error.__context__ = context
    return error


def broken(*names: str) -> type[Exception]:
    """A class of exceptions of which these attributes or methods raise."""

    def fail(*arguments: object) -> Any:
        raise RuntimeError("broken on purpose")

    members: dict[str, Any] = {
        name: fail if name in ("__str__", "__repr__", "__eq__", "__bool__", "__hash__") else property(fail)
        for name in names
    }
    return type("Marked", (ExceptionGroup if "exceptions" in names else Exception,), members)


for name in ("__str__", "__cause__", "__context__", "__eq__", "__bool__", "__hash__", "__notes__", "__class__"):
    KINDS[f"broken-{name.strip('_')}"] = functools.partial(broken(name, "__repr__"), "marked")
KINDS["broken-exceptions"] = lambda: broken("exceptions")("marked", [ValueError("member")])


@kind
def endless_exceptions() -> BaseException:
    class Marked(ExceptionGroup[Exception]):
        @property
        def exceptions(self) -> tuple[Exception, ...]:
            return (Marked("again", [ValueError("member")]),)

    return Marked("marked", [ValueError("member")])


@kind
def cancelled_group() -> BaseException:
    return BaseExceptionGroup("marked", [asyncio.CancelledError(), ValueError("member")])


def raise_it(query: str) -> None:
    raise KINDS[query]()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return
    query = scope["query_string"].decode()
    if scope["path"] == "/leaves":
        await follow_a_leave(query, receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
    elif scope["path"] == "/begun":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    raise_it(query)


async def follow_a_leave(query: str, receive: Receive, send: Send) -> None:
    """Receives until the client has disconnected, sends until that raises, and then ends as the query asks."""
    if (await receive())["type"] == "websocket.connect":
        await send({"type": "websocket.accept"})
        message: dict[str, Any] = {"type": "websocket.send", "text": "x"}
    else:
        await send({"type": "http.response.start", "status": 200})
        message = {"type": "http.response.body", "body": b"x" * 100_000, "more_body": True}
        await send(message)
    while not (await receive())["type"].endswith(".disconnect"):
        pass
    raise_after_a_leave(query, await caught_disconnect(send, message))


async def caught_disconnect(send: Send, message: dict[str, Any]) -> OSError:
    from ianus.exchange.disconnect import ClientDisconnected

    try:
        await asyncio.wait_for(send(message), 5)
    except OSError as error:
        return error
    return ClientDisconnected()


class ClientDisconnect(Exception):  # noqa: N818
    """As Starlette has it."""


KINDS["notice"] = lambda: ClientDisconnect("marked")


def clean_up() -> None:
    {"other": 1}.pop("marked")


def raise_after_a_leave(query: str, disconnect: OSError) -> None:
    report("raising")
    if query == "bare":
        raise disconnect
    if query == "caused":
        raise ValueError("marked") from disconnect
    if query == "notice":
        raise ClientDisconnect("marked")
    if query == "group":
        raise BaseExceptionGroup("marked", [disconnect, asyncio.CancelledError()])
    if query == "mixed-group":
        raise ExceptionGroup("marked", [disconnect, KeyError("b")])
    try:
        raise disconnect
    except OSError:
        if query == "context-of-notice":
            raise ClientDisconnect("marked")  # noqa: B904
        if query == "context-of-cancellation":
            raise asyncio.CancelledError from None
        if query == "context":
            raise ValueError("marked")  # noqa: B904
        if query == "cleared-context":
            raise ValueError("marked") from None
    finally:
        if query == "finally":
            clean_up()


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        raise_it(os.environ["EXCEPTION"])


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/leaves":
        return stream(environ["QUERY_STRING"], start_response("200 OK", []))
    if environ["PATH_INFO"] == "/begun":
        start_response("200 OK", [])(b"begun")
    raise_it(environ["QUERY_STRING"])
    return []


def stream(query: str, write: Callable[[bytes], None]) -> Iterable[bytes]:
    yield b"begun"
    try:
        while query != "close":
            write(b"x" * 100_000)
        yield b"x" * 100_000_000
    except OSError as error:
        raise_after_a_leave(query, error)
    finally:
        if query == "close":
            report("raising")
            clean_up()


# --- The server's own handling fails ---


class Unmeant(Exception):  # noqa: N818
    """An exception about which the server cannot decide."""


def sabotage() -> None:
    """Breaks the server's handling of an Unmeant."""
    from ianus.exchange import disconnect
    from ianus.gateway.asgi import gateway as asgi
    from ianus.gateway.wsgi import exchange as wsgi

    meant = disconnect.meaning_of

    def meaning_of(error: BaseException) -> Any:
        if isinstance(error, Unmeant):
            raise RuntimeError("sabotage")
        return meant(error)

    asgi.meaning_of = wsgi.meaning_of = meaning_of  # type: ignore[attr-defined]


@kind
def unmeant() -> BaseException:
    sabotage()
    return Unmeant("marked")
