"""The header of the PROXY protocol, by which a proxy reports the addresses of its client: bytes in, facts out.

The specification is doc/proxy-protocol.txt of HAProxy; section numbers refer to it. A header precedes all other bytes
of a connection. Version 1 is a line of text, version 2 is binary.

Rules:
- A header is accepted only if it is valid to its last byte, and rejected at its first byte that cannot be right. A
  guess would let clients forge addresses.
- The text and the numbers of both versions are parsed strictly, each length is checked before it is used.
"""

import re
import socket
from typing import NamedTuple

# Section 2.1: with CRLF, "PROXY UNKNOWN" and the two longest IPv6 addresses.
MAX_V1_BYTES = 107
# Section 2.2: the fixed part, and the largest length that its two bytes can announce.
V2_FIXED_BYTES = 16
MAX_HEADER_BYTES = V2_FIXED_BYTES + 0xFFFF

_V1_START = b"PROXY "
_V2_START = b"\r\n\r\n\0\r\nQUIT\n"
# Section 2.1: single spaces, decimal ports without leading zeros.
_V1_LINE = rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
_V1_FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}

# Section 2.2: the high four bits of the 14th byte, and the bytes of both addresses with their ports.
_UNSPEC, _INET, _INET6, _UNIX = 0, 1, 2, 3
_ADDRESS_BYTES = {_UNSPEC: 0, _INET: 12, _INET6: 36, _UNIX: 216}
_UNIX_PATH_BYTES = 108
# Section 2.2.6; the other one is in the documentation of AWS's Network Load Balancer.
_TLV_SSL, _TLV_AWS = 0x20, 0xEA
_CLIENT_SSL, _AWS_VPC_ENDPOINT_ID = 0x01, 0x01

# RFC 4291 section 2.5.5.2.
_V4_MAPPED = bytes(10) + b"\xff\xff"

# (host, port), or (path, None) of a Unix socket.
ServerAddress = tuple[str, int | None]


class ProxyHeaderError(ValueError):
    """The bytes are not a valid header. The text is the reason for the log."""


class ProxiedAddresses(NamedTuple):
    """The connection of the client to the proxy. client: None for a Unix socket. is_https: by TLS."""

    client: tuple[str, int] | None
    server: ServerAddress
    is_https: bool = False
    vpc_endpoint_id: str | None = None


class ProxyHeader(NamedTuple):
    """A complete header. size: its bytes. addresses: None if those of the socket remain valid."""

    size: int
    addresses: ProxiedAddresses | None


def parse_proxy_header(data: bytes, versions: str) -> ProxyHeader | None:
    """Returns the header at the start of `data`, or None if bytes of it are missing.

    versions: "v1", "v2", or "auto" for both. Raises ProxyHeaderError.
    """
    if versions != "v2" and data[:6] == _V1_START[: len(data)]:
        return _parse_v1(data)
    if versions != "v1" and data[:12] == _V2_START[: len(data)]:
        return _parse_v2(data)
    if data[:6] == _V1_START or data[:12] == _V2_START:
        raise ProxyHeaderError(f"the header has the other version than {versions}")
    raise ProxyHeaderError("the connection does not start with a PROXY header")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    """Section 2.1."""
    end = data.find(b"\r", 0, MAX_V1_BYTES - 1)
    if end < 0:
        if len(data) >= MAX_V1_BYTES:
            raise ProxyHeaderError(f"the line is longer than {MAX_V1_BYTES} bytes")
        return None
    if data[end + 1 : end + 2] != b"\n":
        if len(data) == end + 1:
            return None
        raise ProxyHeaderError("the line does not end with CRLF")
    line = data[:end]
    # Section 2.1: "the receiver must ignore anything presented before the CRLF".
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return ProxyHeader(end + 2, None)
    if (found := re.fullmatch(_V1_LINE, line)) is None:
        raise ProxyHeaderError("the line is malformed")
    family, *hosts, client_port, server_port = (text.decode("ascii") for text in found.groups())
    try:
        client, server = (_format_host(socket.inet_pton(_V1_FAMILIES[family], host)) for host in hosts)
    except OSError:
        raise ProxyHeaderError("an address is malformed") from None
    ports = int(client_port), int(server_port)
    if max(ports) > 0xFFFF:
        raise ProxyHeaderError("a port is larger than 65535")
    return ProxyHeader(end + 2, ProxiedAddresses((client, ports[0]), (server, ports[1])))


