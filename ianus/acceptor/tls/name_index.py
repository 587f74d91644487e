"""The choice of certificates by the name that a client asks for (RFC 6066 3, RFC 9525 6.3)."""

from collections.abc import Iterable, Sequence

from ianus.acceptor.tls.pair import LoadedPair

Pairs = tuple[LoadedPair, ...]


class NameIndex:
    """The pairs of a store by their names, each name with at most one pair of a key type.

    pairs: the first one is the default. now: POSIX seconds; a pair that is valid then precedes one that is not.
    default: the pairs for clients without a name, and for names that no pair has.
    """

    def __init__(self, pairs: Sequence[LoadedPair], now: float) -> None:
        by_name: dict[str, list[LoadedPair]] = {}
        for pair in pairs:
            for name in pair.names:
                by_name.setdefault(name, []).append(pair)
        self._exact = {
            name: _one_of_each_type(found, now) for name, found in by_name.items() if not name.startswith("*.")
        }
        self._wildcards = {
            name[1:]: _one_of_each_type(found, now) for name, found in by_name.items() if name.startswith("*.")
        }
        first = pairs[0]
        same_names = [pair for pair in pairs if pair.names == first.names]
        self.default = _one_of_each_type(same_names, now)

    def find(self, name: str) -> Pairs:
        """Returns the pairs for a name in lower case; none if no pair has it. An exact name precedes a wildcard."""
        if found := self._exact.get(name):
            return found
        # A wildcard stands for one label, the first one.
        dot = name.find(".")
        return self._wildcards.get(name[dot:], ()) if dot > 0 else ()

    def has_names(self) -> bool:
        """Returns whether a pair has a name."""
        return bool(self._exact or self._wildcards)


def _one_of_each_type(pairs: Iterable[LoadedPair], now: float) -> Pairs:
    valid_first = sorted(pairs, key=lambda pair: not pair.not_before <= now <= pair.not_after)
    by_type: dict[str, LoadedPair] = {}
    for pair in valid_first:
        by_type.setdefault(pair.key_type, pair)
    return tuple(by_type.values())
