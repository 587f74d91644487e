"""The location of a request without TLS at https."""

from collections.abc import Callable

from ianus.exchange.host_name import plain_name, without_port

HTTPS_PORT = 443


def https_location(
    host: bytes, raw_path: bytes, query_string: bytes, port: int, is_known_host: Callable[[str], bool]
) -> bytes | None:
    """Returns the URL to redirect to, or None if its host is not one of this server's.

    host: the value of the field Host. The path is used as it was received.
    """
    name = without_port(host)
    # Only such hosts, or any host that a client names would be in the response, which a cache may keep for others.
    if name is None or not is_known_host(plain_name(name)):
        return None
    # "*" is the target of OPTIONS for the whole server, which no URL has.
    path = raw_path if raw_path.startswith(b"/") else b"/"
    query = b"?" + query_string if query_string else b""
    return b"https://%b%b%b%b" % (name.encode(), b"" if port == HTTPS_PORT else b":%d" % port, path, query)
