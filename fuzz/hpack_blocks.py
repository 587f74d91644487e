"""Contract: for any field blocks, the HPACK decoder agrees with another implementation and keeps to its bounds.

The first byte of an input is the number of bytes of each block; the last block has the rest. Both decoders have the
same dynamic table after each block. A block that is valid gives the same fields, unless the request is malformed or
exceeds a limit. The encoder's blocks of these fields decode to them again.
"""

from collections.abc import Iterable
from typing import Any

import hpack
from hpack.exceptions import HPACKError

from ianus.codec.field_cache import FieldCache
from ianus.codec.http2.hpack_recording import HpackRecorder, HpackWriter
from ianus.codec.limits import Limits
from ianus.process.worker.stack import build_limits
from ianus.settings.schema import Settings

Field = tuple[bytes, bytes]

DEFAULT = build_limits(Settings())
TIGHT = Limits(
    limit_request_line=32,
    limit_request_field_size=32,
    limit_request_fields_size=96,
    limit_request_fields=4,
    max_request_body_size=16,
)


def seeds() -> Iterable[bytes]:
    from tests.conformance.hpack_differential import seeds

    return seeds()


def check(data: bytes) -> None:
    blocks = list(split(data))
    cache = FieldCache()
    for limits in (DEFAULT, TIGHT):
        # The second time the cache has the literals.
        for _ in range(2):
            decode(blocks, HpackRecorder(limits, cache))


def split(data: bytes) -> Iterable[bytes]:
    size = max(data[0], 1) if data else 1
    yield data[1 : 1 + size]
    if len(data) > 1 + size:
        for start in range(1 + size, len(data), size):
            yield data[start : start + size]


def decode(blocks: Iterable[bytes], recorder: HpackRecorder) -> None:
    reference = hpack.Decoder(max_header_list_size=1 << 30)
    reference.max_allowed_table_size = 4096
    writer, reader = HpackWriter(), hpack.Decoder(max_header_list_size=1 << 30)
    for block in blocks:
        expected = decode_by_reference(reference, block)
        found = recorder.decode(block)
        if found is None:
            # Stricter in numbers with useless bytes, and in the number and the place of updates.
            return
        assert expected is not None, recorder.table()
        table = [(bytes(name), bytes(value)) for name, value in reference.header_table.dynamic_entries]
        assert recorder.table() == table
        assert recorder.table_bytes == sum(len(name) + len(value) + 32 for name, value in table) <= 4096
        pseudo, fields, status, _ = found
        if status:
            continue
        check_fields(pseudo, fields, expected)
        block = writer.send(writer.head(200, fields))
        assert [(bytes(name), bytes(value)) for name, value in list(reader.decode(block, raw=True))[1:]] == fields


def check_fields(pseudo: dict[bytes, bytes], fields: list[Field], expected: list[Field]) -> None:
    """The same fields with a Host of :authority, without an equal Host, and without cookies after the first."""
    assert pseudo == {name: value for name, value in expected if name[:1] == b":"}
    wanted: list[Field] = []
    if b":authority" in pseudo:
        wanted.append((b"host", pseudo[b":authority"]))
    cookies = 0
    for name, value in expected:
        cookies += name == b"cookie"
        if name[:1] == b":" or (name == b"cookie" and cookies > 1) or (name == b"host" and b":authority" in pseudo):
            continue
        wanted.append((name, value))
    assert fields == wanted


def decode_by_reference(decoder: hpack.Decoder, block: bytes) -> list[Any] | None:
    try:
        return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
    except HPACKError:
        return None
