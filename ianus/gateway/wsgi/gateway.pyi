from collections.abc import Callable, Iterable

from ianus.exchange.gateway import Gateway
from ianus.gateway.wsgi.exchange import WsgiExecutor
from ianus.gateway.wsgi.spool import Spool

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
