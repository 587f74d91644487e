from collections.abc import Callable, Iterable

from ianus.telemetry.line_format import LineFormat
from ianus.telemetry.observer import Observer

INTERVAL_SECONDS: float

class AccessLog(Observer):
    def __init__(
        self,
        fd: int,
        line_format: LineFormat,
        *,
        access_log_exclude: Iterable[str],
        interval: float,
        sink: Callable[[bytes], bytes] | None = None,
    ) -> None: ...
    def start(self) -> None: ...
    def close(self) -> None: ...
