"""Contract: for any bytes in any pieces, a header of the PROXY protocol has one meaning, or is rejected in words.

A header ends within its limit, its addresses are in the form of the server's own, and bytes after it change nothing.
The result does not depend on the pieces in which the bytes arrive.
"""

import ipaddress
import random
import re
import socket
from collections.abc import Iterable

from ianus.acceptor.proxy_protocol import (
    MAX_HEADER_BYTES,
    MAX_V1_BYTES,
    ProxiedAddresses,
    ProxyHeader,
    ProxyHeaderError,
    parse_proxy_header,
)

MAX_CUTS = 6
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def seeds() -> Iterable[bytes]:
    from tests.acceptor.test_proxy_protocol import INVALID, VALID

    for data in (*(header for header, _ in VALID.values()), *INVALID):
        if len(data) < 1000:
            yield data
            yield data + b"GET / HTTP/1.1\r\n\r\n"
            # The fuzzer finds neither the signature nor the length by chance.
            if data.startswith(SIGNATURE):
                yield data[len(SIGNATURE) :]


def check(data: bytes) -> None:
    _check_pieces(data)
    _check_pieces(SIGNATURE + data)


def _check_pieces(data: bytes) -> None:
    whole = _parse(data, "auto")
    if isinstance(whole, ProxyHeader):
        _check_header(whole, data)
        assert _parse(data[: whole.size], "auto") == whole, "without the bytes after it"
        assert _parse(data + b"\r\n\xff", "auto") == whole, "with more bytes after it"
    results = [_parse(data, version) for version in ("v1", "v2")]
    if isinstance(whole, str):
        assert all(isinstance(each, str) for each in results), results
    elif data:
        # One of the versions has the same meaning. The other one rejects.
        assert whole in results, results
        assert any(isinstance(each, str) for each in results), results
    rng = random.Random(data)
    for end in rng.sample(range(len(data) + 1), min(len(data) + 1, MAX_CUTS)):
        part = _parse(data[:end], "auto")
        if isinstance(whole, ProxyHeader):
            assert part == (whole if end >= whole.size else None), f"after {end} bytes"
        elif whole is None:
            assert part is None, f"after {end} bytes"
        else:
            assert not isinstance(part, ProxyHeader), f"after {end} bytes"


def _parse(data: bytes, versions: str) -> ProxyHeader | str | None:
    try:
        return parse_proxy_header(data, versions)
    except ProxyHeaderError as error:
        reason = str(error)
    assert re.fullmatch(r"[ -~]+", reason), reason
    return reason


def _check_header(header: ProxyHeader, data: bytes) -> None:
    limit = MAX_V1_BYTES if data.startswith(b"PROXY") else MAX_HEADER_BYTES
    assert 0 < header.size <= min(limit, len(data)), header
    if header.addresses is not None:
        _check_addresses(header.addresses)


def _check_addresses(addresses: ProxiedAddresses) -> None:
    client, (host, port), _, endpoint_id = addresses
    assert endpoint_id is None or re.fullmatch(r"[0-9A-Za-z-]+", endpoint_id), endpoint_id
    if client is None:
        assert port is None, addresses
        assert "\0" not in host, addresses
        return
    assert port is not None, addresses
    for each in (client, (host, port)):
        assert 0 <= each[1] <= 0xFFFF, each
        address = ipaddress.ip_address(each[0])
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        assert socket.inet_ntop(family, address.packed) == each[0], each
        assert getattr(address, "ipv4_mapped", None) is None, each
