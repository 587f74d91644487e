from typing import final

from ianus.exchange.base import Poller

@final
class EagerStart:
    is_possible: bool
    is_slow: bool
    unit: float
    poller: Poller | None
    def measure_next(self) -> bool: ...
    def note(self, seconds: float) -> None: ...
