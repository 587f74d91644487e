"""The tables of HPACK are generated, and are those of another implementation (tools/hpack_tables.py)."""

import runpy
from pathlib import Path
from typing import Any

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

ROOT = Path(__file__).parents[2]


def generator() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "hpack_tables.py"))


def test_the_header_is_as_generated() -> None:
    path = ROOT / "ianus" / "codec" / "http2" / "hpack_tables.h"
    assert path.read_text() == generator()["build_header"](), (
        "run: python tools/hpack_tables.py > ianus/codec/http2/hpack_tables.h"
    )


def test_the_code_is_that_of_appendix_b() -> None:
    known = [format(code, f"0{size}b") for code, size in zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)]
    assert generator()["huffman_code"]() == known


def test_the_fields_are_those_of_appendix_a() -> None:
    known = [(name.decode(), value.decode()) for name, value in HeaderTable.STATIC_TABLE]
    assert generator()["static_table"]() == known
