from collections.abc import Callable, Iterable
from typing import Any

from ianus.exchange.http import Exchange, Gateway
from ianus.gateway.wsgi.spool import Spool

class WsgiExecutor: ...

class WsgiGateway(Gateway):
    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        *,
        executor: WsgiExecutor,
        name: str = "application",
        root_path: str = "",
        root_path_kept: bool = False,
        mount: str = "",
        multithread: bool = True,
        multiprocess: bool = False,
        request_buffer: int = 262144,
        response_buffer: int = 1048576,
        spool: Spool,
        sendfile: bool = True,
        early_hints: bool = False,
        keep_underscores: bool = False,
    ) -> None: ...

class WsgiExchange(Exchange):
    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]: ...
    def write(self, data: bytes) -> None: ...
    def early_hints(self, headers: Iterable[tuple[str, str]]) -> None: ...
