"""The peers that the operator trusts."""

import pytest

from ianus.exchange.trusted_peers import TrustedPeers


@pytest.mark.parametrize(
    ("texts", "trusted", "others"),
    [
        ((), (), ("127.0.0.1", "::1", None)),
        (("*",), ("127.0.0.1", "2001:db8::1", None), ()),
        (("unix",), (None,), ("127.0.0.1",)),
        (("127.0.0.1", "::1"), ("127.0.0.1", "::1"), ("127.0.0.2", "::2", None)),
        (("10.0.0.0/8",), ("10.0.0.0", "10.255.255.255"), ("11.0.0.0", "::ffff:0:1", None)),
        (("2001:db8::/32",), ("2001:db8::1",), ("2001:db9::1", "10.0.0.1")),
    ],
)
def test_peers(texts: tuple[str, ...], trusted: tuple[str | None, ...], others: tuple[str | None, ...]) -> None:
    peers = TrustedPeers(texts)
    for host in trusted + others:
        assert peers.has(None if host is None else (host, 4711)) is (host in trusted)
