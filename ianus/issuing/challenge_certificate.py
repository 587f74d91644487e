"""The certificate by which an authority validates a name in a handshake (tls-alpn-01, RFC 8737 section 3)."""

import hashlib
import time

# RFC 8737 section 6.1: acmeIdentifier, whose value is an OCTET STRING with a SHA-256.
ACME_IDENTIFIER = "1.3.6.1.5.5.7.1.31"
_OCTET_STRING_HEAD = b"\x04\x20"

DAYS = 7.0


def make_challenge_certificate(name: str, key_authorization: str) -> bytes:
    """Returns the PEM of a new key and of its certificate. key_authorization: of RFC 8555 section 8.1."""
    from cryptography import x509

    from ianus.issuing.self_signed import PLACEHOLDER_NAME, make_self_signed

    digest = hashlib.sha256(key_authorization.encode("ascii")).digest()
    identifier = x509.UnrecognizedExtension(x509.ObjectIdentifier(ACME_IDENTIFIER), _OCTET_STRING_HEAD + digest)
    return make_self_signed([name], DAYS, PLACEHOLDER_NAME, time.time(), critical=[identifier])
