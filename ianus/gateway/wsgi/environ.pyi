class Environs:
    def __init__(
        self, *, script_name: str, prefix: str, errors: object, multithread: bool, multiprocess: bool, header_map: str
    ) -> None: ...
