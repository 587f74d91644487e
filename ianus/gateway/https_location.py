"""The location of a request without TLS at https."""

import ipaddress
import re
from collections.abc import Callable

HTTPS_PORT = 443

# A name or an IPv4 address, or an IPv6 address in brackets; then perhaps a port (RFC 3986 section 3.2).
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")


def https_location(
    host: bytes, raw_path: bytes, query_string: bytes, port: int, is_known_host: Callable[[str], bool]
) -> bytes | None:
    """Returns the URL to redirect to, or None if its host is not one of this server's.

    host: the value of the field Host. The path is used as it was received.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return None
    name = match[1].decode("ascii").lower()
    # Only such hosts, or any host that a client names would be in the response, which a cache may keep for others.
    if not is_known_host(_plain_name(name)):
        return None
    # "*" is the target of OPTIONS for the whole server, which no URL has.
    path = raw_path if raw_path.startswith(b"/") else b"/"
    query = b"?" + query_string if query_string else b""
    return b"https://%b%b%b%b" % (name.encode(), b"" if port == HTTPS_PORT else b":%d" % port, path, query)


def _plain_name(name: str) -> str:
    """Returns a name without the final dot, and an IPv6 address in its canonical form, as certificates have them."""
    if name.startswith("["):
        try:
            return str(ipaddress.IPv6Address(name[1:-1]))
        except ValueError:
            return ""
    return name.removesuffix(".")
