"""The id of a request: taken from the field if it is safe, else made."""

import pytest

from ianus.exchange.request_id import request_id
from tests.rows import for_each_row

NAME = b"x-request-id"
Fields = list[tuple[bytes, bytes]]


@pytest.mark.parametrize("value", [b"1", b"!~", b"x" * 128])
def test_a_short_visible_id_is_kept(value: bytes) -> None:
    headers: Fields = [(b"a", b"1"), (NAME, value)]
    assert request_id(headers, NAME) == value
    assert headers == [(b"a", b"1"), (NAME, value)]


@for_each_row("value", [b"", b"a b", b"a\tb", b"\xff", b"\x7f", b"x" * 129])
def test_another_value_is_replaced(value: bytes) -> None:
    headers: Fields = [(NAME, value), (b"a", b"1")]
    made = request_id(headers, NAME)
    assert headers == [(b"a", b"1"), (NAME, made)]
    assert len(made) == 32
    assert int(made, 16) >= 0


def test_several_ids_are_replaced_by_one() -> None:
    headers: Fields = [(NAME, b"1"), (b"a", b"1"), (NAME, b"2")]
    made = request_id(headers, NAME)
    assert headers == [(b"a", b"1"), (NAME, made)]


def test_each_request_without_an_id_gets_another_one() -> None:
    first: Fields = []
    second: Fields = []
    assert request_id(first, NAME) != request_id(second, NAME)
    assert first != second
