DEFAULT: str

class LineFormat:
    max_line_size: int
    shows_response: bool
    def __init__(self, text: str = "", *, json: bool = False) -> None: ...
