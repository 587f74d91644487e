from collections.abc import Callable

from ianus.exchange.base import SessionFactory

class ProxiedSessionFactory(SessionFactory):
    def __init__(
        self,
        sessions: SessionFactory,
        *,
        proxy_protocol: str,
        is_allowed: Callable[[tuple[str, int] | None], bool],
        timeout_request_header: float,
    ) -> None: ...
