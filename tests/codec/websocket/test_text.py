"""UTF-8 of text messages (RFC 6455 8.1, RFC 3629): whole, in fragments, and refused at its first wrong byte."""

import itertools
import random

import pytest

from tests.rows import for_each_row

from .feeding import CONTINUATION, TEXT, check, fragments, frame, message, named, record, rejects, text

VALID = {
    "Greek": "κόσμε",
    "two bytes": "\x80\xff\u07ff",
    "three bytes": "\u0800\ud7ff\ue000\uffff",
    "four bytes": "\U00010000\U0010ffff",
    "NUL": "\0",
    "after much ASCII": "x" * 50 + "é" + "y" * 20 + "€",
    "byte order mark": "\ufeffa",
}

INVALID = {
    "continuation alone": b"\x80",
    "two continuations": b"\x80\xbf",
    "overlong NUL": b"\xc0\x80",
    "overlong slash": b"\xe0\x80\xaf",
    "overlong in two": b"\xc1\xbf",
    "overlong in three": b"\xe0\x9f\xbf",
    "overlong in four": b"\xf0\x8f\xbf\xbf",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "F5": b"\xf5\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
    "character that ends too early": b"\xcea",
    "character interrupted by another one": b"\xe2\x82\xe2\x82\xac",
    "after valid text": "κόσμε".encode() + b"\xed\xa0\x80edited",
    "after much ASCII": b"x" * 50 + b"\xff",
}


@for_each_row("string", VALID.values(), ids=VALID.keys())
def test_text(string: str) -> None:
    data = string.encode()
    check(text(data), [message(string)])
    check(fragments(TEXT, *(data[i : i + 1] for i in range(len(data)))), [message(string)])


@named(INVALID)
def test_invalid_utf8(data: bytes) -> None:
    rejects(text(data), 1007)
    rejects(fragments(TEXT, data, b""), 1007)
    rejects(fragments(TEXT, *(data[i : i + 1] for i in range(len(data))), b"x"), 1007)


@pytest.mark.parametrize("character", ["é", "€", "\U0010ffff"])
def test_text_that_ends_inside_a_character(character: str) -> None:
    for size in range(1, len(character.encode())):
        rejects(text(character.encode()[:size]), 1007)
        rejects(fragments(TEXT, b"a", character.encode()[:size]), 1007)
        rejects(fragments(TEXT, character.encode()[:size], b""), 1007)


@named(INVALID)
def test_a_wrong_byte_is_refused_at_once(data: bytes) -> None:
    """Neither the end of the frame nor that of the message is received."""
    header = frame(TEXT, b"x" * 200, fin=False)[:8]
    key = header[-4:]
    body = bytes(byte ^ key[i % 4] for i, byte in enumerate(data + b"x"))
    assert record([header + body]) == [("error", 1007)]
    assert record([frame(TEXT, data + b"x", fin=False)]) == [("error", 1007)]


@pytest.mark.slow
@pytest.mark.slow
def test_all_sequences_of_two_bytes_and_the_ends_of_longer_ones() -> None:
    edges = [0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0]
    sequences = [bytes(pair) for pair in itertools.product(range(256), repeat=2)]
    sequences += [bytes((lead, *rest)) for lead in range(0xE0, 0xF0) for rest in itertools.product(edges, repeat=2)]
    sequences += [bytes((lead, *rest)) for lead in range(0xF0, 0xF8) for rest in itertools.product(edges, repeat=3)]
    for data in sequences:
        expected = [message(data.decode())] if is_utf8(data) else [("error", 1007)]
        assert record([fragments(TEXT, data, b"")]) == expected, data


def test_text_may_be_cut_anywhere() -> None:
    choices = random.Random(6455)
    for _ in range(200):
        string = "".join(choices.choice("a\x7fé\u07ff€\ud7ff\ue000\U00010000\U0010ffff") * 3 for _ in range(20))
        data = string.encode()
        cuts = sorted(choices.randrange(len(data)) for _ in range(4))
        pieces = [data[start:end] for start, end in itertools.pairwise([0, *cuts, len(data)])]
        assert record([fragments(TEXT, *pieces)]) == [message(string)]


def test_binary_is_not_looked_at() -> None:
    check(fragments(2, b"\xff", b"\xc0"), [message(b"\xff\xc0")])
    check(frame(2, b"\xff", fin=False) + frame(CONTINUATION, b"\x80"), [message(b"\xff\x80")])


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
