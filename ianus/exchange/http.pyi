from ianus.codec.base import Request

class Exchange:
    request: Request
    status: int
    request_complete: bool
    head_sent: bool
    response_complete: bool
    disconnected: bool
