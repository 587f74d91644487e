from collections.abc import Iterable
from typing import Any

from ianus.codec.limits import Limits

def record(
    chunks: Iterable[bytes], *, limits: Limits, eof: bool = False, reasons: bool = False
) -> list[tuple[Any, ...]]: ...
