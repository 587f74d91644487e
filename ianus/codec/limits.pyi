class Limits:
    limit_request_line: int
    limit_request_field_size: int
    limit_request_fields_size: int
    limit_request_fields: int
    max_request_body_size: int
    def __init__(
        self,
        *,
        limit_request_line: int,
        limit_request_field_size: int,
        limit_request_fields_size: int,
        limit_request_fields: int,
        max_request_body_size: int,
    ) -> None: ...
