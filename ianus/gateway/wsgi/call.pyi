from collections.abc import Callable, Iterable
from typing import Any, final

@final
class WsgiCall:
    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]: ...
    def __call__(self, data: bytes) -> None: ...
    def early_hints(self, headers: Iterable[tuple[str, str]]) -> None: ...
