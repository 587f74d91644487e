class Request:
    method: str
    target: bytes
    path: str
    raw_path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    http_version: str
    keep_alive: bool
    expect_continue: bool
    upgrade: bool
    protocol: str | None
    websocket_key: bool
    content_length: int

class SerialCodecFactory: ...
class MultiplexedCodecFactory: ...
