from ianus.codec.base import MultiplexedCodecFactory
from ianus.codec.limits import Limits

class Http2Factory(MultiplexedCodecFactory):
    def __init__(
        self,
        limits: Limits,
        *,
        max_concurrent_streams: int,
        stream_window: int,
        connection_window: int,
        extended_connect: bool,
    ) -> None: ...
    def set_hsts(self, value: bytes) -> None: ...
