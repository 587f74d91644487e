from types import ModuleType

isal_zlib: ModuleType | None

class Deflate:
    server_bits: int
    client_bits: int
    server_takeover: bool
    client_takeover: bool
    ws_deflate_level: int
    def __init__(
        self, *, server_bits: int, client_bits: int, server_takeover: bool, client_takeover: bool, ws_deflate_level: int
    ) -> None: ...
