"""The coroutine that every ASGI request runs in."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, Any

from ianus.gateway.forked_child import end_child

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ianus.gateway.asgi.exchange import AsgiExchange


async def run(
    app: Callable[..., Awaitable[Any]], scope: dict[str, Any], exchange: AsgiExchange, receive: Any, send: Any
) -> None:
    """Calls and awaits the application, then ends the exchange, however the application ended.

    Plain Python, because an `async def` of CPython awaits another one faster than anything compiled; noticing
    the end here costs 0.2 microseconds.
    """
    try:
        await app(scope, receive, send)
    except (CancelledError, GeneratorExit) as error:
        exchange.application_raised(error)
        raise
    except BaseException as error:
        # SystemExit too: one request must not stop the server for all others.
        if exchange.application_raised(error):
            end_child(error)
    else:
        if exchange.application_returned():
            end_child(None)
