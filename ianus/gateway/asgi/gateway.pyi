import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ianus.codec.base import Request
from ianus.exchange.gateway import Gateway
from ianus.gateway.asgi.eager_start import EagerStart
from ianus.gateway.asgi.exchange import AsgiExchange

class AsgiGateway(Gateway):
    eager_start: EagerStart
    def __init__(
        self,
        app: Callable[..., Awaitable[Any]],
        *,
        loop: asyncio.AbstractEventLoop,
        name: str,
        root_path: str,
        root_path_kept: str,
        mount_prefix: str,
        asgi_sendfile: bool,
        early_hints: bool,
        open_websocket: Callable[[Request], AsgiExchange | None] | None = None,
        state: dict[str, Any] | None = None,
    ) -> None: ...
    def request_of(self, task: asyncio.Task[None]) -> str: ...
    def end_cancelled(self) -> None: ...
    def tasks(self) -> list[asyncio.Task[None]]: ...
