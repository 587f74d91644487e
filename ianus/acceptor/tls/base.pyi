from typing import Any

from ianus.acceptor.byte_filter import ByteFilterFactory

class TlsFilterFactory(ByteFilterFactory):
    certificates: Any
    options: Any
    failures: dict[str, int]
    handshakes: int
    def __init__(self, certificates: Any, options: Any) -> None: ...
