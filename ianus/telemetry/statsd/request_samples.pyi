import threading

from ianus.telemetry.observer import Observer

MAX_KEPT: int

class RequestSamples(Observer):
    has_samples: threading.Event
    def take(self) -> tuple[dict[int, int], list[float], int]: ...
