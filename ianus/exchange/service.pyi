from collections.abc import Callable, Iterable

from ianus.exchange.forwarded import ForwardedRules
from ianus.exchange.gateway import Gateway
from ianus.exchange.in_flight_counter import InFlightCounter
from ianus.telemetry.observer import Observer

class Deadlines:
    timeout_request_header: float
    timeout_keep_alive: float
    timeout_request_body: float
    limit_body_rate: float
    limit_body_rate_grace: float
    timeout_write: float
    drain_idle: float
    def __init__(
        self,
        *,
        timeout_request_header: float,
        timeout_keep_alive: float,
        timeout_request_body: float,
        limit_body_rate: float,
        limit_body_rate_grace: float,
        timeout_write: float,
        drain_idle: float,
    ) -> None: ...

class WebSocketRules:
    ws_max_size: int
    ws_max_queue: int
    ws_ping_interval: float
    ws_ping_timeout: float
    ws_close_timeout: float
    ws_per_message_deflate: bool
    ws_deflate_level: int
    def __init__(
        self,
        *,
        ws_max_size: int,
        ws_max_queue: int,
        ws_ping_interval: float,
        ws_ping_timeout: float,
        ws_close_timeout: float,
        ws_per_message_deflate: bool,
        ws_deflate_level: int,
    ) -> None: ...

class Service:
    health: int
    gateway: Gateway
    deadlines: Deadlines
    websocket_rules: WebSocketRules
    forwarded: ForwardedRules | None
    observer: Observer | None
    in_flight: InFlightCounter
    closes_connections: bool
    draining: bool
    handover: bool
    ends_streams: bool
    spreads_ends: bool
    forked: bool
    def __init__(
        self,
        gateway: Gateway,
        *,
        deadlines: Deadlines,
        websocket_rules: WebSocketRules,
        forwarded: ForwardedRules | None,
        tls_host_check: bool,
        queue_time: bool,
        observer: Observer | None,
        date_header: bool,
        server_header: bool,
        header: Iterable[tuple[bytes, bytes]],
        limit_concurrency: int,
        limit_websockets: int,
        limit_thread_websockets: int,
        request_id_header: str,
        max_requests: int,
        ws_drain_spread: float,
        on_max_requests: Callable[[], None] | None = None,
    ) -> None: ...
    def note_serving(self) -> None: ...
    def note_draining(self) -> None: ...
    def end_spread(self) -> None: ...
