"""Lists of peers."""

import pytest

from ianus.runtime.trusted_peers import TrustedPeers
from ianus.settings.proxy_values import LOCAL_PEERS, peers
from tests.rows import for_each_row


@for_each_row(
    ("listed", "client", "expected"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.0/8", "10.255.255.255", True),
        ("10.0.0.0/8", "11.0.0.0", False),
        ("10.0.0.0/13", "10.7.255.255", True),
        ("10.0.0.0/13", "10.8.0.0", False),
        ("10.0.0.0/31", "10.0.0.1", True),
        ("10.0.0.0/31", "10.0.0.2", False),
        ("0.0.0.0/0", "203.0.113.7", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "2001:db8::1", True),
        ("::/0", "203.0.113.7", False),
        ("::/0", "::ffff:203.0.113.7", False),
        ("2001:db8::/33", "2001:db8:7fff::1", True),
        ("2001:db8::/33", "2001:db8:8000::1", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.0/104", "10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "11.1.2.3", False),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("10.0.0.1,192.0.2.0/24", "192.0.2.9", True),
        ("10.0.0.1", "10.0.0.01", False),
        ("10.0.0.1", "10.0.0.1\0", False),
        ("10.0.0.1", "", False),
        ("10.0.0.1", "1" * 100, False),
        ("::1", "::1%lo", False),
        ("unix", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("*", "203.0.113.7", True),
        ("*", "not an address", True),
    ],
)
def test_a_peer_by_address(listed: str, client: str, expected: bool) -> None:
    assert ((client, 1) in TrustedPeers(peers(listed))) is expected


@for_each_row(("listed", "expected"), [("unix", True), ("*", True), ("127.0.0.1", False), ("", False)])
def test_a_peer_of_a_unix_socket(listed: str, expected: bool) -> None:
    assert (None in TrustedPeers(peers(listed))) is expected


def test_local_peers() -> None:
    local = TrustedPeers(LOCAL_PEERS)
    assert None in local
    assert ("127.0.0.1", 1) in local
    assert ("::ffff:127.0.0.1", 1) in local
    assert ("::1", 1) in local
    assert ("127.0.0.2", 1) not in local


def test_an_entry_that_the_settings_would_refuse() -> None:
    with pytest.raises(ValueError, match="'nginx' is not an address"):
        TrustedPeers(["nginx"])
