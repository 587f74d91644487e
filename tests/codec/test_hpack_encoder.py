"""Heads of responses by HPACK: literals that any thread encodes, and indices for literals that the client has seen."""

import random

import hpack

from ianus.codec.http2.hpack_recording import HpackWriter, length_field, literals, priority
from tests.rows import for_each_row

Fields = list[tuple[bytes, bytes]]

HELLO = [(b"content-type", b"text/plain"), (b"content-length", b"13"), (b"date", b"Mon, 30 Nov 2026 00:00:00 GMT")]
SERVER = (b"server", b"ianus")


def decoded(decoder: hpack.Decoder, block: bytes) -> Fields:
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


def test_a_head_is_a_valid_block_by_itself() -> None:
    head = HpackWriter().head(200, [*HELLO, (b"X-Mixed", b"Case")])
    assert decoded(hpack.Decoder(), literals(head)) == [(b":status", b"200"), *HELLO, (b"x-mixed", b"Case")]


@for_each_row("status", [100, 103, 200, 204, 206, 299, 304, 400, 404, 418, 500, 503, 599, 999])
def test_each_status(status: int) -> None:
    head = HpackWriter().head(status, [])
    assert decoded(hpack.Decoder(), literals(head)) == [(b":status", str(status).encode())]


def test_an_accepted_tunnel_has_status_200() -> None:
    """RFC 8441 section 5"""
    assert literals(HpackWriter().head(101, [])) == b"\x88"


@for_each_row("length", [0, 9, 10, 127, 2**31, 2**63 - 1])
def test_a_length_that_the_codec_adds(length: int) -> None:
    assert decoded(hpack.Decoder(), length_field(length)) == [(b"content-length", str(length).encode())]


def test_the_priority_of_a_response_is_kept_apart_as_well() -> None:
    """RFC 9218 section 8: the scheduler of the connection reads it."""
    writer = HpackWriter()
    assert priority(writer.head(200, [(b"Priority", b"u=1")])) == b"u=1"
    assert priority(writer.head(200, HELLO)) is None


def test_fields_that_repeat_become_indices() -> None:
    writer, decoder = HpackWriter(), hpack.Decoder()
    sizes = []
    for count in range(3):
        head = writer.head(200, [*HELLO[:1], (b"content-length", b"%d" % count), HELLO[2], SERVER])
        block = writer.send(head)
        sizes.append(len(block))
        assert decoded(decoder, block)[2] == (b"content-length", b"%d" % count)
    # :status, Content-Type and Server are one byte each, beside 3 for the length and 31 for the date.
    assert sizes == [1 + 12 + 4 + 32 + 7, 1 + 1 + 4 + 32 + 1, 1 + 1 + 4 + 32 + 1]


def test_the_same_head_again() -> None:
    writer, decoder = HpackWriter(), hpack.Decoder()
    head = writer.head(200, [*HELLO, SERVER])
    other = writer.head(404, [SERVER, (b"vary", b"accept")])
    for each in (head, head, head, other, head, head, other, other, head):
        assert decoded(decoder, writer.send(each)) == decoded(hpack.Decoder(), literals(each))


def test_secrets_are_never_indexed() -> None:
    """RFC 7541 section 7.1.3"""
    writer = HpackWriter()
    head = writer.head(200, [(b"Set-Cookie", b"session=1"), (b"authorization", b"x")])
    first, second = writer.send(head), writer.send(head)
    assert first == second, "no entry of a table"
    assert first[1:3] == b"\x1f\x28", "never indexed, with the name of the static table: 15 + 40"
    assert all(
        isinstance(field, hpack.NeverIndexedHeaderTuple) for field in list(hpack.Decoder().decode(first, raw=True))[1:]
    )


def test_values_that_differ_each_time_fill_no_table() -> None:
    writer = HpackWriter()
    for count in range(100):
        writer.send(
            writer.head(200, [(b"date", b"%d" % count), (b"etag", b"%d" % count), (b"location", b"/%d" % count)])
        )
    assert writer.table_bytes() == 0


def test_the_table_is_bounded() -> None:
    writer, decoder = HpackWriter(), hpack.Decoder()
    for count in range(300):
        head = writer.head(200, [(b"content-type", b"%d" % count * 20), (b"vary", b"x" * (count * 9 % 1400)), SERVER])
        assert decoded(decoder, writer.send(head)) == decoded(hpack.Decoder(), literals(head))
        assert writer.table_bytes() <= 2048


def test_a_client_without_a_table() -> None:
    writer, decoder = HpackWriter(), hpack.Decoder()
    head = writer.head(200, [*HELLO, SERVER])
    writer.send(head)
    writer.set_max_table_size(0)
    decoder = hpack.Decoder()
    decoder.decode(literals(head))
    decoder.max_allowed_table_size = 0
    block = writer.send(head)
    assert block[:1] == b"\x20", "RFC 7541 section 4.2: the change is acknowledged"
    for each in (block, writer.send(head), writer.send(head)):
        assert decoded(decoder, each) == [(b":status", b"200"), *HELLO, SERVER]
    assert writer.table_bytes() == 0


@for_each_row(
    ("sizes", "update"),
    [
        ([4096], b""),
        ([65536], b""),
        ([2**32 - 1], b""),
        ([100], b"\x3f\x45"),
        ([100, 4096], b"\x3f\x45\x3f\xe1\x1f"),
        ([100, 65536, 1000], b"\x3f\x45\x3f\xc9\x07"),
        ([1000, 100], b"\x3f\x45"),
        ([65536, 4096], b""),
    ],
)
def test_updates_of_the_table_size(sizes: list[int], update: bytes) -> None:
    """RFC 7541 section 4.2: the smallest size and the last one, if the table has to shrink."""
    writer = HpackWriter()
    head = writer.head(204, [])
    for size in sizes:
        writer.set_max_table_size(size)
    assert writer.send(head) == update + b"\x89"
    assert writer.send(head) == b"\x89"


def test_random_heads_and_settings() -> None:
    source = random.Random(3)
    writer, decoder = HpackWriter(), hpack.Decoder()
    names = [b"server", b"vary", b"Cache-Control", b"x-own", b"set-cookie", b"content-type", b"x-frame-options"]
    heads = [
        writer.head(
            source.choice([200, 404, 299]),
            [
                (source.choice(names), b"%d" % source.randrange(4) * source.randrange(1, 60))
                for _ in range(source.randrange(8))
            ],
        )
        for _ in range(40)
    ]
    for _ in range(3000):
        if source.random() < 0.02:
            size = source.choice([0, 40, 64, 200, 1000, 4096, 9000])
            writer.set_max_table_size(size)
            decoder.max_allowed_table_size = size
        head = source.choice(heads)
        assert decoded(decoder, writer.send(head)) == decoded(hpack.Decoder(), literals(head))


def test_trailers() -> None:
    writer, decoder = HpackWriter(), hpack.Decoder()
    trailers = [(b"grpc-status", b"0"), (b"grpc-message", b"")]
    for _ in range(3):
        block = writer.send(writer.head(0, trailers))
        assert decoded(decoder, block) == trailers
    assert len(block) == 1 + 15
