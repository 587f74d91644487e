"""Certificates for tests: an authority, its intermediate, and the certificates that they issue.

They are made once for all tests of a process: the keys of EC are fast, and one RSA key serves all that need one.
"""

import datetime
import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

DAY = datetime.timedelta(days=1)
# Clients check the dates by the real clock.
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class Certificate:
    """A certificate, its key, and the certificates of its issuers without the root."""

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def chain_pem(self) -> bytes:
        """Returns the certificate and those of its issuers, as servers send them."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in (self.certificate, *self.chain))

    def key_pem(self, password: bytes | None = None) -> bytes:
        encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    def write(self, folder: Path, name: str, password: bytes | None = None) -> tuple[str, str]:
        """Writes the chain and the key. Returns their paths."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.chain_pem)
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem(password))
        return str(certificate), str(key)


def name_of(*, common_name: str | None = None, **attributes: str) -> x509.Name:
    """Returns a name of attributes, by their names in NameOID."""
    parts = [x509.NameAttribute(getattr(NameOID, kind.upper()), text) for kind, text in attributes.items()]
    if common_name is not None:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(parts)


class Authority:
    """Issues certificates; intermediate() returns an authority that this one has certified."""

    def __init__(self, name: str = "Test Root", issuer: "Authority | None" = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name_of(common_name=name)
        self.issuer = issuer
        self.revoked: list[int] = []
        signer = issuer or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                    key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False
            )
        )  # fmt: skip
        self.certificate = builder.sign(signer.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def intermediate(self, name: str = "Test Intermediate") -> "Authority":
        return Authority(name, self)

    def issue(
        self,
        *names: str,
        subject: x509.Name | None = None,
        key: Key | None = None,
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
        for_client: bool = False,
        further_names: Sequence[x509.GeneralName] = (),
    ) -> Certificate:
        """Issues a certificate for host names and IP addresses; for none of them it has no SAN."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if for_client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject or name_of(common_name=names[0] if names else "no names"))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before or NOW - DAY)
            .not_valid_after(not_after or NOW + 90 * DAY)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        general = [*map(_general_name, names), *further_names]
        if general:
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        chain = []
        issuer = self
        while issuer.issuer is not None:
            chain.append(issuer.certificate)
            issuer = issuer.issuer
        return Certificate(builder.sign(self.key, hashes.SHA256()), key, tuple(chain))

    def revocation_list(self, *revoked: Certificate) -> bytes:
        """Returns a CRL with these certificates."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(NOW - DAY)
            .next_update(NOW + 30 * DAY)
        )
        for each in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(each.certificate.serial_number)
                .revocation_date(NOW - DAY)
                .build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def issue_self_signed(*names: str, subject: x509.Name | None = None, key: Key | None = None) -> Certificate:
    """Issues a certificate whose issuer is itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = subject or name_of(common_name=names[0] if names else "no names")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + 90 * DAY)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False)
    return Certificate(builder.sign(key, hashes.SHA256()), key)


# ---------------------------------------------------------------- the shared ones


@functools.cache
def root() -> Authority:
    return Authority()


@functools.cache
def intermediate() -> Authority:
    return root().intermediate()


@functools.cache
def localhost() -> Certificate:
    """Returns a certificate of the intermediate for the names and addresses of this machine."""
    return intermediate().issue("localhost", "127.0.0.1", "::1")


@functools.cache
def client(common_name: str = "client") -> Certificate:
    """Returns a client certificate of the intermediate."""
    return intermediate().issue(subject=name_of(organization_name="Example", common_name=common_name), for_client=True)
