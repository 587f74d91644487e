from collections.abc import Iterable

from ianus.exchange.gateway import Gateway

class Mounts(Gateway):
    def __init__(self, mounted: Iterable[tuple[str, Gateway]]) -> None: ...
