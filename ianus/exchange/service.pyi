from collections.abc import Callable, Iterable

from ianus.codec.base import CodecFactory
from ianus.exchange.gateway import Gateway
from ianus.exchange.in_flight_counter import InFlightCounter
from ianus.telemetry.access_log import AccessLog

class Deadlines:
    request_header: float
    keep_alive: float
    request_body: float
    body_rate: float
    body_rate_grace: float
    write: float
    drain_idle: float
    def __init__(
        self,
        *,
        request_header: float = 10.0,
        keep_alive: float = 75.0,
        request_body: float = 30.0,
        body_rate: float = 240.0,
        body_rate_grace: float = 10.0,
        write: float = 60.0,
        drain_idle: float = 2.0,
    ) -> None: ...

class WebSocketRules:
    max_size: int
    max_queue: int
    ping_interval: float
    ping_timeout: float
    close_timeout: float
    deflate_level: int
    limit: int
    def __init__(
        self,
        *,
        max_size: int = 16777216,
        max_queue: int = 32,
        ping_interval: float = 20.0,
        ping_timeout: float = 20.0,
        close_timeout: float = 10.0,
        deflate_level: int = 1,
        limit: int = 0,
    ) -> None: ...

class Service:
    gateway: Gateway
    deadlines: Deadlines
    websocket_rules: WebSocketRules
    access_log: AccessLog | None
    in_flight: InFlightCounter
    draining: bool
    handover: bool
    def __init__(
        self,
        gateway: Gateway,
        codecs: CodecFactory,
        *,
        deadlines: Deadlines,
        websocket_rules: WebSocketRules | None = None,
        access_log: AccessLog | None = None,
        date_header: bool = True,
        server_header: bool = True,
        headers: Iterable[tuple[bytes, bytes]] = (),
        limit_concurrency: int = 0,
        request_id_header: str = "",
        max_requests: int = 0,
        on_max_requests: Callable[[], None] | None = None,
    ) -> None: ...
