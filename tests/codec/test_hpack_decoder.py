"""The HPACK decoder: numbers, strings, both tables, and errors of the connection (RFC 7541)."""

import random

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from ianus.codec.field_cache import FieldCache
from ianus.codec.http2.hpack_recording import huffman
from tests.rows import for_each_row

from ..engine import limits
from .hpacking import GET, decoded, index, inserted, number, plain, recorder, request, string, table_size, verdict

Fields = list[tuple[bytes, bytes]]
HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def fields_of(block: bytes) -> Fields:
    found = recorder().decode(block)
    assert found is not None
    assert found[2] == 0
    return found[1]


def test_every_symbol_of_the_huffman_code() -> None:
    for symbol in range(256):
        for count in range(1, 9):
            text = bytes([symbol]) * count
            assert huffman(HUFFMAN.encode(text)) == text


def test_random_texts_in_the_huffman_code() -> None:
    source = random.Random(1)
    for _ in range(500):
        text = source.randbytes(source.randrange(60))
        assert huffman(HUFFMAN.encode(text)) == text


@pytest.mark.parametrize(
    "code",
    [b"\xff\xff\xff\xff", b"\xff\xff\xff\xfc", b"\xff", b"\x1f\xff", b"\x00", b"\x1e"],
    ids=["EOS", "EOS and zeros", "8 bits", "8 bits after a symbol", "zeros", "a zero among them"],
)
def test_padding_that_is_not_up_to_seven_ones(code: bytes) -> None:
    """RFC 7541 section 5.2"""
    assert huffman(code) is None
    decoder = recorder()
    assert decoder.decode(request() + b"\x00\x01a" + number(len(code), 7, 0x80) + code) is None
    assert decoder.reason == "invalid Huffman code"


