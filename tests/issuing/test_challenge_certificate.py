"""The certificate by which an authority validates a name (RFC 8737 section 3)."""

import hashlib

from cryptography import x509

from ianus.issuing.challenge_certificate import make_challenge_certificate


def test_it_has_the_name_alone_and_the_hash_of_the_key_authorization() -> None:
    certificate = x509.load_pem_x509_certificate(make_challenge_certificate("a.example.org", "token.thumbprint"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [x509.DNSName("a.example.org")]
    identifier = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    assert identifier.critical
    digest = hashlib.sha256(b"token.thumbprint").digest()
    assert identifier.value.public_bytes() == b"\x04\x20" + digest
