from typing import final

@final
class ConnectionTable:
    def publish_count(self, buffer: memoryview) -> None: ...
