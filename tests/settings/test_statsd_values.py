"""The address of statsd, the prefix and the tags."""

import re

import pytest

from ianus.settings import statsd_values
from tests.rows import for_each_row


@for_each_row(
    ("text", "expected"),
    [
        ("localhost:8125", ("localhost", 8125)),
        ("udp://telegraf.web:8125", ("telegraf.web", 8125)),
        ("[::1]:65535", ("::1", 65535)),
        ("unix:///run/statsd.sock", "/run/statsd.sock"),
        ("unix:/run/my statsd", "/run/my statsd"),
    ],
)
def test_addresses(text: str, expected: object) -> None:
    assert statsd_values.target(statsd_values.address(text)) == expected


def test_no_address_is_no_server() -> None:
    assert statsd_values.address("") == ""


@for_each_row(
    "value",
    ["localhost", ":8125", "a:0", "a:65536", "::1:8125", "a b:1", "tcp://a:1", "unix://run/x", "unix:///a\0", "a:1\n",
     8125, None],
)  # fmt: skip
def test_other_texts_are_not_addresses(value: object) -> None:
    with pytest.raises(ValueError, match=re.escape("is not the address of a statsd server, such as localhost:8125")):
        statsd_values.address(value)


@for_each_row("value", ["", "shop", "shop.web.", "a-b_c"])
def test_prefixes(value: str) -> None:
    assert statsd_values.prefix(value) == value


@for_each_row("value", ["a b", "a:b", "a|b", "a@b", "a#b", "ä", "a\n", "x" * 201, 1])
def test_other_texts_are_not_prefixes(value: object) -> None:
    with pytest.raises(ValueError, match="is not a prefix for names of metrics, such as shop"):
        statsd_values.prefix(value)


@pytest.mark.parametrize("value", ["", "env:prod", "env:prod,region:eu-1,canary"])
def test_tags(value: str) -> None:
    assert statsd_values.tags(value) == value


@for_each_row("value", ["a b", "a|b", "#a", "a\nb", "x" * 501, 1])
def test_other_texts_are_not_tags(value: object) -> None:
    with pytest.raises(ValueError, match="is not a list of tags, such as env:prod,region:eu"):
        statsd_values.tags(value)
