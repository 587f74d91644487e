"""All examples of RFC 7541, appendix C, decoded; and those encoded whose choices are the server's."""

import pytest

from ianus.codec.http2.hpack_recording import HpackWriter, huffman
from tests.rows import for_each_row

from .hpacking import number, plain, recorder, table_size

Fields = list[tuple[bytes, bytes]]

COOKIE = (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1")
FIRST_DATE = (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT")
SECOND_DATE = (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT")
LOCATION = (b"location", b"https://www.example.com")
PRIVATE = (b"cache-control", b"private")
NO_CACHE = (b"cache-control", b"no-cache")
AUTHORITY = (b":authority", b"www.example.com")
CUSTOM = (b"custom-key", b"custom-value")
GZIP = (b"content-encoding", b"gzip")

FIRST_REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), AUTHORITY]
THIRD_REQUEST = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html"), AUTHORITY, CUSTOM]

# For each example: the block, its fields, the dynamic table after it and the size of that.
REQUESTS = {
    "C.3": [
        ("828684410f7777772e6578616d706c652e636f6d", FIRST_REQUEST, [AUTHORITY], 57),
        ("828684be58086e6f2d6361636865", [*FIRST_REQUEST, NO_CACHE], [NO_CACHE, AUTHORITY], 110),
        (
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            THIRD_REQUEST,
            [CUSTOM, NO_CACHE, AUTHORITY],
            164,
        ),
    ],
    "C.4": [
        ("828684418cf1e3c2e5f23a6ba0ab90f4ff", FIRST_REQUEST, [AUTHORITY], 57),
        ("828684be5886a8eb10649cbf", [*FIRST_REQUEST, NO_CACHE], [NO_CACHE, AUTHORITY], 110),
        (
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            THIRD_REQUEST,
            [CUSTOM, NO_CACHE, AUTHORITY],
            164,
        ),
    ],
}
RESPONSES = {
    "C.5": [
        (
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f"
            "7777772e6578616d706c652e636f6d"
        ),
        "4803333037c1c0bf",
        (
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b42"
            "5a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31"
        ),
    ],
    "C.6": [
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        (
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f"
            "3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"
        ),
    ],
}
RESPONSE_TABLES = [
    ([LOCATION, FIRST_DATE, PRIVATE, (b":status", b"302")], 222),
    ([(b":status", b"307"), LOCATION, FIRST_DATE, PRIVATE], 222),
    ([COOKIE, GZIP, SECOND_DATE], 215),
]


@pytest.mark.parametrize(
    ("value", "prefix", "encoded"),
    [(10, 5, b"\x0a"), (1337, 5, b"\x1f\x9a\x0a"), (42, 8, b"\x2a")],
    ids=["C.1.1", "C.1.2", "C.1.3"],
)
def test_numbers(value: int, prefix: int, encoded: bytes) -> None:
    assert number(value, prefix) == encoded, "as the helpers of these tests encode it"
    if prefix == 5:
        decoder = recorder()
        assert decoder.decode(b"\x20" + encoded) is None, "a number cannot be a field"
        assert decoder.decode(table_size(value) + b"\x82") == ({b":method": b"GET"}, [], 0, False)


def test_a_literal_with_indexing() -> None:
    """C.2.1"""
    decoder = recorder()
    block = bytes.fromhex("400a637573746f6d2d6b65790d637573746f6d2d686561646572")
    assert decoder.decode(block) == ({}, [(b"custom-key", b"custom-header")], 0, False)
    assert decoder.table() == [(b"custom-key", b"custom-header")]
    assert decoder.table_bytes == 55


def test_a_literal_without_indexing() -> None:
    """C.2.2"""
    decoder = recorder()
    block = bytes.fromhex("040c2f73616d706c652f70617468")
    assert decoder.decode(block) == ({b":path": b"/sample/path"}, [], 0, False)
    assert block == plain(b":path", b"/sample/path")
    assert decoder.table() == []


def test_a_literal_never_indexed() -> None:
    """C.2.3"""
    decoder = recorder()
    block = bytes.fromhex("100870617373776f726406736563726574")
    assert decoder.decode(block) == ({}, [(b"password", b"secret")], 0, False)
    assert decoder.table() == []


def test_an_indexed_field() -> None:
    """C.2.4"""
    decoder = recorder()
    assert decoder.decode(b"\x82") == ({b":method": b"GET"}, [], 0, False)
    assert decoder.table() == []


@pytest.mark.parametrize("section", REQUESTS)
def test_requests(section: str) -> None:
    decoder = recorder()
    for block, fields, table, size in REQUESTS[section]:
        decoded = decoder.decode(bytes.fromhex(block))
        assert decoded is not None
        pseudo, others, status, _ = decoded
        assert list(pseudo.items()) == sorted(fields[:4], key=lambda field: list(pseudo).index(field[0]))
        assert others == [(b"host", b"www.example.com"), *fields[4:]], "the application gets a Host"
        assert status == 0
        assert (decoder.table(), decoder.table_bytes) == (table, size)


@pytest.mark.parametrize("section", RESPONSES)
def test_responses(section: str) -> None:
    """Their table has 256 bytes, so that fields are evicted. :status is malformed in a request, and still inserted."""
    decoder = recorder()
    prefix = table_size(256)
    for block, (table, size) in zip(RESPONSES[section], RESPONSE_TABLES, strict=True):
        decoded = decoder.decode(prefix + bytes.fromhex(block))
        assert decoded is not None
        assert decoded[2:] == (400, True)
        assert (decoder.table(), decoder.table_bytes) == (table, size)
        prefix = b""


def test_encoding_of_literals() -> None:
    """The representations of C.5.1 and C.2.3 that the encoder chooses as well."""
    writer = HpackWriter()
    block = writer.send(writer.head(302, [PRIVATE]))
    assert block == bytes.fromhex(RESPONSES["C.5"][0])[: len(block)], "inserted, with the name of the static table"
    assert writer.send(writer.head(307, [PRIVATE])) == bytes.fromhex("4803333037bf"), "as in C.5.2"
    assert writer.send(writer.head(200, [(b"password", b"secret")]))[1:] == bytes.fromhex(
        "000870617373776f726406736563726574"
    )


@for_each_row(
    ("code", "text"),
    [
        ("f1e3c2e5f23a6ba0ab90f4ff", b"www.example.com"),
        ("a8eb10649cbf", b"no-cache"),
        ("9d29ad171863c78f0b97c8e9ae82ae43d3", b"https://www.example.com"),
        ("", b""),
    ],
)
def test_huffman_codes(code: str, text: bytes) -> None:
    assert huffman(bytes.fromhex(code)) == text
