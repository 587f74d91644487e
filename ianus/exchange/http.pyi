from ianus.codec.base import Request
from ianus.exchange.connection_info import ConnectionInfo

class Exchange:
    request: Request
    connection: ConnectionInfo
    prefix: str | None
    queued_since: float
    queue_time: float
    status: int
    request_complete: bool
    head_sent: bool
    response_complete: bool
    disconnected: bool
