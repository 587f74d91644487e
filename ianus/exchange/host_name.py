"""The host of a request, as certificates have it."""

import ipaddress
import re

# A name or an IPv4 address, or an IPv6 address in brackets; then perhaps a port (RFC 3986 section 3.2).
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")


def without_port(host: bytes) -> str | None:
    """Returns the name of a field Host in lower case, without its port. None if it is not a name or an address."""
    match = _HOST.fullmatch(host)
    return None if match is None else match[1].decode("ascii").lower()


def plain_name(name: str) -> str:
    """Returns a name without the final dot, and an IPv6 address in its canonical form, as certificates have them.

    name: as without_port() returns it. An invalid address becomes "".
    """
    if name.startswith("["):
        try:
            return str(ipaddress.IPv6Address(name[1:-1]))
        except ValueError:
            return ""
    return name.removesuffix(".")
