"""A certificate with its key, as an engine has loaded it, and the reasons why that fails."""

from dataclasses import dataclass
from typing import Any

# The closed set of reasons of a CertificateError. Messages for operators are made of them elsewhere.
NOT_PEM = "not PEM"
KEY_MISMATCH = "key of another certificate"
PASSWORD_MISSING = "password missing"
PASSWORD_WRONG = "password wrong"
KEY_TOO_SMALL = "key too small"
UNSUPPORTED = "unsupported"
REASONS = (NOT_PEM, KEY_MISMATCH, PASSWORD_MISSING, PASSWORD_WRONG, KEY_TOO_SMALL, UNSUPPORTED)


class CertificateError(Exception):
    """A certificate or its key cannot be used.

    reason: one of REASONS. detail: the text of the library, or "". is_key: the key is the cause, and not the
    certificate.
    """

    def __init__(self, reason: str, *, detail: str = "", is_key: bool = False) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.is_key = is_key


@dataclass(frozen=True, eq=False)
class LoadedPair:
    """A certificate chain and its key, ready for handshakes.

    names: DNS names and IP addresses of the certificate in lower case; the common name only if has_san is False.
    not_before, not_after: POSIX seconds. key_type: "RSA", "EC" or another one, of key_bits. subject, issuer: as of
    RFC 4514.
    chain_is_complete: each certificate is issued by the next one, and one that is not self-signed has a next one.
    pem: of the certificate without its chain. handle: the engine's own object.
    """

    names: tuple[str, ...]
    has_san: bool
    not_before: int
    not_after: int
    key_type: str
    key_bits: int
    subject: str
    issuer: str
    is_self_signed: bool
    chain_is_complete: bool
    pem: str
    handle: Any
