from typing import Any, final

@final
class MappedMemory:
    def __init__(self, buffer: Any) -> None: ...
