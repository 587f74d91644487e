"""Parsers of the settings about proxies: the peers that are trusted, and the fields that are believed."""

import re
from collections.abc import Iterable

from ianus.settings.values import format_value, in_quotes

LOCAL_PEERS = ("127.0.0.1", "::1", "unix")


def peers(value: object) -> tuple[str, ...]:
    """Parses a list of addresses, networks, `unix` and `*`, as text with commas or as a list."""
    if isinstance(value, str):
        parts: Iterable[object] = re.split(r"[\s,]+", value.strip(", \t\n"))
    elif isinstance(value, (list, tuple)):
        parts = value
    else:
        raise ValueError(f"{format_value(value)} is not a list of addresses{in_quotes(value)}")
    return tuple(_peer(part) for part in parts if part != "")


def _peer(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{format_value(value)} is not an address{in_quotes(value)}")
    if value.lower() in ("unix", "unix:"):
        return "unix"
    if value == "*" or value in LOCAL_PEERS:
        return value
    import ipaddress  # Late: it takes 3 ms.

    if value == "localhost":
        raise ValueError("'localhost' is not an address; write 127.0.0.1,::1.")
    bare = re.sub(r"^\[([^\[\]]*)\]", r"\1", value)
    try:
        network = ipaddress.ip_network(bare, strict=False)
    except ValueError:
        raise ValueError(
            f"{format_value(value)} is not an address, a network such as 10.0.0.0/8, unix or *; names of hosts cannot"
            " be trusted."
        ) from None
    if "%" in bare:
        raise ValueError(f"{format_value(value)} has a zone; remove it.")
    address, _, bits = bare.partition("/")
    if bits and network.network_address != ipaddress.ip_address(address):
        raise ValueError(f"{format_value(value)} is an address in a network; write {network} for the network.")
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


FORWARDED_FIELDS = ("for", "proto")
_ALL_FORWARDED_FIELDS = ("for", "proto", "host", "port", "prefix")


def forwarded_fields(value: object) -> tuple[str, ...]:
    """Parses names of forwarding fields with commas or spaces between them; `X-Forwarded-Host` is `host`."""
    parts: Iterable[object]
    if isinstance(value, str):
        parts = re.split(r"[\s,]+", value.strip(", \t\n"))
    elif isinstance(value, (list, tuple)):
        parts = value
    else:
        raise ValueError(f"{format_value(value)} is not a list of fields, such as for,proto,host.")
    names = [part.lower().removeprefix("x-forwarded-") if isinstance(part, str) else part for part in parts]
    if "forwarded" in names:
        raise ValueError("'forwarded' is a family of fields; write --forwarded-headers forwarded.")
    for name in names:
        if name not in _ALL_FORWARDED_FIELDS:
            raise ValueError(f"{format_value(name)} is not one of {', '.join(_ALL_FORWARDED_FIELDS)}.")
    return tuple(name for name in _ALL_FORWARDED_FIELDS if name in names)
