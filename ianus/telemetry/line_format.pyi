DEFAULT: str

class LineFormat:
    max_line_size: int
    shows_response: bool
    shows_queue_time: bool
    def __init__(self, *, access_log_format: str, log_format: str) -> None: ...
