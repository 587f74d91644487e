from collections.abc import Callable

from ianus.exchange.gateway import Gateway

class RedirectGateway(Gateway):
    name: str
    def __init__(self, applications: Gateway, *, is_known_host: Callable[[str], bool], port: int) -> None: ...

class RedirectExchange: ...
