class Limits:
    request_line: int
    field_size: int
    fields_size: int
    fields: int
    body_size: int
    def __init__(
        self,
        *,
        request_line: int = 8192,
        field_size: int = 16384,
        fields_size: int = 65536,
        fields: int = 100,
        body_size: int = 1 << 30,
    ) -> None: ...
