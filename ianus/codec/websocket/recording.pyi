from collections.abc import Iterable
from typing import Any

from ianus.codec.websocket.deflate import Deflate

def record(
    chunks: Iterable[bytes],
    *,
    ws_max_size: int,
    deflate: Deflate | None = None,
    pausing: bool = False,
    reasons: bool = False,
) -> list[tuple[Any, ...]]: ...
def frame(opcode: int, payload: bytes, *, compressed: bool = False) -> bytes: ...
def close_frame(code: int, reason: str) -> bytes: ...
def compress(deflate: Deflate, data: bytes) -> bytes: ...
