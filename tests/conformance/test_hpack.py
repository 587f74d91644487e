"""HPACK on a million mutated connections, beside the package hpack, and beside nghttp2, whole and byte by byte."""

import functools
import os

import pytest

from fuzz.hpack_blocks import check_fields, decode
from ianus.codec.field_cache import FieldCache
from ianus.codec.http2.hpack_recording import HpackRecorder, HpackWriter
from ianus.process.worker.stack import build_limits
from ianus.settings.schema import Settings
from tests.conformance import nghttp2
from tests.conformance.hpack_differential import BROWSER, CONNECT, POST, TRAILERS, mutations

pytestmark = pytest.mark.conformance

LIMITS = build_limits(Settings())
SHARE = 125_000
# Each field that nghttp2 decodes costs a call from Python, so by default it gets fewer connections.
NGHTTP2_SHARE = SHARE if "IANUS_LONG" in os.environ else SHARE // 20

# `make conformance` installs it.
library = functools.cache(nghttp2.load)


@pytest.mark.parametrize("seed", range(8))
def test_a_million_mutations(seed: int) -> None:
    cache = FieldCache()
    for blocks in mutations(SHARE, seed=seed):
        decode(blocks, HpackRecorder(LIMITS, cache))


@pytest.mark.parametrize("seed", range(8))
def test_mutations_beside_nghttp2(seed: int) -> None:
    cache = FieldCache()
    decoded = 0
    for blocks in mutations(NGHTTP2_SHARE, seed=seed):
        recorder = HpackRecorder(LIMITS, cache)
        inflaters = [(nghttp2.Inflater(library()), piece) for piece in (0, 1)]
        for block in blocks:
            found = recorder.decode(block)
            if found is None:
                # Stricter in numbers with useless bytes, and in the number and the place of updates.
                break
            decoded += 1
            pseudo, fields, status, _ = found
            for inflater, piece in inflaters:
                expected = inflater.decode(block, piece)
                assert expected is not None, block.hex()
                assert recorder.table() == inflater.table()
                if not status:
                    check_fields(pseudo, fields, expected)
    assert decoded > NGHTTP2_SHARE // 3


@pytest.mark.parametrize("table_size", [0, 128, 4096])
def test_blocks_of_the_encoder_of_nghttp2(table_size: int) -> None:
    deflater, recorder = nghttp2.Deflater(library()), HpackRecorder(LIMITS, FieldCache())
    deflater.set_table_size(table_size)
    for fields in (BROWSER, BROWSER, POST, CONNECT, POST, BROWSER) * 20:
        found = recorder.decode(deflater.encode(fields))
        assert found is not None
        assert not found[2]
        check_fields(found[0], found[1], fields)
    assert bool(recorder.table()) == (table_size > 0)
    assert recorder.table_bytes <= table_size


@pytest.mark.parametrize("piece", [0, 1])
def test_nghttp2_decodes_the_blocks_of_the_server(piece: int) -> None:
    writer, inflater = HpackWriter(), nghttp2.Inflater(library())
    for size in (4096, 128, 0, 4096):
        writer.set_max_table_size(size)
        for fields in (BROWSER[4:], TRAILERS, POST[4:], BROWSER[4:]):
            block = writer.send(writer.head(200, fields))
            assert inflater.decode(block, piece) == [(b":status", b"200"), *fields]
