"""The HPACK decoder against two other implementations, on a million mutated connections."""

import json
import shutil
import subprocess

import hpack
import pytest

from fuzz.hpack_blocks import decode
from ianus.codec.field_cache import FieldCache
from ianus.codec.http2.hpack_recording import HpackRecorder, HpackWriter
from ianus.process.worker.stack import build_limits
from ianus.settings.schema import Settings
from tests.conformance.hpack_differential import BROWSER, POST, TRAILERS, conversations, mutations

pytestmark = pytest.mark.conformance

LIMITS = build_limits(Settings())
SHARE = 125_000


@pytest.mark.parametrize("seed", range(8))
def test_a_million_mutations(seed: int) -> None:
    cache = FieldCache()
    for blocks in mutations(SHARE, seed=seed):
        decode(blocks, HpackRecorder(LIMITS, cache))


def run(program: str, cases: object) -> list[dict[str, object]]:
    """Runs deflatehd or inflatehd of nghttp2, which read and write JSON."""
    assert shutil.which(program), "apt-get install nghttp2-client"
    done = subprocess.run([program], input=json.dumps({"cases": cases}), capture_output=True, text=True, check=True)
    found: list[dict[str, object]] = json.loads(done.stdout)["cases"]
    return found


def test_blocks_of_deflatehd() -> None:
    """nghttp2 encodes, Ianus decodes."""
    requests = [BROWSER, BROWSER, POST, POST, BROWSER]
    cases = [
        {"seqno": number, "headers": [{name.decode(): value.decode()} for name, value in fields]}
        for number, fields in enumerate(requests)
    ]
    recorder, reference = HpackRecorder(LIMITS), hpack.Decoder()
    for case, fields in zip(run("deflatehd", cases), requests, strict=True):
        block = bytes.fromhex(str(case["wire"]))
        assert [(bytes(name), bytes(value)) for name, value in reference.decode(block, raw=True)] == fields
        found = recorder.request(block, ended=False)
        assert found is not None
        assert found["status"] == 0
        assert recorder.table() == [(bytes(n), bytes(v)) for n, v in reference.header_table.dynamic_entries]


def test_blocks_for_inflatehd() -> None:
    """Ianus encodes, nghttp2 decodes."""
    writer = HpackWriter()
    heads = [BROWSER[4:], BROWSER[4:], POST[4:], BROWSER[4:], [(b"server", b"ianus"), (b"set-cookie", b"a")] * 3]
    cases = [
        {"seqno": number, "wire": writer.send(writer.head(200, fields)).hex()} for number, fields in enumerate(heads)
    ]
    for case, fields in zip(run("inflatehd", cases), heads, strict=True):
        headers = [(name.encode(), value.encode()) for pair in case["headers"] for name, value in pair.items()]  # type: ignore[attr-defined]
        assert headers == [(b":status", b"200"), *fields]


def test_blocks_of_both_kinds_by_inflatehd() -> None:
    """nghttp2 and Ianus decode the blocks of a third implementation."""
    for blocks in conversations():
        cases = [{"seqno": number, "wire": block.hex()} for number, block in enumerate(blocks)]
        recorder = HpackRecorder(LIMITS)
        for case, block in zip(run("inflatehd", cases), blocks, strict=True):
            headers = [tuple(*pair.items()) for pair in case["headers"]]  # type: ignore[attr-defined]
            found = recorder.decode(block)
            assert found is not None
            if len(headers) == len(TRAILERS):
                assert [name for name, _ in found[1]] == [name.encode() for name, _ in headers]
