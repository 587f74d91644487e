from collections.abc import Iterable

class ForwardedRules:
    def __init__(
        self,
        *,
        forwarded_headers: str,
        forwarded_fields: Iterable[str],
        forwarded_allow_ips: Iterable[str],
        strips: bool,
    ) -> None: ...
