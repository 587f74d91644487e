"""The HPACK decoder on a million mutated connections, beside the package hpack."""

import pytest

from fuzz.hpack_blocks import decode
from ianus.codec.field_cache import FieldCache
from ianus.codec.http2.hpack_recording import HpackRecorder
from ianus.process.worker.stack import build_limits
from ianus.settings.schema import Settings
from tests.conformance.hpack_differential import mutations

pytestmark = pytest.mark.conformance

LIMITS = build_limits(Settings())
SHARE = 125_000


@pytest.mark.parametrize("seed", range(8))
def test_a_million_mutations(seed: int) -> None:
    cache = FieldCache()
    for blocks in mutations(SHARE, seed=seed):
        decode(blocks, HpackRecorder(LIMITS, cache))
