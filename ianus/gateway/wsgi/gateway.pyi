import socket
from collections.abc import Callable, Iterable

from ianus.codec.base import Request
from ianus.exchange.base import SessionFactory
from ianus.exchange.gateway import Gateway
from ianus.gateway.threads.executor import Executor
from ianus.gateway.wsgi.exchange import WsgiExchange
from ianus.gateway.wsgi.spool import Spool

class WsgiGateway(Gateway):
    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        *,
        executor: Executor,
        name: str,
        root_path: str,
        root_path_kept: str,
        mount_prefix: str,
        multithread: bool,
        multiprocess: bool,
        request_buffer: int,
        response_buffer: int,
        spool: Spool,
        sendfile: bool,
        early_hints: bool,
        header_map: str,
        open_websocket: Callable[[Request], WsgiExchange | None] | None,
        add_connection: Callable[[socket.socket, SessionFactory], None],
    ) -> None: ...
