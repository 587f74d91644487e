DEFAULT: str

class LineFormat:
    longest: int
    shows_response: bool
    def __init__(self, text: str = "", *, json: bool = False) -> None: ...
