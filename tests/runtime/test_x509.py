"""The contents of certificates, compared with those that another library reads."""

import datetime

import pytest
from cryptography import x509 as reference
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509 import DNSName, RFC822Name
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID, ObjectIdentifier

from ianus.runtime.x509 import X509Error, format_name, read_certificate, read_element, read_pem_certificates
from tests import certificates
from tests.certificates import Certificate, issue_self_signed, name_of, rsa_key
from tests.rows import for_each_row


def name_text(*attributes: tuple[ObjectIdentifier, str]) -> str:
    return format_name(reference.Name([reference.NameAttribute(*each) for each in attributes]).public_bytes())


def test_a_certificate() -> None:
    made = certificates.intermediate().issue(
        "Example.ORG", "*.example.org", "192.0.2.1", "2001:db8::1",
        subject=name_of(country_name="DE", organization_name="Example", common_name="example.org"),
        not_before=datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        not_after=datetime.datetime(2051, 12, 31, 23, 59, 59, tzinfo=datetime.UTC),
        further_names=(RFC822Name("Me@example.org"),),
    )  # fmt: skip
    read = read_certificate(made.der)
    assert read.version == 3
    assert read.serial == made.certificate.serial_number
    assert read.subject == "CN=example.org,O=Example,C=DE"
    assert read.issuer == "CN=Test Intermediate"
    assert read.subject_attributes == (("C", "DE"), ("O", "Example"), ("CN", "example.org"))
    assert read.common_name == "example.org"
    assert read.names == ("example.org", "*.example.org", "192.0.2.1", "2001:db8::1")
    assert read.mail_addresses == ("me@example.org",)
    assert read.not_before == made.certificate.not_valid_before_utc.timestamp()
    # After 2049 the time is of another type (RFC 5280 section 4.1.2.5).
    assert read.not_after == made.certificate.not_valid_after_utc.timestamp()
    assert (read.key_type, read.key_bits) == ("EC", 256)
    assert not read.is_self_signed
    assert read.pem().encode() == made.pem


def test_the_common_name_counts_only_without_alternative_names() -> None:
    assert read_certificate(issue_self_signed(subject=name_of(common_name="Old.example")).der).names == ("old.example",)
    assert not read_certificate(issue_self_signed(subject=name_of(common_name="old")).der).has_san
    # RFC 6125 section 6.4.4: an alternative name of any type excludes it.
    only_mail = certificates.root().issue(
        subject=name_of(common_name="old.example"), further_names=(RFC822Name("a@b.example"),)
    )
    assert read_certificate(only_mail.der).names == ()
    assert read_certificate(only_mail.der).has_san


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (rsa_key(), ("RSA", 2048)),
        (ec.generate_private_key(ec.SECP384R1()), ("EC", 384)),
        (ec.generate_private_key(ec.SECP521R1()), ("EC", 521)),
    ],
)
def test_keys(key: certificates.Key, expected: tuple[str, int]) -> None:
    read = read_certificate(issue_self_signed("a.example", key=key).der)
    assert (read.key_type, read.key_bits) == expected
    assert read.is_self_signed


def test_a_key_of_another_type() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = name_of(common_name="a")
    made = (
        reference.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(certificates.NOW)
        .not_valid_after(certificates.NOW)
        .sign(key, None)
    )
    read = read_certificate(Certificate(made, rsa_key()).der)
    assert (read.key_type, read.key_bits) == ("ED25519", 256)


@for_each_row(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        # The examples of RFC 4514 section 4
        ('James "Jim" Smith, III', 'James \\"Jim\\" Smith\\, III'),
        ("Before\rAfter", "Before\\0DAfter"),
        ("Lu\N{LATIN SMALL LETTER C WITH CARON}i\N{LATIN SMALL LETTER C WITH ACUTE}", "Lučić"),
        (" a b ", "\\ a b\\ "),
        (" ", "\\ "),
        ("#1 #2", "\\#1 #2"),
        ("a+b;c<d>e\\f=g", "a\\+b\\;c\\<d\\>e\\\\f=g"),
        ("nul\0,\x7f", "nul\\00\\,\\7F"),
    ],
)
def test_values_are_escaped(text: str, escaped: str) -> None:
    assert name_text((NameOID.COMMON_NAME, text)) == f"CN={escaped}"


def test_names() -> None:
    assert name_text() == ""
    # The last part is first. Each part may have several attributes.
    assert name_text((NameOID.DOMAIN_COMPONENT, "net"), (NameOID.USER_ID, "jsmith")) == "UID=jsmith,DC=net"
    part = reference.RelativeDistinguishedName(
        [
            reference.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Sales"),
            reference.NameAttribute(NameOID.COMMON_NAME, "J. Smith"),
        ]
    )
    text = format_name(reference.Name([part]).public_bytes())
    # A set has no order of its own.
    assert sorted(text.split("+")) == ["CN=J. Smith", "OU=Sales"]
    # RFC 4514 section 2.4: no name is registered for this one, so its value is hexadecimal.
    assert name_text((ObjectIdentifier("1.3.6.1.4.1.1466.0"), "a")) == "1.3.6.1.4.1.1466.0=#0c0161"
    assert name_text((NameOID.EMAIL_ADDRESS, "a@example")) == "emailAddress=a@example"


def test_strings_of_other_types() -> None:
    def encoded(text: str, kind: _ASN1Type) -> str:
        attribute = reference.NameAttribute(NameOID.COMMON_NAME, text, _type=kind)
        return format_name(reference.Name([attribute]).public_bytes())

    assert encoded("\xe4", _ASN1Type.BMPString) == "CN=\xe4"
    assert encoded("a", _ASN1Type.PrintableString) == "CN=a"
    # Not a string, and not valid UTF-8
    assert format_name(bytes.fromhex("300b3109300706035504030c00")) == "CN="
    assert format_name(bytes.fromhex("300c310a300806035504030c01ff")) == "CN=#0c01ff"
    assert format_name(bytes.fromhex("300c310a3008060355040304015a")) == "CN=#04015a"


def test_pem() -> None:
    made = certificates.localhost()
    text = b"a comment\n" + made.key_pem() + made.chain_pem.replace(b"\n", b"\r\n")
    assert read_pem_certificates(text)[0] == made.der
    assert len(read_pem_certificates(text)) == 2
    assert read_pem_certificates(made.key_pem()) == ()
    with pytest.raises(X509Error):
        read_pem_certificates(b"-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----\n")


def test_other_bytes_are_no_certificate() -> None:
    """Each prefix, and each change of a byte, is read or refused."""
    der = certificates.localhost().der
    for end in range(len(der)):
        with pytest.raises(X509Error):
            read_certificate(der[:end])
    refused = 0
    for at in range(len(der)):
        for byte in (0x00, 0x7F, 0x80, 0x84, 0xFF):
            try:
                read_certificate(der[:at] + bytes([byte]) + der[at + 1 :])
            except X509Error:
                refused += 1
    assert refused > 100


@for_each_row("data", ["", "30", "3080", "3085", "308400ffffff", "1f", "3003", "30820001"])
def test_invalid_elements(data: str) -> None:
    encoded = bytes.fromhex(data)
    with pytest.raises(X509Error):
        read_element(encoded, 0, len(encoded))


def test_further_data_after_a_certificate_is_not_a_part_of_it() -> None:
    made = issue_self_signed("a.example")
    assert read_certificate(made.der + b"\x30\x00").der == made.der
    assert DNSName("a.example").value in read_certificate(made.der).names
