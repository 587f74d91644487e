"""Headers of the PROXY protocol, whole, byte by byte, and cut."""

import socket
import struct
from collections.abc import Iterator

import pytest

from ianus.acceptor.proxy_protocol import (
    MAX_HEADER_BYTES,
    MAX_V1_BYTES,
    ProxiedAddresses,
    ProxyHeader,
    ProxyHeaderError,
    parse_proxy_header,
)
from tests.rows import for_each_row

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"
INET = socket.inet_aton("192.0.2.1") + socket.inet_aton("198.51.100.2") + struct.pack("!HH", 56324, 443)
INET6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    + struct.pack("!HH", 1, 65535)
)
CLIENT = ProxiedAddresses(("192.0.2.1", 56324), ("198.51.100.2", 443))


def v2(block: bytes = INET, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(block) if length is None else length) + block


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def paths(client: bytes, server: bytes) -> bytes:
    return client.ljust(108, b"\0") + server.ljust(108, b"\0")


LONGEST = b"PROXY UNKNOWN " + b":".join([b"ffff"] * 8) + b" " + b":".join([b"ffff"] * 8) + b" 65535 65535\r\n"

VALID = {
    "v1 IPv4": (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", CLIENT),
    "v1 port 0": (
        b"PROXY TCP4 192.0.2.1 198.51.100.2 0 0\r\n",
        ProxiedAddresses(("192.0.2.1", 0), ("198.51.100.2", 0)),
    ),
    "v1 IPv6": (
        b"PROXY TCP6 2001:DB8:0::1 2001:db8::2 1 65535\r\n",
        ProxiedAddresses(("2001:db8::1", 1), ("2001:db8::2", 65535)),
    ),
    "v1 v4-mapped": (
        b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 56324 443\r\n",
        CLIENT,
    ),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1 unknown, longest": (LONGEST, None),
    "v1 unknown, anything": (b"PROXY UNKNOWN \xff\n\0 9999999\r\n", None),
    "v2 IPv4": (v2(), CLIENT),
    "v2 IPv4, UDP": (v2(family=0x12), CLIENT),
    "v2 IPv6": (v2(INET6, family=0x21), ProxiedAddresses(("2001:db8::1", 1), ("2001:db8::2", 65535))),
    "v2 v4-mapped": (
        v2((bytes(10) + b"\xff\xff\xc0\0\2\1") + (bytes(10) + b"\xff\xff\xc6\x33\x64\2") + INET[8:], family=0x21),
        CLIENT,
    ),
    "v2 Unix": (v2(paths(b"", b"/run/a.sock"), family=0x31), ProxiedAddresses(None, ("/run/a.sock", None))),
    "v2 Unix, full": (v2(paths(b"", b"/" * 108), family=0x31), ProxiedAddresses(None, ("/" * 108, None))),
    "v2 Unix, abstract": (v2(paths(b"\0a", b"\0name"), family=0x32), ProxiedAddresses(None, ("@name", None))),
    "v2 local": (v2(b"", command=0x20, family=0), None),
    "v2 local, with a block": (v2(b"\xff" * 50, command=0x20, family=0xFF), None),
    "v2 unspecified": (v2(b"", family=0), None),
    "v2 unspecified transport": (v2(family=0x10), None),
    "v2 TLVs": (v2(INET + tlv(4, b"") + tlv(2, b"host") + tlv(0x77, b"x" * 300)), CLIENT),
    "v2 longest": (v2(INET + tlv(4, bytes(0xFFFF - len(INET) - 3))), CLIENT),
    "v2 TLS": (v2(INET + tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.3"))), CLIENT._replace(is_https=True)),
    "v2 TLS to the proxy's proxy only": (v2(INET + tlv(0x20, b"\2\0\0\0\0")), CLIENT),
    "v2 AWS": (
        v2(INET + tlv(0xEA, b"\1vpce-08d2bf15fac5001c9")),
        CLIENT._replace(vpc_endpoint_id="vpce-08d2bf15fac5001c9"),
    ),
    "v2 AWS, another subtype": (v2(INET + tlv(0xEA, b"\2x") + tlv(0xEA, b"")), CLIENT),
}  # fmt: skip

INVALID = {
    b"GET / HTTP/1.1\r\n": "does not start",
    b"\x16\x03\x01": "does not start",
    b"PROXY\t": "does not start",
    b"proxy TCP4 ": "does not start",
    b"\r\n\r\nGET": "does not start",
    b"PROXY UNKNOWN\n" + bytes(MAX_V1_BYTES): "longer",
    b"PROXY UNKNOWN".ljust(MAX_V1_BYTES - 1, b" ") + b"\r\n": "longer",
    b"PROXY UNKNOWN\rx": "CRLF",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n\r\n": "malformed",
    b"PROXY UNKNOWNX\r\n": "malformed",
    b"PROXY \r\n": "malformed",
    b"PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n": "malformed",
    b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n": "malformed",
    b"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n": "malformed",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n": "malformed",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n": "malformed",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n": "malformed",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n": "malformed",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n": "65535",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1 99999\r\n": "65535",
    b"PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n": "an address",
    b"PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n": "an address",
    b"PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n": "an address",
    b"PROXY TCP4 ::1 ::2 1 2\r\n": "an address",
    b"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n": "an address",
    b"PROXY TCP6 ::1%lo ::2 1 2\r\n": "malformed",
    v2(command=0x22): "command",
    v2(command=0x11): "command",
    v2(command=0x31): "command",
    v2(family=0x41): "family",
    v2(family=0x13): "family",
    v2(INET[:11]): "shorter",
    v2(INET6[:35], family=0x21): "shorter",
    v2(bytes(215), family=0x31): "shorter",
    v2(INET + b"\4"): "extension",
    v2(INET + b"\4\0"): "extension",
    v2(INET + b"\4\0\1"): "extension",
    v2(INET + tlv(4, b"x")[:-1] + b""): "extension",
    v2(b"\4\xff\xff", family=0): "extension",
    v2(INET + tlv(0x20, b"\1\0\0\0")): "TLS",
    v2(INET + tlv(0xEA, b"\1vpce-\n")): "endpoint",
    v2(INET + tlv(0xEA, b"\1" + b"a" * 256)): "endpoint",
    v2(INET + tlv(0xEA, b"\1")): "endpoint",
}


@for_each_row("name", VALID)
def test_a_valid_header(name: str) -> None:
    data, addresses = VALID[name]
    expected = ProxyHeader(len(data), addresses)
    assert parse_proxy_header(data, "auto") == expected
    assert parse_proxy_header(data, name[:2]) == expected
    assert parse_proxy_header(data + REQUEST, "auto") == expected
    assert parse_proxy_header(data + data, "auto") == expected


@for_each_row("name", VALID)
def test_each_part_of_a_valid_header_is_incomplete(name: str) -> None:
    data, _ = VALID[name]
    ends = range(len(data)) if len(data) < 1000 else (*range(100), len(data) - 1)
    for end in ends:
        assert parse_proxy_header(data[:end], "auto") is None, end
        assert parse_proxy_header(data[:end], name[:2]) is None, end


@for_each_row("data", INVALID)
def test_an_invalid_header_is_rejected(data: bytes) -> None:
    for after in (b"", REQUEST):
        with pytest.raises(ProxyHeaderError, match=INVALID[data]):
            parse_proxy_header(data + after, "auto")


@for_each_row("data", INVALID)
def test_an_invalid_header_is_rejected_byte_by_byte(data: bytes) -> None:
    def results() -> Iterator[ProxyHeader | None]:
        for end in range(1, len(data) + 1):
            yield parse_proxy_header(data[:end], "auto")

    with pytest.raises(ProxyHeaderError):
        # None of its parts may count as a header.
        assert not any(results())


@pytest.mark.parametrize(("versions", "data"), [("v1", v2()), ("v2", b"PROXY UNKNOWN\r\n")])
def test_the_other_version_is_rejected(versions: str, data: bytes) -> None:
    with pytest.raises(ProxyHeaderError, match="other version"):
        parse_proxy_header(data, versions)
    with pytest.raises(ProxyHeaderError):
        parse_proxy_header(data[:1], versions)


def test_the_largest_header() -> None:
    assert len(VALID["v2 longest"][0]) == MAX_HEADER_BYTES
    assert len(LONGEST) == MAX_V1_BYTES