def _parse_v2(data: bytes) -> ProxyHeader | None:
    """Section 2.2."""
    if len(data) < V2_FIXED_BYTES:
        return None
    command, family, transport = data[12], data[13] >> 4, data[13] & 0x0F
    # "The lowest four bits represents the command": LOCAL or PROXY of version 2.
    if command not in (0x20, 0x21):
        raise ProxyHeaderError(f"the version and command 0x{command:02x} do not exist")
    size = V2_FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if len(data) < size:
        return None
    # LOCAL: a health check of the proxy. "The receiver must [...] discard the protocol block including the family".
    if command == 0x20:
        return ProxyHeader(size, None)
    # A proxy of HTTP/3 may report the datagrams of its client, so the transport need not be a stream.
    if family not in _ADDRESS_BYTES or transport > 2:
        raise ProxyHeaderError(f"the address family 0x{data[13]:02x} does not exist")
    block = data[V2_FIXED_BYTES:size]
    if len(block) < _ADDRESS_BYTES[family]:
        raise ProxyHeaderError("the header is shorter than its addresses")
    is_https, vpc_endpoint_id = _parse_tlvs(block[_ADDRESS_BYTES[family] :])
    # "The receiver is free to accept the connection anyway and use the real endpoint addresses".
    if family == _UNSPEC or transport == 0:
        return ProxyHeader(size, None)
    if family == _UNIX:
        return ProxyHeader(size, ProxiedAddresses(None, _parse_unix(block), is_https, vpc_endpoint_id))
    length = 4 if family == _INET else 16
    hosts = [_format_host(block[at : at + length]) for at in (0, length)]
    ports = [int.from_bytes(block[at : at + 2], "big") for at in (2 * length, 2 * length + 2)]
    addresses = ProxiedAddresses((hosts[0], ports[0]), (hosts[1], ports[1]), is_https, vpc_endpoint_id)
    return ProxyHeader(size, addresses)


def _parse_unix(block: bytes) -> ServerAddress:
    """Returns the path that the client has connected to. A name that starts with NUL is abstract."""
    path = block[_UNIX_PATH_BYTES : 2 * _UNIX_PATH_BYTES]
    if path.startswith(b"\0"):
        return "@" + path[1:].partition(b"\0")[0].decode("utf-8", "replace"), None
    return path.partition(b"\0")[0].decode("utf-8", "replace"), None


def _parse_tlvs(block: bytes) -> tuple[bool, str | None]:
    """Section 2.2: a type, a length of two bytes, a value. Returns the facts of those types that are used."""
    is_https, vpc_endpoint_id = False, None
    at = 0
    while at < len(block):
        length = int.from_bytes(block[at + 1 : at + 3], "big")
        value = block[at + 3 : at + 3 + length]
        # Also if the length itself is cut.
        if at + 3 + length > len(block):
            raise ProxyHeaderError("an extension is longer than the header")
        if block[at] == _TLV_SSL:
            # Section 2.2.6: the flags of the client, four bytes of verification, and TLVs that are not used.
            if length < 5:
                raise ProxyHeaderError("the TLS extension is too short")
            is_https = bool(value[0] & _CLIENT_SSL)
        elif block[at] == _TLV_AWS and value[:1] == bytes([_AWS_VPC_ENDPOINT_ID]):
            # Text for applications: only characters that AWS uses.
            if (found := re.fullmatch(rb"[0-9A-Za-z-]{1,255}", value[1:])) is None:
                raise ProxyHeaderError("the VPC endpoint id is malformed")
            vpc_endpoint_id = found[0].decode("ascii")
        at += 3 + length
    return is_https, vpc_endpoint_id


def _format_host(packed: bytes) -> str:
    """Formats an address as acceptor/addresses does: an IPv4 client has one form, also inside IPv6."""
    if len(packed) == 16 and not packed.startswith(_V4_MAPPED):
        return socket.inet_ntop(socket.AF_INET6, packed)
    return socket.inet_ntop(socket.AF_INET, packed[-4:])
