class ConnectionInfo:
    client: tuple[str, int] | None
    server: tuple[str, int | None]
    scheme: str
