from typing import Any

class Transfers:
    def __init__(self, queue: Any, memory: Any) -> None: ...
