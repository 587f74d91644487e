"""Certificates and keys as both engines load them."""

import datetime
from typing import Any

import pytest

from ianus.acceptor.tls import pair as reasons
from ianus.acceptor.tls.openssl import find_openssl
from ianus.acceptor.tls.pair import CertificateError
from ianus.acceptor.tls.python import find_python
from tests.certificates import Certificate, intermediate, issue_self_signed, localhost, name_of, root, rsa_key


def load(engine: Any, made: Certificate) -> Any:
    return engine.load_pair(made.chain_pem, made.key_pem(), None)


def test_the_facts_of_a_pair(engine: Any) -> None:
    made = intermediate().issue(
        "Example.org", "*.example.org", "192.0.2.1",
        subject=name_of(organization_name="Example", common_name="example.org"),
        not_before=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        not_after=datetime.datetime(2036, 1, 2, tzinfo=datetime.UTC),
        key=rsa_key(),
    )  # fmt: skip
    pair = load(engine, made)
    assert pair.names == ("example.org", "*.example.org", "192.0.2.1")
    assert pair.has_san
    assert pair.not_before == made.certificate.not_valid_before_utc.timestamp()
    assert pair.not_after == made.certificate.not_valid_after_utc.timestamp()
    assert (pair.key_type, pair.key_bits) == ("RSA", 2048)
    assert (pair.subject, pair.issuer) == ("CN=example.org,O=Example", "CN=Test Intermediate")
    assert not pair.is_self_signed
    assert pair.chain_is_complete
    assert pair.pem.encode() == made.pem


@pytest.mark.parametrize(
    "made",
    [
        localhost(),
        issue_self_signed("a.example"),
        issue_self_signed(subject=name_of(common_name="Old.Example", email_address="a@example.org")),
        root().issue("a.example", subject=name_of(organization_name="Bl\xfcte, #1", country_name="DE")),
    ],
)
def test_both_engines_read_the_same_facts(made: Certificate) -> None:
    one, other = load(find_openssl(), made), load(find_python(), made)
    for name in vars(one):
        assert name == "handle" or getattr(one, name) == getattr(other, name)


def test_chains(engine: Any) -> None:
    made = localhost()
    assert not engine.load_pair(made.pem, made.key_pem(), None).chain_is_complete
    # In the wrong order
    text = made.pem + root().pem + intermediate().pem
    assert not engine.load_pair(text, made.key_pem(), None).chain_is_complete
    # The root is not needed, and does no harm.
    assert engine.load_pair(made.chain_pem + root().pem, made.key_pem(), None).chain_is_complete
    made = issue_self_signed("a.example")
    pair = load(engine, made)
    assert pair.is_self_signed
    assert pair.chain_is_complete


def test_an_encrypted_key(engine: Any) -> None:
    made = localhost()
    key = made.key_pem(b"secret")
    assert engine.load_pair(made.chain_pem, key, b"secret").names == ("localhost", "127.0.0.1", "::1")
    # A password that is not needed
    engine.load_pair(made.chain_pem, made.key_pem(), b"secret")


def test_one_file_with_both(engine: Any) -> None:
    made = localhost()
    text = made.key_pem() + made.chain_pem
    assert engine.load_pair(text, text, None).pem.encode() == made.pem


WEAK = issue_self_signed("a.example", key=rsa_key(1024))
OTHER = issue_self_signed("b.example")
MADE = localhost()
RSA = issue_self_signed("c.example", key=rsa_key())


@pytest.mark.parametrize(
    ("certificates", "key", "password", "reason", "is_key"),
    [
        (b"", MADE.key_pem(), None, reasons.NOT_PEM, False),
        (MADE.der, MADE.key_pem(), None, reasons.NOT_PEM, False),
        (MADE.key_pem(), MADE.key_pem(), None, reasons.NOT_PEM, False),
        (MADE.chain_pem, b"", None, reasons.NOT_PEM, True),
        (MADE.chain_pem, MADE.chain_pem, None, reasons.NOT_PEM, True),
        (MADE.chain_pem, OTHER.key_pem(), None, reasons.KEY_MISMATCH, True),
        (MADE.chain_pem, RSA.key_pem(), None, reasons.KEY_MISMATCH, True),
        (MADE.chain_pem, MADE.key_pem(b"secret"), None, reasons.PASSWORD_MISSING, True),
        (MADE.chain_pem, MADE.key_pem(b"secret"), b"wrong", reasons.PASSWORD_WRONG, True),
        (MADE.chain_pem, OTHER.key_pem(b"secret"), b"secret", reasons.KEY_MISMATCH, True),
        (WEAK.chain_pem, WEAK.key_pem(), None, reasons.KEY_TOO_SMALL, False),
    ],
)
def test_pairs_that_cannot_be_used(
    engine: Any, certificates: bytes, key: bytes, password: bytes | None, reason: str, is_key: bool
) -> None:
    with pytest.raises(CertificateError) as caught:
        engine.load_pair(certificates, key, password)
    assert (caught.value.reason, caught.value.is_key) == (reason, is_key)
