"""Self-signed certificates.

No client trusts them. They serve developers, and a new server until an authority has issued its certificate.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ianus.errors import StartupError

if TYPE_CHECKING:
    from cryptography.x509 import ExtensionType

# The names by which a developer's own machine is reached.
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")

# Clocks of clients may be slow.
EARLIER = timedelta(hours=1)

# The organisation of these certificates, by which they are recognised.
DEV_NAME = "Ianus development certificate"
PLACEHOLDER_NAME = "Ianus placeholder certificate"


def check_cryptography(purpose: str) -> None:
    """Raises StartupError if the library that makes certificates is not installed.

    purpose: the option or command that needs it.
    """
    from importlib.util import find_spec

    if find_spec("cryptography") is None:
        raise StartupError(
            f"{purpose} needs cryptography. Install it (pip install cryptography), or make a certificate yourself.",
            page="tls",
        )


def make_self_signed(
    names: Sequence[str], days: float, organisation: str, now: float, critical: "Sequence[ExtensionType]" = ()
) -> bytes:
    """Returns the PEM of a new key, and then of its certificate, for these DNS names and addresses.

    now: POSIX seconds. critical: further extensions.
    """
    # Imported only to make certificates: it takes 50 ms.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.fromtimestamp(now, UTC)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            # RFC 5280 appendix A.1: at most 64 characters
            x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64]),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - EARLIER)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        # Not an authority: if the key leaks, it cannot sign certificates of other names.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)


def is_self_signed_by(pem: bytes, organisation: str) -> bool:
    """Returns whether the first certificate is one that make_self_signed() has made for this organisation."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    issuer = x509.load_pem_x509_certificate(pem).issuer
    return [each.value for each in issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [organisation]


def validity_of(pem: bytes) -> tuple[float, float]:
    """Returns start and end of the first certificate's validity, in POSIX seconds."""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(pem)
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()


def split_pem(pem: bytes) -> tuple[bytes, bytes]:
    """Returns the certificates and the key of a text that make_self_signed() has made."""
    key, begin, certificates = pem.partition(b"-----BEGIN CERTIFICATE-----")
    return begin + certificates, key


def _general_name(name: str):  # type: ignore[no-untyped-def]
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
