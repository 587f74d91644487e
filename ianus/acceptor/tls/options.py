"""The settings of TLS handshakes, as the engines take them."""

from dataclasses import dataclass

TLS_1_2 = 0x0303
TLS_1_3 = 0x0304


class TlsOptionError(Exception):
    """The library does not take the value of a setting. problem: the reason, with the value."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem

    def explain(self) -> str:
        """Returns the problem and the remedy for the operator."""
        option = self.setting.replace("_", "-")
        return f"--{option} is not accepted by OpenSSL: {self.problem}. Correct it."


@dataclass(frozen=True)
class TlsOptions:
    """Values that all connections of a worker share.

    min_version: TLS_1_2 or TLS_1_3. ciphers: of TLS 1.2, in OpenSSL's syntax. cert_reqs: of clients: none, optional or
    required. ca_certs: a file or a folder with the authorities of clients, "" for none. crl: a file with lists of
    revoked certificates, "" for none. ticket_secret: 32 bytes that all workers share. alpn: protocols in the order of
    preference. timeout_handshake: seconds, 0 for no limit. limit_handshakes: under way at once, 0 for no limit.
    handshake_log: each handshake is logged. answers_challenges: authorities validate names in handshakes. is_reporting:
    changes of files are logged; one of several workers does that.
    """

    ticket_secret: bytes
    min_version: int = TLS_1_2
    ciphers: str = "ECDHE+AESGCM:ECDHE+CHACHA20"
    cert_reqs: str = "none"
    ca_certs: str = ""
    crl: str = ""
    alpn: tuple[str, ...] = ("http/1.1",)
    timeout_handshake: float = 10.0
    limit_handshakes: int = 0
    handshake_log: bool = False
    answers_challenges: bool = False
    is_reporting: bool = True
