"""The facts of TLS: the client's certificate, as applications get it."""

from tests import certificates
from tests.certificates import Certificate
from tests.exchange.tls import tls_facts


def chain_of(made: Certificate) -> tuple[bytes, ...]:
    return (made.der, *(Certificate(each, made.key).der for each in made.chain))


def test_a_connection_without_a_client_certificate() -> None:
    facts = tls_facts()
    assert facts.client_chain == ()
    assert facts.client is None
    assert facts.client_name is None
    assert facts.client_error is None


def test_a_client_certificate() -> None:
    made = certificates.client()
    facts = tls_facts(client_chain=chain_of(made))
    assert "".join(facts.client_chain).encode() == made.chain_pem
    assert facts.client_name == "CN=client,O=Example"
    assert facts.client is not None
    assert facts.client.issuer == "CN=Test Intermediate"
    assert facts.client_error is None


def test_a_certificate_that_cannot_be_read_has_no_name() -> None:
    facts = tls_facts(client_chain=(b"\x30\x00",))
    assert facts.client is None
    assert facts.client_name == ""
    assert facts.client_error is not None
    assert facts.client_error.startswith("the certificate cannot be read")
    assert tls_facts(client_chain=(b"",), client_error="self-signed").client_error == "self-signed"
