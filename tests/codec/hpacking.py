"""Field blocks for tests of HPACK, written by hand: each helper is one representation of RFC 7541 section 6."""

from typing import Any

from ianus.codec.field_cache import FieldCache
from ianus.codec.http2.hpack_recording import HpackRecorder
from ianus.codec.limits import Limits

from ..engine import limits as new_limits

Fields = list[tuple[bytes, bytes]]

DEFAULT_LIMITS = new_limits()

# The indices of the static table that tests use
STATIC = {
    b":authority": 1,
    b":method": 2,
    b":path": 4,
    b":scheme": 6,
    b"content-length": 28,
    b"cookie": 32,
    b"host": 38,
    b"user-agent": 58,
}

GET = b"\x82\x87\x84"  # :method GET, :scheme https, :path /


def number(value: int, prefix: int, pattern: int = 0) -> bytes:
    """A number after a prefix of this number of bits (section 5.1)."""
    mask = (1 << prefix) - 1
    if value < mask:
        return bytes([pattern | value])
    encoded = [pattern | mask]
    value -= mask
    while value >= 0x80:
        encoded.append(0x80 | value & 0x7F)
        value >>= 7
    return bytes([*encoded, value])


def string(text: bytes) -> bytes:
    return number(len(text), 7) + text


def index(position: int) -> bytes:
    return number(position, 7, 0x80)


def table_size(size: int) -> bytes:
    return number(size, 5, 0x20)


def plain(name: bytes, value: bytes) -> bytes:
    """A literal that is not inserted."""
    if name in STATIC:
        return number(STATIC[name], 4) + string(value)
    return b"\0" + string(name) + string(value)


def inserted(name: bytes | int, value: bytes) -> bytes:
    """A literal that is inserted. name: an index, or a name of its own."""
    if isinstance(name, int):
        return number(name, 6, 0x40) + string(value)
    return b"\x40" + string(name) + string(value)


def request(*fields: tuple[bytes, bytes]) -> bytes:
    """A GET of https://h/ with these fields, without any insertion."""
    return GET + plain(b":authority", b"h") + b"".join(plain(name, value) for name, value in fields)


def recorder(limits: Limits | None = None, *, cache: FieldCache | None = None) -> HpackRecorder:
    return HpackRecorder(limits or DEFAULT_LIMITS, cache)


def decoded(recorder: HpackRecorder, block: bytes) -> tuple[dict[bytes, bytes], Fields, int, bool]:
    """The fields of a block that is valid: see HpackRecorder.decode()."""
    found = recorder.decode(block)
    assert found is not None, recorder.reason
    return found


def verdict(recorder: HpackRecorder, block: bytes) -> dict[str, Any]:
    """The request of a block that is valid: see HpackRecorder.request()."""
    found = recorder.request(block)
    assert found is not None, recorder.reason
    return found
