"""The HPACK decoder agrees with another implementation on mutated blocks; `make conformance` tries many more."""

import pytest

from fuzz.hpack_blocks import decode
from ianus.codec.field_cache import FieldCache
from ianus.codec.http2.hpack_recording import HpackRecorder
from tests.conformance.hpack_differential import BROWSER, conversations, mutations

from .hpacking import DEFAULT_LIMITS


def test_the_blocks_of_an_encoder() -> None:
    cache = FieldCache()
    for blocks in conversations():
        recorder = HpackRecorder(DEFAULT_LIMITS, cache)
        decode(blocks, recorder)
        found = HpackRecorder(DEFAULT_LIMITS, cache).request(blocks[0])
        assert found is not None
        assert found["headers"] == [(b"host", b"www.example.com"), *BROWSER[4:]]


@pytest.mark.slow
def test_mutated_blocks() -> None:
    cache = FieldCache()
    decoded = 0
    for blocks in mutations(3000, seed=1):
        recorder = HpackRecorder(DEFAULT_LIMITS, cache)
        decode(blocks, recorder)
        decoded += len(recorder.table()) > 0
    assert decoded > 1000, "most mutations end the connection before anything is decoded"
