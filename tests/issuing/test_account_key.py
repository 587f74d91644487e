"""The key of an account."""

import base64

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.jwk import JWKEC

from ianus.issuing.account_key import make_account_key, thumbprint_of


def test_the_thumbprint_is_that_of_josepy() -> None:
    for _ in range(20):  # Some coordinates start with zeros.
        pem = make_account_key()
        key = JWKEC(key=load_pem_private_key(pem, None))
        assert thumbprint_of(pem) == base64.urlsafe_b64encode(key.thumbprint()).decode().rstrip("=")
