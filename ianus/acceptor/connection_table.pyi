from typing import final

from ianus.runtime.mapped_memory import MappedMemory

@final
class ConnectionTable:
    def publish_count(self, memory: MappedMemory) -> None: ...
