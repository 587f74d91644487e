from ianus.runtime.x509 import X509Certificate

class TlsFacts:
    version: int
    protocol_name: str
    cipher_suite: int | None
    cipher_name: str
    server_name: str | None
    server_certificate: str | None
    client_chain: tuple[str, ...]
    client: X509Certificate | None
    client_error: str | None
    def __init__(
        self,
        *,
        version: int,
        protocol_name: str,
        cipher_suite: int | None,
        cipher_name: str,
        server_name: str | None,
        server_certificate: str | None,
        client_chain: tuple[bytes, ...],
        client_error: str | None,
    ) -> None: ...
    @property
    def client_name(self) -> str | None: ...