def test_padding_of_each_length() -> None:
    # "0" has five bits and "X" has eight.
    for zeros in range(8):
        bits = "00000" * zeros
        padded = bits + "1" * (-len(bits) % 8)
        assert huffman(int("1" + padded, 2).to_bytes(len(padded) // 8 + 1, "big")[1:]) == b"0" * zeros


@for_each_row(
    ("name", "case"),
    {
        "index 0": (b"\x80", "invalid index"),
        "an empty dynamic table": (index(62), "invalid index"),
        "a name of it": (inserted(62, b"v"), "invalid index"),
        "a name of it, not inserted": (b"\x0f\x2f\x01v", "invalid index"),
        "far beyond": (index(1 << 27), "invalid index"),
        "six bytes": (b"\xff\x80\x80\x80\x80\x01", "invalid number"),
        "six bytes for a small number": (b"\xff\x80\x80\x80\x80\x00", "invalid number"),
        "endless": (b"\xff" * 64, "invalid number"),
        "no end of a number": (b"\xff\x80", "invalid number"),
        "no end of a name's index": (b"\x7f", "invalid number"),
        "no string": (b"\x41", "incomplete string"),
        "a short string": (b"\x41\x02a", "incomplete string"),
        "a short name": (b"\x40\x02a", "incomplete string"),
        "no value": (b"\x40\x01a", "incomplete string"),
        "no end of a length": (b"\x41\x7f\x80", "incomplete string"),
        "a length near the maximum": (b"\x41\x7f\xff\xff\xff\x7f", "incomplete string"),
        "a table over the setting": (table_size(4097), "table size over SETTINGS_HEADER_TABLE_SIZE"),
        "a huge table": (b"\x3f\xff\xff\xff\x7f", "table size over SETTINGS_HEADER_TABLE_SIZE"),
        "a size without an end": (b"\x3f\x80", "invalid number"),
        "three sizes": (table_size(0) * 3, "unexpected update of the table size"),
        "a size after a field": (b"\x82" + table_size(0), "unexpected update of the table size"),
    }.items(),
)
def test_compression_errors(name: str, case: tuple[bytes, str]) -> None:
    block, reason = case
    decoder = recorder()
    assert decoder.decode(block) is None, name
    assert decoder.reason == reason


def test_every_prefix_of_a_block_is_decoded_or_an_error() -> None:
    block = request((b"x-name", b"value")) + inserted(b"accept", b"*/*") + index(62)
    whole = [index for index in range(len(block) + 1) if recorder().decode(block[:index]) is not None]
    assert whole == [0, 1, 2, 3, 6, 20, 32, 33], "a block ends between two fields"


def test_numbers_may_have_zeros_at_their_end() -> None:
    """RFC 7541 section 5.1 permits them; here up to five bytes in all."""
    assert fields_of(GET + b"\x01\x01h" + b"\x00\x01a\x7f\x80\x80\x00" + b"v" * 127) == [
        (b"host", b"h"),
        (b"a", b"v" * 127),
    ]


def test_a_size_update_evicts() -> None:
    decoder = recorder()
    decoder.decode(request() + inserted(b"a", b"1") + inserted(b"b", b"2"))
    assert decoder.table() == [(b"b", b"2"), (b"a", b"1")]
    decoder.decode(table_size(34) + table_size(4096) + request())
    assert decoder.table() == [(b"b", b"2")]
    decoder.decode(table_size(33) + request())
    assert (decoder.table(), decoder.table_bytes) == ([], 0)


def test_a_field_larger_than_the_table_empties_it() -> None:
    decoder = recorder()
    decoder.decode(request() + inserted(b"a", b"1"))
    large = (b"b", b"x" * 4064)
    found = decoder.decode(request() + inserted(*large))
    assert found is not None
    assert found[1][-1] == large
    assert decoder.table() == []
    decoder.decode(request() + inserted(b"b", b"x" * 4063))
    assert decoder.table_bytes == 4096


def test_a_name_of_an_entry_that_is_evicted_by_it() -> None:
    """RFC 7541 section 4.4"""
    decoder = recorder()
    decoder.decode(table_size(64) + request() + inserted(b"name", b"1" * 28))
    found = decoder.decode(request() + inserted(62, b"2" * 28))
    assert found is not None
    assert found[1][-1] == (b"name", b"2" * 28)
    assert decoder.table() == [(b"name", b"2" * 28)]


def test_an_authority_of_the_table_is_a_name_as_well() -> None:
    decoder = recorder()
    decoder.decode(GET + inserted(1, b"first"))
    found = decoder.decode(GET + inserted(62, b"second"))
    assert found is not None
    assert found[:2] == (
        {b":method": b"GET", b":scheme": b"https", b":authority": b"second", b":path": b"/"},
        [(b"host", b"second")],
    )
    assert decoder.table() == [(b":authority", b"second"), (b":authority", b"first")]
    assert decoder.table_bytes == 10 + 6 + 32 + 10 + 5 + 32


def test_a_malformed_field_is_inserted_and_malformed_each_time() -> None:
    decoder = recorder()
    assert verdict(decoder, request() + inserted(b"X", b"1"))["reason"] == "invalid field name"
    assert decoder.table() == [(b"X", b"1")]
    assert verdict(decoder, request() + index(62))["reason"] == "invalid field name"
    assert verdict(decoder, request())["status"] == 0


def test_names_and_values_are_shared() -> None:
    decoder = recorder()
    first = decoder.decode(request() + inserted(b"x-own", b"1"))
    second = decoder.decode(request() + index(62))
    assert first is not None
    assert second is not None
    assert first[1][-1] is second[1][-1]


def test_connections_share_what_their_clients_repeat() -> None:
    cache = FieldCache()
    agent = number(58, 6, 0x40) + string(b"Mozilla/5.0")
    secret = number(32, 6, 0x40) + string(b"session=123456")
    pairs = []
    for _ in range(2):
        found = recorder(cache=cache).decode(GET + inserted(1, b"example.org") + agent + secret)
        assert found is not None
        pairs.append(found[1])
    assert (
        pairs[0]
        == pairs[1]
        == [(b"host", b"example.org"), (b"user-agent", b"Mozilla/5.0"), (b"cookie", b"session=123456")]
    )
    shared = [one is other for one, other in zip(*pairs, strict=True)]
    assert shared == [True, True, False], "a cookie may be a secret"


def test_the_cache_does_not_know_the_table_of_another_connection() -> None:
    cache = FieldCache()
    first, second = recorder(cache=cache), recorder(cache=cache)
    first.decode(request() + inserted(b"accept", b"text/html"))
    second.decode(request() + inserted(b"user-agent", b"text/html"))
    assert decoded(first, request() + inserted(62, b"application/json"))[1][-1] == (b"accept", b"application/json")
    assert decoded(second, request() + inserted(62, b"application/json"))[1][-1] == (b"user-agent", b"application/json")


def test_a_cached_field_has_its_size_in_the_table() -> None:
    cache = FieldCache()
    tables = []
    for _ in range(2):
        decoder = recorder(cache=cache)
        decoder.decode(table_size(200) + GET + inserted(1, b"example.org") + inserted(b"accept", b"x" * 80))
        tables.append((decoder.table(), decoder.table_bytes))
    assert tables[0] == tables[1] == ([(b"accept", b"x" * 80), (b":authority", b"example.org")], 53 + 118)
    decoder = recorder(cache=cache)
    decoder.decode(table_size(100) + GET + inserted(1, b"example.org") + inserted(b"accept", b"x" * 80))
    assert (decoder.table(), decoder.table_bytes) == ([], 0)


def test_other_encoders_of_many_requests() -> None:
    """The blocks of one encoder, whose table evicts; with a cache and without one."""
    source = random.Random(2)
    names = ["accept", "x-a", "cookie", "user-agent", "x-long-name-of-a-field"]
    encoder = hpack.Encoder()
    decoders = [recorder(), recorder(cache=FieldCache())]
    for _ in range(400):
        fields = [(source.choice(names), source.choice("abcdef") * source.randrange(1, 90)) for _ in range(12)]
        block = encoder.encode(
            [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "h"), *fields],
            huffman=source.random() < 0.5,
        )
        expected = [(b"host", b"h")] + [(name.encode(), value.encode()) for name, value in fields]
        for decoder in decoders:
            found = decoder.decode(block)
            assert found is not None
            assert [field for field in found[1] if field[0] != b"cookie"] == [
                field for field in expected if field[0] != b"cookie"
            ]
            assert decoder.table() == [
                (bytes(name), bytes(value)) for name, value in encoder.header_table.dynamic_entries
            ]


# ---- attacks, by name ------------------------------------------------------------------------------------------------


def test_cve_2016_6581_an_hpack_bomb_keeps_no_more_than_the_limits() -> None:
    """One large entry of the table, referred to by one byte each."""
    decoder = recorder(limits(limit_request_fields_size=65536))
    block = request() + inserted(b"x", b"v" * 4000) + index(62) * 16000
    found = decoder.decode(block)
    assert found is not None
    _, fields, status, malformed = found
    assert (status, malformed) == (431, False)
    assert len(fields) == 1 + 65536 // 4005
    assert decoded(decoder, request())[2] == 0, "the next request of the connection"


def test_a_bomb_of_empty_fields_keeps_no_more_than_their_number() -> None:
    found = recorder().decode(request() + inserted(b"x", b"") + index(62) * 60000)
    assert found is not None
    assert found[2] == 431
    assert len(found[1]) == 100


def test_a_bomb_of_cookies_keeps_no_more_than_the_limits() -> None:
    decoder = recorder(limits(limit_request_fields_size=1000))
    found = decoder.decode(request() + inserted(32, b"c") + index(62) * 60000)
    assert found is not None
    assert found[2] == 431


def test_fields_after_the_limit_still_change_the_table() -> None:
    decoder = recorder(limits(limit_request_fields=2))
    found = decoder.decode(request() + inserted(b"a", b"1") + inserted(b"b", b"2") + inserted(b"c", b"3"))
    assert found is not None
    assert found[1:3] == ([(b"host", b"h"), (b"a", b"1")], 431)
    assert decoder.table() == [(b"c", b"3"), (b"b", b"2"), (b"a", b"1")]


@pytest.mark.parametrize("field", [(b"x-injected", b"a\r\nb"), (b"x", b"a\nb"), (b"x", b"a\0"), (b"x\r\n", b"a")])
def test_cve_2025_57804_line_ends_in_a_field_are_malformed(field: tuple[bytes, bytes]) -> None:
    for block in (request() + plain(*field), request() + inserted(*field)):
        found = verdict(recorder(), block)
        assert (found["status"], found["malformed"]) == (400, True)


def test_cve_2026_71554_a_repeated_host_is_malformed() -> None:
    block = GET + plain(b"host", b"h") + plain(b"host", b"h")
    assert verdict(recorder(), block)["reason"] == "more than one Host"
    both = request((b"host", b"h"), (b"host", b"h"))
    assert verdict(recorder(), both)["reason"] == "more than one Host"
