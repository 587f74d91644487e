from collections.abc import Callable, Iterable

from ianus.telemetry.line_format import LineFormat

class AccessLog:
    def __init__(
        self,
        fd: int = 1,
        line_format: LineFormat | None = None,
        *,
        exclude: Iterable[str] = (),
        capacity: int = 4194304,
        interval: float = 0.5,
        sink: Callable[[bytes], bytes] | None = None,
    ) -> None: ...
    def start(self) -> None: ...
    def close(self) -> None: ...
