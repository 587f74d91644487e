"""The peers that the operator trusts, by their addresses."""

import ipaddress
from collections.abc import Iterable


class TrustedPeers:
    """A list of peers. peers: addresses, networks, "unix" and "*", as the settings have them."""

    def __init__(self, peers: Iterable[str]) -> None:
        self._texts = frozenset(peers)
        self._networks = [ipaddress.ip_network(text) for text in self._texts - {"*", "unix"}]

    def has(self, client: tuple[str, int] | None) -> bool:
        """Returns whether a peer is in the list. client: (host, port), None for a Unix socket."""
        if "*" in self._texts:
            return True
        if client is None:
            return "unix" in self._texts
        # Without a look at the networks for the usual case.
        if client[0] in self._texts:
            return True
        address = ipaddress.ip_address(client[0])
        return any(address in network for network in self._networks)
