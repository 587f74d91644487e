from typing import Any

from ianus.runtime.mapped_memory import MappedMemory

class Transfers:
    def __init__(self, queue: Any, memory: MappedMemory) -> None: ...
