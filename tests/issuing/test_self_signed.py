"""Self-signed certificates."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ianus.errors import StartupError
from ianus.issuing import self_signed
from ianus.issuing.self_signed import DEV_NAME, LOCAL_NAMES, is_self_signed_by, make_self_signed, split_pem, validity_of

NOW = 1_800_000_000.0


def test_it_is_for_names_and_addresses_of_this_machine() -> None:
    pem = make_self_signed(LOCAL_NAMES, 90, DEV_NAME, NOW)
    chain, key = split_pem(pem)
    certificate = x509.load_pem_x509_certificate(chain)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("127.0.0.1"), IPv6Address("::1")]
    certificate.verify_directly_issued_by(certificate)
    assert load_pem_private_key(key, None).public_key() == certificate.public_key()
    start, end = validity_of(pem)
    assert start == NOW - 3600
    assert end == NOW + 90 * 86400
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_it_is_recognised() -> None:
    pem = make_self_signed(["a" * 60 + ".example.org"], 1, "Someone", NOW)
    assert is_self_signed_by(pem, "Someone")
    assert not is_self_signed_by(pem, DEV_NAME)


def test_the_library_is_named_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StartupError, match=r"--x needs cryptography\. Install it \(pip install cryptography\)"):
        self_signed.check_cryptography("--x")
